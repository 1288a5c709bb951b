"""Sends actions: at least once, always under the same key, from rows that became durable with the case's own commit.

Each row is leased to this worker, sent, and marked; a crash between sending and marking sends it again under the same
key, which the far side must honour. A stop button (`actions:<automation>`, `actions:*`) holds sending within one
poll.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from opsrail import faults
from opsrail.cases.attempts import once, pause_s
from opsrail.cases.definition import Automation
from opsrail.cases.ending import reason_of
from opsrail.cases.steps import Action
from opsrail.cases.worker import Worker
from opsrail.clock import Clock
from opsrail.errors import (
    Conflict,
    Fenced,
    NotFound,
    StaleWrite,
    Terminal,
    Unavailable,
    UnknownName,
)
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.values.cases import OutboxRow, OutboxState, SwitchRow
from opsrail.values.rows import Append, Update, Where

log = logging.getLogger("opsrail.outbox")
POLL_S = 1.0
SHORTEST_S = 0.05
AT_ONCE = 32
STORE_DOWN_S = 0.5


class Outbox:
    """Takes due actions and sends them.

    Args:
        automations: By name; only their actions are taken.
        threads: Where plain `def` actions run.
        poll_s: Longest time between looks for actions and stop buttons of other processes.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        worker: Worker,
        automations: Mapping[str, Automation[Any, Any]],
        threads: Executor,
        *,
        poll_s: float = POLL_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._automations = automations
        self._threads = threads
        self._poll_s = poll_s
        self._sending: set[asyncio.Task[None]] = set()
        self._is_in_doubt = False
        self._is_draining = False

    async def run(self) -> None:
        """Send until cancelled."""
        changed = self._store.changed(OutboxRow)
        try:
            while True:
                changed.clear()
                try:
                    await self._recall()
                    taken = await self._take()
                except Unavailable as down:
                    log.warning("outbox waits: %s", down)
                    self._is_in_doubt = True
                    taken = 0
                if taken == 0 or len(self._sending) >= AT_ONCE:
                    await self._pause(changed)
        finally:
            for task in self._sending:
                task.cancel()

    async def drain(self) -> None:
        """Take nothing more, and wait for what is being sent now."""
        self._is_draining = True
        if self._sending:
            await asyncio.wait(self._sending)

    async def _pause(self, changed: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(await self._idle_s()):
                if len(self._sending) >= AT_ONCE:
                    await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await changed.wait()
        except TimeoutError:
            return

    async def _idle_s(self) -> float:
        """Return how long nothing is due, seconds; at most one poll."""
        due = (Where("state", "=", OutboxState.DUE), Where("owner", "null", True))
        try:
            rows = await self._store.select(OutboxRow, *due, order=("due_at_ms",), limit=1)
        except Unavailable:
            return self._poll_s
        wait_s = (rows[0].due_at_ms - self._clock.now_ms()) / 1000 if rows else self._poll_s
        return min(max(wait_s, SHORTEST_S), self._poll_s)

    async def _recall(self) -> None:
        """After a take whose answer was lost: give back what is this worker's by its row and is not sent here."""
        if self._is_in_doubt and not self._sending:
            mine = (Where("owner", "=", self._worker.id), Where("state", "=", OutboxState.DUE))
            while await self._store.take(OutboxRow, *mine, set={"owner": None}, limit=AT_ONCE):
                pass
            self._is_in_doubt = False

    async def _take(self) -> int:
        free = 0 if self._is_draining else AT_ONCE - len(self._sending)
        names = await self._running_names()
        if free <= 0 or not names or not self._worker.may_act:
            return 0
        due = (
            Where("state", "=", OutboxState.DUE),
            Where("due_at_ms", "<=", self._clock.now_ms()),
            Where("owner", "null", True),
            Where("automation", "in", names),
        )
        order = ("due_at_ms", "key")
        if not await self._store.select(OutboxRow, *due, order=order, limit=1):
            return 0
        rows = await self._store.take(
            OutboxRow,
            *due,
            set={"owner": self._worker.id},
            add={"attempts": 1},
            order=order,
            limit=free,
        )
        for row in rows:
            task = asyncio.create_task(self._send(row), name=f"action:{row.key}")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return len(rows)

    async def _running_names(self) -> tuple[str, ...]:
        stopped = {row.name for row in await self._store.select(SwitchRow)}
        if "actions:*" in stopped:
            return ()
        return tuple(name for name in self._automations if f"actions:{name}" not in stopped)

    async def _send(self, row: OutboxRow) -> None:
        """Send one action and mark its row; safe to kill at any line."""
        faults.point("outbox.before_send")
        if not self._worker.may_act:  # it stood still since the take: another may send it now
            self._is_in_doubt = True
            return
        action = self._automations[row.automation].actions.get(row.action)
        try:
            if action is None:
                raise UnknownName(
                    f"automation {row.automation!r} has no action {row.action!r} any more"
                )
            if row.attempts > action.retry.attempts:
                raise Terminal("its process died at each attempt")
            response = await self._call(action, row)
        except Exception as error:
            await self._mark(row, self._failed(row, action, error))
            return
        faults.point("outbox.after_send")
        now_ms = self._clock.now_ms()
        noted = entry(
            "action.sent",
            row.key,
            now_ms,
            {"action": row.action, "attempts": row.attempts, "case": row.case_id},
        )
        sent = {
            "state": OutboxState.SENT,
            "owner": None,
            "response": response,
            "sent_at_ms": now_ms,
            "last_error": None,
        }
        await self._mark(row, sent, noted)
        faults.point("outbox.after_mark")

    async def _call(self, action: Action[Any], row: OutboxRow) -> str:
        args, kwargs = arguments(action, row.payload)
        call = functools.partial(action.function, row.key, *args, **kwargs)
        is_async = inspect.iscoroutinefunction(action.function)
        timeout_s = action.retry.timeout_s
        response = await once(call, is_async=is_async, timeout_s=timeout_s, threads=self._threads)
        return _kept(response)

    def _failed(
        self, row: OutboxRow, action: Action[Any] | None, error: Exception
    ) -> dict[str, Any]:
        reason = reason_of(error)
        log.warning(
            "action %s (%s) failed, attempt %d: %s",
            row.key,
            row.action,
            row.attempts,
            type(error).__name__,
        )
        if action is None or isinstance(error, Terminal) or row.attempts >= action.retry.attempts:
            return {"state": OutboxState.DEAD, "owner": None, "last_error": reason}
        wait_s = pause_s(error, row.attempts, action.retry, self._clock)
        return {
            "owner": None,
            "last_error": reason,
            "due_at_ms": self._clock.now_ms() + round(wait_s * 1000),
        }

    async def _mark(self, row: OutboxRow, change: dict[str, Any], *entries: Append) -> None:
        update = Update(OutboxRow, (row.key,), change, {"owner": row.owner})
        while True:
            try:
                return await self._store.commit([update, *entries, self._worker.fence()])
            except Fenced:
                return
            except Conflict:
                if row.owner != self._worker.id:
                    return
                current = await self._store.get(OutboxRow, row.key)
                if current is None or current.owner != row.owner:
                    return
            except Unavailable as down:
                log.warning("action %s cannot be marked yet: %s", row.key, down)
            await self._clock.sleep(STORE_DOWN_S)


def arguments(action: Action[Any], payload: str) -> tuple[list[Any], dict[str, Any]]:
    """Return an action's arguments from its outbox row, as the types its parameters declare.

    Raises:
        pydantic.ValidationError: the code's parameters no longer fit what was enqueued.
    """
    stored = from_json(payload)
    hints = get_type_hints(action.function)
    names = list(inspect.signature(action.function).parameters)[1:]
    args = [
        _typed(hints.get(name), value) for name, value in zip(names, stored["args"], strict=False)
    ]
    args += stored["args"][len(names) :]
    return args, {name: _typed(hints.get(name), value) for name, value in stored["kwargs"].items()}


def _kept(response: object) -> str:
    """Return what an action answered as JSON; it was done, so an answer that has no JSON form is no failure."""
    try:
        return to_json(response, fallback=repr).decode()
    except ValueError:
        return to_json(ascii(response)).decode()


def _typed(hint: Any, value: Any) -> Any:
    return value if hint is None else TypeAdapter(hint).validate_json(to_json(value))


async def retry_dead(store: Store, clock: Clock, key: str) -> OutboxRow:
    """Send a dead action again.

    Raises:
        NotFound: no action has that key. Terminal.
        StaleWrite: it is not dead. Conflict.
    """
    row = await store.get(OutboxRow, key)
    if row is None:
        raise NotFound(f"no action {key}; list them with `opsrail actions list`")
    if row.state != OutboxState.DEAD:
        raise StaleWrite(f"action {key} is {row.state}, not dead; nothing to retry")
    change: dict[str, Any] = {
        "state": OutboxState.DUE,
        "attempts": 0,
        "due_at_ms": clock.now_ms(),
        "owner": None,
    }
    await store.commit([Update(OutboxRow, (key,), change, {"state": OutboxState.DEAD})])
    return row._replace(**change)
