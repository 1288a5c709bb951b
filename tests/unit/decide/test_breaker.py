"""The breaker, step by step; `tests/property/decide` holds it to its rules on any road."""

from __future__ import annotations

from opsrail.decide.breaker import Breaker, Limits, Outcome, State

LIMITS = Limits()


def call(breaker: Breaker, outcome: Outcome, now_s: float = 0.0) -> bool:
    """Make one call; return whether it was admitted."""
    permit = breaker.admit(now_s)
    if permit is not None:
        breaker.settle(permit, outcome, now_s)
    return permit is not None


def opened() -> Breaker:
    breaker = Breaker()
    while breaker.state is State.CLOSED:
        call(breaker, Outcome.BAD)
    return breaker


def test_ten_failures_open_it() -> None:
    breaker = Breaker()

    states = []
    for _ in range(10):
        call(breaker, Outcome.BAD)
        states.append(breaker.state)

    assert states == [State.CLOSED] * 9 + [State.OPEN]


def test_half_bad_opens_it_and_less_does_not() -> None:
    half, less = Breaker(), Breaker()

    for _ in range(10):
        call(half, Outcome.GOOD)
        call(half, Outcome.BAD)
    for _ in range(20):
        call(less, Outcome.GOOD)
        call(less, Outcome.GOOD)
        call(less, Outcome.BAD)

    assert (half.state, less.state) == (State.OPEN, State.CLOSED)


def test_old_failures_are_forgotten() -> None:
    breaker = Breaker()

    for second in range(30):
        call(breaker, Outcome.BAD, now_s=second * 2.0)

    assert breaker.state is State.CLOSED


def test_calls_that_say_nothing_do_not_count() -> None:
    breaker = Breaker()

    for _ in range(100):
        call(breaker, Outcome.VOID)

    assert breaker.state is State.CLOSED


def test_it_lets_three_probes_through_after_its_time() -> None:
    breaker = opened()

    before = breaker.admit(LIMITS.open_s - 0.001)
    probes = [breaker.admit(LIMITS.open_s) for _ in range(5)]

    assert before is None
    assert [probe is not None for probe in probes] == [True, True, True, False, False]


def test_three_good_probes_close_it() -> None:
    breaker = opened()

    for _ in range(3):
        call(breaker, Outcome.GOOD, LIMITS.open_s)

    assert breaker.state is State.CLOSED


def test_each_relapse_doubles_its_time_up_to_a_minute() -> None:
    breaker = opened()
    now_s = 0.0
    waits = []

    for _ in range(6):
        waits.append(breaker.closed_in_s(now_s))
        now_s += waits[-1]
        call(breaker, Outcome.BAD, now_s)

    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]


def test_a_recovery_forgets_the_relapses() -> None:
    breaker = opened()
    call(breaker, Outcome.BAD, 5.0)
    for _ in range(3):
        call(breaker, Outcome.GOOD, 15.0)

    for _ in range(10):
        call(breaker, Outcome.BAD, 16.0)

    assert breaker.closed_in_s(16.0) == LIMITS.open_s


def test_a_given_up_probe_makes_room_for_another() -> None:
    breaker = opened()
    permits = [breaker.admit(5.0) for _ in range(3)]

    breaker.settle(permits[0] or 0, Outcome.VOID, 5.0)

    assert breaker.admit(5.0) is not None


def test_a_call_from_before_a_move_counts_for_nothing() -> None:
    breaker = Breaker()
    late = breaker.admit(0.0)
    assert late is not None
    for _ in range(10):
        call(breaker, Outcome.BAD)

    breaker.admit(5.0)
    breaker.settle(late, Outcome.BAD, 5.0)

    assert breaker.state is State.HALF_OPEN
