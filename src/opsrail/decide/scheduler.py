"""Asks models off the event loop: a lane and a thread for each model version, so that one that hangs holds up no other.

A lane scores what queued while its last batch ran, as one batch. Equal rows asked for at the same time are scored once. A
row whose askers have all gone before its batch begins is left out; an asker leaves at its deadline, whatever the model does.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from opsrail.errors import (
    DeadlinePassed,
    ModelUnavailable,
    OpsrailError,
    StoreUnavailable,
    Terminal,
)
from opsrail.ports import LoadedModel, is_remote
from opsrail.values.models import Score

P = ParamSpec("P")
T = TypeVar("T")
Row = Mapping[str, object]


class Scheduler:
    """Lanes of all models in use.

    Args:
        max_batch: Rows scored in one call of a model, at most.
    """

    def __init__(self, max_batch: int = 64) -> None:
        self._max_batch = max_batch
        self._lanes: dict[str, _Lane] = {}
        self._is_closed = False

    async def submit(self, model: LoadedModel, row: Row, key: str, wait_s: float) -> Score:
        """Return the model's score of a row.

        Args:
            key: Digest of the row: askers of equal rows share one score.
            wait_s: How long the asker stays.

        Raises:
            DeadlinePassed: it did not come in time.
            ModelUnavailable: the model failed.
            Terminal: the model refuses this row.
        """
        if self._is_closed:
            raise StoreUnavailable("this process is shutting down; ask another")
        lane = self._lanes.get(model.digest)
        if lane is None:
            lane = self._lanes[model.digest] = _Lane(model, self._max_batch)
        return await lane.submit(row, key, wait_s)

    def close(self) -> None:
        """End every lane; one that hangs is left to end with the process."""
        self._is_closed = True
        for lane in self._lanes.values():
            lane.close()


class _Ask:
    """One row to be scored, and the futures of everyone who waits for it."""

    __slots__ = ("key", "row", "waiting")

    def __init__(self, row: Row, key: str) -> None:
        self.row = row
        self.key = key
        self.waiting: list[asyncio.Future[Score]] = []

    def answer(self, result: Score | OpsrailError) -> None:
        """Tell all who still wait."""
        for future in self.waiting:
            if future.done():
                continue
            if isinstance(result, Score):
                future.set_result(result)
            else:
                future.set_exception(result)


class _Lane:
    def __init__(self, model: LoadedModel, max_batch: int) -> None:
        self._model = model
        self._max_batch = max_batch
        self._asks: dict[str, _Ask] = {}
        self._queued: list[_Ask] = []
        self._batch: asyncio.Future[list[Score | OpsrailError]] | None = None
        self._is_beginning = False
        self._thread = OneThread(f"score {model.digest[:19]}")

    async def submit(self, row: Row, key: str, wait_s: float) -> Score:
        ask = self._asks.get(key)
        if ask is None:
            ask = self._asks[key] = _Ask(row, key)
            self._queued.append(ask)
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[Score] = loop.create_future()
        timer = loop.call_later(wait_s, self._too_late, mine, wait_s)
        ask.waiting.append(mine)
        try:
            if self._batch is None and not self._is_beginning:
                self._is_beginning = True
                loop.call_soon(self._begin)  # with all that this turn of the loop asks
            return await mine
        finally:
            timer.cancel()
            ask.waiting.remove(mine)

    def _too_late(self, future: asyncio.Future[Score], wait_s: float) -> None:
        if not future.done():
            told = f"model {self._model.digest} gave no score within {wait_s * 1000:.0f} ms"
            future.set_exception(DeadlinePassed(told))

    def close(self) -> None:
        if self._batch is not None:
            self._batch.cancel()
        self._thread.shutdown()

    def _begin(self) -> None:
        """Score what is queued and still waited for."""
        self._is_beginning = False
        for ask in self._queued:
            if not ask.waiting:
                del self._asks[ask.key]
        waiting = [ask for ask in self._queued if ask.waiting]
        batch, self._queued = waiting[: self._max_batch], waiting[self._max_batch :]
        if batch:
            loop, rows = asyncio.get_running_loop(), [ask.row for ask in batch]
            self._batch = loop.run_in_executor(self._thread, _results, self._model, rows)
            self._batch.add_done_callback(lambda scored: self._end(batch, scored))

    def _end(
        self, batch: Sequence[_Ask], scored: asyncio.Future[list[Score | OpsrailError]]
    ) -> None:
        if scored.cancelled():
            return
        for ask, result in zip(batch, scored.result(), strict=True):
            del self._asks[ask.key]
            ask.answer(result)
        self._batch = None
        self._begin()


class OneThread(Executor):
    """Calls functions one after the other in a thread that does not keep the process from ending, even if a call hangs."""

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=_work, args=(self._calls,), name=name, daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call."""
        future: Future[T] = Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as fault:
                    future.set_exception(fault)

        self._calls.put(call)
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:
        """End the thread after the calls that are queued; never waits for one that may hang."""
        self._calls.put(None)


def _work(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while (call := calls.get()) is not None:
        call()


def _results(model: LoadedModel, rows: Sequence[Row]) -> list[Score | OpsrailError]:
    """Return a score or an error for each row; a row that spoils its batch is found by scoring each alone."""
    try:
        scores = model.score(list(rows))
        if _are_scores(scores, len(rows)):
            return list(scores)
        fault: OpsrailError = ModelUnavailable(
            f"model {model.digest} did not give one score for each of {len(rows)} rows; roll back to a version that does"
        )
    except OpsrailError as raised:
        fault = raised
    except BaseException as raised:  # a lane outlives whatever its model does
        fault = ModelUnavailable(f"model {model.digest} failed: {type(raised).__name__}")
        fault.__cause__ = raised
    if len(rows) == 1:
        return [fault]
    if is_remote(model) and not isinstance(fault, Terminal):
        return [fault] * len(
            rows
        )  # no row is to blame; asking again is the retry budget's to allow
    return [result for row in rows for result in _results(model, [row])]


def _are_scores(scores: object, count: int) -> bool:
    return (
        isinstance(scores, list)
        and len(scores) == count
        and all(isinstance(score, Score) for score in scores)
    )
