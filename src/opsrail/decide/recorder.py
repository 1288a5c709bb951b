"""Makes decisions durable before they are answered, once a key.

Within a process the table of requests under way tells twins apart; across processes the unique key does: of two commits
with the same key the second is refused whole, and its caller gets the decision of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import orjson

from opsrail import faults
from opsrail.clock import Clock
from opsrail.errors import InFlight, KeyReused, StaleWrite, StoreUnavailable
from opsrail.ledger.commitment import FIELD, SALT_BYTES, record_commitment
from opsrail.ports import Store
from opsrail.values.canonical import written
from opsrail.values.cases import KeyRow
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.values.rows import Append, Insert, Write

Also = Callable[[Decision], Sequence[Write]]


class Ticket(NamedTuple):
    """What tells a request from its twins.

    Attributes:
        scope: `decision:<point>`.
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
    """Writes decisions, and finds the one that a key already has."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._under_way: dict[tuple[str, str], str] = {}

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
        del self._under_way[ticket.scope, ticket.key]

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
            writes.append(Insert(KeyRow(*ticket, decision.id, decision.at_ms)))
        if also is not None:
            writes += also(decision)
        try:
            await self._store.commit(writes)
        except StaleWrite:
            earlier = None if ticket is None else await self._earlier(ticket)
            if earlier is None:
                raise
            return earlier
        faults.point("decide.after_record")
        return decision

    async def _earlier(self, ticket: Ticket) -> Decision | None:
        key = await self._store.get(KeyRow, ticket.scope, ticket.key)
        if key is None:
            return None
        _check_body(ticket, key.body_digest)
        return await recorded(self._store, key.subject_id)


async def recorded(store: Store, decision_id: str) -> Decision:
    """Return a decision from its record.

    Raises:
        StoreUnavailable: the store has no such decision although its key points to it.
    """
    row = await store.get(DecisionRow, decision_id)
    if row is None:
        raise StoreUnavailable(
            f"decision {decision_id} is known by its key, its record is missing; restore the database"
        )
    return Decision.from_record(orjson.loads(row.record))


def _check_body(ticket: Ticket, body_digest: str) -> None:
    if body_digest != ticket.body_digest:
        raise KeyReused(
            f"{ticket.scope}: key {ticket.key!r} came with another request before; use a fresh key"
        )


def _written(decision: Decision, salt: str) -> tuple[DecisionRow, Append]:
    """Return the row of a decision and its ledger entry, which commits to the record and shows no personal values."""
    record = decision.written()
    model = decision.model
    row = DecisionRow(
        decision.id,
        decision.point,
        decision.case_id,
        decision.seq,
        None if model is None else model.name,
        None if model is None else model.number,
        decision.policy_version,
        decision.score,
        decision.verdict,
        decision.degraded,
        round(decision.latency_ms["total"] * 1000),
        record.decode(),
        salt,
        decision.at_ms,
    )
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
