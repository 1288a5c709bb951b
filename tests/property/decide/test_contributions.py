"""Contributions are Shapley values: held against the definition, over all coalitions, on small models."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.connect.forest import Forest, paths_of
from opsrail.connect.line import Line
from opsrail.connect.onnx import OnnxRuntime
from opsrail.decide.approximate import approximated
from opsrail.ports import ContributingModel
from opsrail.values.canonical import digest
from opsrail.values.explanations import log_odds
from opsrail.values.models import Score
from tests.support.forests import artifact_of, random_trees, read

COLUMNS = 4
seeds = st.integers(0, 2**32)
numbers = st.sampled_from([-3.0, -2.0, -1.5, -1.0, 0.0, 0.25, 0.5, 1.0, 2.0, 2.5, 3.0, 4.0])
rows = st.lists(numbers, min_size=COLUMNS, max_size=COLUMNS)
Coalition = frozenset[int]


def shapley(worth: Callable[[Coalition], float], players: int) -> list[float]:
    """Return the Shapley value of each player, by its definition: 2**players coalitions."""
    values = []
    for player in range(players):
        others = [other for other in range(players) if other != player]
        value = 0.0
        for size in range(players):
            weight = math.factorial(size) * math.factorial(players - size - 1)
            for chosen in combinations(others, size):
                without = frozenset(chosen)
                value += weight * (worth(without | {player}) - worth(without))
        values.append(value / math.factorial(players))
    return values


def forest_of(attributes: Mapping[str, Any], columns: int = COLUMNS) -> Forest:
    paths = paths_of(attributes, "TreeEnsembleRegressor")
    assert paths is not None
    return Forest(paths, paths.values[:, 0], 0.3, columns)


def mixed(row: Any, absent: Any, present: Coalition) -> Any:
    """Return the absent row, with the present columns of the row."""
    return np.where([column in present for column in range(len(row))], row, absent)


@settings(max_examples=60, deadline=None)
@given(seeds, rows, st.lists(rows, min_size=1, max_size=3))
def test_against_reference_rows_the_values_are_those_of_all_coalitions(
    seed: int, row: list[float], others: list[list[float]]
) -> None:
    forest = forest_of(read(random_trees(seed, columns=COLUMNS, trees=3, depth=5)))
    here = np.array(row, dtype=np.float32)
    references = [np.array(one, dtype=np.float32) for one in others]

    def worth(present: Coalition) -> float:
        totals = [forest.total(mixed(here, one, present)) for one in references]
        return sum(totals) / len(totals)

    baseline, parts = forest.shapley(here, references)

    assert baseline == pytest.approx(worth(frozenset()))
    assert parts.tolist() == pytest.approx(shapley(worth, COLUMNS), abs=1e-12)
    assert baseline + parts.sum() == pytest.approx(forest.total(here))


@settings(max_examples=60, deadline=None)
@given(seeds, rows)
def test_by_training_cover_the_values_are_those_of_all_coalitions(
    seed: int, row: list[float]
) -> None:
    attributes = read(random_trees(seed, columns=COLUMNS, trees=3, depth=5))
    forest = forest_of(attributes)
    here = np.array(row, dtype=np.float32)
    told = forest.without_reference == "training-cover"

    def worth(present: Coalition) -> float:
        return 0.3 + by_cover(attributes, here, present, has_covers=told)

    baseline, parts = forest.shapley(here, [])

    assert baseline == pytest.approx(worth(frozenset()))
    assert parts.tolist() == pytest.approx(shapley(worth, COLUMNS), abs=1e-12)
    assert baseline + parts.sum() == pytest.approx(forest.total(here))


def by_cover(
    attributes: Mapping[str, Any], row: Any, present: Coalition, has_covers: bool
) -> float:
    """Return what the trees pay when absent columns split by hit rates (Lundberg et al. 2020, algorithm 1)."""
    trees, nodes = attributes["nodes_treeids"].tolist(), attributes["nodes_nodeids"].tolist()
    places = {name: place for place, name in enumerate(zip(trees, nodes, strict=True))}
    paid = {
        (tree, node): weight
        for tree, node, weight in zip(
            attributes["target_treeids"].tolist(),
            attributes["target_nodeids"].tolist(),
            attributes["target_weights"].tolist(),
            strict=True,
        )
    }
    holds = {
        b"BRANCH_LEQ": lambda x, edge: x <= edge,
        b"BRANCH_LT": lambda x, edge: x < edge,
        b"BRANCH_GTE": lambda x, edge: x >= edge,
        b"BRANCH_GT": lambda x, edge: x > edge,
    }

    def expected(tree: int, node: int) -> float:
        place = places[tree, node]
        if attributes["nodes_modes"][place] == b"LEAF":
            return float(paid[tree, node])
        children = [
            int(attributes["nodes_truenodeids"][place]),
            int(attributes["nodes_falsenodeids"][place]),
        ]
        column = int(attributes["nodes_featureids"][place])
        if column in present:
            is_true = holds[attributes["nodes_modes"][place]](
                row[column], attributes["nodes_values"][place]
            )
            return expected(tree, children[0] if is_true else children[1])
        covers = [attributes["nodes_hitrates"][places[tree, child]] for child in children]
        shares = [cover / sum(covers) if has_covers else 0.5 for cover in covers]
        return sum(
            float(share) * expected(tree, child)
            for share, child in zip(shares, children, strict=True)
        )

    return sum(expected(tree, 0) for tree in sorted(set(trees)))


@settings(max_examples=60, deadline=None)
@given(seeds, rows, rows, st.sets(st.integers(0, COLUMNS - 1)))
def test_no_change_of_the_free_columns_leaves_the_bounds(
    seed: int, row: list[float], other: list[float], free: set[int]
) -> None:
    forest = forest_of(read(random_trees(seed, columns=COLUMNS, trees=4, depth=4)))
    here, there = (np.array(one, dtype=np.float32) for one in (row, other))

    low, high = forest.reach(here, sorted(free))
    changed = forest.total(mixed(there, here, frozenset(free)))

    assert low - 1e-9 <= changed <= high + 1e-9


@settings(max_examples=30, deadline=None)
@given(rows, rows, st.lists(rows, max_size=3))
def test_a_weighted_sums_values_are_those_of_all_coalitions(
    weights: list[float], row: list[float], others: list[list[float]]
) -> None:
    line = Line(np.array(weights), -0.5)
    here = np.array(row, dtype=np.float32)
    references = [np.array(one, dtype=np.float32) for one in others]

    def worth(present: Coalition) -> float:
        absents = references or [np.zeros(COLUMNS, dtype=np.float32)]
        return sum(line.total(mixed(here, one, present)) for one in absents) / len(absents)

    baseline, parts = line.shapley(here, references)

    assert baseline == pytest.approx(worth(frozenset()), abs=1e-9)
    assert parts.tolist() == pytest.approx(shapley(worth, COLUMNS), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seeds, rows, st.none() | rows)
def test_what_an_artifacts_contributions_sum_to_is_its_score(
    seed: int, row: list[float], reference: list[float] | None
) -> None:
    told = None if reference is None else {"rows": [reference]}
    artifact = artifact_of(random_trees(seed, columns=COLUMNS, trees=5, depth=4), COLUMNS, told)
    model = OnnxRuntime().load(artifact, digest(artifact))
    features = {f"f{column}": number for column, number in enumerate(row)}
    assert isinstance(model, ContributingModel)

    (found,) = model.contributions([features]) or []
    (score,) = model.score([features])

    assert (found.method, found.space) == ("exact-tree", "log-odds")
    assert (found.against == "reference") == (reference is not None)
    assert found.score == pytest.approx(score.value, abs=1e-6)


class BlackBox:
    """Any function of named numbers; None counts as 0."""

    digest = "sha256:" + "0" * 64

    def __init__(self, function: Callable[[Sequence[float]], float]) -> None:
        self._function = function

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        return [Score(self._of(row), 1.0, self.digest) for row in rows]

    def _of(self, row: Mapping[str, object]) -> float:
        told = [row[f"f{place}"] for place in range(COLUMNS)]
        total = self._function([n if isinstance(n, float) else 0.0 for n in told])
        return 1 / (1 + math.exp(-total))


@settings(max_examples=40, deadline=None)
@given(seeds, rows)
def test_a_black_boxs_contributions_sum_to_its_score(seed: int, row: list[float]) -> None:
    forest = forest_of(read(random_trees(seed, columns=COLUMNS, trees=3, depth=4)))
    model = BlackBox(lambda told: forest.total(np.array(told, dtype=np.float32)))
    features: dict[str, object] = {f"f{place}": number for place, number in enumerate(row)}

    found = approximated(model, features, dict.fromkeys(features))

    assert found.method == "approximate"
    assert found.baseline + sum(found.parts.values()) == pytest.approx(
        log_odds(model.score([features])[0].value), abs=1e-9
    )


@settings(max_examples=40, deadline=None)
@given(rows, rows)
def test_where_features_do_not_interact_the_estimate_is_the_shapley_value(
    weights: list[float], row: list[float]
) -> None:
    model = BlackBox(lambda told: sum(w * x for w, x in zip(weights, told, strict=True)) / 4)
    features: dict[str, object] = {f"f{place}": number for place, number in enumerate(row)}

    found = approximated(model, features, dict.fromkeys(features))

    truth = [w * x / 4 for w, x in zip(weights, row, strict=True)]
    assert list(found.parts.values()) == pytest.approx(truth, abs=1e-6)
