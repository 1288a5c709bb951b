"""Placement, for every pool there might be: nobody is sent where somebody better would have answered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opsrail.decide.placement import Outlook, placed
from opsrail.values.decisions import Criticality

outlooks = st.lists(
    st.builds(
        Outlook,
        st.sampled_from("abcdefgh"),
        cost_usd_per_s=st.sampled_from([0.0, 0.001, 0.01]),
        is_warm=st.booleans(),
        is_blocked=st.booleans(),
        predicted_s=st.none() | st.sampled_from([0.001, 0.01, 0.1, 1.0]),
        is_guess=st.booleans(),
        is_spent=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda outlook: outlook.pool,
)
classes: st.SearchStrategy[Criticality] = st.sampled_from(["high", "normal", "low"])
times = st.sampled_from([0.0, 0.005, 0.05, 0.5, 5.0])


def is_good(outlook: Outlook, left_s: float) -> bool:
    in_time = outlook.is_guess or (outlook.predicted_s or 0.0) <= left_s
    return in_time and outlook.is_warm and not outlook.is_blocked


@given(outlooks, classes, times, st.booleans())
def test_every_pool_is_offered_once_but_for_low_requests_over_budget(
    given_: list[Outlook], criticality: Criticality, left_s: float, spent: bool
) -> None:
    pools = placed(given_, criticality, left_s, is_point_spent=spent)
    names = {outlook.pool for outlook in given_}

    assert len(set(pools)) == len(pools)
    if criticality == "low":
        allowed = {outlook.pool for outlook in given_ if not outlook.is_spent}
        assert set(pools) <= allowed
        assert spent or set(pools) == allowed
    else:
        assert set(pools) == names


@given(outlooks, classes, times)
def test_a_pool_that_can_answer_is_asked_before_one_that_cannot(
    given_: list[Outlook], criticality: Criticality, left_s: float
) -> None:
    pools = placed(given_, criticality, left_s, is_point_spent=False)
    by_name = {outlook.pool: outlook for outlook in given_}
    good = [is_good(by_name[pool], left_s) for pool in pools]

    assert good == sorted(good, reverse=True)


@given(outlooks, times, st.booleans())
def test_no_good_pool_is_faster_for_high_or_cheaper_for_the_others(
    given_: list[Outlook], left_s: float, spent: bool
) -> None:
    good = [outlook for outlook in given_ if is_good(outlook, left_s)]
    by_name = {outlook.pool: outlook for outlook in given_}
    if not good:
        return
    high = by_name[placed(given_, "high", left_s, is_point_spent=spent)[0]]
    normal = by_name[placed(given_, "normal", left_s, is_point_spent=spent)[0]]

    assert (high.predicted_s or 0.0) == min(outlook.predicted_s or 0.0 for outlook in good)
    assert normal.cost_usd_per_s == min(outlook.cost_usd_per_s for outlook in good)
