"""Reads the past in: a file's or query's values into a kept view, settled cases' facts into a new version of a folded one.

Chunk by chunk, each one commit that is told; what is there already is passed over. So one that was killed or interrupted is
run again and goes on, and nothing is taken twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from pydantic_core import from_json

from opsrail.clock import Clock
from opsrail.errors import Fault, InvalidInput
from opsrail.features.facts import facts_of, takes_rulings
from opsrail.features.keeping import Checked, Keeping, NewValue, checked_value
from opsrail.features.source import Columns
from opsrail.features.view import FeatureView
from opsrail.ports import Store
from opsrail.values.cases import CaseRow, CaseState, JournalRow
from opsrail.values.features import FactRow
from opsrail.values.reviews import Ruling
from opsrail.values.rows import Insert, Where, equals

CHUNK = 1_000
"""Rows of one commit. Ours: a commit of 1,000 takes some 20 ms, and a kill loses no more work than that."""
CASES = 500
MOST_FAULTS = 100
"""Faulty rows that are told one by one."""
MOST_JOURNALED = 100_000

Told = Callable[[float, float], None]


class SourceRow(NamedTuple):
    """One row as it was read.

    Attributes:
        line: Where it stands, from 1.
        values: By column.
        faults: Why it could not be read.
    """

    line: int
    values: Mapping[str, Any]
    faults: Sequence[Fault] = ()


class SourceRows(NamedTuple):
    """Rows that are read one after the other.

    Attributes:
        name: What is kept as their source, e.g. `file:policyholders.csv@sha256:0f3a...`.
        read_ratio: Returns how much was read, in [0, 1].
        is_text: Whether values are text, where an empty one means that there is none.
        is_file: Whether the name tells the content: the same rows again are never taken twice.
    """

    name: str
    rows: Iterable[SourceRow]
    read_ratio: Callable[[], float]
    is_text: bool = False
    is_file: bool = False


class Backfilled(NamedTuple):
    """What a backfill did.

    Attributes:
        rows: Rows read, or settled cases looked at.
        kept: Values or facts added by this run.
        there: Those that were there already, or taught nothing.
        faulty: Rows that could not be taken.
        faults: The first of them, with line and fault.
    """

    rows: int
    kept: int
    there: int
    faulty: int = 0
    faults: tuple[Fault, ...] = ()


class CaseHistory(NamedTuple):
    """How the settled cases of one automation are read.

    Attributes:
        input: From a case's stored input.
        outcome: From its stored outcome.
    """

    automation: str
    input: Callable[[str], Any]
    outcome: Callable[[str], Any]


class Backfill:
    """Reads the past in.

    Attributes:
        done: What the run under way has done so far; stays when it is interrupted.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._keeping = Keeping(store, clock)
        self.done = Backfilled(0, 0, 0)

    async def values(
        self, view: FeatureView[Any], source: SourceRows, columns: Columns, *, told: Told
    ) -> Backfilled:
        """Keep the values of a source.

        Rows that are faulty are told and left out; the others are kept.

        Args:
            told: Called after each chunk with what was done, and what there is (1.0).

        Raises:
            InvalidInput: the view folds facts, or the source cannot be read further. Terminal; what was kept stays.
        """
        self.done = Backfilled(0, 0, 0)
        for chunk in _chunks(source.rows, CHUNK):
            checked, faults = _checked(view, columns, chunk, is_text=source.is_text)
            kept = there = 0
            if checked:
                kept, there = await self._keeping.keep(
                    view, checked, source=source.name, is_file=source.is_file
                )
            before = self.done
            self.done = Backfilled(
                before.rows + len(chunk),
                before.kept + kept,
                before.there + there,
                before.faulty + len(chunk) - len(checked),
                (*before.faults, *faults)[:MOST_FAULTS],
            )
            told(source.read_ratio(), 1.0)
        return self.done

    async def facts(
        self, view: FeatureView[Any], histories: Sequence[CaseHistory], *, told: Told
    ) -> Backfilled:
        """Teach a view what the settled cases of the past would have taught it, in the order in which they settled.

        A fact is known from when its case settled. Do it before the version is served: facts are folded in the order in
        which they were written, and no other process may write facts of the view meanwhile.

        Args:
            told: Called after each chunk with the cases looked at, and how many there are.

        Raises:
            InvalidInput: the view keeps values, or has no `fact`. Terminal.
            AuthorError: its `fact` failed for a case, which is named. Terminal; what was taken stays.
        """
        if view.fact is None:
            raise InvalidInput(
                f"feature view {view.ref} has no `fact`: settled cases teach it nothing"
            )
        self.done = Backfilled(0, 0, 0)
        by_name = {one.automation: one for one in histories}
        settled = (
            *equals(state=CaseState.SETTLED),
            Where("automation", "in", tuple(by_name)),
        )
        counted = await self._store.count(CaseRow, *settled)
        total = sum(counted.values())
        async for rows in self._settled(settled):
            kept = await self._learn(view, rows, by_name)
            before = self.done
            self.done = Backfilled(
                before.rows + len(rows), before.kept + kept, before.there + len(rows) - kept
            )
            told(self.done.rows, total)
        return self.done

    async def _settled(self, where: tuple[Where, ...]) -> AsyncIterator[list[CaseRow]]:
        """Yield settled cases in the order in which they settled, page by page."""
        since_ms, limit = 0, CASES
        seen: set[str] = set()  # of the last page, those of its last millisecond
        while True:
            rows = await self._store.select(
                CaseRow, *where, Where("settled_at_ms", ">=", since_ms),
                order=("settled_at_ms", "id"), limit=limit,
            )  # fmt: skip
            fresh = [row for row in rows if row.id not in seen]
            if fresh:
                yield fresh
            if len(rows) < limit:
                return
            last_ms = rows[-1].settled_at_ms or 0
            limit = limit * 2 if last_ms == since_ms else CASES
            since_ms = last_ms
            seen = {row.id for row in rows if row.settled_at_ms == last_ms}

    async def _learn(
        self, view: FeatureView[Any], rows: Sequence[CaseRow], by_name: Mapping[str, CaseHistory]
    ) -> int:
        rulings = await self._rulings(rows) if takes_rulings(view) else {}
        facts: list[FactRow] = []
        for row in rows:
            history = by_name[row.automation]
            inserts = facts_of(
                [view], history.input(row.input), history.outcome(row.outcome or "null"),
                rulings.get(row.id, ()), case_id=row.id, at_ms=row.settled_at_ms or 0,
                new_id=self._clock.new_id,
            )  # fmt: skip
            facts += [FactRow(*insert.row) for insert in inserts]
        known = await self._known(view, facts)
        fresh = [fact for fact in facts if fact.case_id not in known]
        if fresh:
            await self._store.commit([Insert(fact) for fact in fresh])
        return len(fresh)

    async def _known(self, view: FeatureView[Any], facts: Sequence[FactRow]) -> set[str | None]:
        """Return the cases among them that taught the view already."""
        if not facts:
            return set()
        rows = await self._store.select(
            FactRow,
            *equals(view=view.name, number=view.version),
            Where("entity", "in", tuple({fact.entity for fact in facts})),
            Where("case_id", "in", tuple({fact.case_id for fact in facts})),
            limit=2 * len(facts),
        )
        return {row.case_id for row in rows}

    async def _rulings(self, rows: Sequence[CaseRow]) -> dict[str, list[Ruling]]:
        """Return what people ruled in each case, in order."""
        journaled = await self._store.select(
            JournalRow,
            Where("case_id", "in", tuple(row.id for row in rows)),
            Where("kind", "=", "review"),
            order=("case_id", "seq"),
            limit=MOST_JOURNALED,
        )
        ruled: dict[str, list[Ruling]] = {}
        for row in journaled:
            ruled.setdefault(row.case_id, []).append(Ruling(**from_json(row.result)))
        return ruled


def _chunks(rows: Iterable[SourceRow], size: int) -> Iterator[list[SourceRow]]:
    chunk: list[SourceRow] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _checked(
    view: FeatureView[Any], columns: Columns, rows: Sequence[SourceRow], *, is_text: bool
) -> tuple[list[Checked], list[Fault]]:
    checked: list[Checked] = []
    found: list[Fault] = []
    for row in rows:
        if row.faults:
            found += row.faults
            continue
        value = new_value(view, columns, row)
        one = checked_value(view, value, f"line {row.line}", found, is_text=is_text)
        if one is not None:
            checked.append(one)
    return checked, found


def new_value(view: FeatureView[Any], columns: Columns, row: SourceRow) -> NewValue:
    """Return a row as a value that is still to be checked; cells stay as they were read."""
    cells = row.values
    entity = cells.get(columns.entity)
    names = () if view.kept is None else view.kept.features
    return NewValue(
        str(entity) if type(entity) is int else cast(str, entity),
        cells.get(columns.event_at),
        {
            name: cells[column]
            for name in names
            if (column := columns.columns.get(name, name)) in cells
        },
        None if columns.written_at is None else cells.get(columns.written_at, ""),
    )
