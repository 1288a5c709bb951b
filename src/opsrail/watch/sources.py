"""What the guard reads: decisions since a cursor, and what comes late of them: rulings, shadows, outcomes.

Ids are made in the order of time, and a row may become durable a little after its id was made; so what is younger than a
margin is left for the next look, and a cursor never runs past it. What becomes durable later than that is not counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from opsrail.ports import Store
from opsrail.values.decisions import DecisionRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Where, equals
from opsrail.values.shadows import ShadowScoreRow

PAGE_COUNT = 1_000
IDS_AT_ONCE = 500


class Told(NamedTuple):
    """An outcome with the decision that it is about."""

    outcome: OutcomeRow
    decision: DecisionRow


class Sources:
    """Rows that rollouts and guarantees are judged by, over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def decisions(self, point: str, after: str, until: str) -> tuple[list[DecisionRow], str]:
        """Return decisions of a point by id, a page at most, and the cursor behind them: `until` when these were all."""
        rows = await self._store.select(
            DecisionRow,
            *equals(point=point),
            *_between("id", after, until),
            order=("id",),
            limit=PAGE_COUNT,
        )
        return rows, rows[-1].id if len(rows) == PAGE_COUNT else max(after, until)

    async def outcomes(
        self, names: Collection[str], point: str, after: str, until: str
    ) -> tuple[list[Told], str]:
        """Return what turned out of a point's decisions, a page at most, and the cursor behind it.

        Of several outcomes of one name and decision the first counts: a test cannot take back what it has seen.
        """
        if not names:
            return [], max(after, until)
        rows = await self._store.select(
            OutcomeRow,
            Where("name", "in", tuple(sorted(names))),
            *_between("id", after, until),
            order=("id",),
            limit=PAGE_COUNT,
        )
        cursor = rows[-1].id if len(rows) == PAGE_COUNT else max(after, until)
        decisions = await self.by_id(row.decision_id for row in rows)
        ours = [row for row in rows if (of := decisions.get(row.decision_id)) and of.point == point]
        firsts = await self._firsts(ours)
        return [Told(row, decisions[row.decision_id]) for row in ours if row.id in firsts], cursor

    async def rulings(self, after_ms: int, until_ms: int) -> tuple[list[ReviewRow], int]:
        """Return rulings on decisions by the moment they went out, and the moment up to which these are all.

        One that may still be taken back is not among them: what was counted cannot be uncounted.
        """
        rows = await self._store.select(
            ReviewRow,
            Where("delivered_at_ms", ">", after_ms),
            Where("delivered_at_ms", "<=", until_ms),
            *equals(state=ReviewState.RULED),
            order=("delivered_at_ms",),
            limit=PAGE_COUNT,
        )
        last_ms = max(after_ms, until_ms)
        if len(rows) == PAGE_COUNT:  # some of the last moment may be missing: they come next time
            last_ms = (rows[-1].delivered_at_ms or 0) - 1
            rows = [row for row in rows if (row.delivered_at_ms or 0) <= last_ms]
        return [row for row in rows if row.decision_id is not None], last_ms

    async def shadows(
        self, point: str, model: tuple[str, int], after: str, until: str
    ) -> tuple[list[ShadowScoreRow], str]:
        """Return what a version said of a point's requests in the shadow, a page at most, and the cursor behind it."""
        rows = await self._store.select(
            ShadowScoreRow,
            *equals(model_name=model[0], model_number=model[1], point=point),
            *_between("decision_id", after, until),
            order=("decision_id",),
            limit=PAGE_COUNT,
        )
        return rows, rows[-1].decision_id if len(rows) == PAGE_COUNT else max(after, until)

    async def by_id(self, ids: Iterable[str]) -> dict[str, DecisionRow]:
        """Return the decisions of these ids, as far as they are there."""
        wanted = sorted(set(ids))
        found: dict[str, DecisionRow] = {}
        for begin in range(0, len(wanted), IDS_AT_ONCE):
            some = tuple(wanted[begin : begin + IDS_AT_ONCE])
            rows = await self._store.select(DecisionRow, Where("id", "in", some), limit=IDS_AT_ONCE)
            found.update((row.id, row) for row in rows)
        return found

    async def _firsts(self, rows: list[OutcomeRow]) -> set[str]:
        """Return the ids of those outcomes that are the first of their name and decision."""
        first: dict[tuple[str, str], str] = {}
        wanted = sorted({row.decision_id for row in rows})
        for begin in range(0, len(wanted), IDS_AT_ONCE):
            some = tuple(wanted[begin : begin + IDS_AT_ONCE])
            for row in await self._store.select(
                OutcomeRow, Where("decision_id", "in", some), limit=100_000
            ):
                place = (row.decision_id, row.name)
                first[place] = min(first.get(place, row.id), row.id)
        return set(first.values())


def _between(column: str, after: str, until: str) -> tuple[Where, Where]:
    return Where(column, ">", after), Where(column, "<", until)
