"""Bands with a guarantee: what is chosen, what is said, what is refused."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.decide.policy import Policy
from opsrail.errors import InvalidInput, MissingExtra
from opsrail.lab import Costs, tune
from opsrail.lab.choosing import shortest
from opsrail.values.bands import Band
from opsrail.values.guarantees import guarantee_of

NAN = float("nan")
FRAUD = ["approved is fraud <= 5%"]


def even(count: int, bad_from: float) -> tuple[Any, Any]:
    """Return scores even in [0, 1) and labels that are 1 from a score on."""
    scores = np.arange(count) / count
    return scores, (scores >= bad_from).astype(float)


def test_scores_are_approved_up_to_where_the_limit_is_sure() -> None:
    found = tune(*even(2000, 0.6), risks=FRAUD)
    (promise,) = found.promises

    assert found.approve_below is not None
    assert 0.6 <= found.approve_below <= 0.63
    assert found.decline_from is None
    assert [verdict for verdict, _ in found.bands] == ["approve", "review"]
    assert promise.is_kept
    assert promise.p_value <= promise.level <= 0.05
    assert promise.bound <= 0.05
    assert found.automated.low <= found.automated.value <= found.automated.high


def test_both_sides_have_a_threshold_of_their_own_and_never_overlap() -> None:
    scores, labels = even(3000, 0.6)
    found = tune(scores, labels, risks=["approved is fraud <= 20%", "declined is honest <= 20%"])

    assert found.approve_below is not None
    assert found.decline_from is not None
    assert found.approve_below <= found.decline_from
    assert [verdict for verdict, _ in found.bands] == ["approve", "decline"]
    assert found.automated.value == 1.0


def test_a_share_of_both_makes_thresholds_as_far_from_0_as_from_1() -> None:
    scores, labels = even(3000, 0.5)
    found = tune(scores, labels, risks=["automated is wrong <= 5%"])

    assert found.approve_below == found.decline_from == 0.5
    labels[(scores > 0.3) & (scores < 0.7)] = 1 - labels[(scores > 0.3) & (scores < 0.7)]
    found = tune(scores, labels, risks=["automated is wrong <= 5%"])
    assert found.approve_below is not None
    assert found.decline_from == pytest.approx(1 - found.approve_below)
    assert found.approve_below < 0.33


def test_a_verdict_that_no_risk_speaks_of_is_not_automated() -> None:
    found = tune(
        *even(2000, 0.2), risks=["declined is honest <= 5%"], verdicts=("pay", "desk", "refuse")
    )

    assert found.approve_below is None
    assert [verdict for verdict, _ in found.bands] == ["desk", "refuse"]


@pytest.mark.parametrize(("label", "is_kept"), [(0.0, True), (1.0, False)])
def test_all_good_is_all_approved_and_all_bad_is_not(label: float, is_kept: bool) -> None:
    scores, _ = even(400, 0.5)
    found = tune(scores, np.full(400, label), risks=FRAUD)

    assert found.is_kept is is_kept
    assert found.bands == ((("approve", 1.01),) if is_kept else (("review", 1.01),))
    assert found.automated.value == float(is_kept)


@pytest.mark.parametrize("count", [1, 2, 10, 57])
def test_too_few_labels_promise_nothing_and_say_how_many_it_takes(count: int) -> None:
    found = tune(np.full(count, 0.2), np.zeros(count), risks=FRAUD)

    assert not found.is_kept
    assert "Not promised: approved is fraud <= 5%" in found.said()[0]
    (more,) = found.further
    assert more.more_labels is not None
    assert (
        71 <= count + more.more_labels <= 100
    )  # log(0.05 / starts) / log(0.95), and those that place them


def test_one_score_for_all_is_taken_whole_or_not_at_all() -> None:
    labels = np.zeros(500)
    labels[:5] = 1
    found = tune(np.full(500, 0.3), labels, risks=FRAUD)

    assert found.bands == (("approve", 1.01),)
    labels[:25] = 1
    assert not tune(np.full(500, 0.3), labels, risks=FRAUD).is_kept


def test_above_the_limit_no_number_of_labels_is_enough() -> None:
    found = tune(*even(1000, 0.0), risks=FRAUD)

    assert found.further[-1].more_labels is None
    assert "no number of labels is enough" in found.said()[-1]


def test_decisions_that_nobody_looked_at_are_never_taken_for_good() -> None:
    scores, labels = even(2000, 0.6)
    labels[scores < 0.5] = NAN  # automated before, and never audited
    found = tune(scores, labels, risks=FRAUD)

    assert not found.is_kept
    assert found.counted.blind == 1000
    assert any(
        "1,000 of 2,000 decisions have no label and no chance of one" in one for one in found.said()
    )


def test_a_random_audit_speaks_for_those_not_looked_at() -> None:
    chance = np.random.default_rng(1)
    scores, labels = even(8000, 0.6)
    is_audited = chance.random(8000) < 0.1
    ratios = np.where(scores < 0.5, 0.1, 1.0)
    labels[(scores < 0.5) & ~is_audited] = NAN
    found = tune(scores, labels, risks=FRAUD, ratios=ratios)

    assert found.approve_below is not None
    assert 0.5 < found.approve_below < 0.65
    assert found.counted.blind == 0
    assert found.counted.least_ratio == 0.1
    assert found.promises[0].of == pytest.approx(480, abs=70)


def test_the_cheapest_of_the_bands_that_may_be_promised_is_taken() -> None:
    scores, labels = even(4000, 0.6)
    labels[(scores > 0.5) & (np.arange(4000) % 10 == 0)] = 1
    costs = Costs(approved_usd=1_000, usd_per_hour=60, review_s=600)
    most = tune(scores, labels, risks=FRAUD, costs=costs)
    cheapest = tune(scores, labels, risks=FRAUD, costs=costs, objective="cost")

    assert most.cost_usd is not None
    assert cheapest.cost_usd is not None
    assert cheapest.cost_usd.value < most.cost_usd.value
    assert cheapest.automated.value < most.automated.value
    assert cheapest.cost_usd.low <= cheapest.cost_usd.value <= cheapest.cost_usd.high
    assert cheapest.people_cost_usd == 10
    assert cheapest.approve_below == pytest.approx(0.5, abs=0.01)


def test_a_cost_is_that_of_errors_and_of_people() -> None:
    scores, labels = even(1000, 0.6)
    found = tune(scores, labels, risks=["approved is fraud <= 20%"], costs=Costs(100, 50, 36, 600))
    tested_wrong = found.promises[0].share or 0.0

    assert found.cost_usd is not None
    assert found.cost_usd.value == pytest.approx(
        6 * (1 - found.automated.value) + 100 * tested_wrong * found.automated.value, rel=0.02
    )


def test_several_risks_hold_together() -> None:
    scores, labels = even(3000, 0.6)
    both = tune(scores, labels, risks=["approved is fraud <= 20%", "approved among fraud <= 10%"])
    alone = tune(scores, labels, risks=["approved is fraud <= 20%"])

    assert both.approve_below is not None
    assert alone.approve_below is not None
    assert both.approve_below < alone.approve_below
    assert all(one.is_kept for one in both.promises)


def test_the_same_input_and_seed_give_the_same_answer() -> None:
    scores, labels = even(500, 0.6)
    order = np.random.default_rng(2).permutation(500)

    assert tune(scores, labels, risks=FRAUD, seed=4) == tune(scores, labels, risks=FRAUD, seed=4)
    assert tune(scores[order].tolist(), labels[order].astype(bool).tolist(), risks=FRAUD).is_kept


def test_a_change_carries_the_bands_and_what_is_watched() -> None:
    scores, labels = even(3000, 0.6)
    risks = ["approved is fraud <= 20%", "declined is wrong <= 20%", "approved among fraud <= 60%"]
    found = tune(scores, labels, risks=risks, verdicts=("pay", "desk", "refuse"))
    content = found.content()
    approved, declined = (guarantee_of(one) for one in content["guarantee"])

    assert [band["verdict"] for band in content["bands"]] == ["pay", "refuse"]
    assert (approved.outcome, approved.among, approved.truth) == ("fraud", "pay", True)
    assert (declined.outcome, declined.among, declined.truth) == ("fraud", "refuse", False)
    assert approved.limit == pytest.approx(0.2)
    assert approved.confidence == 0.95
    assert any("Not watched when it is live" in one for one in found.said())
    assert [one["text"] for one in found.record()["guarantees"]] == risks


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1), st.sampled_from([0.0, 1.0, NAN])),
        min_size=1, max_size=120,
    ),
    st.sampled_from([
        ["approved is fraud <= 30%"], ["declined is honest <= 60%"], ["automated is wrong <= 40%"],
        ["approved is fraud <= 30%", "declined is honest <= 60%"], ["approved among fraud <= 40%"],
        ["approved and fraud <= 30%", "approved is fraud <= 50%"],
    ]),
    st.integers(0, 5),
)  # fmt: skip
def test_bands_are_always_ones_that_a_policy_takes_and_that_mean_what_was_counted(
    rows: list[tuple[float, float]], risks: list[str], seed: int
) -> None:
    scores, labels = np.array([one for one, _ in rows]), [one for _, one in rows]
    found = tune(scores, labels, risks=risks, confidence=0.6, seed=seed, costs=Costs(1, 1, 1, 1))
    policy: Policy[Any] = Policy([Band(*band) for band in found.bands])
    verdicts = [policy.band(float(score)).verdict for score in scores]

    assert found.approved.value == pytest.approx(np.mean([one == "approve" for one in verdicts]))
    assert found.declined.value == pytest.approx(np.mean([one == "decline" for one in verdicts]))
    assert all(one.p_value <= one.level for one in found.promises if one.is_kept)
    assert found.is_kept == any(one.is_kept for one in found.promises)
    assert found.said()
    assert found.record()["bands"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"labels": [0, 1]}, "must be equally many: 3 scores, 2 labels"),
        ({"scores": [0.1, 1.2, NAN]}, "scores\\[1\\]: 1.2 is not from 0 to 1\n.*scores\\[2\\]"),
        ({"labels": [0, 2, 1]}, "labels\\[1\\]: 2 is neither 0 nor 1 nor missing"),
        ({"ratios": [0, 1.1, 1]}, "ratios\\[0\\].*\n.*ratios\\[1\\]"),
        ({"ratios": [NAN, 1, 1]}, "is missing beside a label"),
        ({"scores": [], "labels": []}, "there are none"),
        ({"scores": [[0.1, 0.2, 0.3]]}, "has the shape"),
        ({"scores": ["a", "b", "c"]}, "no numbers"),
        ({"confidence": 1.0}, "confidence: 1 is not from 0.5"),
        ({"objective": "money"}, "neither 'automation' nor 'cost'"),
        ({"objective": "cost"}, "costs: are needed"),
        ({"costs": Costs(approved_usd=-1)}, "costs.approved_usd"),
        ({"starts": [1.5]}, "starts\\[0\\]"),
        ({"verdicts": ("a", "a", "b")}, "three different names"),
        ({"risks": ["nothing"]}, "risks\\[0\\] column 8"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(changed: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {"scores": [0.1, 0.2, 0.3], "labels": [0, 1, NAN], "risks": FRAUD}
    with pytest.raises(InvalidInput, match=said):
        tune(**(asked | changed))


def test_without_its_packages_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("opsrail.lab.choosing"):
            raise ModuleNotFoundError("No module named 'scipy'", name="scipy")
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "opsrail.lab.choosing", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'opsrail\[lab\]'"):
        tune([0.1], [0], risks=FRAUD)


@given(st.floats(0, 1), st.floats(1e-12, 1))
def test_a_threshold_is_the_shortest_number_above_what_is_in_and_up_to_what_is_not(
    low: float, width: float
) -> None:
    found = shortest(low, low + width)

    assert low < found <= low + width or low + width == low


def test_a_threshold_has_no_more_decimals_than_it_needs() -> None:
    assert shortest(0.123456, 0.3) == 0.3
    assert shortest(0.123456, 0.1299) == 0.129
    assert shortest(0.019311, 0.0193672) == 0.01936


def test_a_place_that_only_the_labels_themselves_tell_is_said_to_be_one() -> None:
    chance = np.random.default_rng(5)
    scores = chance.random(5_000)
    labels = chance.random(5_000) < scores
    risks = ["approved is fraud <= 5%"]
    found = tune(scores, labels, risks=risks)
    (promise,) = found.promises
    begun = tune(scores, labels, risks=risks, starts=[promise.threshold])

    assert not promise.is_kept
    assert promise.bound <= promise.limit
    assert "only these labels say where to stand" in found.said()[0]
    assert "as a start" in found.said()[0]
    assert begun.promises[0].is_kept
