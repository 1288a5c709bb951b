"""Removes what old cases left behind, unless someone holds it; safe to kill anywhere, the next run completes it.

Each batch goes two steps. First its cases are marked `pruning`, which no hold can be put on any more; then, in one commit,
all their rows go, their idempotency keys among them, and a ledger entry says so. Ledger entries stay: they hold commitments
to salted records, and the salts are gone with the rows. Ids are ULIDs and never used again, and a removed key frees its
name, so nothing that was removed can make new work be taken for old.

Idempotency keys of decisions go once they have expired; one that was given to new work in the meantime stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from opsrail import faults
from opsrail.clock import Clock
from opsrail.decide.recorder import KEY_TTL_S
from opsrail.errors import Conflict, InvalidInput, NotFound, StaleWrite
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.values.cases import (
    FINAL_STATES,
    CaseRow,
    CaseState,
    HoldRow,
    InboxRow,
    JournalRow,
    KeyRow,
    OutboxRow,
    OutboxState,
)
from opsrail.values.decisions import DecisionRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import NoticeRow, ReviewEventRow, ReviewRow, RulingRow
from opsrail.values.rows import Delete, Insert, Require, Update, Where, Write

FLOOR_DAYS = 184
"""Source: Regulation (EU) 2024/1689, Articles 19 and 26(6): logs are kept at least six months."""
DAY_MS = 86_400_000
BATCH = 200
DECISION_KEYS = "decision:"
OF_A_CASE = (JournalRow, InboxRow, OutboxRow, DecisionRow, ReviewRow)


class Pruned(NamedTuple):
    """What a run removed.

    Attributes:
        cases: Removed.
        held: Old enough, but held.
        unsent: Old enough, but an action of theirs was not sent yet.
        keys: Expired idempotency keys of decisions, removed.
    """

    cases: int
    held: int
    unsent: int
    keys: int = 0


class Retention:
    """Keeps what must be kept and removes the rest, over a store.

    Args:
        key_ttl_s: Time for which an idempotency key of a decision stands.
    """

    def __init__(self, store: Store, clock: Clock, key_ttl_s: int = KEY_TTL_S) -> None:
        self._store = store
        self._clock = clock
        self._key_ttl_ms = key_ttl_s * 1000

    async def hold(self, case_id: str, *, by: str, reason: str) -> HoldRow:
        """Keep a case for as long as the hold stands.

        Raises:
            NotFound: no such case. Terminal.
            Conflict: it is held already, or being removed.
        """
        row = await self._store.get(CaseRow, case_id)
        if row is None:
            raise NotFound(f"no case {case_id}; list them with `opsrail cases list`")
        if row.state == CaseState.PRUNING:
            raise Conflict(f"case {case_id} is being removed; it can no longer be held")
        if not by or not reason.strip():
            raise InvalidInput(f"case {case_id} was not held: say who holds it and why")
        held = HoldRow(case_id, by, reason, self._clock.now_ms())
        noted = entry("case.held", case_id, held.at_ms, {"by": by})
        try:
            same = Require(CaseRow, (case_id,), {"state": row.state})
            await self._store.commit([same, Insert(held), noted])
        except StaleWrite as lost:
            raise Conflict(
                f"case {case_id} is held already, or moved just now; look again"
            ) from lost
        return held

    async def release(self, case_id: str, *, by: str) -> None:
        """End a hold.

        Raises:
            NotFound: the case is not held. Terminal.
        """
        if await self._store.get(HoldRow, case_id) is None:
            raise NotFound(f"case {case_id} is not held")
        noted = entry("case.hold_released", case_id, self._clock.now_ms(), {"by": by})
        await self._store.commit([Delete(HoldRow, {"case_id": case_id}), noted])

    async def prune(
        self, days: int, *, by: str, progress: Callable[[int], None] = lambda removed: None
    ) -> Pruned:
        """Remove cases that ended more than `days` ago, and idempotency keys of decisions that have expired.

        Args:
            days: At least FLOOR_DAYS.
            progress: Called with the number of cases removed so far.

        Raises:
            InvalidInput: `days` is below the floor. Terminal; nothing was removed.
        """
        if days < FLOOR_DAYS:
            raise InvalidInput(
                f"{days} days is below the floor: records are kept {FLOOR_DAYS} days at least"
            )
        removed = await self._finish(by)
        before_ms = self._clock.now_ms() - days * DAY_MS
        held = unsent = 0
        after = ""
        while rows := await self._ended(before_ms, after):
            after = rows[-1].id
            ids = [row.id for row in rows]
            kept, waiting = await self._held(ids), await self._unsent(ids)
            held, unsent = held + len(kept), unsent + len(waiting - kept)
            if free := tuple(case_id for case_id in ids if case_id not in kept | waiting):
                final = Where("state", "in", FINAL_STATES)
                marked = {"state": CaseState.PRUNING}
                await self._store.take(
                    CaseRow, Where("id", "in", free), final, set=marked, limit=BATCH
                )
                faults.point("retention.marked")
                removed += await self._finish(by)
            progress(removed)
        return Pruned(removed, held, unsent, await self._expire(by))

    async def _expire(self, by: str) -> int:
        """Remove the keys of decisions that have expired, scope by scope in the order of the primary key."""
        before_ms = self._clock.now_ms() - self._key_ttl_ms
        count = 0
        for (scope,) in await self._store.count(KeyRow, by=("scope",)):
            if not scope.startswith(DECISION_KEYS):
                continue
            old = Where("scope", "=", scope), Where("at_ms", "<=", before_ms)
            after = ""
            while rows := await self._store.select(
                KeyRow, *old, Where("key", ">", after), order=("key",), limit=BATCH
            ):
                after = rows[-1].key
                writes: list[Write] = [Delete(KeyRow, row._asdict()) for row in rows]
                fields = {"by": by, "count": len(rows), "scope": scope}
                writes.append(entry("keys.expired", "keys", self._clock.now_ms(), fields))
                await self._store.commit(writes)
                faults.point("retention.expired")
                count += len(rows)
        return count

    async def _ended(self, before_ms: int, after: str) -> list[CaseRow]:
        old = Where("settled_at_ms", "<", before_ms)
        final = Where("state", "in", FINAL_STATES)
        return await self._store.select(
            CaseRow, final, old, Where("id", ">", after), order=("id",), limit=BATCH
        )

    async def _held(self, ids: Sequence[str]) -> set[str]:
        rows = await self._store.select(HoldRow, Where("case_id", "in", tuple(ids)), limit=len(ids))
        return {row.case_id for row in rows}

    async def _unsent(self, ids: Sequence[str]) -> set[str]:
        due = Where("state", "!=", OutboxState.SENT)
        return {
            case_id
            for (case_id,) in await self._store.count(
                OutboxRow, Where("case_id", "in", tuple(ids)), due, by=("case_id",)
            )
        }

    async def _finish(self, by: str) -> int:
        """Remove every case that is marked, but for those that got a hold just before they were; return how many."""
        count = 0
        while rows := await self._store.select(
            CaseRow, Where("state", "=", CaseState.PRUNING), limit=BATCH
        ):
            kept = await self._held([row.id for row in rows])
            writes: list[Write] = []
            for row in rows:
                marked = {"state": CaseState.PRUNING}
                if row.id in kept:
                    back = CaseState.CANCELLED if row.outcome is None else CaseState.SETTLED
                    writes.append(Update(CaseRow, (row.id,), {"state": back}, marked))
                    continue
                writes.append(Require(CaseRow, (row.id,), marked))
                writes += [Delete(table, {"case_id": row.id}) for table in OF_A_CASE]
                writes.append(Delete(CaseRow, {"id": row.id}))
            gone = [row.id for row in rows if row.id not in kept]
            writes += await self._outcomes(gone) + await self._reviews(gone)
            writes += await self._keys(gone)
            if gone:
                fields = {"by": by, "count": len(gone), "last": gone[-1]}
                writes.append(entry("cases.pruned", gone[0], self._clock.now_ms(), fields))
            try:
                await self._store.commit(writes)
            except StaleWrite:  # another run removed the same batch
                continue
            faults.point("retention.removed")
            count += len(gone)
        return count

    async def _outcomes(self, ids: Sequence[str]) -> list[Write]:
        """Return the writes that remove what turned out of removed cases' decisions, and the keys it was told with."""
        writes: list[Write] = []
        decisions = [id for (id,) in await self._among(DecisionRow, "case_id", ids, "id")]
        told = [id for (id,) in await self._among(OutcomeRow, "decision_id", decisions, "id")]
        for scope, key in await self._among(KeyRow, "subject_id", told, "scope", "key"):
            writes.append(Delete(KeyRow, {"scope": scope, "key": key}))
        return writes + [Delete(OutcomeRow, {"id": outcome}) for outcome in told]

    async def _reviews(self, ids: Sequence[str]) -> list[Write]:
        """Return the writes that remove what people said of removed cases: rulings, events, notices, and spot checks.

        No case of theirs takes spot checks along: they are found by the decision.
        """
        reviews = [id for (id,) in await self._among(ReviewRow, "case_id", ids, "id")]
        decisions = [id for (id,) in await self._among(DecisionRow, "case_id", ids, "id")]
        found = await self._among(ReviewRow, "decision_id", decisions, "id", "case_id")
        checks = [id for id, case_id in found if case_id is None]
        told: list[Write] = [
            Delete(table, {"review_id": id})
            for id in (*reviews, *checks)
            for table in (RulingRow, ReviewEventRow)
        ]
        notices = await self._among(NoticeRow, "subject_id", [*reviews, *checks], "id")
        told += [Delete(NoticeRow, {"id": id}) for (id,) in notices]
        return [*told, *(Delete(ReviewRow, {"id": id}) for id in checks)]

    async def _among(
        self, table: type[tuple[Any, ...]], column: str, values: Sequence[str], *wanted: str
    ) -> list[tuple[Any, ...]]:
        """Return columns of all rows whose column has one of the values, a batch of values at a time."""
        found: list[tuple[Any, ...]] = []
        for start in range(0, len(values), BATCH):
            where = Where(column, "in", tuple(values[start : start + BATCH]))
            found += await self._store.count(table, where, by=wanted)
        return found

    async def _keys(self, ids: Sequence[str]) -> list[Write]:
        """Return the writes that free the keys of removed cases; without this a late twin would find a case that is gone."""
        if not ids:
            return []
        rows = await self._store.select(
            KeyRow, Where("subject_id", "in", tuple(ids)), limit=10 * BATCH
        )
        return [Delete(KeyRow, {"scope": row.scope, "key": row.key}) for row in rows]
