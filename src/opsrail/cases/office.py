"""The office: what people and doors ask about cases, and what they may do to one: cancel it, send it on.

Every change is compare-and-set on the case's state: a case that moves meanwhile is looked at again, never overwritten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic_core import from_json

from opsrail.cases.machine import CaseEvent, next_state
from opsrail.cases.read_documents import paths_read
from opsrail.cases.runner import CANCEL_TOPIC, Runner, cancel_case
from opsrail.clock import Clock, rfc3339_or_none
from opsrail.errors import Conflict, Fault, InvalidInput, NotFound, StaleWrite
from opsrail.ledger.commitment import record_commitment
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.review.reading import is_plain, untold
from opsrail.values.cases import FINAL_STATES, CaseRow, CaseState, InboxRow, JournalRow, OutboxRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.document_names import named_in, said_without_paths, without_paths
from opsrail.values.reviews import ReviewRow
from opsrail.values.rows import Insert, Require, Update, Where, among

REASON_CHARACTERS = 4_000
PAGE_COUNT = 100
MOST_ROWS = 1_000
ATTEMPTS = 10
"""How often a cancellation looks again at a case that moved; each loss means that the case went one stretch further."""
LOOK_EVERY_S = 0.5
"""How soon the end of a case that another process carries is seen."""
AT_REST = (*FINAL_STATES, CaseState.WAITING, CaseState.SET_ASIDE)


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case with what it did, oldest first; at most `MOST_ROWS` of each kind."""

    case: CaseRow
    journal: tuple[JournalRow, ...]
    decisions: tuple[DecisionRow, ...]
    reviews: tuple[ReviewRow, ...]
    actions: tuple[OutboxRow, ...]

    @property
    def paths(self) -> frozenset[str]:
        """Where the documents lie that the case read."""
        return paths_read(from_json(self.case.input), self.journal)

    def naming(self) -> Callable[[str], str]:
        """Return what tells the case's documents in a message by their names."""
        return partial(named_in, given=from_json(self.case.input), known=self.paths)

    def record(self, *, hides: bool = False, names_only: bool = False) -> dict[str, Any]:
        """Return the view as plain JSON values.

        Args:
            hides: Leave out what the machine said where a blind review is not over: whoever looks may have to rule on it.
            names_only: Tell documents by their names, not by where they lie.
        """
        given, known = from_json(self.case.input), self.paths if names_only else ()
        named = self.naming() if names_only else str
        hidden = {row.decision_id for row in self.reviews if hides and not is_plain(row)}
        return {
            **case_record(self.case, names_only=names_only, known=known),
            "input": without_paths(given, known) if names_only else given,
            "journal": [journal_record(row) for row in self.journal],
            "decisions": [
                {
                    "id": row.id,
                    "point": row.point,
                    "verdict": None if row.id in hidden else row.verdict,
                    "score": None if row.id in hidden else row.score,
                    "degraded": row.degraded,
                }
                for row in self.decisions
            ],
            "reviews": [
                {
                    "id": row.id,
                    "queue": row.queue,
                    "state": str(row.state),
                    "ruling": untold(row, None).ruling,
                }
                for row in self.reviews
            ],
            "actions": [
                {**action_record(row), "last_error": row.last_error and named(row.last_error)}
                for row in self.actions
            ],
        }


