"""The smallest change that turns a verdict is the smallest: held against all changes, on small models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from itertools import product
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from opsrail.connect.onnx import OnnxRuntime
from opsrail.decide.options import Choice, choice_of, rounded, scale_of, shape_of, shortest
from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import Band, Policy, Rule
from opsrail.decide.turning import Nearest, Turning, turned
from opsrail.features.request import request_row
from opsrail.ports import CellModel, LoadedModel
from opsrail.values.canonical import digest
from opsrail.values.columns import Category, Number
from opsrail.values.explanations import FeatureCells, Fixed, log_odds, logistic
from opsrail.values.models import Score
from tests.support.forests import EDGES, artifact_of, random_trees

WORDS = ("car", "boat", "plane")
LOWEST, HIGHEST = -3, 4


class Facts(BaseModel):
    size: float = 0.0
    count: Annotated[int, Field(ge=LOWEST, le=HIGHEST)] = 0
    kind: Literal["car", "boat", "plane"] = "car"
    age: Annotated[float, Fixed("Nobody can change their age.")] = 0.0


COLUMNS = (
    Number("size"),
    Number("count"),
    Category("kind", {word: float(place) for place, word in enumerate(WORDS)}),
    Number("age"),
)
facts = st.builds(
    Facts,
    size=st.sampled_from([-3.0, -1.0, 0.0, 0.3, 0.5, 2.5, 4.0]),
    count=st.integers(LOWEST, HIGHEST),
    kind=st.sampled_from(WORDS),
    age=st.sampled_from([-1.0, 0.0, 2.5]),
)
limits = st.floats(0.05, 0.95)


def forest(seed: int) -> LoadedModel:
    artifact = artifact_of(random_trees(seed, columns=4, trees=3, depth=4), COLUMNS)
    return OnnxRuntime().load(artifact, digest(artifact))


def point_of(below: float, *rules: Rule[Facts]) -> DecisionPoint[Facts]:
    policy = Policy([Band("approve", below=below), Band("decline", below=1.01)], rules)
    return DecisionPoint("p", request=Facts, policy=policy)


def nearest_of(model: LoadedModel, point: DecisionPoint[Any], asked: BaseModel) -> Nearest:
    score = model.score([request_row(asked)])[0]
    verdict = point.policy.judge(asked, score).verdict
    wanted = frozenset(point.policy.verdicts) - {verdict}
    values = asked.model_dump(mode="json")
    turning = Turning(model, point, values, asked, request_row(asked), (), wanted)
    return turned(turning, None, lambda: False)


def everything(asked: Facts) -> Iterator[Facts]:
    """Yield one request for each combination of cells: edges, the next number above each, what is."""
    just_above = [float(np.nextafter(np.float32(edge), np.float32(np.inf))) for edge in EDGES]
    just_below = [float(np.nextafter(np.float32(edge), np.float32(-np.inf))) for edge in EDGES]
    sizes = [asked.size, *EDGES, *just_above, *just_below]
    for size, count, kind in product(sizes, range(LOWEST, HIGHEST + 1), WORDS):
        yield asked.model_copy(update={"size": size, "count": count, "kind": kind})


def size_of(asked: Facts, changed: Facts, scales: Mapping[str, float]) -> tuple[int, float]:
    moved = [name for name in Facts.model_fields if getattr(asked, name) != getattr(changed, name)]
    distances = [
        1.0 if name == "kind" else abs(getattr(asked, name) - getattr(changed, name)) / scales[name]
        for name in moved
    ]
    return len(moved), sum(distances)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), facts, limits)
def test_of_a_forest_it_is_the_smallest_of_all_changes(
    seed: int, asked: Facts, limit: float
) -> None:
    model, point = forest(seed), point_of(limit)
    assert isinstance(model, CellModel)
    cells = model.cells().features
    scales = {
        name: scale_of(shape_of(Facts, name), cells[name], getattr(asked, name))
        for name in ("size", "count")
    }
    every = list(everything(asked))
    verdicts = [
        point.policy.judge(one, score).verdict
        for one, score in zip(every, model.score([request_row(one) for one in every]), strict=True)
    ]
    now = point.policy.judge(asked, model.score([request_row(asked)])[0]).verdict
    sizes = [
        size_of(asked, one, scales)
        for one, verdict in zip(every, verdicts, strict=True)
        if verdict != now
    ]

    found = nearest_of(model, point, asked)

    assert found.is_proven
    assert not {change.fact for change in found.changes} & {"age"}
    if not sizes:
        assert found.absent is not None
        assert found.absent[0] == "no-change"
        return
    count, distance = min(sizes)
    assert (found.absent, len(found.changes)) == (None, count)
    assert found.distance == pytest.approx(distance, abs=2e-3 * count)
    changed = Facts.model_validate(
        {**asked.model_dump(), **{change.fact: change.after for change in found.changes}}
    )
    score = model.score([request_row(changed)])[0]
    assert point.policy.judge(changed, score).verdict == found.verdict != now
    assert score.value == found.score


class Truths(BaseModel):
    is_new: bool
    is_paid: bool
    is_known: bool = True


class Mixed(BaseModel):
    said: bool | int


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.tuples(st.booleans(), st.booleans(), st.booleans()), limits)
def test_of_truths_as_few_as_do_are_turned_to_the_other(
    seed: int, given_truths: tuple[bool, bool, bool], limit: float
) -> None:
    columns = [Number(name) for name in Truths.model_fields]
    artifact = artifact_of(random_trees(seed, columns=3, trees=3, depth=3), columns)
    model = OnnxRuntime().load(artifact, digest(artifact))
    policy = Policy[Truths]([Band("approve", below=limit), Band("decline", below=1.01)])
    point = DecisionPoint("p", request=Truths, policy=policy)
    asked, *others = [
        Truths(is_new=one, is_paid=two, is_known=three)
        for one, two, three in (given_truths, *product((True, False), repeat=3))
    ]
    scores = model.score([request_row(one) for one in (asked, *others)])
    now, *then = [
        policy.judge(one, score).verdict
        for one, score in zip((asked, *others), scores, strict=True)
    ]
    sizes = [
        sum(getattr(one, name) != getattr(asked, name) for name in Truths.model_fields)
        for one, verdict in zip(others, then, strict=True)
        if verdict != now
    ]

    found = nearest_of(model, point, asked)

    assert found.is_proven
    assert len(found.changes) == min(sizes, default=0)
    assert all(change.after is (not change.before) for change in found.changes)


def test_a_truth_that_training_never_saw_is_no_option_and_one_beside_numbers_proves_nothing() -> (
    None
):
    values = {"is_new": True, "is_paid": True}

    def told(low: float | None = None, high: float | None = None) -> list[object]:
        cells = FeatureCells((0.5,), low=low, high=high)
        found = choice_of(Truths, values, "is_new", True, cells, is_whole=True)
        assert isinstance(found, Choice)
        assert found.is_whole
        return [option.told for option in found.options]

    assert (told(), told(low=0.0, high=1.0), told(low=1.0, high=1.0)) == ([False], [False], [])
    mixed = choice_of(Mixed, {"said": True}, "said", True, FeatureCells((0.5,)), is_whole=True)
    assert isinstance(mixed, Choice)
    assert not mixed.is_whole


def is_odd(asked: Facts) -> bool:
    return asked.count % 2 == 1 or asked.kind == "plane"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), facts, limits)
def test_under_a_rule_what_is_said_to_be_proven_is_the_smallest_of_all_changes(
    seed: int, asked: Facts, limit: float
) -> None:
    model = forest(seed)
    point = point_of(limit, Rule("odd", is_odd, "decline", "It is odd."))
    assert isinstance(model, CellModel)
    cells = model.cells().features
    scales = {
        name: scale_of(shape_of(Facts, name), cells[name], getattr(asked, name))
        for name in ("size", "count")
    }
    every = list(everything(asked))
    scores = model.score([request_row(one) for one in every])
    now = point.policy.judge(asked, model.score([request_row(asked)])[0]).verdict
    sizes = [
        size_of(asked, one, scales)
        for one, score in zip(every, scores, strict=True)
        if point.policy.judge(one, score).verdict != now
    ]

    found = nearest_of(model, point, asked)

    if found.absent is None:
        assert found.verdict != now
        assert sizes
        assert (len(found.changes), found.distance + 2e-3 * len(found.changes)) >= min(sizes)
    if found.is_proven:
        assert (found.absent is not None) == (not sizes)
        assert not sizes or len(found.changes) == min(sizes)[0]
        assert not sizes or found.distance == pytest.approx(min(sizes)[1], abs=6e-3)
    assert (found.ruled is not None) == is_odd(asked)


@given(st.floats(-1e4, 1e4), st.floats(0.5, 1e6), st.booleans())
def test_of_the_numbers_between_two_the_one_with_fewest_digits_is_told(
    low: float, width: float, is_down: bool
) -> None:
    high = low + width

    found = shortest(low, high, is_down=is_down)

    assert found is not None
    assert low < found <= high
    assert low < rounded(found) <= high
    if found and not low < 0 <= high:
        exponent = Decimal(repr(found)).normalize().as_tuple().exponent
        assert isinstance(exponent, int)
        coarser = Decimal(1).scaleb(exponent + 1)
        assert (Decimal(high) / coarser).to_integral_value(ROUND_FLOOR) * coarser <= Decimal(low)


class Applicant(BaseModel):
    x: Annotated[float, Field(ge=-10, le=10)] = 0.0
    y: Annotated[float, Field(ge=-10, le=10)] = 0.0
    z: Annotated[float, Fixed()] = 0.0


class Sum:
    """A black box: logistic(weights * features)."""

    digest = "sha256:" + "0" * 64

    def __init__(self, x: float, y: float, z: float) -> None:
        self._weights = {"x": x, "y": y, "z": z}

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        return [Score(logistic(self._total(row)), 1.0, self.digest) for row in rows]

    def _total(self, row: Mapping[str, object]) -> float:
        return sum(
            weight * value
            for name, weight in self._weights.items()
            if isinstance(value := row[name], int | float)
        )


weights = st.floats(-2, 2).filter(lambda weight: abs(weight) > 0.05)


@settings(max_examples=80, deadline=None)
@given(weights, weights, st.floats(-5, 5), limits)
def test_of_a_sum_where_one_fact_is_enough_it_is_the_nearest_one(
    x: float, y: float, z: float, limit: float
) -> None:
    model, asked = Sum(x, y, 1.0), Applicant(z=z)
    policy = Policy[Applicant]([Band("approve", below=limit), Band("decline", below=1.01)])
    point = DecisionPoint("p", request=Applicant, policy=policy)
    missing = log_odds(limit) - z
    needed = min(abs(missing / weight) for weight in (x, y))

    found = nearest_of(model, point, asked)

    assert not found.is_proven
    assert "z" not in {change.fact for change in found.changes}
    if needed <= 9.99:
        assert len(found.changes) == 1
        assert found.distance == pytest.approx(needed / 20, abs=2.1e-3)
    elif needed > 10.01 and abs(missing) < 9.9 * (abs(x) + abs(y)):
        assert len(found.changes) == 2
