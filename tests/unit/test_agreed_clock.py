"""A clock that was set wrong follows the one that several processes share."""

from __future__ import annotations

import pytest

from opsrail.clock import DISAGREEMENT_MS, AgreedClock, ManualClock

HOUR_MS = 3_600_000


@pytest.mark.parametrize("wrong_ms", [HOUR_MS, -HOUR_MS, DISAGREEMENT_MS + 1])
def test_a_clock_set_wrong_shows_the_shared_time_and_goes_on_with_it(wrong_ms: int) -> None:
    at_s = 0.0
    right = ManualClock(lambda: at_s)
    clock = AgreedClock(ManualClock(lambda: at_s, start_ms=right.now_ms() + wrong_ms))
    clock.agree(right.now_ms())
    at_s = 7.25

    assert clock.now_ms() == right.now_ms()


def test_a_clock_that_agrees_is_read_as_it_is() -> None:
    clock = AgreedClock(local := ManualClock(lambda: 1.0))
    clock.agree(local.now_ms() - DISAGREEMENT_MS)

    assert clock.now_ms() == local.now_ms()


def test_a_clock_that_was_never_compared_is_read_as_it_is() -> None:
    local = ManualClock(lambda: 1.0)

    assert AgreedClock(local).now_ms() == local.now_ms()
