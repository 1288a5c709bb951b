"""Drives lanes: takes asks from the event loop, runs each lane's batches, and answers everyone by their deadline.

Who runs when is the lane's business (`lane`), whether a batch may run on the event loop itself is `inline`'s. All else runs
in threads of the model's own, so that one that hangs holds up no other. An asker leaves at its deadline, whatever the model
does. A batch that one row spoils is taken apart; not so when the model is remote and the fault may pass.

Time is the machine's own, as the event loop's timers have it: a lane's deadlines are kept by them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from opsrail.clock import SystemClock
from opsrail.decide.asks import LATE, NORMAL, SHED, Ask, Batch
from opsrail.decide.inline import Inline
from opsrail.decide.lane import BLAME_RATIO, Lane
from opsrail.decide.threads import Threads
from opsrail.errors import (
    DeadlinePassed,
    ModelCrashed,
    ModelQuarantined,
    ModelStarting,
    ModelUnavailable,
    OpsrailError,
    Overloaded,
    StoreUnavailable,
    Terminal,
)
from opsrail.ports import LoadedModel, calls_at_once, is_bounded, is_remote
from opsrail.values.models import Score

Row = Mapping[str, object]
Result = Score | OpsrailError


class LaneStats(NamedTuple):
    """How one lane fares.

    Attributes:
        queued: Rows that wait, by class: high, normal, low.
        shed: Rows refused at the door or pushed out since the process began, by class.
        batch_ms: What a batch costs however few its rows, by what is known.
        row_ms: What each row adds.
        at_once: Batches that may be under way at the same time now.
        batch_rows: Rows of the last batches, smoothed.
    """

    queued: tuple[int, int, int]
    shed: tuple[int, int, int]
    batch_ms: float
    row_ms: float
    at_once: int
    batch_rows: float


PROCESS_FAULTS = (ModelCrashed, ModelStarting, ModelQuarantined)
"""Of a model's process: no row of the batch is to blame, and asking each alone might end it again."""


class Scheduler:
    """Lanes of all models in use.

    Args:
        max_batch: Rows scored in one call of a model, at most.
        now_s: The clock that the event loop's timers run by, seconds.
    """

    def __init__(
        self, max_batch: int = 64, *, now_s: Callable[[], float] = SystemClock.monotonic_s
    ) -> None:
        self._max_batch = max_batch
        self._now_s = now_s
        self._drivers: dict[str, _Driver] = {}
        self._is_closed = False

    def submit(
        self, model: LoadedModel, row: Row, key: str, wait_s: float, rank: int = NORMAL
    ) -> Awaitable[Score]:
        """Return the model's score of a row, to be awaited.

        Args:
            key: Digest of the row: askers of equal rows share one score.
            wait_s: How long the asker stays.
            rank: Criticality class, see `asks`.

        Raises:
            DeadlinePassed: it did not come in time, or could not have.
            Overloaded: more is asked of the model than it can answer in time. Ask again after `after_s`.
            ModelUnavailable: the model failed.
            Terminal: the model refuses this row.
        """
        if self._is_closed:
            raise StoreUnavailable("this process is shutting down; ask another")
        driver = self._drivers.get(model.digest)
        if driver is None or driver.model is not model:
            driver = self._drivers[model.digest] = self._driver_of(model, driver)
        return driver.submit(row, key, wait_s, rank)

    def _driver_of(self, model: LoadedModel, last: _Driver | None) -> _Driver:
        """Return a model's lane: another one when the same bytes are in processes of their own now.

        Who was asked before is answered as before.
        """
        if last is None or last.shape != shape_of(model):
            return _Driver(model, self._max_batch, self._now_s)
        last.model = model
        return last

    def stats(self, digest: str) -> LaneStats | None:
        """Return how a model's lane fares, None when it was not asked yet."""
        driver = self._drivers.get(digest)
        return None if driver is None else driver.stats()

    def forget(self, digest: str) -> None:
        """End a model's lane: nobody asks it any more, and it is released."""
        if (driver := self._drivers.pop(digest, None)) is not None:
            driver.close()

    def close(self) -> None:
        """End every lane; one that hangs is left to end with the process."""
        self._is_closed = True
        for driver in self._drivers.values():
            driver.close()


class _Waiting:
    """One row, and the futures of everyone who waits for its score."""

    __slots__ = ("due_s", "first", "futures", "row")

    def __init__(self, row: Row, due_s: float) -> None:
        self.row = row
        self.due_s = due_s  # the first's
        self.first: asyncio.Future[Score] | None = None  # until it has a timer of its own
        self.futures: list[asyncio.Future[Score]] = []

    def answer(self, result: Result) -> None:
        """Tell all who still wait."""
        for future in self.futures:
            if future.done():
                continue
            if isinstance(result, Score):
                future.set_result(result)
            else:
                future.set_exception(result)


