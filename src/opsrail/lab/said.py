"""What a version, whoever answered, and people said of the decisions of a history.

What a version said of a decision is what it said as its challenger, or what it answered itself. A verdict is always that of
the policy of then: where people decide for it (autonomy), what policy proposed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow
from numpy.typing import NDArray

from opsrail.lab.joins import with_shadows
from opsrail.ports import Store

PEOPLE, CHAMPION = "people", "champion"
Words = NDArray[np.object_]
Numbers = NDArray[np.float64]
Version = tuple[str, int]


@dataclass(frozen=True)
class Said:
    """What one judge said of n decisions, in their order.

    Attributes:
        name: `name/number`, `champion` or `people`.
        verdicts: object [n], text; None: nothing.
        scores: float64 [n]; NaN: none. All NaN for people.
        latencies_us: float64 [n]; NaN: unknown. Of a challenger its call, of who answered the whole decision.
        costs_usd: float64 [n]; NaN: unknown.
        codes: Why it had no score where it was asked, by code.
    """

    name: str
    verdicts: Words
    scores: Numbers
    latencies_us: Numbers
    costs_usd: Numbers
    codes: Mapping[str, int]

    @property
    def count(self) -> int:
        """Decisions with a verdict."""
        return int(sum(one is not None for one in self.verdicts))


async def said_by(store: Store, table: pyarrow.Table, version: Version) -> Said:
    """Return what a version said of each decision of a history: as its challenger, else as who answered."""
    name, number = version
    table = await with_shadows(store, table, name, number)
    own = _own(table, version)

    def numbers(column: str) -> Numbers:
        return np.where(own, _numbers(table, column), _numbers(table, f"shadow_{column}"))

    codes = Counter(code for code in _words(table, "shadow_code") if code is not None)
    return Said(
        f"{name}/{number}",
        where(own, _policy_verdicts(table), _words(table, "shadow_verdict")),
        numbers("score"),
        numbers("latency_us"),
        numbers("cost_usd"),
        dict(codes.most_common()),
    )


def by_champion(table: pyarrow.Table, version: Version) -> Said:
    """Return what whoever answered with a score said of each decision, but for those that a version answered itself."""
    scores = _numbers(table, "score")
    is_theirs = ~np.isnan(scores) & ~_own(table, version)
    return Said(
        CHAMPION,
        where(is_theirs, _policy_verdicts(table)),
        np.where(is_theirs, scores, np.nan),
        np.where(is_theirs, _numbers(table, "latency_us"), np.nan),
        np.where(is_theirs, _numbers(table, "cost_usd"), np.nan),
        {},
    )


def by_people(table: pyarrow.Table) -> Said:
    """Return what people ruled on each decision."""
    nothing = np.full(table.num_rows, np.nan)
    return Said(PEOPLE, _words(table, "ruling"), nothing, nothing, nothing, {})


def _own(table: pyarrow.Table, version: Version) -> NDArray[np.bool_]:
    """Return where a version answered itself, with a score."""
    is_it = (_words(table, "model_name") == version[0]) & (
        _numbers(table, "model_number") == version[1]
    )
    found: NDArray[np.bool_] = is_it & ~np.isnan(_numbers(table, "score"))
    return found


def _policy_verdicts(table: pyarrow.Table) -> Words:
    """Return what policy said, also where people decided for it."""
    proposed = _words(table, "proposed")
    is_told = np.array([one is not None for one in proposed], dtype=np.bool_)
    return where(is_told, proposed, _words(table, "verdict"))


def where(is_first: NDArray[np.bool_], first: Words, second: Words | None = None) -> Words:
    """Return words of the first where that is so, else of the second, else None."""
    found = np.full(len(first), None, dtype=object) if second is None else second.copy()
    found[is_first] = first[is_first]
    return found


def _words(table: pyarrow.Table, name: str) -> Words:
    found = np.empty(table.num_rows, dtype=object)
    found[:] = table.column(name).to_pylist()
    return found


def _numbers(table: pyarrow.Table, name: str) -> Numbers:
    values = table.column(name).cast(pyarrow.float64()).to_numpy()
    return np.asarray(values, dtype=np.float64)
