"""Makes decisions durable before they are answered, once a key.

Within a process the table of requests under way tells twins apart; across processes the unique key does: of two commits
with the same key the second is refused whole, and its caller gets the decision of the first. A key that has expired is
given to the next request by a change that counts only while nobody else has changed it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from opsrail import faults
from opsrail.clock import Clock
from opsrail.decide.group_commit import GroupCommit
from opsrail.errors import InFlight, KeyReused, Overloaded, StaleWrite, StoreUnavailable
from opsrail.ledger.commitment import FIELD, SALT_BYTES, record_commitment
from opsrail.ports import Store
from opsrail.values.canonical import written
from opsrail.values.cases import KeyRow
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.values.rows import Append, Insert, Update, Value, Write

log = logging.getLogger("opsrail.decide")
ROOM_AFTER_S = 1.0
"""Ours: thousands of decisions are written in a second once the database answers."""
AGAIN_S = 0.5
"""Ours: a database that is away is asked again twice a second."""
Also = Callable[[Decision], Sequence[Write]]
KEY_TTL_S = 604_800
"""A week: a caller's queue that stood still over a long weekend may still ask again. Ours; Stripe keeps keys for 24 h at
least."""


class Ticket(NamedTuple):
    """What tells a request from its twins.

    Attributes:
        scope: `decision:<point>:<actor>`: two callers with the same key never meet.
        key: The caller's idempotency key.
        body_digest: Of the request that came with it.
    """

    scope: str
    key: str
    body_digest: str


class _Once:
    """Holds a key while a block runs. A class, as most requests have no key: a generator costs four times as much."""

    __slots__ = ("_recorder", "_ticket")

    def __init__(self, recorder: Recorder, ticket: Ticket | None) -> None:
        self._recorder = recorder
        self._ticket = ticket

    async def __aenter__(self) -> Decision | None:
        return None if self._ticket is None else await self._recorder.take(self._ticket)

    async def __aexit__(self, *_: object) -> None:
        if self._ticket is not None:
            self._recorder.let_go(self._ticket)


class Recorder:
    """Writes decisions, and finds the one that a key already has.

    Args:
        key_ttl_s: Time for which a key stands for its decision; later it is as good as new.
        linger_s: How long a decision waits for others to be committed with, at most.
        most_pending: Decisions that wait to be durable, at most; more are refused before a model is asked.

    Attributes:
        unwritten: Decisions answered without waiting for the disk (`async`) that the database then refused.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        key_ttl_s: int = KEY_TTL_S,
        *,
        linger_s: float = 0.002,
        most_pending: int = 10_000,
    ) -> None:
        self._store = store
        self._clock = clock
        self._groups = GroupCommit(store, clock, linger_s)
        self._most_pending = most_pending
        self.unwritten = 0
        self._put_off: dict[str, tuple[asyncio.TimerHandle, Sequence[Write]]] = {}
        self._key_ttl_ms = key_ttl_s * 1000
        self._under_way: dict[tuple[str, str], str] = {}
        self._expired: dict[tuple[str, str], KeyRow] = {}

    @property
    def pending(self) -> int:
        """Decisions that are not durable yet."""
        return self._groups.pending + len(self._put_off)

    @property
    def mean_group(self) -> float:
        """Decisions that a commit of a group held, on average; 0 before the first."""
        return self._groups.sent / self._groups.groups if self._groups.groups else 0.0

    @property
    def lately(self) -> int:
        """Decisions that the larger of the last two commits of groups held; 1 before the first."""
        return self._groups.lately

    def check_room(self) -> None:
        """Raise Overloaded when the database is behind: what cannot be recorded must not be decided."""
        if self.pending >= self._most_pending:
            raise Overloaded(
                f"{self._most_pending} decisions wait to be recorded, as many as may; ask again in a moment",
                after_s=ROOM_AFTER_S,
            )

    async def drain(self) -> None:
        """Make all that was answered durable; what the database still does not take is named in the log."""
        for decision_id, (timer, writes) in list(self._put_off.items()):
            timer.cancel()
            self._record_later(decision_id, writes)
        await self._groups.drain()
        for decision_id, (timer, _) in self._put_off.items():
            timer.cancel()
            self._give_up(decision_id, StoreUnavailable("the process ended before it answered"))
        self._put_off.clear()

    def once(self, ticket: Ticket | None) -> _Once:
        """Hold a key while its request is decided; gives the decision it already has, if any.

        Raises:
            InFlight: its twin is being decided in this process.
            KeyReused: the key came with another request before.
        """
        return _Once(self, ticket)

    async def take(self, ticket: Ticket) -> Decision | None:
        """Hold a key, see `once`; it has to be let go whatever comes of it."""
        place = ticket.scope, ticket.key
        if (body_digest := self._under_way.get(place)) is not None:
            _check_body(ticket, body_digest)
            raise InFlight(
                f"{ticket.scope}: the request with key {ticket.key!r} is still running; ask again with the same key"
            )
        self._under_way[place] = ticket.body_digest
        try:
            return await self._earlier(ticket)
        except BaseException:
            self.let_go(ticket)
            raise

    def let_go(self, ticket: Ticket) -> None:
        """Hold a key no more."""
        place = ticket.scope, ticket.key
        del self._under_way[place]
        self._expired.pop(place, None)

    async def record(
        self, decision: Decision, ticket: Ticket | None, also: Also | None
    ) -> Decision:
        """Make a decision durable with its key, its ledger entry and what the caller adds, in one commit.

        Returns:
            The decision that stands: this one, or that of a twin in another process that was first.

        Raises:
            StaleWrite, Fenced: what the caller adds does not hold; nothing was written.
            KeyReused: another process wrote the key for another request.
            StoreUnavailable: nothing was accepted.
        """
        faults.point("decide.before_record")
        row, entry = _written(decision, self._clock.token(SALT_BYTES).hex())
        writes: list[Write] = [Insert(row), entry]
        if ticket is not None:
            return await self._record_once(decision, ticket, writes)
        if also is not None:
            await self._store.commit([*writes, *also(decision)])
        elif decision.durability == "synced":
            await self._store.commit(writes)
        elif decision.durability == "async":
            self._record_later(decision.id, writes)
        else:
            await self._groups.add(writes)
        faults.point("decide.after_record")
        return decision

    def _record_later(self, decision_id: str, writes: Sequence[Write]) -> None:
        """Hand a decision over without waiting; it is tried again for as long as the database is away."""
        self._put_off.pop(decision_id, None)

        def ended(future: asyncio.Future[None]) -> None:
            error = None if future.cancelled() else future.exception()
            if isinstance(error, StoreUnavailable):
                timer = asyncio.get_running_loop().call_later(
                    AGAIN_S, self._record_later, decision_id, writes
                )
                self._put_off[decision_id] = (timer, writes)
            elif error is not None and not isinstance(error, StaleWrite):
                self._give_up(decision_id, error)

        self._groups.add(writes).add_done_callback(ended)

    def _give_up(self, decision_id: str, error: BaseException) -> None:
        self.unwritten += 1
        log.error("decision %s was answered and cannot be recorded: %s", decision_id, error)

    async def _record_once(
        self, decision: Decision, ticket: Ticket, writes: Sequence[Write]
    ) -> Decision:
        """Commit a decision together with its key, unless the key has one by now."""
        row = KeyRow(*ticket, decision.id, decision.at_ms)
        place = ticket.scope, ticket.key
        while True:
            expired = self._expired.get(place)
            try:
                await self._store.commit([*writes, _named(row, expired)])
            except StaleWrite:
                if (earlier := await self._earlier(ticket)) is not None:
                    return earlier
                if self._expired.get(place) == expired:  # nothing moved: it is not the key
                    raise
                continue
            faults.point("decide.after_record")
            return decision

    async def _earlier(self, ticket: Ticket) -> Decision | None:
        """Return the decision that a key stands for; notes the row of one that has expired, which is none."""
        place = ticket.scope, ticket.key
        self._expired.pop(place, None)
        key = await self._store.get(KeyRow, *place)
        if key is None:
            return None
        if key.at_ms + self._key_ttl_ms <= self._clock.now_ms():
            self._expired[place] = key
            return None
        _check_body(ticket, key.body_digest)
        return await recorded(self._store, key.subject_id)


