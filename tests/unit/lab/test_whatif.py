"""A history judged again, over arrays: what changes, for whom, what it costs, and what it gets wrong."""

from __future__ import annotations

import math
from typing import Any

import pyarrow
import pytest
from scipy.stats import binomtest

from opsrail.errors import InvalidInput
from opsrail.lab import Wrong, backtest
from opsrail.lab.policy_file import policy_of
from opsrail.lab.weighed import Weights
from opsrail.lab.whatif import bands_policy, wrong_of

SCORES = [0.1, 0.2, 0.3, 0.4, 0.6, 0.9]
WAS = ["approve", "approve", "review", "review", "review", "review"]
HISTORY: dict[str, Any] = {
    "score": SCORES,
    "verdict": WAS,
    "area": ["u", "u", "u", "r", "r", None],
    "reviewed_s": [None, None, 60.0, 120.0, 180.0, None],
    "fraud": [0.0, 1.0, 0.0, None, 1.0, 1.0],
    "ratio": [0.5, 0.5, 1.0, None, 1.0, 1.0],
}


def test_what_changes_is_told_by_verdict_and_by_segment() -> None:
    found = backtest(HISTORY, "approve=0.35,review=1.01", segments=["area"])

    assert (found.decisions, found.changed) == (6, 1)
    assert [tuple(one) for one in found.moves] == [
        ("approve", "approve", 2), ("review", "approve", 1), ("review", "review", 3),
    ]  # fmt: skip
    assert [(one.segment, one.decisions, one.changed) for one in found.segments] == [
        ({}, 6, 1), ({"area": "u"}, 3, 1), ({"area": "r"}, 2, 0), ({"area": None}, 1, 0),
    ]  # fmt: skip
    assert found.segments[1].now == {"approve": 3}
    assert found.scores == {"recorded": 6, "none": 0}


def test_peoples_hours_follow_from_measured_or_given_times() -> None:
    measured = backtest(HISTORY, "approve=0.35,review=1.01", usd_per_hour=60)
    given = backtest(HISTORY, "approve=0.35,review=1.01", handling_s=3600)
    unknown = backtest({"score": SCORES, "verdict": WAS}, "approve=0.35,review=1.01")

    assert (measured.people.was, measured.people.now) == (4, 3)
    assert (measured.people.handling_s, measured.people.handling_from) == (120.0, "measured")
    assert measured.money.people_was == pytest.approx(4 * 120 / 3600 * 60)
    assert measured.money.people_now == pytest.approx(3 * 120 / 3600 * 60)
    assert (given.people.was_hours, given.people.handling_from) == (4.0, "given")
    assert (unknown.people.was_hours, unknown.people.handling_from) == (None, "unknown")


def test_errors_count_only_what_is_known_each_by_its_weight() -> None:
    wrongs: list[Wrong | str] = ["approve|fraud=100", Wrong("review", "fraud", False)]
    found = backtest(HISTORY, "approve=0.35,review=1.01", wrongs=wrongs)
    (was, idle_was), (now, idle_now) = found.errors_was, found.errors_now

    assert (was.of, was.known, was.rate) == (2, 2, 0.5)
    assert (now.of, now.known) == (3, 3)
    assert now.rate == pytest.approx(2 / (2 + 2 + 1))
    assert now.expected == pytest.approx(3 * 2 / 5)
    assert found.money.errors_now == pytest.approx(100 * 3 * 2 / 5)
    assert idle_was.known == 3
    assert idle_was.rate == pytest.approx(1 / 3)
    assert (idle_now.known, idle_now.rate) == (2, 0.0)
    assert idle_now.low == 0.0 < idle_now.high


def test_without_a_known_truth_nothing_is_promised() -> None:
    found = backtest(
        {**HISTORY, "fraud": [None] * 6}, "approve=0.35,review=1.01", wrongs=["approve|fraud=1"]
    )
    (now,) = found.errors_now

    assert (now.rate, now.low, now.high, now.expected, now.cost_usd) == (None, 0.0, 1.0, None, None)
    assert found.money.errors_now is None


def test_the_interval_is_the_exact_one_where_all_weigh_the_same() -> None:
    import numpy as np

    weights = Weights()
    weights.add(np.array([True] * 3 + [False] * 57), np.full(60, 0.2))
    told = weights.rate()
    exact = binomtest(3, 60).proportion_ci(0.95, "exact")

    assert (told.low, told.high) == pytest.approx((exact.low, exact.high))
    assert (told.known, told.hits) == (60, 3)
    assert told.rate == pytest.approx(0.05)


def test_another_models_scores_are_judged_instead() -> None:
    given = [0.9, math.nan, 0.0, 0.0, 0.0, 0.0]
    found = backtest(HISTORY, "approve=0.35,review=1.01", scores=given)
    unknown = backtest(
        HISTORY, policy_of("bands: [{verdict: approve, below: 2}]\non_unknown: decline")[0],
        scores=given, is_unknown=[True] + [False] * 5,
    )  # fmt: skip

    assert found.scores == {"model": 5, "none": 1}
    assert found.segments[0].now == {"review": 2, "approve": 4}
    assert unknown.segments[0].now == {"decline": 1, "review": 1, "approve": 4}


