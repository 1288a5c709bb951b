"""Run an automation in memory, step by step: submit, rule, let time pass, restart, and look.

Everything is the real part but the database (in memory), time (jumps) and, where a test hands one in, the model and
the actions.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel
from pydantic_core import from_json

from opsrail.app import App
from opsrail.cases.definition import Automation
from opsrail.cases.intake import Submission
from opsrail.cases.loader import Definitions, collect, load_file
from opsrail.cases.outbox import arguments
from opsrail.clock import ManualClock
from opsrail.config import CasesConfig, Config, LedgerConfig, WatchConfig
from opsrail.errors import InvalidInput, NotFound
from opsrail.features.keeping import NewValue
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import SigningKey
from opsrail.registry.rollout import Stage
from opsrail.store.memory import MemoryStore
from opsrail.testing.loop import JumpingLoop
from opsrail.testing.models import FunctionRuntime
from opsrail.values.cases import CaseRow, CaseState, JournalRow, OutboxRow, OutboxState
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import UNRULED_STATES, ReviewRow, ReviewState
from opsrail.values.rows import Where
from opsrail.values.spans import Span, span_ms

T = TypeVar("T")
PATIENCE_S = 60.0
"""Loop seconds that `submit` and `rule` let pass while retries and timers of seconds come due."""
QUIET_S = 0.25
MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Sent:
    """An action that went out.

    Attributes:
        key: Its idempotency key.
        args: Positional arguments, without the key.
    """

    name: str
    key: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class Rehearsal:
    """An automation in memory.

    Args:
        source: The author's module, its file's path, or definitions.
        models: For a decision point, a function from named features to a score in [0, 1]; it is registered and made
            live.
        actions: Stand-ins for actions, by name, with the action's own parameters (the key first).
        strict: A call that blocks the event loop is an error of its case.
    """

    def __init__(
        self,
        source: ModuleType | Path | str | Definitions,
        *,
        models: Mapping[str, Callable[[Mapping[str, Any]], float]] | None = None,
        actions: Mapping[str, Callable[..., Any]] | None = None,
        strict: bool = True,
    ) -> None:
        self._definitions = _with_actions(_definitions(source), actions or {})
        self._loop = JumpingLoop()
        self.clock = ManualClock(self._loop.time)
        self._models = dict(models or {})
        self._strict = strict
        self._store = MemoryStore(WriterChain(self.clock), clock=self.clock)
        seed = hashlib.sha256(b"opsrail.testing").digest()
        self._signer = Signer([SigningKey("testing.opsrail.local/ledger", seed)])
        self._stack = AsyncExitStack()
        self.app = self._app()

    def __enter__(self) -> Self:
        asyncio.set_event_loop(self._loop)
        try:
            self._do(self._open())
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._do(self._stack.aclose())
        finally:
            self._close()

    # -- what tests do -----------------------------------------------------------------------------------------------

    def submit(
        self,
        automation: str | Automation[Any, Any],
        given: BaseModel | Mapping[str, Any],
        *,
        key: str | None = None,
    ) -> CaseRow:
        """Let a case in and carry it until it settles, waits or is set aside."""
        name = automation if isinstance(automation, str) else automation.name
        row, _ = self._do(self.app.intake.accept(Submission(name, given, "test", key)))
        return self._do(self._rest(row.id))

    def rule(
        self,
        case: CaseRow | str,
        verdict: str,
        *,
        by: str = "a-person",
        reason: str = "as the papers say",
        fields: Mapping[str, object] | None = None,
    ) -> CaseRow:
        """Rule on the review a case waits for, the oldest of several, and carry it on.

        A ruling that its queue holds goes to the case at once: `undo` is for people.

        Raises:
            NotFound: the case waits for no review. Terminal.
        """
        case_id = case if isinstance(case, str) else case.id
        reviews = [review for review in self.reviews(case_id) if review.state in UNRULED_STATES]
        if not reviews:
            raise NotFound(f"case {case_id} waits for no review; it is {self.case(case_id).state}")
        given = self.app.desk.rule(reviews[0].id, verdict, by=by, reason=reason, fields=fields)
        ruled = self._do(given)
        if ruled.wake_at_ms is not None and ruled.state == ReviewState.RULED:
            self.advance(timedelta(milliseconds=ruled.wake_at_ms - self.clock.now_ms()))
        return self._do(self._rest(case_id))

    def push(
        self, view: str, entity: str, values: Mapping[str, object], *, event_at: object = None
    ) -> None:
        """Keep a value of a view (`name@version`), known from now on.

        Args:
            event_at: When it was true; None: now.

        Raises:
            InvalidInput: all faults at once. Terminal.
        """
        when = self.clock.now_ms() if event_at is None else event_at
        self._do(self.app.features.push(view, [NewValue(entity, when, values)]))

    def advance(self, span: Span) -> None:
        """Let time pass: timers fire, retries come due, held rulings go out, reviews escalate and expire."""
        self.app.desk.moments.set()
        self._do(self.clock.sleep(span_ms(span) / 1000))

    def restart(self) -> None:
        """End the process as a crash would, and start another on the same rows."""
        self._do(self._crash())
        self.app = self._app()
        self._do(self._open())

    # -- what tests look at ------------------------------------------------------------------------------------------

    def case(self, case_id: str) -> CaseRow:
        """Return a case as it stands, after everything that can happen by now has happened."""
        return self._do(self._rest(case_id))

    def journal(self, case: CaseRow | str) -> list[JournalRow]:
        """Return what a case did, in order."""
        return self._of(JournalRow, case, "seq")

    def reviews(self, case: CaseRow | str) -> list[ReviewRow]:
        """Return the reviews a case opened, oldest first."""
        return self._of(ReviewRow, case, "opened_at_ms", "id")

    def decisions(self, case: CaseRow | str) -> list[Decision]:
        """Return the decisions made in a case, in order."""
        return [
            Decision.from_record(from_json(row.record))
            for row in self._of(DecisionRow, case, "seq")
        ]

    def outcomes(self, case: CaseRow | str) -> list[OutcomeRow]:
        """Return what turned out true of a case's decisions, first to last."""
        rows = [self._do(self.app.outcomes.of(one.id)) for one in self.decisions(case)]
        return sorted((row for of_one in rows for row in of_one), key=lambda row: row.id)

    def sent(self, name: str | None = None) -> list[Sent]:
        """Return the actions that went out, oldest first."""
        rows = self._do(
            self._store.select(
                OutboxRow,
                Where("state", "=", OutboxState.SENT),
                order=("sent_at_ms", "key"),
                limit=MOST_ROWS,
            )
        )
        found = []
        for row in rows:
            if name in (None, row.action):
                args, kwargs = arguments(
                    self._definitions.automations[row.automation].actions[row.action], row.payload
                )
                found.append(Sent(row.action, row.key, tuple(args), kwargs))
        return found

    # -- how -----------------------------------------------------------------------------------------------------------

    def _of(self, table: type[Any], case: CaseRow | str, *order: str) -> list[Any]:
        of_case = Where("case_id", "=", case if isinstance(case, str) else case.id)
        return self._do(self._store.select(table, of_case, order=order, limit=MOST_ROWS))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def _app(self) -> App:
        slow = CasesConfig(
            at_once=64, dead_s=86_400, poll_s=86_400
        )  # nobody else is there to look for
        config = Config(
            cases=slow,
            ledger=LedgerConfig(checkpoint_s=86_400),
            watch=WatchConfig(poll_s=86_400),
        )
        runtimes = {FunctionRuntime.name: FunctionRuntime(self._models)}
        return App(
            config,
            self._definitions,
            self._store,
            self._signer,
            self.clock,
            anchor=None,
            alone=True,
            strict=self._strict,
            runtimes=runtimes,
        )

    def _close(self) -> None:
        asyncio.set_event_loop(None)
        self._loop.close()

    async def _open(self) -> None:
        self._stack = AsyncExitStack()
        await self._stack.enter_async_context(self.app.running())
        for point in self._models:
            if point not in self._definitions.points:
                raise InvalidInput(
                    f"models names decision point {point!r}, which the automation does not define"
                )
            if await self.app.registry.rollout(point):
                continue
            version = await self.app.registry.register(
                point,
                point.encode(),
                runtime=FunctionRuntime.name,
                training_digest="sha256:" + "0" * 64,
                by="test",
            )
            await self.app.registry.promote(
                point, version, Stage.LIVE, by="test", reason="rehearsal"
            )

    async def _crash(self) -> None:
        await self.app.crash()
        await self._stack.aclose()

    async def _rest(self, case_id: str) -> CaseRow:
        """Wait until the case cannot go on by itself within PATIENCE_S."""
        until_s = self._loop.time() + PATIENCE_S
        while True:
            await self.clock.sleep(QUIET_S)
            row = await self._store.get(CaseRow, case_id)
            if row is None:
                raise NotFound(f"no case {case_id}")
            is_moving = row.state in (CaseState.READY, CaseState.RUNNING)
            due_ms = math.inf if row.due_at_ms is None else row.due_at_ms
            is_about_to = row.state == CaseState.WAITING and due_ms <= self.clock.now_ms()
            if (not is_moving and not is_about_to) or self._loop.time() > until_s:
                await self.clock.sleep(QUIET_S)
                return row


def _definitions(source: ModuleType | Path | str | Definitions) -> Definitions:
    if isinstance(source, Definitions):
        return source
    return collect(source) if isinstance(source, ModuleType) else load_file(Path(source))


def _with_actions(
    definitions: Definitions, stand_ins: Mapping[str, Callable[..., Any]]
) -> Definitions:
    """Return the definitions with some actions' functions replaced."""
    if unknown := set(stand_ins) - {
        name for one in definitions.automations.values() for name in one.actions
    }:
        raise InvalidInput(
            f"actions names {', '.join(sorted(unknown))}, which no automation declares"
        )
    automations = {
        name: one.with_actions(stand_ins) for name, one in definitions.automations.items()
    }
    return replace(definitions, automations=automations)


def names_of(rows: Sequence[JournalRow]) -> list[str]:
    """Return a journal as `kind name`, for assertions on the path a case took."""
    return [f"{row.kind} {row.name}" for row in rows]
