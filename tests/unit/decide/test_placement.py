"""In which pool a request is answered: by criticality, cost, warmth, pressure and budget."""

from __future__ import annotations

import pytest

from opsrail.decide.pace import Pace
from opsrail.decide.placement import Outlook, placed
from opsrail.values.decisions import Criticality

CHEAP = Outlook("cheap", cost_usd_per_s=0.0, predicted_s=0.05)
FAST = Outlook("fast", cost_usd_per_s=0.001, predicted_s=0.005)


@pytest.mark.parametrize(
    ("criticality", "left_s", "first"),
    [
        ("high", 1.0, "fast"),
        ("normal", 1.0, "cheap"),
        ("low", 1.0, "cheap"),
        ("normal", 0.02, "fast"),  # the cheap one would be late
        ("low", 0.02, "fast"),
        ("normal", 0.001, "cheap"),  # both would be
    ],
)
def test_high_requests_go_where_it_is_fast_and_others_where_it_is_cheap_enough(
    criticality: Criticality, left_s: float, first: str
) -> None:
    pools = placed([FAST, CHEAP], criticality, left_s, is_point_spent=False)

    assert pools[0] == first
    assert len(pools) == 2  # the other stands in


def test_a_pool_that_would_turn_it_away_comes_last() -> None:
    blocked = CHEAP._replace(is_blocked=True)

    assert placed([blocked, FAST], "low", 1.0, is_point_spent=False) == ("fast", "cheap")


def test_a_request_goes_where_its_model_is_warm() -> None:
    cold = CHEAP._replace(is_warm=False)

    assert placed([cold, FAST], "normal", 1.0, is_point_spent=False) == ("fast", "cheap")


def test_what_is_known_only_from_long_ago_is_tried_again() -> None:
    slow = CHEAP._replace(predicted_s=10.0)
    guess = slow._replace(is_guess=True)

    assert placed([slow, FAST], "normal", 1.0, is_point_spent=False)[0] == "fast"
    assert placed([guess, FAST], "normal", 1.0, is_point_spent=False)[0] == "cheap"


def test_when_the_points_budget_is_spent_low_requests_have_the_cheapest_pool_alone() -> None:
    late = CHEAP._replace(predicted_s=10.0)

    assert placed([FAST, late], "low", 1.0, is_point_spent=True) == ("cheap",)
    assert placed([FAST, late], "normal", 1.0, is_point_spent=True) == ("fast", "cheap")


def test_when_a_pools_budget_is_spent_low_requests_go_elsewhere_and_then_nowhere() -> None:
    fast, cheap = FAST._replace(is_spent=True), CHEAP._replace(is_spent=True)

    assert placed([fast, CHEAP], "low", 1.0, is_point_spent=False) == ("cheap",)
    assert placed([fast, cheap], "low", 1.0, is_point_spent=False) == ()
    assert len(placed([fast, cheap], "high", 1.0, is_point_spent=True)) == 2


def test_of_equal_pools_the_first_of_the_card_is_asked() -> None:
    one, two = Outlook("one"), Outlook("two")

    assert placed([one, two], "normal", 1.0, is_point_spent=False) == ("one", "two")
    assert placed([two, one], "normal", 1.0, is_point_spent=False) == ("two", "one")


def test_pace_knows_nothing_before_the_first_answer() -> None:
    assert Pace().predicted_s(5) is None


def test_twice_as_many_waiting_take_twice_as_long_and_an_empty_queue_the_least() -> None:
    pace = Pace()
    for _ in range(100):
        pace.observe(0.010, 1, now_s=0.0)
    for _ in range(100):
        pace.observe(0.080, 16, now_s=1.0)

    assert pace.predicted_s(31) == pytest.approx(0.160, rel=0.1)
    assert pace.predicted_s(0) == pytest.approx(0.010, abs=0.030)
    assert pace.predicted_s(0) == min(pace.predicted_s(waiting) or 0 for waiting in range(9))


def test_pace_that_is_old_is_a_guess_and_begins_anew() -> None:
    pace = Pace()
    pace.observe(5.0, 1, now_s=0.0)

    assert (pace.is_guess(10.0), pace.is_guess(10.1)) == (False, True)
    pace.observe(0.010, 1, now_s=11.0)
    assert pace.predicted_s(0) == 0.010