def _named(row: KeyRow, expired: KeyRow | None) -> Write:
    """Return the write that gives a key to its decision; it is refused when another was first."""
    if expired is None:
        return Insert(row)
    stands: dict[str, Value] = {
        "body_digest": row.body_digest,
        "subject_id": row.subject_id,
        "at_ms": row.at_ms,
    }
    return Update(KeyRow, (row.scope, row.key), stands, {"subject_id": expired.subject_id})


async def recorded(store: Store, decision_id: str) -> Decision:
    """Return a decision from its record, as the answer to one who asked before.

    Raises:
        StoreUnavailable: the store has no such decision although its key points to it.
    """
    row = await store.get(DecisionRow, decision_id)
    if row is None:
        raise StoreUnavailable(
            f"decision {decision_id} is known by its key, its record is missing; restore the database"
        )
    return Decision.repeated(row.record)


def _check_body(ticket: Ticket, body_digest: str) -> None:
    if body_digest != ticket.body_digest:
        raise KeyReused(
            f"{ticket.scope}: key {ticket.key!r} came with another request before; use a fresh key"
        )


def row_of(decision: Decision, salt: str) -> DecisionRow:
    """Return the row that a store keeps of a decision.

    Args:
        salt: 32 random bytes as hex.
    """
    model, reason = decision.model, decision.reasons[0]
    if reason.source == "autonomy":  # policy's own stand behind it
        reason = decision.reasons[1]
    return DecisionRow(
        decision.id,
        decision.point,
        decision.case_id,
        decision.seq,
        None if model is None else model.name,
        None if model is None else model.number,
        decision.policy_version,
        decision.score,
        decision.verdict,
        decision.proposed,
        reason.source,
        reason.code,
        len(decision.unknown),
        decision.degraded,
        round(decision.latency_ms["total"] * 1000),
        decision.at_ms,
        decision.written().decode(),
        salt,
    )


def _written(decision: Decision, salt: str) -> tuple[DecisionRow, Append]:
    """Return the row of a decision and its ledger entry, which commits to the record and shows no personal values."""
    record, model = decision.written(), decision.model
    row = row_of(decision, salt)
    envelope = {
        "actor": decision.actor,
        "at_ms": decision.at_ms,
        "case": decision.case_id,
        FIELD: record_commitment(salt, record),
        "correlation_id": decision.correlation_id,
        "decision": decision.id,
        "degraded": decision.degraded,
        "model": None if model is None else f"{model.name}/{model.number}",
        "model_digest": None if model is None else model.digest,
        "point": decision.point,
        "policy_version": decision.policy_version,
        "verdict": decision.verdict,
    }
    return row, Append("decision.made", decision.id, decision.at_ms, written(envelope))
