"""What the store keeps of a case: its row, its journal, what came in for it, what goes out from it, and who works on it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class CaseState(StrEnum):
    """Where a case stands; `cases/machine.py` holds the table of moves."""

    READY = "ready"  # may run as soon as due_at_ms is past
    RUNNING = "running"  # owned by a worker
    WAITING = "waiting"  # parked: rows only, until an inbox row or due_at_ms wakes it
    SETTLED = "settled"  # has its outcome
    SET_ASIDE = "set_aside"  # poison or broken code: waits for `opsrail cases retry`
    CANCELLED = "cancelled"
    PRUNING = "pruning"  # ended long ago, being removed


FINAL_STATES = (CaseState.SETTLED, CaseState.CANCELLED)


class CaseRow(NamedTuple):
    """One run of an automation.

    Attributes:
        id: ULID, never reused.
        automation: Name of the definition.
        definition: Digest of the automation's code when the case was accepted.
        state: A CaseState.
        source: Where it came from: `http`, `file:<name>`, `api`...
        input: Canonical JSON of the case's input.
        outcome: JSON of what the automation returned, once settled.
        reason: Why it is set aside or cancelled, or the last failure.
        waiting_for: Inbox topics that wake it, e.g. `review:<id>`; `timer` for time alone.
        owner: Worker that runs it, else NULL.
        failures: Times in a row that the author's code raised without the journal growing; at 3 it is set aside.
        losses: Times in a row that its worker's process died without the journal growing; at 3 it is set aside.
        progress: Journal length when failures or losses were last counted.
        priority: Smaller runs first; 0..9, 5 is normal.
        due_at_ms: Not before this moment when ready; wakes then when waiting; NULL: waits for a topic alone.
        correlation_id: W3C trace id (32 hex digits) that ties the case to its caller.
        salt: Random bytes as hex: ledger entries commit to sha256(salt || text), never to bare personal values.
        requested_by: Who let it in, as records name them; NULL: nobody known.
    """

    id: str
    automation: str
    definition: str
    state: str
    source: str
    input: str
    outcome: str | None
    reason: str | None
    waiting_for: str | None
    owner: str | None
    failures: int
    losses: int
    progress: int
    priority: int
    due_at_ms: int | None
    correlation_id: str
    salt: str
    accepted_at_ms: int
    updated_at_ms: int
    settled_at_ms: int | None
    requested_by: str | None = None


class JournalRow(NamedTuple):
    """One thing a case did, durable before the author's next line.

    Attributes:
        seq: Position in the case, given when the author's code makes the call: from 0 in its own task, in lanes from 100,000
            in tasks it makes (`cases/journal.py`).
        kind: `step`, `decide`, `review`, `act`, `sleep`, `now`, `random`.
        name: Function, decision point, queue or action.
        digest: Of the arguments, to notice code that took another path; empty where there are none.
        result: JSON of the result.
        attempts: How often it was tried, >= 1.
    """

    case_id: str
    seq: int
    kind: str
    name: str
    digest: str
    result: str
    attempts: int
    at_ms: int


class InboxRow(NamedTuple):
    """Something that arrived for a case; removed in the commit that journals it."""

    id: str
    case_id: str
    topic: str
    payload: str
    at_ms: int


class OutboxState(StrEnum):
    """Where an action stands."""

    DUE = "due"
    SENT = "sent"
    DEAD = "dead"  # used up its attempts: `opsrail actions retry`


class OutboxRow(NamedTuple):
    """One action to send, at least once, always under the same key.

    Attributes:
        key: Idempotency key the far side sees; `<case id>-<journal seq>`.
        payload: JSON of the arguments.
        owner: Worker that sends it now.
        due_at_ms: Not before.
        last_error: Why the last attempt failed.
        response: JSON of what the action returned.
    """

    key: str
    case_id: str
    automation: str
    action: str
    payload: str
    state: str
    owner: str | None
    attempts: int
    due_at_ms: int
    last_error: str | None
    response: str | None
    created_at_ms: int
    sent_at_ms: int | None


class KeyRow(NamedTuple):
    """An idempotency key: the same key gives the same subject.

    Those of cases stand as long as the case lives, those of decisions for `decide.idempotency_ttl_s`.

    Attributes:
        scope: What the key is unique within, e.g. `decision:fraud-risk:http:key` or `case:claims-intake:http:local`.
        body_digest: Of the request that came with it first.
        subject_id: The decision or case that answered it.
    """

    scope: str
    key: str
    body_digest: str
    subject_id: str
    at_ms: int


class WorkerRow(NamedTuple):
    """One boot of one process. `alive` ends once and for ever: a process that comes back registers anew.

    Attributes:
        heartbeat_at_ms: Last sign of life, on the database's clock.
        state: `alive`, `dead` (declared by another), `left` (said goodbye).
    """

    id: str
    host: str
    pid: int
    state: str
    started_at_ms: int
    heartbeat_at_ms: int


class SwitchRow(NamedTuple):
    """A stop button: while its row is there, what it names does not act.

    Attributes:
        name: `actions:<automation>`, or `actions:*` for all.
    """

    name: str
    by: str
    reason: str
    at_ms: int


class HoldRow(NamedTuple):
    """A case that must not be removed, however old: a dispute, an audit."""

    case_id: str
    by: str
    reason: str
    at_ms: int