class Office:
    """Looks at cases and sends them on, over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, case_id: str) -> CaseRow:
        """Return a case.

        Raises:
            NotFound: no case has that id. Terminal.
        """
        row = await self._store.get(CaseRow, case_id)
        if row is None:
            raise NotFound(f"no case {case_id}; list them with `opsrail cases list`")
        return row

    async def view(self, case_id: str) -> CaseView:
        """Return a case with its journal, decisions, reviews and actions.

        Raises:
            NotFound: no case has that id. Terminal.
        """
        row = await self.get(case_id)
        of_case = Where("case_id", "=", case_id)
        return CaseView(
            row,
            tuple(await self.journal(case_id)),
            tuple(
                await self._store.select(DecisionRow, of_case, order=("seq", "id"), limit=MOST_ROWS)
            ),
            tuple(
                await self._store.select(
                    ReviewRow, of_case, order=("opened_at_ms", "id"), limit=MOST_ROWS
                )
            ),
            tuple(
                await self._store.select(
                    OutboxRow, of_case, order=("created_at_ms", "key"), limit=MOST_ROWS
                )
            ),
        )

    async def journal(self, case_id: str, *, limit: int = MOST_ROWS) -> list[JournalRow]:
        """Return what a case did, in its own order; empty for a case that did nothing, or is none."""
        return await self._store.select(
            JournalRow, Where("case_id", "=", case_id), order=("seq",), limit=limit
        )

    async def actions(
        self,
        *,
        state: str | None = None,
        limit: int = PAGE_COUNT,
        after: str | None = None,
        scopes: frozenset[str] | None = None,
    ) -> list[OutboxRow]:
        """Return actions of cases, newest case first; `after` is the key of the last one of the page before.

        Args:
            scopes: Only of these automations; None: of all.
        """
        where = list(among("automation", scopes))
        where += [] if state is None else [Where("state", "=", state)]
        where += [] if after is None else [Where("key", "<", after)]
        return await self._store.select(
            OutboxRow, *where, order=("key",), descending=True, limit=limit
        )

    async def told_actions(self, rows: Sequence[OutboxRow]) -> Sequence[dict[str, Any]]:
        """Return actions as plain JSON values; why one failed tells its case's documents by their names."""
        failed = tuple({row.case_id for row in rows if row.last_error})
        if not failed:
            return [action_record(row) for row in rows]
        cases = await self._store.select(CaseRow, Where("id", "in", failed), limit=len(failed))
        of_cases = (Where("case_id", "in", failed), Where("kind", "=", "step"))
        steps: dict[str, list[JournalRow]] = {}
        for step in await self._store.select(JournalRow, *of_cases, limit=MOST_ROWS):
            steps.setdefault(step.case_id, []).append(step)
        given = {row.id: from_json(row.input) for row in cases}
        known = {key: paths_read(one, steps.get(key, ())) for key, one in given.items()}
        return [
            action_record(row)
            if row.last_error is None or row.case_id not in given
            else {
                **action_record(row),
                "last_error": named_in(row.last_error, given[row.case_id], known[row.case_id]),
            }
            for row in rows
        ]

    async def list(
        self,
        *,
        automation: str | None = None,
        state: CaseState | None = None,
        limit: int = PAGE_COUNT,
        after: str | None = None,
        scopes: frozenset[str] | None = None,
    ) -> list[CaseRow]:
        """Return cases, newest first.

        Args:
            limit: At most so many.
            after: Id of the last case of the page before.
            scopes: Only of these automations; None: of all.
        """
        where = list(among("automation", scopes))
        where += [] if automation is None else [Where("automation", "=", automation)]
        where += [] if state is None else [Where("state", "=", state)]
        where += [] if after is None else [Where("id", "<", after)]
        return await self._store.select(
            CaseRow, *where, order=("id",), descending=True, limit=limit
        )

    async def cancel(self, case_id: str, reason: str) -> CaseRow:
        """End a case for good; return it as it stands now.

        A case that runs is told to stop and is still `running` in the answer; what it had made durable stays. One
        that is cancelled already is returned as it is.

        Raises:
            InvalidInput: no reason, or a longer one than 4,000 characters. Terminal.
            NotFound: no case has that id. Terminal.
            Conflict: it has its outcome. Nothing changed.
        """
        if not 1 <= len(reason.strip()) <= REASON_CHARACTERS:
            raise InvalidInput(
                f"case {case_id} was not cancelled",
                [Fault("reason", f"say why, in 1 to {REASON_CHARACTERS:,} characters")],
            )
        for _ in range(ATTEMPTS):
            row = await self.get(case_id)
            if row.state == CaseState.CANCELLED:
                return row
            next_state(CaseState(row.state), CaseEvent.CANCEL)
            try:
                if row.state == CaseState.RUNNING:
                    await self._tell_to_stop(row, reason)
                else:
                    await cancel_case(self._store, row, reason, self._clock.now_ms())
                return await self.get(case_id)
            except StaleWrite:
                continue
        raise Conflict(f"case {case_id} moves too fast to be cancelled; try again")

    async def retry(self, case_id: str, *, by: str = "operator", reason: str = "") -> CaseRow:
        """Send a case that was set aside on, from its journal, with a clean count of failures; return it.

        Args:
            reason: Why, for who looks at it meanwhile; the ledger commits to it.

        Raises:
            InvalidInput: a longer reason than 4,000 characters. Terminal.
            NotFound: no case has that id. Terminal.
            Conflict: it is not set aside. Nothing changed.
        """
        if len(reason) > REASON_CHARACTERS:
            fault = Fault("reason", f"has more than {REASON_CHARACTERS:,} characters")
            raise InvalidInput(f"case {case_id} was not sent on", [fault])
        row = await self.get(case_id)
        now_ms = self._clock.now_ms()
        change: dict[str, Any] = {
            "state": next_state(CaseState(row.state), CaseEvent.RETRY),
            "failures": 0,
            "losses": 0,
            "due_at_ms": now_ms,
            "updated_at_ms": now_ms,
        }
        told = {"automation": row.automation, "by": by}
        if reason:
            change["reason"] = f"sent on by {by}: {reason}"
            told["commitment"] = record_commitment(row.salt, reason.encode())
        noted = entry("case.retried", row.id, now_ms, told)
        await self._store.commit(
            [Update(CaseRow, (row.id,), change, {"state": row.state, "owner": row.owner}), noted]
        )
        return row._replace(**change)

    async def _tell_to_stop(self, row: CaseRow, reason: str) -> None:
        told = InboxRow(f"cancel-{row.id}", row.id, CANCEL_TOPIC, reason, self._clock.now_ms())
        if await self._store.get(InboxRow, told.id) is None:
            await self._store.commit(
                [Insert(told), Require(CaseRow, (row.id,), {"state": CaseState.RUNNING})]
            )


