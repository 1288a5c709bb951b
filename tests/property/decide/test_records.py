"""A decision is read back from its record as it was."""

from __future__ import annotations

from dataclasses import fields

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.decide.explain import explain
from opsrail.decide.reasons import absent_codes
from opsrail.errors import InvalidInput
from opsrail.values.canonical import LARGEST_INTEGER, canonical
from opsrail.values.decisions import (
    CACHE_STATES,
    IMPACTS,
    AsOf,
    Decision,
    ModelRef,
    ViewRead,
)
from opsrail.values.explanations import (
    AGAINSTS,
    DIRECTIONS,
    METHODS,
    SPACES,
    ReasonCode,
    ReasonCodes,
)
from opsrail.values.reasons import SOURCES, FallbackStep, Reason
from opsrail.values.settings import AUTONOMIES

stages = st.sampled_from(("route", "features", "score", "verdict", "reasons", "total"))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ratios = st.floats(0.0, 1.0)
integers = st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
numbers = integers | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(texts, parts, max_size=3),
    max_leaves=8,
)
reads = st.builds(
    ViewRead,
    view=texts,
    version=texts,
    entity=texts,
    values=st.dictionaries(texts, json_values, max_size=4),
    digest=texts,
    as_of=st.none() | st.builds(AsOf, fact_id=texts, at_ms=integers, fact_count=integers),
)
codes = st.builds(
    ReasonCode,
    code=texts,
    feature=texts,
    value=st.none() | st.booleans() | numbers | texts,
    contribution=st.floats(-1e3, 1e3),
    direction=st.sampled_from(DIRECTIONS),
    text=texts,
)
reason_codes = texts.map(absent_codes) | st.builds(
    ReasonCodes,
    method=st.sampled_from(METHODS),
    space=st.sampled_from(SPACES),
    against=st.sampled_from(AGAINSTS),
    baseline=st.floats(-1e3, 1e3),
    codes=st.lists(codes, max_size=3).map(tuple),
    absent=st.none(),
)
decisions = st.builds(
    Decision,
    id=texts,
    point=texts,
    impact=st.sampled_from(IMPACTS),
    correlation_id=texts,
    case_id=st.none() | texts,
    seq=st.none() | integers,
    actor=texts,
    model=st.none() | st.builds(ModelRef, name=texts, number=integers, digest=texts, stage=texts),
    policy_version=texts,
    score=st.none() | ratios,
    confidence=st.none() | ratios,
    unknown=st.lists(texts, max_size=2).map(tuple),
    verdict=texts,
    reasons=st.lists(
        st.builds(Reason, code=texts, text=texts, source=st.sampled_from(SOURCES)), max_size=3
    ).map(tuple),
    features=st.lists(reads, max_size=3).map(tuple),
    cache=st.sampled_from(CACHE_STATES),
    degraded=st.booleans(),
    degraded_why=st.none() | texts,
    cost_usd=st.floats(0.0, 1e6),
    latency_ms=st.dictionaries(stages, st.floats(0.0, 1e9), max_size=5),
    at_ms=integers,
    fallback=st.lists(
        st.builds(FallbackStep, what=texts, model=st.none() | texts, why=texts), max_size=3
    ).map(tuple),
    reason_codes=st.none() | reason_codes,
    autonomy=st.sampled_from(AUTONOMIES),
    proposed=st.none() | texts,
)
GREW = {
    "fallback": (),
    "reason_codes": None,
    "durability": "synced",
    "autonomy": "automate",
    "proposed": None,
}
"""Fields that records of earlier versions lack, and what stands for them then."""


@settings(deadline=None)
@given(decisions)
def test_a_decision_comes_back_from_its_stored_record_equal_in_every_field(
    decision: Decision,
) -> None:
    stored = canonical(decision.record())

    back = Decision.from_record(orjson.loads(stored))

    assert back == decision
    assert canonical(back.record()) == stored


@settings(max_examples=20, deadline=None)
@given(decisions)
def test_every_field_stands_in_the_record(decision: Decision) -> None:
    assert set(decision.record()) == {field.name for field in fields(Decision) if field.init}
    assert decision.written() == canonical(decision.record())


@settings(max_examples=50, deadline=None)
@given(decisions)
def test_every_decision_can_be_explained(decision: Decision) -> None:
    lines = explain(decision)

    parts = (decision.reasons, decision.fallback, decision.features)
    assert len(lines) == 3 + sum(map(len, parts))


@pytest.mark.parametrize("name", [field.name for field in fields(Decision) if field.init])
def test_a_record_that_lacks_a_field_is_refused_unless_the_field_is_younger(name: str) -> None:
    record = PLAIN.record()

    del record[name]

    if name in GREW:
        assert getattr(Decision.from_record(record), name) == GREW[name]
        return
    with pytest.raises(InvalidInput, match=name):
        Decision.from_record(record)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("impact", "huge"),
        ("cache", 1),
        ("id", 7),
        ("model", {}),
        ("reasons", [{}]),
        ("features", 3),
        ("fallback", [{"what": "live"}]),
        ("score", "x"),
    ],
)
def test_a_record_with_a_wrong_value_is_refused(name: str, value: object) -> None:
    wrong = {**PLAIN.record(), name: value}

    with pytest.raises(InvalidInput, match=r"docs/decisions\.md"):
        Decision.from_record(wrong)


FEATURES = {"view": "v", "version": "1", "entity": "e", "as_of": None, "digest": "d"}


def deep(levels: int) -> list[object]:
    """Return lists in one another."""
    nested: list[object] = []
    for _ in range(levels):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("score", 10**400),
        ("at_ms", float("inf")),
        ("features", [{**FEATURES, "values": {"deep": deep(2_000)}}]),
    ],
    ids=["beyond a double", "infinite", "nested 2,000 deep"],
)
def test_a_record_with_a_value_that_cannot_be_held_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=r"docs/decisions\.md"):
        Decision.from_record({**PLAIN.record(), name: value})


@pytest.mark.parametrize("text", ["", '{"id": ', '{"id": "a"} and more', "[]"])
def test_a_stored_text_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"docs/decisions\.md"):
        Decision.repeated(text)


PLAIN = Decision(
    id="d",
    point="p",
    impact="low",
    correlation_id="c",
    case_id=None,
    seq=None,
    actor="a",
    model=None,
    policy_version="v",
    score=None,
    confidence=None,
    unknown=(),
    verdict="review",
    reasons=(),
    features=(),
    cache="off",
    degraded=True,
    degraded_why="deadline-passed",
    cost_usd=0.0,
    latency_ms={"total": 1.0},
    at_ms=0,
)
