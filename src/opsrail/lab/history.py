"""What a decision point decided: the stored decisions of a span of time as columns, with what people and the world said.

    table = await history(store, "fraud-risk", since_ms=since_ms, folder=data / COPIES)
    table = await with_outcomes(store, table, "fraud")

Decisions are read part by part, so that memory holds one part and what is kept of it. A part that is whole and old enough is
copied as columns (`lab/copies.py`). Reading holds up no writer: each page is one short read.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow
import pyarrow.compute

from opsrail.clock import ulid_ms, ulid_text
from opsrail.errors import Unavailable
from opsrail.lab.copies import Copies, Part
from opsrail.lab.joins import with_rulings
from opsrail.lab.places import COPIES as COPIES
from opsrail.lab.records import FACTS, FIXED, VIEWS, chosen, nested, parsed, together
from opsrail.ports import Store
from opsrail.values.decisions import DecisionRow
from opsrail.values.rows import Where

PART_ROWS = 25_000
"""Rows of a part. Ours: 50 MB of records, read in a third of a second."""
PAGE_ROWS = 5_000
SLACK_MS = 660_000
"""How far the time in a decision's id may stand from when it was asked: the longest deadline, and a minute of clocks."""
SETTLED_MS = 3_600_000
"""Age from which decisions are copied. Ours: one that is not written within an hour was lost with its process; what comes
later all the same is seen by the count."""
ROW_COLUMNS: Mapping[str, str] = {
    "id": "id",
    "at_ms": "at_ms",
    "case_id": "case_id",
    "model_name": "model_name",
    "model_number": "model_number",
    "score": "score",
    "verdict": "verdict",
    "proposed": "proposed",
    "degraded": "degraded",
    "unknown_count": "unknown_count",
    "policy_source": "source",
    "policy_code": "reason",
    "policy_version": "policy_version",
    "latency_us": "latency_us",
}
"""Columns of a history that stand in columns of the row: no record is read for them."""
Progress = Callable[[int], None]


class Apart(Protocol):
    """Reads parts of the rows' own columns in another process."""

    @property
    def is_ready(self) -> bool:
        """Whether it would answer now."""
        ...

    def start(self) -> None:
        """Get ready; again: nothing."""
        ...

    async def part(
        self, point: str, names: Sequence[str], after: str, until: str, limit: int
    ) -> tuple[pyarrow.Table, str]:
        """Return what `part_of_rows` returns. Raises Unavailable: it is gone."""
        ...


async def history(
    store: Store,
    point: str,
    *,
    since_ms: int = 0,
    until_ms: int | None = None,
    folder: Path | None = None,
    fields: Sequence[str] | None = None,
    progress: Progress = lambda done: None,
) -> pyarrow.Table:
    """Return the decisions of a point that were asked for in a span of time, in the order of their ids.

    Args:
        since_ms: First moment, epoch ms.
        until_ms: First moment that is no more in it, epoch ms; None: now.
        folder: Where copies are kept; None: everything is read from the store, and nothing is kept.
        fields: Names in `facts` that are wanted, as `amount` or `receipt.total_usd`; None: all. Fewer take less memory: a
            million decisions with thirty words each take about 600 MB.
        progress: Called with the number of decisions that were read.

    Returns:
        One row a decision: the columns of `records.FIXED`, `facts` and `views` (structs), and of the review that people
        held over it `ruling`, `ruling_is_override` and `reviewed_s` (from claim to ruling, seconds; null where nobody
        claimed it).
    """
    names = None if fields is None else [*FIXED, *(FACTS + name for name in fields), VIEWS]
    walk = parts(
        store,
        point,
        since_ms=since_ms,
        until_ms=until_ms,
        folder=folder,
        names=names,
        progress=progress,
    )
    return await with_rulings(store, nested(together([part async for part in walk])))


