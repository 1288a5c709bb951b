"""Tries a function until it answers: timeouts, backoff with full jitter, plain functions in threads."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any

from opsrail.cases.machine import backoff_s
from opsrail.cases.steps import Retry
from opsrail.clock import Clock, resumed
from opsrail.errors import Retryable, Terminal, TimedOut


async def answered(
    call: Callable[[], Any], *, is_async: bool, retry: Retry, threads: Executor, clock: Clock
) -> tuple[Any, int]:
    """Return what a call answered and how often it was tried.

    Args:
        call: Takes no arguments; gives a coroutine if `is_async`, else runs in a thread.

    Raises:
        Exception: whatever the last attempt raised; a Terminal error at once.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            if not is_async:
                return await _within(in_thread(call, threads), retry.timeout_s), attempt
            coroutine = call()
            try:  # begun by hand: one that never waits needs no timer (bench cases: 22 of 390 us a case)
                waited_for = coroutine.send(None)
            except StopIteration as done:
                return done.value, attempt
            return await _within(resumed(coroutine, waited_for), retry.timeout_s), attempt
        except Terminal:
            raise
        except Exception as fault:
            if attempt >= retry.attempts:
                raise
            wait_s = pause_s(fault, attempt, retry, clock)
        await clock.sleep(wait_s)


async def once(
    call: Callable[[], Any], *, is_async: bool, timeout_s: float, threads: Executor
) -> Any:
    """Return what one attempt answered.

    Raises:
        TimedOut: it ran past its limit. A plain function in a thread goes on, its answer is dropped.
    """
    return await _within(call() if is_async else in_thread(call, threads), timeout_s)


async def _within(answer: Awaitable[Any], timeout_s: float) -> Any:
    limit = asyncio.timeout(timeout_s)
    try:
        async with limit:
            return await answer
    except TimeoutError as late:
        if not limit.expired():  # the call's own, e.g. of its socket
            raise
        raise TimedOut(f"one attempt ran past {timeout_s:g} s") from late


def in_thread(call: Callable[[], Any], threads: Executor) -> Awaitable[Any]:
    """Run a plain function in a thread, with the caller's context variables."""
    run = functools.partial(contextvars.copy_context().run, call)
    return asyncio.get_running_loop().run_in_executor(threads, run)


def pause_s(fault: Exception, attempts: int, retry: Retry, clock: Clock) -> float:
    """Return how long to wait before the next attempt: what the fault asks for, else backoff. Seconds."""
    if isinstance(fault, Retryable) and fault.after_s is not None:
        return fault.after_s
    return backoff_s(attempts, clock.uniform(), base_s=retry.base_s, cap_s=retry.cap_s)
