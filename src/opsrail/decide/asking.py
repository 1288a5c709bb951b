"""Asks one model: under its breaker and bulkhead, and one that is remote again, on a budget, when it fails or is late.

A model in this process that fails on a row fails on it again, and a second ask would only take its place in the queue. A
remote one may answer from another machine: its faults are retried, and an ask that takes longer than 95 of 100 did gets a
second one beside it; the first answer wins, the other is given up. Both are paid from the model's retry budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from opsrail.clock import Clock
from opsrail.decide.asks import NORMAL
from opsrail.decide.breaker import BAD, GOOD, VOID, Breaker, Limits
from opsrail.decide.bulkhead import Bulkhead
from opsrail.decide.chain import BREAKER_OPEN, BULKHEAD_FULL, Link
from opsrail.decide.deadline import Deadline
from opsrail.decide.latency import Latency
from opsrail.decide.pace import Pace
from opsrail.decide.placement import Outlook
from opsrail.decide.policy import NoScore
from opsrail.decide.retry_budget import RetryBudget
from opsrail.decide.scheduler import LaneStats, Scheduler
from opsrail.errors import (
    DeadlinePassed,
    ModelQuarantined,
    ModelStarting,
    ModelUnavailable,
    OpsrailError,
    Overloaded,
    Retryable,
    Terminal,
    TimedOut,
    Unavailable,
)
from opsrail.features.features import Fetched
from opsrail.ports import LoadedModel, is_remote
from opsrail.registry.pools import POOLS
from opsrail.registry.registry import Registry
from opsrail.values.models import Score
from opsrail.values.pools import LOCAL

MOST_RETRIES = 2
"""Ours: a third failure in a row is no accident."""
PAUSE_S = 0.01
"""Longest pause before the first retry; doubles with each. Full jitter. Source: Brooker, Exponential Backoff and Jitter
(AWS, 2015); the time is ours: a decision has tens of milliseconds."""
RETRIED = frozenset({ModelUnavailable.code, TimedOut.code})
"""Codes of faults that may pass."""


@dataclass(frozen=True, slots=True)
class AskLimits:
    """What one model version may take and get.

    Attributes:
        breaker: When it is left alone.
        rows_in_flight: Rows that wait for it at once; more fall back.
        retry_ratio: Retries and hedges for each request, at most; 0: none.
    """

    breaker: Limits = field(default_factory=Limits)
    rows_in_flight: int = 2_000
    retry_ratio: float = 0.2


class ModelStats(NamedTuple):
    """How one model fares in this process.

    Attributes:
        model: `name/number`, with the pool where that tells it apart.
        breaker: `closed`, `open` or `half_open`.
        closed_in_s: Until probes may pass; 0 unless open.
        in_flight: Rows that wait for it.
        refused: Rows that its bulkhead turned away.
        retries: Retries and hedges paid from its budget.
        hedge_after_s: How long an ask may take before a second one is made; None: it is not remote, or not known enough.
        lane: Its queue: who waits and was shed, by class, and what batches cost; None before it was asked.
    """

    model: str
    breaker: str
    closed_in_s: float
    in_flight: int
    refused: int
    retries: int
    hedge_after_s: float | None
    lane: LaneStats | None


class _Guard:
    """What is known of one model, and what holds it."""

    def __init__(self, link: Link, limits: AskLimits, *, is_remote: bool) -> None:
        self.label = link.label
        self.digest = link.version.digest
        self.pool = link.pool
        self.is_remote = is_remote
        self.breaker = Breaker(limits.breaker)
        self.bulkhead = Bulkhead(limits.rows_in_flight)
        self.budget = RetryBudget(limits.retry_ratio)
        self.latency = Latency()
        self.pace = Pace() if POOLS in link.version.card else None
        """Where there may be pools to choose among."""


class Asker:
    """Asks models. One a process.

    Args:
        new_scheduler: Makes what drives the models: one for all, and one for each pool and for second asks, so that these
            wait behind nobody.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        limits: AskLimits,
        new_scheduler: Callable[[], Scheduler],
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._limits = limits
        self._guards: dict[str, _Guard] = {}
        self._new_scheduler = new_scheduler
        self._scheduler = new_scheduler()
        self._besides: dict[str, Scheduler] = {}
        registry.warming.add_user(self)

    async def ask(
        self, link: Link, features: Fetched, deadline: Deadline, rank: int = NORMAL
    ) -> Score | NoScore:
        """Return a model's score of a row, or why there is none by the deadline.

        Args:
            rank: Criticality class, see `asks`.

        Raises:
            Overloaded: more is asked of it than it can answer in time.
        """
        try:
            model = self._registry.known_model(link.version, link.pool)
            if model is None:
                left_s = deadline.left_s(self._clock.monotonic_s())
                model = await self._registry.model(
                    link.version, left_s, link.pool, is_patient=False
                )
        except Unavailable as fault:
            return no_score(fault)
        guard = self._guards.get(link.place)
        if guard is None:
            guard = _Guard(link, self._limits, is_remote=is_remote(model))
            self._guards[link.place] = guard
        scheduler = self._scheduler_of(link.pool)
        ask = self._persist if guard.is_remote else self._once
        if guard.pace is None:
            return await ask(scheduler, model, guard, features, deadline, rank)
        begun_s, waiting = self._clock.monotonic_s(), guard.bulkhead.in_flight + 1
        answer = await ask(scheduler, model, guard, features, deadline, rank)
        if isinstance(answer, Score) or answer.code == DeadlinePassed.code:
            now_s = self._clock.monotonic_s()
            guard.pace.observe(now_s - begun_s, waiting, now_s)
        return answer

    def outlook(self, place: str, rank: int, now_s: float) -> Outlook:
        """Return how a model looks at a place to a class before it is asked there, as far as this knows."""
        guard = self._guards.get(place)
        if guard is None or guard.pace is None:
            return Outlook("")
        bulkhead, pace = guard.bulkhead, guard.pace
        return Outlook(
            "",
            is_blocked=bulkhead.is_full(rank) or guard.breaker.is_blocking(now_s),
            predicted_s=pace.predicted_s(bulkhead.in_flight),
            is_guess=pace.is_guess(now_s),
        )

    def in_flight(self, place: str) -> int:
        """Return how many rows wait for a model at a place."""
        guard = self._guards.get(place)
        return 0 if guard is None else guard.bulkhead.in_flight

    def forget(self, place: str) -> None:
        """Keep nothing of a model at a place: it is released."""
        guard = self._guards.pop(place, None)
        if guard is None:
            return
        self._scheduler_of(guard.pool).forget(guard.digest)
        if (hedging := self._besides.get(f"hedge {guard.label}")) is not None:
            hedging.forget(guard.digest)

    def stats(self) -> tuple[ModelStats, ...]:
        """Return how each model fares that was asked since the process began."""
        now_s = self._clock.monotonic_s()
        return tuple(
            ModelStats(
                guard.label,
                str(guard.breaker.state),
                guard.breaker.closed_in_s(now_s),
                guard.bulkhead.in_flight,
                guard.bulkhead.refused,
                guard.budget.taken,
                guard.latency.hedge_after_s(),
                self._scheduler_of(guard.pool).stats(guard.digest),
            )
            for guard in self._guards.values()
        )

    def close(self) -> None:
        """End the threads that score; one that hangs is left to end with the process."""
        self._scheduler.close()
        for scheduler in self._besides.values():
            scheduler.close()

    def _scheduler_of(self, pool: str) -> Scheduler:
        return self._scheduler if pool == LOCAL else self._beside(pool)

    def _beside(self, name: str) -> Scheduler:
        if (scheduler := self._besides.get(name)) is None:
            scheduler = self._besides[name] = self._new_scheduler()
        return scheduler

    async def _once(
        self,
        scheduler: Scheduler,
        model: LoadedModel,
        guard: _Guard,
        features: Fetched,
        deadline: Deadline,
        rank: int,
    ) -> Score | NoScore:
        """Ask one time, unless breaker or bulkhead stand before it."""
        now_s = self._clock.monotonic_s()
        breaker, outcome = guard.breaker, VOID
        if (permit := breaker.admit(now_s)) is None:
            return _left_alone(guard, now_s)
        if not guard.bulkhead.enter(rank):
            breaker.settle(permit, outcome, now_s)
            return _full(guard)
        left_s = deadline.left_s(now_s)
        try:
            score = await scheduler.submit(model, features.row, features.digest, left_s, rank)
            outcome = GOOD
        except DeadlinePassed as late:
            is_fair = late.blames_model and left_s >= deadline.fair_s
            outcome = BAD if is_fair else VOID
            return no_score(late)
        except Terminal as refused:  # the request is at fault, not the model
            return no_score(refused)
        except (ModelStarting, ModelQuarantined) as absent:  # it was not asked
            return no_score(absent)
        except Overloaded:  # nor is it when too much is asked of it
            raise
        except (Unavailable, Retryable) as failed:
            outcome = BAD
            return no_score(failed)
        finally:
            guard.bulkhead.leave()
            breaker.settle(permit, outcome, self._clock.monotonic_s())
        return score

    async def _again(
        self,
        beside: Scheduler,
        model: LoadedModel,
        guard: _Guard,
        features: Fetched,
        deadline: Deadline,
        rank: int,
    ) -> Score | NoScore:
        """Ask a second time while the first is under way; that there is no room for it ends only this one."""
        try:
            return await self._once(beside, model, guard, features, deadline, rank)
        except Overloaded as full:
            return no_score(full)

    async def _persist(
        self,
        scheduler: Scheduler,
        model: LoadedModel,
        guard: _Guard,
        features: Fetched,
        deadline: Deadline,
        rank: int,
    ) -> Score | NoScore:
        """Ask a remote model, and again when it fails, within budget and deadline."""
        guard.budget.offer(self._clock.monotonic_s())
        for retries in range(MOST_RETRIES + 1):
            answer = await self._hedged(scheduler, model, guard, features, deadline, rank)
            if isinstance(answer, Score) or answer.code not in RETRIED or retries == MOST_RETRIES:
                break
            pause_s = self._clock.uniform() * PAUSE_S * 2**retries
            now_s = self._clock.monotonic_s()
            if deadline.left_s(now_s) <= pause_s or not guard.budget.take(now_s):
                break
            await self._clock.sleep(pause_s)
        return answer

    async def _hedged(
        self,
        scheduler: Scheduler,
        model: LoadedModel,
        guard: _Guard,
        features: Fetched,
        deadline: Deadline,
        rank: int,
    ) -> Score | NoScore:
        """Ask once, and beside it a second time when the answer is late for this model; the first score wins."""
        begun_s = self._clock.monotonic_s()
        after_s = guard.latency.hedge_after_s()
        once = self._once(scheduler, model, guard, features, deadline, rank)
        if after_s is None or after_s >= deadline.left_s(begun_s):
            answer = await once
        else:
            tasks = {asyncio.create_task(once)}
            try:
                await asyncio.wait(tasks, timeout=after_s)
                if not any(task.done() for task in tasks) and guard.budget.take(
                    self._clock.monotonic_s()
                ):
                    beside = self._beside(f"hedge {guard.label}")
                    again = self._again(beside, model, guard, features, deadline, rank)
                    tasks.add(asyncio.create_task(again))
                answer = await _first_score(tasks)
            finally:
                for task in tasks:
                    task.cancel()
        if isinstance(answer, Score):
            guard.latency.observe(self._clock.monotonic_s() - begun_s)
        return answer


async def _first_score(tasks: set[asyncio.Task[Score | NoScore]]) -> Score | NoScore:
    """Return the first score that comes, else the last fault."""
    waiting = set(tasks)
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        answers = [task.result() for task in done]
        scores = [answer for answer in answers if isinstance(answer, Score)]
        if scores or not waiting:
            return scores[0] if scores else answers[-1]


def no_score(fault: OpsrailError | TimeoutError, late: str = "it came too late") -> NoScore:
    """Return an error as a reason for silence; `late` is what to say of one that ran out of time."""
    if isinstance(fault, OpsrailError):
        return NoScore(fault.code, f"No score: {fault}.")
    return NoScore(DeadlinePassed.code, f"No score: {late}.")


def _left_alone(guard: _Guard, now_s: float) -> NoScore:
    wait_s = guard.breaker.closed_in_s(now_s)
    text = f"Model {guard.label} failed too often and is left alone for {wait_s:.1f} s more."
    return NoScore(BREAKER_OPEN, text)


def _full(guard: _Guard) -> NoScore:
    text = f"Model {guard.label} has {guard.bulkhead.most} rows waiting, as many as may."
    return NoScore(BULKHEAD_FULL, text)