async def parts(
    store: Store,
    point: str,
    *,
    since_ms: int = 0,
    until_ms: int | None = None,
    folder: Path | None = None,
    names: Sequence[str] | None = None,
    apart: Apart | None = None,
    progress: Progress = lambda done: None,
) -> AsyncIterator[pyarrow.Table]:
    """Yield the same decisions part by part, at most `PART_ROWS` each, as `records.parsed` gives them: `facts.NAME`.

    Args:
        names: Columns that are wanted, `at_ms` and `id` among them; one that ends with a dot stands for all behind it. None:
            all.
        apart: Reads the rows' own columns of a long history meanwhile; None: this process does.
    """
    now_ms = await store.now_ms()
    until_ms = now_ms if until_ms is None else until_ms
    walk = _Walk(
        store, point, None if folder is None else Copies(folder, point), names, now_ms, apart
    )
    after, end = id_from(since_ms - SLACK_MS), id_from(until_ms + SLACK_MS)
    done = 0
    gc.freeze()  # or each full collection looks at all that libraries made, 100 ms every 10,000 records
    try:
        async for part in walk.parts(after, end):
            done += part.num_rows
            progress(done)
            at_ms = part.column("at_ms")
            is_in = pyarrow.compute.and_(
                pyarrow.compute.greater_equal(at_ms, since_ms),
                pyarrow.compute.less(at_ms, until_ms),
            )
            if (inside := part.filter(is_in)).num_rows:
                yield inside
    finally:
        walk.close()
        gc.unfreeze()


async def part_of_rows(
    store: Store, point: str, names: Sequence[str], after: str, until: str, limit: int
) -> tuple[pyarrow.Table, str]:
    """Return the part that comes next, of the rows' own columns, and up to which id it reaches.

    Args:
        names: Of `ROW_COLUMNS`.
        after: Id that it begins behind.
        until: Last id that may be in it.
        limit: Rows, at most.
    """
    wanted = [*dict.fromkeys([*names, "id"])]
    columns = await store.columns(
        DecisionRow, [ROW_COLUMNS[name] for name in wanted],
        Where("point", "=", point), Where("id", "<=", until), after=(after,), limit=limit,
    )  # fmt: skip
    ids = columns[wanted.index("id")]
    arrays = {
        name: pyarrow.array(column, FIXED[name])
        for name, column in zip(wanted, columns, strict=True)
        if name in names
    }
    return pyarrow.table(arrays), ids[-1] if len(ids) == limit else until


def id_from(at_ms: int) -> str:
    """Return an id that all ids made from a moment on come behind."""
    return ulid_text(min(max(at_ms, 0), 2**48 - 1) << 80)


