"""Control cases: cases whose right ruling is known, put among the others to see how people rule."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from opsrail.clock import Clock
from opsrail.errors import Conflict, Fault, InvalidInput, NotFound, StaleWrite
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.review.unasked import ASKED, is_queue
from opsrail.values.canonical import canonical
from opsrail.values.decisions import Decision
from opsrail.values.reviews import ControlRow
from opsrail.values.rows import Delete, Insert, Require, Where, Write, equals

FIELDS = ("queue", "subject", "truth")
SUBJECT = ("input", "decision", "show")
"""What a person is shown of a case, as `ReviewRow.subject`."""
MOST_FAULTS = 1_000
MOST_ROWS = 10_000
"""Control cases that one call may add. Ours: a desk sees a handful a day."""
TRUTH_CHARACTERS = 64


class Given(NamedTuple):
    """One control case as somebody gives it.

    Attributes:
        place: Where it stands, e.g. `line 3`.
        values: `queue`, `truth` and `subject`: `{"input", "decision", "show"}`, at least `input`.
        faults: Why it could not be read.
    """

    place: str
    values: Mapping[str, Any]
    faults: tuple[Fault, ...] = ()


class Added(NamedTuple):
    """What was added, and how many stood there already."""

    rows: list[ControlRow]
    unchanged: int


class Controls:
    """Control cases, over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, given: Iterable[Given], *, by: str) -> Added:
        """Add control cases, all or none; one that is there with the same content is left as it is.

        Raises:
            InvalidInput: every fault with its place. Terminal; nothing was added.
            Conflict: the same were added by somebody else a moment ago. Nothing was added.
        """
        now_ms = self._clock.now_ms()
        rows: dict[str, ControlRow] = {}
        found: list[Fault] = [] if by.strip() else [Fault("by", "is empty; say who")]
        for one in given:
            wrong = list(_faults(one))
            found += wrong
            if not wrong:
                row = _row(one.values, by, now_ms)
                rows[row.id] = row
            if len(rows) > MOST_ROWS:
                raise InvalidInput(f"more than {MOST_ROWS:,} control cases at once; add fewer")
        if found:
            raise InvalidInput("no control case was added", found[:MOST_FAULTS])
        known = await self._known(tuple(rows))
        fresh = [row for row in rows.values() if row.id not in known]
        writes: list[Write] = []
        for row in fresh:
            told = {"by": by, "queue": row.queue}
            writes += [Insert(row), entry("control.added", row.id, now_ms, told)]
        try:
            if writes:
                await self._store.commit(writes)
        except StaleWrite as lost:
            raise Conflict(
                "some were added by somebody else a moment ago; add them again"
            ) from lost
        return Added(fresh, len(rows) - len(fresh))

    async def listed(
        self, queue: str | None = None, *, after: str = "", limit: int = 100
    ) -> list[ControlRow]:
        """Return control cases by id, from behind `after`."""
        of_queue = () if queue is None else equals(queue=queue)
        return await self._store.select(
            ControlRow, *of_queue, Where("id", ">", after), order=("id",), limit=limit
        )

    async def remove(self, control_id: str, *, by: str) -> ControlRow:
        """Take a control case out; what was ruled on it before still counts.

        Raises:
            NotFound: there is none of that id. Terminal.
            Conflict: it was put to somebody just then. Try again.
        """
        row = await self._store.get(ControlRow, control_id)
        if row is None:
            raise NotFound(
                f"no control case {control_id[:63]!r}; list them with `opsrail reviews controls list`"
            )
        told = {"by": by, "queue": row.queue, "used": row.used}
        try:
            await self._store.commit(
                [
                    Require(ControlRow, (row.id,), {"used": row.used}),
                    Delete(ControlRow, {"id": row.id}),
                    entry("control.removed", row.id, self._clock.now_ms(), told),
                ]
            )
        except StaleWrite as lost:
            raise Conflict(f"control case {row.id} was used a moment ago; try again") from lost
        return row

    async def _known(self, ids: tuple[str, ...]) -> set[str]:
        known: set[str] = set()
        for begin in range(0, len(ids), 500):
            some = Where("id", "in", ids[begin : begin + 500])
            known |= {row.id for row in await self._store.select(ControlRow, some, limit=500)}
        return known


def control_record(row: ControlRow) -> dict[str, Any]:
    """Return a control case as plain JSON values, but for when it was added."""
    return {
        "id": row.id, "queue": row.queue, "truth": row.truth, "used": row.used, "added_by": row.added_by,
        "subject": from_json(row.subject),
    }  # fmt: skip


def _faults(one: Given) -> Iterator[Fault]:
    if one.faults:
        yield from (Fault(fault.place or one.place, fault.message) for fault in one.faults)
        return
    values = one.values
    for name in values:
        if name not in FIELDS:
            yield Fault(f"{one.place} {name}", f"is not known; there are: {', '.join(FIELDS)}")
    queue, subject, truth = (values.get(name) for name in FIELDS)
    if not is_queue(queue):
        yield Fault(f"{one.place} queue", "name a queue, 1 to 100 printable ASCII characters")
    if not isinstance(truth, str) or not 1 <= len(truth) <= TRUTH_CHARACTERS or truth == ASKED:
        yield Fault(
            f"{one.place} truth",
            f"say the right ruling in 1..{TRUTH_CHARACTERS} characters, e.g. approve",
        )
    if not isinstance(subject, dict) or "input" not in subject or set(subject) - set(SUBJECT):
        yield Fault(
            f"{one.place} subject",
            'say what is shown, as a review does: {"input": {...}, "decision": {...} or null, "show": null}',
        )
    elif not isinstance(record := subject.get("decision"), dict | None):
        yield Fault(f"{one.place} subject.decision", "is a decision's record, or null")
    elif record is not None:
        try:
            Decision.from_record(spoken(record))
        except InvalidInput as wrong:
            yield from (
                Fault(
                    f"{one.place} subject.decision",
                    f"is no decision as `opsrail reviews show --json` writes one: {fault.message}",
                )
                for fault in wrong.faults
            )


def spoken(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a decision's record that may have been taken from a blind review: what was hidden there says nothing."""
    return {**record, "verdict": ASKED if record.get("verdict") is None else record["verdict"]}


def _row(values: Mapping[str, Any], by: str, now_ms: int) -> ControlRow:
    """Return the row; the same content has the same id."""
    subject = {name: values["subject"].get(name) for name in SUBJECT}
    content = canonical([values["queue"], subject, values["truth"]])
    control_id = f"control-{hashlib.sha256(content).hexdigest()[:20]}"
    if isinstance(subject["decision"], dict):
        subject["decision"] = from_json(canonical(spoken(subject["decision"])))
    text = to_json(subject).decode()  # people see an input in the order in which it was given
    return ControlRow(control_id, values["queue"], text, values["truth"], by, now_ms, 0)
