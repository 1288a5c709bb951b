"""When a model that crashes is left alone, and when it may run again."""

from __future__ import annotations

import pytest

from opsrail.connect.quarantine import TRANSITIONS, Event, Patience, Quarantine, State


def crashed(*at_s: float) -> Quarantine:
    quarantine = Quarantine()
    for now_s in at_s:
        quarantine.crashed(now_s)
    return quarantine


def test_the_table_has_an_answer_to_every_event_in_every_state() -> None:
    assert set(TRANSITIONS) == {(state, event) for state in State for event in Event}


@pytest.mark.parametrize(
    ("at_s", "state"),
    [
        ([0, 30], State.SERVING),
        ([0, 30, 60], State.QUARANTINED),
        ([0, 30, 60.1], State.SERVING),  # the first is a minute old
        ([0, 30, 61, 89], State.QUARANTINED),
    ],
)
def test_three_crashes_within_a_minute_are_too_many(at_s: list[float], state: State) -> None:
    assert crashed(*at_s).state_at(at_s[-1]) is state


def test_quarantine_ends_after_its_time_in_a_trial() -> None:
    quarantine = crashed(0, 1, 2)

    assert quarantine.left_s(2) == 300
    assert quarantine.state_at(301.9) is State.QUARANTINED
    assert quarantine.state_at(302) is State.TRIAL
    assert quarantine.left_s(302) == 0


def test_on_trial_one_crash_is_too_many() -> None:
    quarantine = crashed(0, 1, 2)
    assert quarantine.state_at(302) is State.TRIAL

    quarantine.crashed(303)

    assert (quarantine.state_at(303), quarantine.left_s(303)) == (State.QUARANTINED, 300)


def test_a_trial_that_is_lived_through_is_forgotten() -> None:
    quarantine = crashed(0, 1, 2)
    assert quarantine.state_at(302) is State.TRIAL
    assert quarantine.state_at(362) is State.SERVING

    quarantine.crashed(363)
    quarantine.crashed(364)

    assert quarantine.state_at(364) is State.SERVING


def test_a_crash_in_quarantine_does_not_lengthen_it() -> None:
    quarantine = crashed(0, 1, 2)

    quarantine.crashed(3)

    assert (quarantine.left_s(3), quarantine.crashes_count) == (299, 4)


def test_an_operator_ends_quarantine_and_what_was_before_is_forgotten() -> None:
    quarantine = crashed(0, 1, 2)

    quarantine.release(3)
    quarantine.crashed(4)
    quarantine.crashed(5)

    assert quarantine.state_at(5) is State.SERVING


def test_patience_is_a_setting() -> None:
    quarantine = Quarantine(Patience(most=1, window_s=10, rest_s=7))

    quarantine.crashed(0)

    assert (quarantine.left_s(0), quarantine.state_at(7)) == (7, State.TRIAL)
