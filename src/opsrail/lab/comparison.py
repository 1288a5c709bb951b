"""A model version against another, against whoever answered, or against people, on the decisions that a point made."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute
from numpy.typing import NDArray

from opsrail.errors import Fault, InvalidInput, NotFound
from opsrail.lab.agreement import Paired, paired
from opsrail.lab.disagreement import Disagreement, disagree
from opsrail.lab.history import Progress, history
from opsrail.lab.joins import UNDECIDED
from opsrail.lab.said import (
    CHAMPION,
    PEOPLE,
    Said,
    Version,
    Words,
    by_champion,
    by_people,
    said_by,
    where,
)
from opsrail.lab.shifts import Shift, Spread, shift, spread
from opsrail.ports import Store

About = tuple[str, int, int, str]
"""The first attributes of a comparison: point, since, until, referred."""


@dataclass(frozen=True)
class Side:
    """One judge in figures.

    Attributes:
        verdicts: How often each was given.
        failed: Why there was no score, by code.
        took: Of a challenger its calls, of who answered the whole decision; None: not known.
        cost_usd: Of all its scores.
    """

    name: str
    verdicts: Mapping[str, int]
    failed: Mapping[str, int]
    took: Spread | None
    cost_usd: float


@dataclass(frozen=True)
class Scores:
    """Scores of decisions that have something in common, for a picture. float64 [n]."""

    name: str
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """A version against another judge.

    Attributes:
        point: The decision point.
        since_ms, until_ms: Of the decisions, epoch ms.
        referred: The verdict that leaves a decision to people.
        decisions: How many there are.
        mine, theirs: The two sides.
        disagreement: Between them.
        champion: Against people: how who answered disagrees with them, on the decisions that both are compared on.
        errors: Against people: who differs from them where the other does not.
        shift: Of the scores of decisions that both scored; None against people.
        scores: What a picture shows: both models' scores, or the version's by ruling.
    """

    point: str
    since_ms: int
    until_ms: int
    referred: str
    decisions: int
    mine: Side
    theirs: Side
    disagreement: Disagreement
    champion: Disagreement | None
    errors: Paired | None
    shift: Shift | None
    scores: tuple[Scores, ...]

    def record(self) -> dict[str, Any]:
        """Return it for JSON, without the scores one by one."""
        return {name: value for name, value in vars(self).items() if name != "scores"}


async def compared(
    store: Store,
    point: str,
    version: Version,
    against: Version | str,
    *,
    since_ms: int,
    until_ms: int,
    fields: Sequence[str] = (),
    referred: str = UNDECIDED,
    folder: Path | None = None,
    progress: Progress = lambda done: None,
) -> Comparison:
    """Return a comparison over the stored decisions of a point.

    Args:
        version: Name and number.
        against: Another version, `champion` (whoever answered, where that was another) or `people` (their rulings).
        fields: Request fields to tell apart by.
        referred: The verdict that leaves a decision to people, as the point's policy names it.
        folder: Where `history` keeps its copies.

    Raises:
        NotFound: the version said nothing of any decision in that time. Terminal: make it a challenger first.
        InvalidInput: no request has such a field. Terminal.
    """
    table = await history(
        store,
        point,
        since_ms=since_ms,
        until_ms=until_ms,
        fields=fields,
        folder=folder,
        progress=progress,
    )
    mine = await said_by(store, table, version)
    if not mine.count and not mine.codes:
        raise NotFound(
            f"{mine.name} said nothing of the {table.num_rows} decisions of {point!r} in that time; make it a challenger: "
            f"opsrail models promote {point} {version[0]} {version[1]} --stage shadow --reason WHY"
        )
    told, about = _fields(table, fields), (point, since_ms, until_ms, referred)
    if against == PEOPLE:
        people, champion = by_people(table), by_champion(table, version)
        return await asyncio.to_thread(_with_people, about, mine, people, champion, told)
    if against == CHAMPION:
        champion = by_champion(table, version)
        return await asyncio.to_thread(_with_model, about, mine, champion, told)
    if isinstance(against, str):
        raise InvalidInput(f"{against!r} is no version, nor {PEOPLE!r} or {CHAMPION!r}")
    theirs = await said_by(store, table, against)
    return await asyncio.to_thread(_with_model, about, mine, theirs, told)


def _with_model(
    about: About, mine: Said, theirs: Said, fields: Mapping[str, Sequence[Any]]
) -> Comparison:
    both = ~np.isnan(mine.scores) & ~np.isnan(theirs.scores)
    scores = (Scores(mine.name, mine.scores[both]), Scores(theirs.name, theirs.scores[both]))
    found = disagree(mine.verdicts.tolist(), theirs.verdicts.tolist(), fields=fields)
    count = len(mine.verdicts)
    far = shift(scores[0].values, scores[1].values)
    return Comparison(*about, count, _side(mine), _side(theirs), found, None, None, far, scores)


def _with_people(
    about: About,
    mine: Said,
    people: Said,
    champion: Said,
    fields: Mapping[str, Sequence[Any]],
) -> Comparison:
    ruled = people.verdicts.tolist()
    referred = about[-1]
    found = disagree(mine.verdicts.tolist(), ruled, fields=fields, referred=[referred])
    both = np.ones(len(ruled), dtype=np.bool_)
    for said in (mine, champion, people):
        both &= _decides(said.verdicts, referred)
    beside = disagree(
        where(both, champion.verdicts).tolist(),
        where(both, people.verdicts).tolist(),
    )
    errors = paired(
        (mine.verdicts != people.verdicts)[both], (champion.verdicts != people.verdicts)[both]
    )
    known = ~np.isnan(mine.scores)
    rulings = sorted({one for one in ruled if one is not None})
    scores = tuple(
        Scores(f"ruled {one}", mine.scores[known & (people.verdicts == one)]) for one in rulings
    )
    count = len(mine.verdicts)
    return Comparison(
        *about, count, _side(mine), _side(people), found, beside, errors, None, scores
    )


def _decides(verdicts: Words, referred: str) -> NDArray[np.bool_]:
    """Return where there is a verdict that leaves nothing to people."""
    return np.array([one not in (None, referred) for one in verdicts], dtype=np.bool_)


def _fields(table: pyarrow.Table, names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the request's fields of these names."""
    facts = table.column("facts")
    known = [field.name for field in facts.type]
    if unknown := [name for name in names if name not in known]:
        raise InvalidInput(
            "decisions cannot be told apart by what no request has",
            [Fault(name, "no request of that time has such a field") for name in unknown],
        )
    return {name: pyarrow.compute.struct_field(facts, [name]).to_pylist() for name in names}


def _side(said: Said) -> Side:
    verdicts = Counter(one for one in said.verdicts if one is not None)
    took = said.latencies_us[~np.isnan(said.latencies_us)]
    cost_usd = float(np.nansum(said.costs_usd))
    return Side(said.name, dict(verdicts.most_common()), said.codes, spread(took), cost_usd)