async def at_rest(
    office: Office,
    runner: Runner,
    row: CaseRow,
    *,
    is_new: bool,
    wait_s: float,
    is_closing: Callable[[], bool] = lambda: False,
) -> CaseRow:
    """Return the case as soon as it is settled, parked, cancelled or set aside, else as it is after `wait_s`.

    Call it right after acceptance, before anything else is awaited: then no end of the first stretch is missed.

    Args:
        is_new: The row was accepted a moment ago; else it is read again first.
        wait_s: Above 0.
        is_closing: Whether to stop waiting; looked at every `LOOK_EVERY_S`.
    """
    ending = runner.ending_of(row.id)
    try:
        async with asyncio.timeout(wait_s):
            if not is_new or row.state != CaseState.RUNNING:
                row = await office.get(row.id)
            while row.state not in AT_REST and not is_closing():
                await asyncio.wait((ending,), timeout=LOOK_EVERY_S)
                if ending.done():
                    ending = runner.ending_of(row.id)
                row = await office.get(row.id)
    except TimeoutError:
        pass
    finally:
        runner.forget(row.id, ending)
    return row


def case_record(
    row: CaseRow, *, names_only: bool = False, known: Collection[str] = ()
) -> dict[str, Any]:
    """Return a case as plain JSON values, without what it was given.

    Args:
        names_only: Tell documents by their names, not by where they lie.
        known: Paths of documents that do not end as documents do.
    """
    outcome, reason = None if row.outcome is None else from_json(row.outcome), row.reason
    if names_only:
        outcome = without_paths(outcome, known)
        reason = reason and said_without_paths(reason, from_json(row.input), known)
    return {
        "id": row.id,
        "automation": row.automation,
        "definition": row.definition,
        "state": str(row.state),
        "source": row.source,
        "outcome": outcome,
        "reason": reason,
        "waiting_for": row.waiting_for,
        "failures": row.failures,
        "priority": row.priority,
        "correlation_id": row.correlation_id,
        "due_at": rfc3339_or_none(row.due_at_ms),
        "accepted_at": rfc3339_or_none(row.accepted_at_ms),
        "updated_at": rfc3339_or_none(row.updated_at_ms),
        "settled_at": rfc3339_or_none(row.settled_at_ms),
    }


def journal_record(row: JournalRow) -> dict[str, Any]:
    """Return what a case did as plain JSON values, without results."""
    return {
        "seq": row.seq,
        "kind": row.kind,
        "name": row.name,
        "attempts": row.attempts,
        "at": rfc3339_or_none(row.at_ms),
    }


def action_record(row: OutboxRow) -> dict[str, Any]:
    """Return an action as plain JSON values, without its arguments and what the far side answered."""
    return {
        "key": row.key,
        "case_id": row.case_id,
        "automation": row.automation,
        "action": row.action,
        "state": str(row.state),
        "attempts": row.attempts,
        "last_error": row.last_error,
        "due_at": rfc3339_or_none(row.due_at_ms),
        "created_at": rfc3339_or_none(row.created_at_ms),
        "sent_at": rfc3339_or_none(row.sent_at_ms),
    }