class _Driver:
    def __init__(self, model: LoadedModel, max_batch: int, now_s: Callable[[], float]) -> None:
        self.model = model
        self.shape = is_bounded_here, at_once = shape_of(model)
        self._lane = Lane(at_once, max_batch)
        self._inline = Inline() if is_bounded_here else None
        self._now_s = now_s
        self._is_beginning = False
        self._threads = Threads(f"score {model.digest[:19]}", at_once)
        self._running: list[Batch] = []  # in threads
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0

    async def submit(self, row: Row, key: str, wait_s: float, rank: int) -> Score:
        now_s, lane = self._now_s(), self._lane
        due_s = now_s + wait_s
        waiting = _Waiting(row, due_s)
        ask = lane.offer(key, waiting, rank, due_s, now_s)
        if lane.returned:
            self._tell_returned()
        if (state := ask.state) is SHED or state is LATE:
            raise self._refusal(ask)
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[Score] = loop.create_future()
        if ask.payload is not waiting:
            return await self._join(ask, mine, due_s, now_s)
        waiting.futures.append(mine)
        waiting.first = mine
        if self._is_beginning:
            pass
        elif lane.may_start:
            self._is_beginning = True
            loop.call_soon(self._begin)  # with all that this turn of the loop asks
        else:
            self._watch(due_s - lane.cost.a_s - lane.cost.b_s, now_s)
        try:
            return await mine
        except asyncio.CancelledError:
            self._leave(ask, mine)
            raise

    def stats(self) -> LaneStats:
        lane = self._lane
        high, normal, low = lane.shed_count
        batch_ms, row_ms = 1000 * lane.cost.a_s, 1000 * lane.cost.b_s
        shed = (high, normal, low)
        return LaneStats(lane.queued_by_rank, shed, batch_ms, row_ms, lane.limit, lane.batch_rows)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._threads.shutdown()

    async def _join(
        self, ask: Ask, mine: asyncio.Future[Score], due_s: float, now_s: float
    ) -> Score:
        """Wait for an equal ask's score. Askers of one row may differ in their deadlines, so each has a timer then."""
        loop, waiting = asyncio.get_running_loop(), ask.payload
        timer = loop.call_later(due_s - now_s, self._too_late, ask, due_s - now_s, mine)
        if (first := waiting.first) is not None:
            waiting.first, first_s = None, max(0.0, waiting.due_s - now_s)
            loop.call_later(first_s, self._too_late, ask, waiting.due_s - ask.arrived_s, first)
        waiting.futures.append(mine)
        try:
            return await mine
        except asyncio.CancelledError:
            self._leave(ask, mine)
            raise
        finally:
            timer.cancel()

    def _leave(self, ask: Ask, mine: asyncio.Future[Score]) -> None:
        futures = ask.payload.futures
        futures.remove(mine)
        if not futures:
            self._lane.leave(ask)

    def _begin(self) -> None:
        """Run what is queued, as far as devices are free."""
        self._is_beginning = False
        lane, now_s = self._lane, self._now_s()
        while (batch := lane.cut(now_s)) is not None:
            rows = [ask.payload.row for ask in batch.asks]
            if self._inline is not None and self._inline.may(len(rows), batch.predicted_s, now_s):
                self._run_here(batch, rows, now_s)
                break  # the loop goes round before the next
            self._run_in_thread(batch, rows, now_s)
        if lane.returned:
            self._tell_returned()

    def _run_here(self, batch: Batch, rows: list[Row], now_s: float) -> None:
        begun_s = SystemClock.cpu_s()
        results, is_whole = results_of(self.model, rows)
        took_s, ended_s = SystemClock.cpu_s() - begun_s, self._now_s()
        if self._inline is not None:
            self._inline.observe(len(rows), took_s, ended_s, ended_s - now_s)
        self._settle(batch, results, is_whole, ended_s)
        if self._lane.queued and not self._is_beginning:
            self._is_beginning = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _run_in_thread(self, batch: Batch, rows: list[Row], now_s: float) -> None:
        self._running.append(batch)
        self._watch(min([ask.last_s for ask in batch.asks]), now_s)
        loop = asyncio.get_running_loop()
        scored = loop.run_in_executor(self._threads, results_of, self.model, rows)
        scored.add_done_callback(partial(self._end, batch))

    def _end(self, batch: Batch, scored: asyncio.Future[tuple[list[Result], bool]]) -> None:
        self._running.remove(batch)
        if scored.cancelled():
            return
        results, is_whole = scored.result()
        self._settle(batch, results, is_whole, self._now_s())
        if not self._is_beginning:
            self._begin()

    def _settle(
        self, batch: Batch, results: Sequence[Result], is_whole: bool, now_s: float
    ) -> None:
        self._lane.finish(batch, now_s, is_learned=is_whole)
        for ask, result in zip(batch.asks, results, strict=True):
            ask.payload.answer(result)

    def _watch(self, at_s: float, now_s: float) -> None:
        """Look after deadlines at a moment, if not before."""
        if self._timer is not None:
            if self._timer_s <= at_s:
                return
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, at_s - now_s), self._look)
        self._timer_s = at_s

    def _look(self) -> None:
        """Tell everyone whose deadline is past, or cannot be kept any more."""
        self._timer = None
        lane, now_s = self._lane, self._now_s()
        lane.expire(now_s)
        self._tell_returned()
        dues_s = [] if (wake_s := lane.wake_s()) is None else [wake_s]
        for batch in self._running:
            for ask in batch.asks:
                if ask.last_s > now_s:
                    dues_s.append(ask.last_s)
                else:
                    had_s, allowed_s = now_s - batch.begun_s, ask.last_s - ask.arrived_s
                    is_to_blame = had_s >= BLAME_RATIO * allowed_s
                    ask.payload.answer(self._late(allowed_s, blames_model=is_to_blame))
        if dues_s:
            self._watch(min(dues_s), now_s)

    def _tell_returned(self) -> None:
        for ask in self._lane.returned:
            ask.payload.answer(self._refusal(ask))
        self._lane.returned.clear()

    def _refusal(self, ask: Ask) -> OpsrailError:
        if ask.state is SHED:
            told = f"more is asked of model {self.model.digest} than it can answer in time"
            return Overloaded(told, after_s=ask.after_s)
        return self._late(ask.last_s - ask.arrived_s, blames_model=ask.blames_model)

    def _late(self, wait_s: float, *, blames_model: bool = True) -> DeadlinePassed:
        told = f"model {self.model.digest} gave no score within {wait_s * 1000:.0f} ms"
        return DeadlinePassed(told, blames_model=blames_model)

    def _too_late(self, ask: Ask, wait_s: float, future: asyncio.Future[Score]) -> None:
        """Tell one of several who wait for an ask that their time is over; the ask itself stays."""
        if future.done():
            return
        began_s = self._now_s() - BLAME_RATIO * wait_s
        is_to_blame = any(ask in it.asks and it.begun_s <= began_s for it in self._running)
        future.set_exception(self._late(wait_s, blames_model=is_to_blame))


