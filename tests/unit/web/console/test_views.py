"""What pages of decisions, models and rollouts draw and say, before any page is made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.clock import ulid_ms, ulid_text
from opsrail.errors import InvalidInput
from opsrail.registry.cards import FACTS, SECTIONS, gaps
from opsrail.values.bands import Band, band_of
from opsrail.values.decisions import AsOf, Decision, OutsideAsOf, ValueAsOf, ViewRead
from opsrail.values.explanations import ReasonCode
from opsrail.values.reasons import Reason
from opsrail.web.console import band_picture, decision_view, model_view, rollout_view
from opsrail.web.console.decision_search import Search, search_of

BANDS = (Band("approve", 0.02), Band("review", 0.9), Band("decline", 1.01))
NOW_MS = 1_700_000_000_000


# -- bands ---------------------------------------------------------------------------------------------------------------


def test_a_score_stands_in_the_band_that_the_policy_finds_and_is_said_in_words() -> None:
    told = band_picture.picture(BANDS, 0.25)

    assert [one.verdict for one in told.stripes if one.has_score] == ["review"]
    assert told.x == pytest.approx(500.0)  # narrow bands: the root of 0.25
    assert told.is_rooted
    assert told.words == (
        "The score 0.25 lies in review. approve: below 0.02; review: 0.02 to below 0.9; decline: 0.9 and more."
    )


def test_wide_bands_are_drawn_as_they_are_and_no_score_has_no_place() -> None:
    told = band_picture.picture((Band("approve", 0.5), Band("review", 1.01)), None)

    assert not told.is_rooted
    assert [(one.x, one.width) for one in told.stripes] == [(0.0, 500.0), (500.0, 500.0)]
    assert told.x is None
    assert told.words.startswith("There is no score.")


def test_one_band_takes_every_score() -> None:
    assert band_picture.picture((Band("review", 1.01),), 1.0).stripes[0].text == "every score"


@given(
    st.sets(st.floats(0.001, 0.999), min_size=0, max_size=6).map(sorted),
    st.floats(0, 1),
)
def test_stripes_join_without_gap_and_the_score_lies_within_its_own(
    limits: list[float], score: float
) -> None:
    bands = tuple(Band(f"v{n}", below) for n, below in enumerate([*limits, 1.01]))
    told = band_picture.picture(bands, score)

    edge = 0.0
    for one in told.stripes:
        assert one.x == pytest.approx(edge)
        edge = one.x + one.width
    assert edge == pytest.approx(band_picture.WIDTH)
    [here] = [one for one in told.stripes if one.has_score]
    assert here.verdict == band_of(bands, score).verdict
    assert told.x is not None
    assert here.x - 1e-6 <= told.x <= here.x + here.width + 1e-6


# -- a decision ----------------------------------------------------------------------------------------------------------


def decision(*reads: ViewRead, **how: Any) -> Decision:
    made = Decision(
        id="01K8ZC2V7N3T9D4M6Q0RWXYABC", point="p", impact="low", correlation_id="c" * 32, case_id=None, seq=None,
        actor="a", model=None, policy_version="v", score=None, confidence=None, unknown=("colour",), verdict="review",
        reasons=(Reason("r", "Because.", "policy"),), features=reads, cache="off", degraded=False, degraded_why=None,
        cost_usd=0.0, latency_ms={"total": 1.0}, at_ms=NOW_MS,
    )  # fmt: skip
    return replace(made, **how)


def test_each_feature_tells_where_it_is_from_and_how_old_it_was() -> None:
    lines = decision_view.feature_lines(
        decision(
            ViewRead.of("request", "d", "", {"amount": 3, "colour": "mauve"}),
            ViewRead.of("folds", "1", "e", {"count": 2}, AsOf("f", NOW_MS - 1_000, 1)),
            ViewRead.of("kept", "2", "e", {"limit": 5}, ValueAsOf("v", NOW_MS - 60_000, 1, True)),
            ViewRead.of(
                "far", "1", "e", {"x": 1, "y": None},
                OutsideAsOf("feast", NOW_MS, {"x": NOW_MS - 5, "y": None}, {"x": "present", "y": "not-found"}),
            ),
            ViewRead.of("folds", "1", "nobody", {"count": 0}),
        )
    )  # fmt: skip

    assert [(one.view, one.name, one.age_ms, one.state) for one in lines] == [
        ("request", "amount", None, ""),
        ("request", "colour", None, "unknown to the model"),
        ("folds@1", "count", 1_000, "from 1 fact"),
        ("kept@2", "limit", 60_000, "expired"),
        ("far@1", "x", 5, "from feast"),
        ("far@1", "y", None, "from feast: not-found"),
        ("folds@1", "count", None, "no history known"),
    ]


def test_the_time_of_a_decision_is_told_by_stage_and_what_is_left_over_too() -> None:
    told = decision_view.stages({"score": 6.0, "route": 1.0, "total": 10.0})

    assert [(one.name, one.took_ms, one.x, one.breadth) for one in told] == [
        ("route", 1.0, 0.0, 10.0),
        ("score", 6.0, 10.0, 60.0),
        ("between", 3.0, 70.0, 30.0),
    ]
    assert decision_view.stages({"total": 0.0}) == []


def test_bars_go_by_what_weighed_most() -> None:
    codes = [
        ReasonCode(f"{name}-raised", name, 1, part, "raised" if part > 0 else "lowered", "t")
        for name, part in (("a", -2.0), ("b", 1.0))
    ]

    assert [one.breadth for one in decision_view.weights(codes)] == [100.0, 50.0]
    assert decision_view.weights([]) == []


# -- filters -------------------------------------------------------------------------------------------------------------


def test_filters_left_empty_ask_for_nothing() -> None:
    assert (
        search_of(
            dict.fromkeys(("point", "verdict", "model", "degraded", "case", "from", "to"), "")
        )
        == Search()
    )


def test_filters_are_read() -> None:
    read = search_of(
        {
            "point": "p",
            "verdict": "v",
            "model": "m/3",
            "degraded": "yes",
            "from": "2026-01-01",
            "to": "2026-01-02T00:00",
        }
    )

    assert read == Search("p", "v", ("m", 3), True, None, 1_767_225_600_000, 1_767_312_000_000)
    assert search_of({"model": "any model"}).model == ("any model", None)


def test_all_that_is_wrong_with_filters_is_told_at_once() -> None:
    with pytest.raises(InvalidInput) as wrong:
        search_of({"model": "a/b/c", "case": "x", "from": "2026-01-02", "to": "2026-01-01"})

    assert {fault.place for fault in wrong.value.faults} == {"model", "case", "to"}


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1))
def test_an_id_tells_its_moment(at_ms: int, chance: int) -> None:
    assert ulid_ms(ulid_text(at_ms << 80 | chance)) == at_ms


# -- models --------------------------------------------------------------------------------------------------------------


def test_a_card_has_every_part_that_it_should_have_and_after_them_what_it_tells_beyond() -> None:
    card = {"owner": "Ann", "caveats": ["few"], "licence": " ", "cost_usd": 0.1}
    parts = model_view.card_parts(card, gaps(card))

    assert len(parts) == len(FACTS) + len(SECTIONS) + 1
    assert [part.title for part in parts if part.told is not None] == [
        "Owner",
        "Caveats",
        "Cost usd",
    ]


# -- rollouts ------------------------------------------------------------------------------------------------------------


def told(step: int) -> dict[str, Any]:
    steps = [{"share": 0.1, "hold_s": 0.0}, {"share": 0.5, "hold_s": 3600.0}]
    return {"steps": steps, "watch_s": 86_400.0, "step": step}


@pytest.mark.parametrize(
    ("step", "states"),
    [(0, ["now", "ahead", "ahead"]), (1, ["done", "now", "ahead"]), (2, ["done", "done", "now"]),
     (9, ["done", "done", "now"])],
)  # fmt: skip
def test_stairs_rise_to_live_and_one_of_them_is_now(step: int, states: list[str]) -> None:
    stairs = rollout_view.stairs(told(step))

    assert [one.state for one in stairs] == states
    assert [one.height for one in stairs] == [10.0, 50.0, 100.0]
    assert stairs[0].breadth >= rollout_view.LEAST
    assert stairs[-1].x + stairs[-1].breadth == pytest.approx(rollout_view.BREADTH)


def test_a_reading_fires_when_its_evidence_is_what_is_needed() -> None:
    one = {
        "signal": "s",
        "kind": "margin",
        "bound": 0.1,
        "candidate_mean": None,
        "champion_mean": 0.1,
    }
    readings = rollout_view.readings(
        {"readings": [{**one, "evidence": evidence, "needed": 100.0} for evidence in (0.5, 10.0, 100.0)]}
    )  # fmt: skip

    assert [one.part for one in readings] == [0.0, pytest.approx(0.5), pytest.approx(1.0)]
    assert [one.has_fired for one in readings] == [False, False, True]
