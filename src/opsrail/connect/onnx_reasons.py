"""What can be said about the scores of one ONNX model: contributions, cells, and how far a score can move.

The sum that the artifact's operator computes is rebuilt here and held against what the runtime answers, on rows made for it
when it is first asked and on every row that is explained. Where the two differ nothing is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opsrail.connect.forest import Forest, paths_of
from opsrail.connect.line import Line
from opsrail.connect.onnx_graph import Core, core_of
from opsrail.connect.reference import Reference, cells_of
from opsrail.values.columns import Column
from opsrail.values.explanations import Contributions, FeatureCells, Space, logistic

PROBES = 64
AGREEMENT = 1e-5
"""How far the runtime's float32 sum may stand from ours. Probability. Ours: the parity that models are exported with."""
Run = Callable[[Any], list[float]]


@dataclass(frozen=True, slots=True)
class OnnxReasons:
    """A sum that gives the model's scores.

    Attributes:
        space: Of the sum.
        is_scaled: Whether the artifact scales its numbers first: edges are then true up to rounding.
    """

    columns: tuple[Column, ...]
    total: Forest | Line
    space: Space
    core: Core
    reference: Reference

    def contributions(self, numbers: Any, scores: Sequence[float]) -> list[Contributions] | None:
        """Return the exact contributions to each score; None where the sum does not come to the scores.

        Args:
            numbers: float32 [rows, columns]
            scores: What the runtime answered to them.
        """
        references = [_scaled(self.core, one) for one in self.reference.rows]
        cells = self.cells() if len(self.reference.rows) == 1 else {}
        typical = {name: cell.typical for name, cell in cells.items()}
        found = []
        for row, score in zip(numbers, scores, strict=True):
            baseline, parts = self.total.shapley(_scaled(self.core, row), references)
            names = [column.name for column in self.columns]
            told = Contributions(
                self.total.method,
                self.space,
                "reference" if references else self.total.without_reference,
                baseline,
                dict(zip(names, parts.tolist(), strict=True)),
                typical,
            )
            if not abs(told.score - score) <= AGREEMENT:
                return None
            found.append(told)
        return found

    def cells(self) -> dict[str, FeatureCells]:
        """Return where the score may change, by feature."""
        return cells_of(self.columns, self.reference, self._edges)

    @property
    def is_whole(self) -> bool:
        """Whether scores are constant inside each cell."""
        return self.total.is_whole and not self._is_scaled

    def reach(self, row: Any, free: Sequence[int]) -> tuple[float, float]:
        """Return bounds of the score when the free columns may be anything. Probability, widened by rounding."""
        low, high = self.total.reach(_scaled(self.core, row), free)
        if self.space == "log-odds":
            low, high = _probability(low), _probability(high)
        return low - AGREEMENT, high + AGREEMENT

    @property
    def _is_scaled(self) -> bool:
        return bool((self.core.scale != 1).any() or (self.core.offset != 0).any())

    def _edges(self, place: int) -> tuple[float, ...]:
        offset, scale = (
            float(one[place if len(one) > 1 else 0]) for one in (self.core.offset, self.core.scale)
        )
        edges = self.total.edges(place)
        if not scale:
            return ()
        return tuple(sorted(edge / scale + offset for edge in edges)) if self._is_scaled else edges


def reasons_of(
    artifact: bytes, columns: Sequence[Column], reference: Reference, run: Run
) -> OnnxReasons | None:
    """Return the sum behind a model's scores; None when the artifact holds none that is read here, or computes otherwise."""
    core = core_of(artifact)
    if core is None:
        return None
    lows, highs = (
        None if end is None else _scaled(core, end) for end in (reference.lows, reference.highs)
    )
    for total in _totals(core, len(columns), lows, highs):
        rows = _probes(core, total, reference, len(columns))
        scores = run(rows)
        sums = [total.total(_scaled(core, row)) for row in rows]
        spaces: tuple[Space, Space] = ("log-odds", "probability")
        for space in spaces:
            told = map(_probability, sums) if space == "log-odds" else sums
            if all(abs(a - b) <= AGREEMENT for a, b in zip(told, scores, strict=True)):
                return OnnxReasons(tuple(columns), total, space, core, reference)
    return None


def _totals(core: Core, columns: int, lows: Any, highs: Any) -> Iterator[Forest | Line]:
    """Yield every sum that may be the positive class's: its own, or its lead over the other class."""
    attributes, kind = core.node.attributes, core.node.kind
    if kind.startswith("Linear"):
        base = _base(attributes, "intercepts")
        weights = attributes["coefficients"].astype(float).reshape(-1, columns)
        for one, added in _of_positive_class(weights.T, base):
            yield Line(one, added, lows, highs)
        return
    paths = paths_of(attributes, kind)
    if paths is not None:
        share = 1 / len(paths.tree_starts) if _is_average(attributes) else 1.0
        for values, added in _of_positive_class(paths.values, _base(attributes, "base_values")):
            yield Forest(paths, values * share, added, columns)


def _of_positive_class(values: Any, base: Any) -> Iterator[tuple[Any, float]]:
    """Yield the last class's values and base; of two classes, also their difference. float64 [rows, classes] in."""
    bases = base if len(base) == values.shape[1] else np.resize(base, values.shape[1])
    yield values[:, -1], float(bases[-1])
    if values.shape[1] == 2:
        yield values[:, 1] - values[:, 0], float(bases[1] - bases[0])


def _base(attributes: Mapping[str, Any], name: str) -> Any:
    found = attributes.get(name)
    return np.zeros(1) if found is None else found.astype(float)


def _is_average(attributes: Mapping[str, Any]) -> bool:
    return bool(attributes.get("aggregate_function") == b"AVERAGE")


def _scaled(core: Core, row: Any) -> Any:
    return ((row - core.offset) * core.scale).astype(np.float32)


def _probes(core: Core, total: Forest | Line, reference: Reference, columns: int) -> Any:
    """Return rows that reach many leaves: each column runs through its edges at a pace of its own."""
    rows = np.zeros((PROBES, columns), dtype=np.float32)
    for column in range(columns):
        edges = np.array(total.edges(column) or (-1.0, 0.0, 1.0), dtype=np.float32)
        numbers = np.append(edges, edges[-1] + 1)
        steps = (np.arange(PROBES) * (2 * column + 1) + np.arange(PROBES) // 7) % len(numbers)
        rows[:, column] = numbers[steps]
    rows = (rows / np.where(core.scale == 0, 1, core.scale) + core.offset).astype(np.float32)
    return np.concatenate([rows, reference.rows]) if len(reference.rows) else rows


def _probability(log_odds: float) -> float:
    if math.isinf(log_odds):
        return 0.0 if log_odds < 0 else 1.0
    return logistic(log_odds)