def shape_of(model: LoadedModel) -> tuple[bool, int]:
    """Return what a model's lane is made for: whether its work is bounded by its rows, and its calls at once."""
    return is_bounded(model), calls_at_once(model)


def results_of(model: LoadedModel, rows: list[Row]) -> tuple[list[Result], bool]:
    """Return a score or an error for each row, and whether the call was whole; else it says nothing about its time."""
    answer = _answer_of(model, rows)
    if isinstance(answer, list):
        return answer, True
    if len(rows) == 1 or not _may_be_a_rows(answer, model):
        return [answer] * len(rows), False
    return _taken_apart(model, rows), False


def _answer_of(model: LoadedModel, rows: list[Row]) -> list[Result] | OpsrailError:
    try:
        scores = model.score(list(rows))
        if _are_scores(scores, len(rows)):
            return list(scores)
        return ModelUnavailable(
            f"model {model.digest} did not give one score for each of {len(rows)} rows; roll back to a version that does"
        )
    except OpsrailError as raised:
        return raised
    except BaseException as raised:  # a lane outlives whatever its model does
        fault = ModelUnavailable(f"model {model.digest} failed: {type(raised).__name__}")
        fault.__cause__ = raised
        return fault


def _may_be_a_rows(fault: OpsrailError, model: LoadedModel) -> bool:
    """Return whether one row of a batch may be to blame; else asking again is the retry budget's to allow."""
    is_nobodys = is_remote(model) or isinstance(fault, PROCESS_FAULTS)
    return isinstance(fault, Terminal) or not is_nobodys


def _taken_apart(model: LoadedModel, rows: list[Row]) -> list[Result]:
    """Return what each row of a spoiled batch gives.

    Each is asked for alone. A call of a remote model goes a long way: there the first two that spoil it are found by halves.
    """
    results: list[Result] = []
    spoilers = 0 if is_remote(model) else 2
    middle = len(rows) // 2
    parts = [rows[middle:], rows[:middle]]  # the next is the last
    while parts:
        part = parts.pop()
        if len(part) > 1 and spoilers > 1:
            parts += [[row] for row in reversed(part)]
            continue
        answer = _answer_of(model, part)
        if isinstance(answer, list):
            results += answer
        elif len(part) == 1 or not _may_be_a_rows(answer, model):
            results += [answer] * len(part)
            spoilers += 1
        else:
            middle = len(part) // 2
            parts += [part[middle:], part[:middle]]
    return results


def _are_scores(scores: object, count: int) -> bool:
    return (
        isinstance(scores, list)
        and len(scores) == count
        and all(isinstance(score, Score) for score in scores)
    )
