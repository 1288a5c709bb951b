"""Exact Shapley values of tree ensembles, and how far a score can move when some features may be anything.

A leaf is reached when the conditions on its path hold. Group them by feature: a *slot* is one leaf and one feature of its
path. In the game whose players are the features, a leaf pays `value * product over its slots` of `o` for the features that
are present (1 if the row meets the slot's conditions, else 0) and `z` for those that are absent (the same of a reference
row, or the share of training rows that go that way). A product game's Shapley value is an integral of a polynomial,

    phi_j = value * (o_j - z_j) * integral over t in [0, 1] of product over k != j of (z_k + t * (o_k - z_k)),

which Gauss-Legendre quadrature gives exactly; sums over all leaves are the Shapley values of the ensemble.

Source:
    Owen 1972, Multilinear extensions of games, Management Science 18, for the integral. Lundberg et al. 2020, From local
    explanations to global understanding with explainable AI for trees, Nature Machine Intelligence 2: `reference` is
    their interventional game, `training-cover` their path-dependent one. Gauss-Legendre with n nodes is exact up to
    degree 2n - 1 (Abramowitz and Stegun 1964, 25.4.29).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from opsrail.values.explanations import Against, Method

MOST_LEAVES = 100_000
"""Ours: above, a first explanation would take seconds to prepare; the model is explained as a black box."""
BRANCHES = frozenset((b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT"))
SWAPPED = frozenset((b"BRANCH_GTE", b"BRANCH_GT"))
OPEN = frozenset((b"BRANCH_LT", b"BRANCH_GTE"))


class Paths(NamedTuple):
    """All leaves of an ensemble with what leads to them.

    Attributes:
        features: Column of each slot, -1 where a path has fewer. int64 [leaves, slots]
        condition_columns: Column that each condition reads. int64 [conditions]
        condition_edges: It holds for numbers up to and including this ... float32 [conditions]
        condition_is_low: ... or, where False, for those above. bool [conditions]
        condition_slots: Flat place of the condition's slot. int64 [conditions]
        covers: Share of training rows at the slot's branches, product over its conditions. float64 [leaves, slots]
        has_covers: Whether the artifact told those shares; else each branch counts half.
        tree_starts: First leaf of each tree. int64 [trees]
        values: float64 [leaves, classes]
    """

    features: Any
    condition_columns: Any
    condition_edges: Any
    condition_is_low: Any
    condition_slots: Any
    covers: Any
    has_covers: bool
    tree_starts: Any
    values: Any


def paths_of(attributes: Mapping[str, Any], kind: str) -> Paths | None:
    """Return the leaves of a `TreeEnsembleClassifier` or `-Regressor`; None when it is of a kind not read here."""
    modes: list[bytes] = attributes["nodes_modes"]
    if (
        any(name.endswith("_as_tensor") for name in attributes)
        or not set(modes) <= BRANCHES | {b"LEAF"}
        or modes.count(b"LEAF") > MOST_LEAVES
    ):
        return None
    values = _leaf_values(attributes, "class" if kind == "TreeEnsembleClassifier" else "target")
    hit_rates = attributes.get("nodes_hitrates")
    has_covers = hit_rates is not None and bool(np.ptp(hit_rates) > 0) and bool(hit_rates.min() > 0)
    walk = _Walk(attributes, values, hit_rates if has_covers else None)
    walk.over_all_trees()
    return walk.paths(has_covers)


class _Walk:
    """Walks every tree from its root and notes each leaf."""

    def __init__(
        self, attributes: Mapping[str, Any], values: Mapping[Any, Any], cover: Any
    ) -> None:
        self._columns = attributes["nodes_featureids"].tolist()
        self._edges = attributes["nodes_values"]
        self._modes: list[bytes] = attributes["nodes_modes"]
        self._true = attributes["nodes_truenodeids"].tolist()
        self._false = attributes["nodes_falsenodeids"].tolist()
        self._names = list(
            zip(
                attributes["nodes_treeids"].tolist(),
                attributes["nodes_nodeids"].tolist(),
                strict=True,
            )
        )
        self._places = {name: place for place, name in enumerate(self._names)}
        self._values = values
        self._nothing = np.zeros(len(next(iter(values.values()))))
        self._cover = cover
        self._leaves: list[list[tuple[int, float, bool, float]]] = []
        self._starts: list[int] = []
        self._paid: list[Any] = []

    def over_all_trees(self) -> None:
        seen: set[int] = set()
        for place, (tree, _) in enumerate(self._names):
            if tree not in seen:
                seen.add(tree)
                self._starts.append(len(self._leaves))
                self._tree(place)

    def _tree(self, root: int) -> None:
        left: list[tuple[int, tuple[tuple[int, float, bool, float], ...]]] = [(root, ())]
        while left:
            place, path = left.pop()
            tree = self._names[place][0]
            mode = self._modes[place]
            if mode == b"LEAF":
                self._leaves.append(list(path))
                self._paid.append(self._values.get(self._names[place], self._nothing))
                continue
            edge = self._edges[place]
            if mode in OPEN:
                edge = np.nextafter(edge, np.float32(-np.inf), dtype=np.float32)
            for is_true, child in ((False, self._false[place]), (True, self._true[place])):
                at = self._places[(tree, child)]
                share = 0.5 if self._cover is None else self._cover[at] / self._cover[place]
                step = self._columns[place], float(edge), is_true != (mode in SWAPPED), float(share)
                left.append((at, (*path, step)))

    def paths(self, has_covers: bool) -> Paths:
        slots = [list(dict.fromkeys(step[0] for step in leaf)) for leaf in self._leaves]
        width = max(1, *map(len, slots))
        features = np.full((len(slots), width), -1, dtype=np.int64)
        for row, held in enumerate(slots):
            features[row, : len(held)] = held
        steps = [
            (column, edge, is_low, row * width + slots[row].index(column), share)
            for row, leaf in enumerate(self._leaves)
            for column, edge, is_low, share in leaf
        ]
        columns, edges, lows, flat, shares = zip(*steps, strict=True) if steps else ((),) * 5
        covers = np.ones(features.size)
        np.multiply.at(covers, np.array(flat, dtype=np.int64), np.array(shares, dtype=float))
        return Paths(
            features,
            np.array(columns, dtype=np.int64),
            np.array(edges, dtype=np.float32),
            np.array(lows, dtype=bool),
            np.array(flat, dtype=np.int64),
            covers.reshape(features.shape),
            has_covers,
            np.array(self._starts, dtype=np.int64),
            np.array(self._paid),
        )


def _leaf_values(attributes: Mapping[str, Any], what: str) -> dict[tuple[int, int], Any]:
    """Return what each leaf pays, by tree and node: float64 [classes]."""
    classes = attributes[f"{what}_ids"]
    paid: dict[tuple[int, int], Any] = {}
    count = int(classes.max()) + 1
    trees, nodes = attributes[f"{what}_treeids"].tolist(), attributes[f"{what}_nodeids"].tolist()
    weights = attributes[f"{what}_weights"].astype(float).tolist()
    for tree, node, column, weight in zip(trees, nodes, classes.tolist(), weights, strict=True):
        held = paid.setdefault((tree, node), np.zeros(count))
        held[column] += weight
    return paid


class Forest:
    """One sum of trees: what `Paths` say, with one value a leaf.

    Args:
        values: What each leaf adds to the sum. float64 [leaves]
        base: Added to the sum.
        column_count: Columns of a row, those that no tree reads included.
    """

    method: Method = "exact-tree"
    is_whole = True

    def __init__(self, paths: Paths, values: Any, base: float, column_count: int) -> None:
        self._paths = paths
        self._values = values
        self._base = base
        self._column_count = column_count

    @property
    def without_reference(self) -> Against:
        """What absence means when there are no reference rows."""
        return "training-cover" if self._paths.has_covers else "even-branches"

    def met(self, row: Any) -> Any:
        """Return whether a row meets each slot's conditions. float32 [columns] in; bool [leaves, slots] out."""
        paths = self._paths
        is_low = row[paths.condition_columns] <= paths.condition_edges
        failed = np.bincount(
            paths.condition_slots[is_low != paths.condition_is_low],
            minlength=paths.features.size,
        )
        return (failed == 0).reshape(paths.features.shape)

    def total(self, row: Any) -> float:
        """Return the sum of the leaves that a row reaches. A row is float32 [columns]."""
        return self._base + float(self._values[self.met(row).all(axis=1)].sum())

    def shapley(self, row: Any, references: Sequence[Any]) -> tuple[float, Any]:
        """Return the baseline and each column's exact Shapley value.

        Args:
            row: float32 [columns]
            references: Rows that stand for absent features, each float32 [columns]; none: the training covers do.

        Returns:
            The value of the empty coalition, and float64 [columns]; together they sum to `total(row)`.
        """
        present = self.met(row).astype(float)
        absents = [self.met(one).astype(float) for one in references] or [self._paths.covers]
        baseline, moved = 0.0, np.zeros(self._column_count + 1)
        for absent in absents:
            baseline += float(self._values @ absent.prod(axis=1))
            parts = self._values[:, None] * (present - absent) * _means(present, absent)
            moved += np.bincount(
                self._paths.features.ravel() + 1, parts.ravel(), minlength=self._column_count + 1
            )
        return self._base + baseline / len(absents), moved[1:] / len(absents)

    def reach(self, row: Any, free: Sequence[int]) -> tuple[float, float]:
        """Return bounds of the sum when the free columns may be anything: each tree alone at its least and greatest."""
        paths = self._paths
        is_free = np.zeros(self._column_count + 1, dtype=bool)
        is_free[[column + 1 for column in free]] = True
        may_be = (self.met(row) | is_free[paths.features + 1]).all(axis=1)
        least = np.minimum.reduceat(np.where(may_be, self._values, np.inf), paths.tree_starts)
        most = np.maximum.reduceat(np.where(may_be, self._values, -np.inf), paths.tree_starts)
        return self._base + float(least.sum()), self._base + float(most.sum())

    def edges(self, column: int) -> tuple[float, ...]:
        """Return the numbers at which the sum may change along one column, ascending."""
        held = self._paths.condition_columns == column
        return tuple(np.unique(self._paths.condition_edges[held]).astype(float).tolist())


def _means(present: Any, absent: Any) -> Any:
    """Return for each slot the mean, over coalitions as Shapley weighs them, of the product of the other slots."""
    width = present.shape[1]
    nodes, weights = np.polynomial.legendre.leggauss((width + 1) // 2)
    means = np.zeros_like(present)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        factors = absent + node * (present - absent)
        before, after = np.ones_like(factors), np.ones_like(factors)
        np.cumprod(factors[:, :-1], axis=1, out=before[:, 1:])
        after[:, :-1] = np.cumprod(factors[:, :0:-1], axis=1)[:, ::-1]
        means += weight * before * after
    return means
