"""The pure machines of the decision road, on any road."""

from __future__ import annotations

from itertools import pairwise, product
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.decide.asks import RANKS
from opsrail.decide.breaker import TRANSITIONS, Breaker, Event, Limits, Outcome, State
from opsrail.decide.bulkhead import ROOM_RATIOS, Bulkhead
from opsrail.decide.cache import ENTRY_BYTES, ScoreCache
from opsrail.decide.deadline import deadline_of
from opsrail.decide.latency import LEAST_COUNT, WINDOW_COUNT, Latency
from opsrail.decide.policy import Band, NoScore, Policy, Rule
from opsrail.decide.retry_budget import SLICES, RetryBudget
from opsrail.values.models import Score
from opsrail.values.reasons import SOURCES
from tests.support.decisions import Claim

LIMITS = Limits()
ratios = st.floats(0.0, 1.0)
scores = st.builds(
    Score,
    value=ratios,
    confidence=ratios,
    digest=st.just("m"),
    unknown=st.sampled_from([(), ("a",)]),
)
silences = st.builds(
    NoScore,
    code=st.sampled_from(["deadline-passed", "model-unavailable"]),
    text=st.just("No score."),
)
verdicts = st.sampled_from(["approve", "review", "decline"])
answers = st.one_of(
    st.none(), verdicts, st.tuples(verdicts, st.text()), st.integers(), st.just("nonsense")
)
calls = st.lists(
    st.tuples(st.sampled_from(Outcome), st.floats(0.0, 8.0), st.integers(0, 3)), max_size=120
)  # how a call ends, seconds before it, calls that it outlives


@st.composite
def policies(draw: st.DrawFn) -> Policy[Claim]:
    """Any policy; its rules match, do not match or fail."""
    below = sorted(draw(st.sets(st.floats(0.01, 1.0), max_size=4)))
    bands = [Band(draw(verdicts), limit) for limit in [*below, 1.01]]
    behaviours = draw(st.lists(st.sampled_from(["yes", "no", "fail"]), max_size=3))
    rules = [
        Rule(f"r{n}", when=matching(how), verdict=draw(verdicts), reason="R.")
        for n, how in enumerate(behaviours)
    ]
    on_unknown = draw(st.none() | verdicts)
    return Policy(
        bands, rules, on_error=draw(verdicts), without_score=draw(verdicts), on_unknown=on_unknown
    )


def matching(how: str):  # type: ignore[no-untyped-def]
    return lambda facts: 1 // 0 if how == "fail" else how == "yes"


@settings(deadline=None)
@given(policies(), st.one_of(scores, silences), st.booleans(), answers)
def test_a_policy_always_gives_one_of_its_verdicts_with_a_reason(
    policy: Policy[Claim], score: Score | NoScore, has_fallback: bool, answer: object
) -> None:
    fallback = (lambda facts: answer) if has_fallback else None

    judgement = policy.judge(Claim(), score, fallback)  # type: ignore[arg-type]

    assert judgement.verdict in policy.verdicts
    assert judgement.reasons
    assert all(reason.code and reason.source in SOURCES for reason in judgement.reasons)
    assert judgement == policy.judge(Claim(), score, fallback)  # type: ignore[arg-type]


@settings(deadline=None)
@given(policies(), scores, scores)
def test_no_score_changes_what_a_rule_says(policy: Policy[Claim], one: Score, two: Score) -> None:
    first, second = policy.judge(Claim(), one), policy.judge(Claim(), two)

    if first.reasons[0].source == "rule":
        assert first == second


@settings(deadline=None)
@given(policies(), st.lists(ratios, min_size=2))
def test_bands_split_the_scores_in_order(policy: Policy[Claim], values: list[float]) -> None:
    places = [policy.bands.index(policy.band(value)) for value in sorted(values)]

    assert all(one <= two for one, two in pairwise(places))


def test_the_breakers_table_is_total() -> None:
    assert set(TRANSITIONS) == set(product(State, Event))


@settings(deadline=None)
@given(calls)
def test_a_breaker_keeps_its_rules_on_any_road(road: list[tuple[Outcome, float, int]]) -> None:
    """Calls overlap: each may end only after a few later ones have begun."""
    breaker, now_s = Breaker(LIMITS), 0.0
    under_way: list[tuple[int, Outcome, int]] = []
    for outcome, gap_s, outlives in road:
        now_s += gap_s
        before, wait_s = breaker.state, breaker.closed_in_s(now_s)
        permit = breaker.admit(now_s)

        if before is State.OPEN:
            assert (permit is None) == (wait_s > 0)
        if before is State.CLOSED:
            assert permit is not None
        assert 0.0 <= wait_s <= LIMITS.longest_open_s
        if permit is not None:
            under_way.append((permit, outcome, outlives))
        if breaker.state is State.HALF_OPEN:
            assert sum(done == permit for done, _, _ in under_way) <= LIMITS.probe_count
        for done, ended, left in under_way:
            if left == 0:
                breaker.settle(done, ended, now_s)
        under_way = [(done, ended, left - 1) for done, ended, left in under_way if left]


@settings(deadline=None)
@given(st.floats(60.0, 1e6), calls)
def test_a_breaker_whose_calls_are_good_again_closes(
    pause_s: float, road: list[tuple[Outcome, float, int]]
) -> None:
    breaker, now_s = Breaker(LIMITS), 0.0
    for outcome, gap_s, _ in road:
        now_s += gap_s
        permit = breaker.admit(now_s)
        if permit is not None:
            breaker.settle(permit, outcome, now_s)

    now_s += pause_s
    for _ in range(LIMITS.probe_count):
        permit = breaker.admit(now_s)
        assert permit is not None
        breaker.settle(permit, Outcome.GOOD, now_s)

    assert breaker.state is State.CLOSED


