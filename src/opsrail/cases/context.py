"""`Case`: what the author's function holds. Each call is journaled, so that a second run repeats the first.

Code between calls must depend on nothing but the input and what the calls returned; `case.now()` and `case.random()`
are there for time and chance. `journal.py` has the theory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar, overload

from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json, to_json

from opsrail import faults
from opsrail.cases.asking import asked_of, ruling_of
from opsrail.cases.attempts import answered
from opsrail.cases.beside import Beside
from opsrail.cases.ending import plain
from opsrail.cases.journal import Journal, Road, digest_of
from opsrail.cases.signals import Interrupted
from opsrail.cases.steps import STEP_RETRY, Action, Shape, Step, plain_step, shape_of
from opsrail.decide.decider import Request
from opsrail.decide.point import DecisionPoint
from opsrail.documents.form import Form
from opsrail.errors import (
    AuthorError,
    Conflict,
    NotDurable,
    StepFailed,
    Unavailable,
    UnknownName,
)
from opsrail.ledger.commitment import record_commitment
from opsrail.ledger.entries import entry
from opsrail.review.labels import Labels, Sampled
from opsrail.review.opening import Asked, opened
from opsrail.review.queue import Queue
from opsrail.values.cases import CaseRow, InboxRow, JournalRow, OutboxRow, OutboxState
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.values.documents import Document
from opsrail.values.reviews import ReviewRow, Ruling
from opsrail.values.rows import Delete, Insert, Write
from opsrail.values.spans import Span, span_ms

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
DOCUMENT = TypeAdapter(Document)


class Case:
    """One run of an automation, as its function sees it.

    Attributes:
        id: ULID; stays the same through crashes, parks and retries.
        correlation_id: W3C trace id shared with the caller.
        rulings: What people ruled, in the order the code learned of it.
    """

    def __init__(
        self, row: CaseRow, entries: Sequence[JournalRow], inbox: Sequence[InboxRow], road: Road
    ) -> None:
        self.id = row.id
        self.correlation_id = row.correlation_id
        self.rulings: list[Ruling] = []
        self._row = row
        self._road = road
        self._journal = Journal(row, entries, inbox, road)
        self._topics: list[str] = []
        self._due_at_ms: int | None = None
        self._labels: dict[str, Labels] = {}
        self._beside = Beside()

    # -- what authors call -------------------------------------------------------------------------------------------

    @overload
    def step(self, function: Form, path: str, /) -> Coroutine[Any, Any, Document]: ...
    @overload
    def step(
        self, function: Step[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def step(
        self, function: Step[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def step(
        self, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def step(
        self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]: ...

    def step(self, function: Any, /, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Run a function once and keep its result; after a crash it runs again only if it had not finished.

        Args:
            function: `async def` (must not block), plain `def` (runs in a thread), either wrapped by `@step(...)` for
                limits of its own, or a document `Form` (reads the file at `path` in a process of its own).

        Raises:
            StepFailed: it used up its attempts, or raised a Terminal error. Unhandled, the case is tried again, then
                set aside.
        """
        if isinstance(function, Form):
            shape = Shape(function.name, "opsrail", DOCUMENT, is_async=True)
            read = functools.partial(self._road.documents.read, function)
            limited: Step[..., Any] = Step(read, STEP_RETRY)
        else:
            inner = function.function if isinstance(function, Step) else function
            if not callable(inner):
                raise UnknownName(
                    f"case.step wants a function, a @step or a Form, not {type(inner).__name__}"
                )
            limited = plain_step(inner) if inner is function else function
            shape = shape_of(inner)
        return self._step(self._journal.number(shape.name), limited, shape, args, kwargs)

    def decide(self, point: DecisionPoint[M], facts: M, /) -> Coroutine[Any, Any, Decision]:
        """Ask a decision point; the decision is recorded before this returns, and the same on every run."""
        return self._decide(self._journal.number(point.name), point, facts)

    def review(
        self,
        queue: str | Queue,
        decision: Decision | None = None,
        *,
        due: Span | None = None,
        priority: int = 5,
        show: object = None,
        sampled: float | None = None,
        form: type[BaseModel] | None = None,
        values: BaseModel | Mapping[str, object] | None = None,
        skills: Sequence[str] = (),
        question: str = "",
    ) -> Coroutine[Any, Any, Ruling]:
        """Put the question to a person and park; nothing but rows is kept until the ruling arrives.

        Args:
            queue: Desk that rules: a `Queue` or its name. A name that no `Queue` declares will do: one person rules on it,
                at once and for good.
            decision: What it is about; the person sees score, verdict and reasons.
            due: When the desk should have ruled, e.g. `"4h"`; None: as its queue says.
            priority: Smaller is sooner, 0..9.
            show: Further facts for the person; a model or plain values.
            sampled: Where chance put the decision to a person, the probability of that, in (0, 1]: what the ruling tells
                then speaks for all that might have been drawn. None: there was another reason.
            form: Model of what a person may fill in beside the verdict; None: the queue's.
            values: What stands in the form at first.
            skills: What who rules must know besides what the queue asks for.
            question: What is asked, one line; empty: as the queue says.
        """
        spoken = self._spoken(decision, sampled)
        given = (decision, due, priority, show, spoken, form, values, skills, question)
        asked = asked_of(self.id, self._road.queues, queue, *given)
        return self._review(self._journal.number(asked.queue.name), asked)

    def act(
        self, action: Action[P], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, str]:
        """Do something to the world outside, at least once, under one idempotency key, which is returned.

        It is written with the case's next commit and sent after it; a case that fails or is cancelled before sends
        nothing.
        """
        if not isinstance(action, Action):
            raise UnknownName(
                f"case.act wants an action of this automation, not {type(action).__name__}; "
                f"declare it: @{self._row.automation.replace('-', '_')}.action()"
            )
        return self._act(self._journal.number(action.name), action, args, kwargs)

    def sleep(self, span: Span) -> Coroutine[Any, Any, None]:
        """Park until the span (`"2h"`, a timedelta, seconds) is over; costs a row, survives restarts."""
        return self._sleep(self._journal.number("sleep"), span_ms(span))

    async def now(self) -> datetime:
        """Return the time, the same on every run of this case. UTC."""
        text = await self._reading("now", lambda: str(self._road.clock.now_ms()))
        return datetime.fromtimestamp(int(text) / 1000, UTC)

    async def random(self) -> float:
        """Return a number in [0, 1), the same on every run of this case."""
        return float(await self._reading("random", lambda: repr(self._road.clock.uniform())))

    # -- what the runner asks --------------------------------------------------------------------

    @property
    def journal(self) -> Journal:
        """What it did so far."""
        return self._journal

    @property
    def is_suspended(self) -> bool:
        """Whether the code reached a place where it has to park."""
        return bool(self._topics) or self._due_at_ms is not None

    @property
    def waits_for(self) -> tuple[str, int | None]:
        """Topics joined by a space, and the moment (epoch ms) at which time alone wakes it."""
        return " ".join(self._topics) or "timer", self._due_at_ms

    def end_tasks(self) -> None:
        """Cancel what steps still run in tasks of the author's own (`asyncio.gather`)."""
        self._beside.end()

    # -- how it works ------------------------------------------------------------------------------

    async def _step(
        self,
        seq: int,
        step: Step[..., Any],
        shape: Shape,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        journal, road, name = self._journal, self._road, shape.name
        digest = digest_of(args, kwargs)
        if (known := journal.recorded(seq, "step", name, digest)) is not None:
            if known.kind == "failed":
                raise StepFailed(from_json(known.result))
            return shape.read(known.result)
        call = functools.partial(step.function, *args, **kwargs)
        with self._beside:
            try:
                result, attempts = await answered(
                    call,
                    is_async=shape.is_async,
                    retry=step.retry,
                    threads=road.threads,
                    clock=road.clock,
                )
                text, result = shape.write(result)
            except NotDurable as wrong:
                journal.broken = wrong
                raise
            except Exception as cause:
                failed = self._failed(seq, step, name, digest, cause)
                raise failed from cause
            faults.point("case.step_ran")
            await journal.commit(seq, journal.entry(seq, "step", name, digest, text, attempts))
            faults.point("case.step_durable")
        return result

    def _failed(
        self, seq: int, step: Step[..., Any], name: str, digest: str, cause: Exception
    ) -> StepFailed:
        """Note that a step used up its attempts; return the error that the author may handle."""
        message = plain(f"case {self.id}: step {name} failed: {type(cause).__name__}: {cause}")
        text = to_json(message).decode()
        noted = self._journal.entry(seq, "failed", name, digest, text, step.retry.attempts)
        self._journal.later(seq, noted)
        return StepFailed(message)

    async def _decide(self, seq: int, point: DecisionPoint[Any], facts: BaseModel) -> Decision:
        journal = self._journal
        self._labels[point.name] = point.labels
        digest = digest_of((facts,), {})
        if (known := journal.recorded(seq, "decide", point.name, digest)) is not None:
            row = await self._read(DecisionRow, from_json(known.result))
            if row is None:
                raise AuthorError(
                    f"case {self.id}: its decision {known.result} is gone from the store; restore it first"
                )
            return Decision.from_record(from_json(row.record))

        def also(decision: Decision) -> Sequence[Write]:
            noted = journal.entry(seq, "decide", point.name, digest, to_json(decision.id).decode())
            return [*journal.flush(), noted, journal.fence]

        request = Request(
            point,
            facts,
            correlation_id=self.correlation_id,
            actor=f"automation:{self._row.automation}",
            case_id=self.id,
            seq=seq,
            criticality="low" if self._row.source.startswith("file:") else None,
            also=also,
        )
        try:
            with self._beside:
                decision = await self._road.decider.decide(request)
        except (Conflict, Unavailable) as cause:
            raise Interrupted(cause) from cause
        journal.wrote(seq)
        return decision

    async def _review(self, seq: int, asked: Asked) -> Ruling:
        journal, queue = self._journal, asked.queue.name
        if (known := journal.recorded(seq, "review", queue)) is not None:
            return self._ruled(known.result, asked)
        review_id = f"{self.id}-{seq}"
        topic = f"review:{review_id}"
        if (arrived := journal.arrived(topic)) is not None:
            noted = journal.entry(seq, "review", queue, "", arrived.payload)
            await journal.commit(seq, noted, Delete(InboxRow, {"id": arrived.id}))
            return self._ruled(arrived.payload, asked)
        if journal.is_fresh or await self._read(ReviewRow, review_id) is None:
            now_ms = self._road.clock.now_ms()
            journal.later(seq, *opened(self._row, review_id, asked, now_ms))
        self._topics.append(topic)
        await self._beside.park()

    async def _act(
        self, seq: int, action: Action[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> str:
        journal = self._journal
        digest = digest_of(args, kwargs)
        key = f"{self.id}-{seq}"
        if journal.recorded(seq, "act", action.name, digest) is None:
            if action.automation != self._row.automation:
                raise UnknownName(
                    f"case {self.id}: action {action.name!r} belongs to automation {action.automation!r}"
                )
            now_ms = self._road.clock.now_ms()
            payload = self._payload(action.name, args, kwargs)
            row = OutboxRow(
                key=key,
                case_id=self.id,
                automation=action.automation,
                action=action.name,
                payload=payload,
                state=OutboxState.DUE,
                owner=None,
                attempts=0,
                due_at_ms=now_ms,
                last_error=None,
                response=None,
                created_at_ms=now_ms,
                sent_at_ms=None,
            )
            commitment = record_commitment(self._row.salt, payload.encode())
            fields = {"action": action.name, "case": self.id, "commitment": commitment}
            noted = journal.entry(seq, "act", action.name, digest, to_json(key).decode())
            journal.later(seq, noted, Insert(row), entry("action.enqueued", key, now_ms, fields))
        return key

    async def _sleep(self, seq: int, length_ms: int) -> None:
        journal = self._journal
        now_ms = self._road.clock.now_ms()
        known = journal.recorded(seq, "sleep", "sleep", str(length_ms))
        wake_ms = now_ms + length_ms if known is None else int(known.result)
        if known is None:
            journal.later(seq, journal.entry(seq, "sleep", "sleep", str(length_ms), str(wake_ms)))
        if now_ms < wake_ms:
            self._due_at_ms = wake_ms if self._due_at_ms is None else min(wake_ms, self._due_at_ms)
            await self._beside.park()

    async def _reading(self, kind: str, read: Callable[[], str]) -> str:
        journal = self._journal
        seq = journal.number(kind)
        if (known := journal.recorded(seq, kind, kind)) is not None:
            return known.result
        text = read()
        journal.later(seq, journal.entry(seq, kind, kind, "", text))
        return text

    async def _read(self, table: type[Any], key: str) -> Any:
        try:
            with self._beside:
                return await self._road.store.get(table, key)
        except Unavailable as cause:
            raise Interrupted(cause) from cause

    def _spoken(self, decision: Decision | None, ratio: float | None) -> Sampled:
        """Return what a ruling on a decision will tell of it, as its point declares."""
        return Sampled({} if decision is None else self._labels.get(decision.point, {}), ratio)

    def _ruled(self, text: str, asked: Asked) -> Ruling:
        ruling = ruling_of(self.id, text, asked)
        self.rulings.append(ruling)
        return ruling

    def _payload(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        try:
            return to_json({"args": args, "kwargs": kwargs}).decode()
        except (ValueError, TypeError) as wrong:
            self._journal.broken = NotDurable(
                f"case {self.id}: action {name} was given what the outbox cannot keep: {wrong}. "
                f"Hand over models or plain values"
            )
            raise self._journal.broken from wrong
