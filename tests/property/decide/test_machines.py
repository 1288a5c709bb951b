"""The pure machines of the decision road, on any road."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.decide.breaker import TRANSITIONS, Breaker, Event, Limits, Outcome, State
from opsrail.decide.cache import ScoreCache
from opsrail.decide.deadline import deadline_of
from opsrail.decide.policy import Band, NoScore, Policy, Rule
from opsrail.values.decisions import SOURCES
from opsrail.values.models import Score
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
    st.integers(0, 4),
    st.lists(
        st.tuples(
            st.sampled_from("gp"),
            st.sampled_from("mn"),
            st.sampled_from("abcde"),
            st.floats(0.0, 3.0),
        )
    ),
)
def test_a_cache_gives_only_what_was_put_for_that_key_and_is_young(
    capacity: int, steps: list[tuple[str, str, str, float]]
) -> None:
    cache, model, now_s = ScoreCache(capacity), {}, 0.0
    for number, (deed, version, features, gap_s) in enumerate(steps):
        now_s += gap_s
        if deed == "p":
            score = Score(number / (len(steps) + 1), 1.0, version)
            cache.put(version, features, score, now_s=now_s)
            model[version, features] = (score, now_s)
        else:
            found = cache.get(version, features, ttl_s=5.0, now_s=now_s)

            assert found is None or (found, True) == (
                model[version, features][0],
                now_s - model[version, features][1] < 5.0,
            )
        assert len(cache) <= capacity


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