class _Walk:
    """Goes through a point's decisions by id: through copies where they are good, else through the store."""

    def __init__(
        self,
        store: Store,
        point: str,
        copies: Copies | None,
        names: Sequence[str] | None,
        now_ms: int,
        apart: Apart | None,
    ) -> None:
        self._store = store
        self._point = point
        self._copies = copies
        self._names = names
        self._settled = id_from(now_ms - SETTLED_MS)
        self._apart = apart
        self._ahead: asyncio.Task[tuple[pyarrow.Table, str]] | None = None
        self._ahead_from = ""
        self._is_narrow = names is not None and set(names) <= ROW_COLUMNS.keys()

    async def parts(self, after: str, end: str) -> AsyncIterator[pyarrow.Table]:
        known = [] if self._copies is None else await asyncio.to_thread(self._copies.parts)
        while after < end:
            held, known = _holding(known, after)
            if held is None:
                begins = [part.after for part in known if part.after < end]
                until = min([end, *begins])
                if self._is_narrow:
                    table, after = await self._narrow(after, until)
                else:
                    table, after = await self._fresh(after, until, closes=bool(begins))
            elif (copied := await self._copied(held)) is None:
                continue
            else:
                table = copied
                if held.after < after:
                    table = table.filter(pyarrow.compute.greater(table.column("id"), after))
                after = held.last
            yield table

    async def _copied(self, part: Part) -> pyarrow.Table | None:
        """Return a copied part, if it still is what the store holds."""
        copies = self._copies
        if copies is None:
            return None
        if await self._count(part.after, part.last) != part.count:
            await asyncio.to_thread(copies.drop, part)
            return None
        return await asyncio.to_thread(copies.read, part, self._names)

    async def _fresh(self, after: str, until: str, *, closes: bool) -> tuple[pyarrow.Table, str]:
        """Return the next part from the store and up to which id it reaches; it is copied when it is whole and old enough.

        Args:
            closes: Whether a part with fewer rows than others is whole, too, as another one follows.
        """
        tables: list[pyarrow.Table] = []
        rows, cursor = 0, after
        page = asyncio.create_task(self._page(cursor, until))
        try:
            while True:
                ids, records = await page
                rows += len(ids)
                is_full = rows >= PART_ROWS
                if len(ids) == PAGE_ROWS:
                    cursor = ids[-1]
                if is_full or len(ids) < PAGE_ROWS:
                    tables.append(await asyncio.to_thread(parsed, records, ids))
                    break
                page = asyncio.create_task(
                    self._page(cursor, until)
                )  # while the one before is parsed
                tables.append(await asyncio.to_thread(parsed, records, ids))
        finally:
            page.cancel()
        part, last = together(tables), cursor if is_full else until
        if (is_full or closes) and last < self._settled:
            await self._keep(after, last, part)
        return part.select(chosen(part.column_names, self._names)), last

    async def _narrow(self, after: str, until: str) -> tuple[pyarrow.Table, str]:
        """Return the next part from the rows' own columns, and up to which id it reaches; nothing is copied.

        While a part is read and judged here, the one that begins a part's span of time later is read in another process.
        """
        if self._ahead is not None and self._ahead_from == after:
            part, reached = await self._ahead
            self._ahead = None
        else:
            nearest = until if self._ahead is None else self._ahead_from
            part, reached = await self._own(after, nearest)
        if reached != until and self._ahead is None and self._apart is not None:
            self._look_ahead(self._apart, part, reached, until)
        return part, reached

    def _look_ahead(self, apart: Apart, part: pyarrow.Table, reached: str, until: str) -> None:
        """Have the part after the next one read, as far as can be told where it begins; a wrong guess cuts parts smaller."""
        apart.start()
        if not apart.is_ready or part.num_rows == 0:
            return
        ids = part.column("id")
        span_ms = ulid_ms(ids[-1].as_py()) - ulid_ms(ids[0].as_py())
        begin = id_from(ulid_ms(reached) + span_ms)
        if reached < begin < until:
            self._ahead_from = begin
            self._ahead = asyncio.create_task(self._elsewhere(apart, begin, until))

    async def _elsewhere(self, apart: Apart, after: str, until: str) -> tuple[pyarrow.Table, str]:
        try:
            return await apart.part(self._point, self._names or (), after, until, PART_ROWS)
        except Unavailable:
            self._apart = None  # what it would have read is read here
            return await self._own(after, until)

    async def _own(self, after: str, until: str) -> tuple[pyarrow.Table, str]:
        names = self._names or ()
        return await part_of_rows(self._store, self._point, names, after, until, PART_ROWS)

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._ahead is not None:
            self._ahead.cancel()
        self._ahead = None

    async def _page(self, after: str, until: str) -> tuple[list[str], list[str]]:
        """Return ids and records of the decisions that come next."""
        of_point = Where("point", "=", self._point)
        ids, records = await self._store.columns(
            DecisionRow, ("id", "record"), of_point, Where("id", "<=", until),
            after=(after,), limit=PAGE_ROWS,
        )  # fmt: skip
        return ids, records

    async def _keep(self, after: str, last: str, part: pyarrow.Table) -> None:
        """Copy a part, unless a decision was added to its range since it was read.

        Counted first, then looked at again: what is added later raises the count.
        """
        if self._copies is None:
            return
        count = await self._count(after, last)
        (ids,) = await self._store.columns(
            DecisionRow, ("id",), Where("point", "=", self._point), Where("id", "<=", last),
            after=(after,), limit=PART_ROWS + 1,
        )  # fmt: skip
        if ids == part.column("id").to_pylist():
            await asyncio.to_thread(self._copies.write, after, last, count, part)

    async def _count(self, after: str, last: str) -> int:
        found = await self._store.count(
            DecisionRow, Where("id", ">", after), Where("id", "<=", last)
        )
        return found.get((), 0)


def _holding(known: Sequence[Part], after: str) -> tuple[Part | None, list[Part]]:
    """Return the part that goes on behind an id, and those that may follow it."""
    left = [part for part in known if part.last > after]
    held = next((part for part in left if part.after <= after), None)
    return held, [part for part in left if part is not held]