@settings(deadline=None)
@given(
    st.integers(0, 3_000),
    st.lists(
        st.tuples(
            st.sampled_from("gp"),
            st.tuples(st.sampled_from("mn"), st.sampled_from("abc"), st.sampled_from("tu")),
            st.sampled_from([(), ("a",), ("a feature", "another")]),
            st.floats(0.0, 3.0),
        )
    ),
)
def test_a_cache_gives_only_what_was_put_for_that_key_and_is_young_and_keeps_its_size(
    capacity_bytes: int,
    steps: list[tuple[str, tuple[str, str, str], tuple[str, ...], float]],
) -> None:
    cache, model, now_s = ScoreCache(capacity_bytes), {}, 0.0
    for number, (deed, key, unknown, gap_s) in enumerate(steps):
        now_s += gap_s
        if deed == "p":
            score = Score(number / (len(steps) + 1), 1.0, key[0], unknown)
            cache.put(key, score, now_s=now_s)
            model[key] = (score, now_s)
        else:
            found = cache.get(key, ttl_s=5.0, now_s=now_s)

            assert found is None or (found, True) == (model[key][0], now_s - model[key][1] < 5.0)
        stats = cache.stats()
        assert stats.size_bytes <= capacity_bytes
        assert (stats.size_bytes == 0) == (stats.entries == 0)
        assert stats.entries * ENTRY_BYTES <= stats.size_bytes
        assert stats.hits + stats.misses == sum(deed == "g" for deed, *_ in steps[: number + 1])


@settings(deadline=None)
@given(
    st.sampled_from([0.0, 0.1, 0.2, 1.0]),
    st.integers(0, 5),
    st.lists(st.tuples(st.booleans(), st.floats(0.0, 2.0)), max_size=200),
)
def test_a_retry_budget_never_pays_more_than_its_share_of_the_window(
    ratio: float, least: int, steps: list[tuple[bool, float]]
) -> None:
    budget, now_s, window_s = RetryBudget(ratio, least, window_s=10.0), 0.0, 10.0
    offered: list[float] = []
    paid: list[float] = []
    for is_request, gap_s in steps:
        now_s += gap_s
        if is_request:
            budget.offer(now_s)
            offered.append(now_s)
        elif budget.take(now_s):
            paid.append(now_s)

            recent = sum(now_s - at_s <= window_s for at_s in offered)
            repaid = sum(now_s - at_s < window_s - window_s / SLICES for at_s in paid)
            assert ratio > 0
            assert repaid <= max(least, ratio * recent)
    assert budget.taken == len(paid)


@given(st.integers(50, 400), st.floats(0.001, 1.0))
def test_a_model_that_always_fails_is_asked_a_fifth_more_at_most(count: int, gap_s: float) -> None:
    """Every request wants two retries, as fast as it can."""
    budget, asked = RetryBudget(least=0), 0
    for number in range(count):
        now_s = number * gap_s
        budget.offer(now_s)
        asked += 1
        for _ in range(2):
            asked += budget.take(now_s)

    assert asked <= 1.2 * count


@given(st.lists(st.floats(0.0, 10.0), max_size=250))
def test_an_ask_is_late_after_what_95_of_the_last_100_took(spent_s: list[float]) -> None:
    latency = Latency()
    for each in spent_s:
        latency.observe(each)

    late_s, last = latency.hedge_after_s(), spent_s[-WINDOW_COUNT:]
    assert (late_s is None) == (len(spent_s) < LEAST_COUNT)
    if late_s is not None:
        assert sum(each <= late_s for each in last) >= 0.95 * len(last)
        assert sum(each < late_s for each in last) < 0.95 * len(last)


@given(st.integers(1, 20), st.lists(st.tuples(st.booleans(), st.sampled_from(RANKS)), max_size=60))
def test_a_bulkhead_lets_in_as_many_as_it_says(most: int, steps: list[tuple[bool, int]]) -> None:
    bulkhead, inside = Bulkhead(most), 0
    for enters, rank in steps:
        if enters:
            is_in = bulkhead.enter(rank)
            assert is_in == (inside < ceil(ROOM_RATIOS[rank] * most))
            inside += is_in
        elif inside:
            bulkhead.leave()
            inside -= 1
        assert bulkhead.in_flight == inside <= most


@settings(deadline=None)
@given(
    st.integers(1, 10_000), st.none() | st.integers(1, 10_000), st.floats(0, 1e6), st.floats(0, 1e6)
)
def test_a_deadline_has_no_time_left_once_it_is_past(
    point_ms: int, budget_ms: int | None, now_s: float, later_s: float
) -> None:
    deadline = deadline_of(point_ms, budget_ms, now_s)

    assert deadline.left_s(deadline.at_s + later_s) == 0.0
    assert deadline.left_s(now_s) == pytest.approx((budget_ms or point_ms) / 1000)
    assert deadline.fair_s == point_ms / 2000


@settings(deadline=None)
@given(st.integers(1, 10_000), st.none() | st.integers(1, 10_000), st.floats(0, 2.0))
def test_a_model_before_others_gets_a_fair_part_of_the_time_and_never_more_than_there_is(
    point_ms: int, budget_ms: int | None, spent_s: float
) -> None:
    deadline = deadline_of(point_ms, budget_ms, 0.0)
    left_s = deadline.left_s(spent_s)

    part_s = deadline.leaving_time(spent_s).left_s(spent_s)

    assert part_s <= left_s + 1e-9
    assert part_s >= min(left_s, deadline.fair_s) - 1e-9
    assert part_s >= 0.6 * left_s - 1e-9