def test_kept_rules_fallbacks_and_unknown_values_stand() -> None:
    history = {
        "score": [0.1, 0.1, None, 0.1, None],
        "verdict": ["decline", "review", "approve", "review", "review"],
        "policy_source": ["rule", "policy", "fallback", "policy", "policy"],
        "policy_code": ["dear", "unknown-values", "fallback", "rule-failed", "deadline-passed"],
        "unknown_count": [0, 1, 0, 0, 0],
    }
    kept = backtest(history, "approve=1.01")
    text = "bands: [{verdict: approve, below: 2}]\non_unknown: none\nwithout_score: decline\non_error: decline\n"
    told = backtest(history, policy_of(text)[0])
    bare = backtest(history, policy_of(text + "rules: []")[0])

    assert kept.changed == 0
    assert told.segments[0].now == {"decline": 4, "approve": 1}
    assert bare.segments[0].now == {"approve": 3, "decline": 2}


def test_a_history_of_structs_is_judged_by_its_fields() -> None:
    facts = pyarrow.array([{"amount": n, "receipt.ok": n < 3} for n in range(6)])
    table = pyarrow.table({"score": SCORES, "verdict": WAS, "facts": facts})
    text = """
bands: [{verdict: approve, below: 1.01}]
rules:
  - {name: a, verdict: decline, when: {field: amount, operator: ">=", value: 4}}
  - {name: b, verdict: review, when: {field: receipt.ok, operator: "=", value: false}}
"""
    found = backtest(table, policy_of(text)[0], segments=["amount"])

    assert found.segments[0].now == {"approve": 3, "review": 1, "decline": 2}
    assert len(found.segments) == 7


def test_policys_own_verdict_is_judged_where_a_person_was_to_decide() -> None:
    history = {"score": [0.1, 0.1], "verdict": ["review", "approve"], "proposed": ["approve", None]}

    assert backtest(history, "approve=1.01").changed == 0


def test_what_makes_no_sense_is_refused_with_all_its_faults() -> None:
    text = """
bands: [{verdict: approve, below: 1.01}]
rules:
  - {name: a, verdict: d, when: {any: [{field: nope, operator: "=", value: 4}, {field: w, operator: ">", value: 4}]}}
"""
    table = pyarrow.table({"score": [0.1], "verdict": ["a"], "facts.w": ["x"], "facts.t": [True]})
    with pytest.raises(InvalidInput) as told:
        backtest(table, policy_of(text)[0], segments=["area"])

    assert [str(fault) for fault in told.value.faults] == [
        "rules[0].when.any[0].field: 'nope' stands in no request; there are: t, w",
        "rules[0].when.any[1].value: 4 is held against 'w', which is text",
        "segments: 'area' stands in no request; there are: t, w",
    ]
    for history, options in (
        ({"verdict": ["a"]}, {}),
        (HISTORY, {"scores": [0.1]}),
        (HISTORY, {"wrongs": ["approve|hours"]}),
    ):
        with pytest.raises(InvalidInput):
            backtest(history, "approve=1.01", **options)


@pytest.mark.parametrize("text", ["", "approve", "approve=x", "approve=0.5", "a=0.5,b=0.4,c=1.01"])
def test_bands_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        bands_policy(text)


@pytest.mark.parametrize("ratio", [0.0, -0.1, 1.5])
def test_chances_that_are_none_are_refused(ratio: float) -> None:
    told = {"score": [0.1, 0.2], "verdict": WAS[:2], "fraud": [1.0, 0.0], "ratio": [1.0, ratio]}
    with pytest.raises(
        InvalidInput, match=r"1 values of ratio are not between 0 and 1\n  ratio\[1\]"
    ):
        backtest(told, "approve=0.35,review=1.01", wrongs=["approve|fraud"])


@pytest.mark.parametrize("score", [-3.0, 1.2, math.inf])
def test_scores_that_are_margins_are_refused_not_judged(score: float) -> None:
    with pytest.raises(InvalidInput, match=r"1 values of scores are not between 0 and 1"):
        backtest(HISTORY, "approve=0.35,review=1.01", scores=[score, 0.1, math.nan, 0.2, 1.0, 0.0])
    with pytest.raises(InvalidInput, match=r"score\[0\]"):
        backtest({"score": [score], "verdict": ["approve"]}, "approve=0.35,review=1.01")


def test_what_is_wrong_is_read_and_written_the_same() -> None:
    for text in ("approve|fraud", "decline|not fraud"):
        assert wrong_of(text).text == text
    assert wrong_of("approve|fraud=12.5").cost_usd == 12.5
    for text in ("approve", "|fraud", "approve|", "approve|not ", "approve|fraud=x", "a|b=-1"):
        with pytest.raises(InvalidInput, match="cannot be read"):
            wrong_of(text)


def test_segments_of_which_there_are_too_many_are_counted_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("opsrail.lab.counting.MOST_SEGMENTS", 3)
    history = {"score": [0.1] * 10, "verdict": ["a"] * 10, "area": [str(n) for n in range(10)]}
    found = backtest(history, "a=1.01", segments=["area"])

    assert sum(one.decisions for one in found.segments[1:]) == 10
    assert max(one.decisions for one in found.segments[1:]) == 7
