"""Has challengers score along: behind the answer, in lanes, threads and loaded models of their own, without side effects.

`offer` takes a recorded decision and returns at once. Every `LOOK_S` what waits is looked at (`backlog`): loaded models are
asked in batches, one thread each; what they say is judged as the decision was and written in groups. Rules read the request
alone, so what a rule ruled stands for every score, and no code of the author's runs twice. While the process is full
challengers rest; what finds no room then is dropped and counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from opsrail.clock import Clock
from opsrail.decide.backlog import Backlog, Call, Key, Limits
from opsrail.decide.chain import Link, routed
from opsrail.decide.policy import Judgement, NoScore, Policy
from opsrail.decide.scheduler import Result
from opsrail.decide.shadow_asks import Asked, Timed, row_of, timed
from opsrail.decide.shadow_figures import CLOSING, FULL, UNWRITTEN, ShadowFigures, ShadowStats
from opsrail.decide.shadow_writer import ShadowSink, ShadowWriter
from opsrail.decide.threads import Threads
from opsrail.errors import DeadlinePassed, ModelUnavailable, OpsrailError
from opsrail.features.features import Fetched
from opsrail.ports import LoadedModel
from opsrail.registry.pools import Pools
from opsrail.registry.priced import supervised
from opsrail.registry.route import Route
from opsrail.registry.shelf import Shelf
from opsrail.registry.warming import DRAIN_S, Warming
from opsrail.values.decisions import Decision
from opsrail.values.models import ModelVersion
from opsrail.values.shadows import ShadowScoreRow

log = logging.getLogger("opsrail.shadow")
LOOK_S = 0.05
"""Time between looks. Ours: rows come together in batches, and nobody waits for them."""
REST_S = 1.0
"""How long challengers rest after the process was full. Ours."""
LATE_S = 0.1
"""A look that comes so late says that the event loop is full. Ours: twice the time between looks."""
END_S = 2.0
"""What challengers get for what still waits when the process ends. Ours."""


class Standing(Protocol):
    """Who scores along where. The registry knows."""

    def shadows(self, point: str) -> tuple[Route, ...]:
        """Return the challengers of a point."""
        ...

    def every_shadow(self) -> list[ModelVersion]:
        """Return the challengers of all points."""
        ...


class _Challenger:
    """One version that scores along, with what is its own."""

    def __init__(self, version: ModelVersion, link: Link) -> None:
        self.version = version
        self.link = link
        self.threads = Threads(f"shadow {version.name}/{version.number}")
        self.figures: dict[str, ShadowFigures] = {}
        self.told: object = self  # the load whose failure the log names already


class Shadows:
    """Asks challengers. One a process.

    Args:
        sink: Where what they say is kept; nothing else is written.
        pools: Where they run; none of their models is shared with the versions that answer.
        is_full: Returns whether the process has too much else to do.
    """

    def __init__(
        self,
        sink: ShadowSink,
        standing: Standing,
        pools: Pools,
        clock: Clock,
        limits: Limits | None = None,
        *,
        is_full: Callable[[], bool] = lambda: False,
        drain_s: float = DRAIN_S,
    ) -> None:
        self.pools = pools
        self._standing = standing
        self._clock = clock
        self._is_full = is_full
        self._backlog: Backlog[Asked] = Backlog(limits or Limits(), clock.monotonic_s())
        self._writer = ShadowWriter(sink, self._not_kept)
        self._warming = Warming(pools, clock, drain_s)
        self._warming.add_user(self)
        self._challengers: dict[Key, _Challenger] = {}
        self._calls: set[asyncio.Future[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._rests_until_s = 0.0
        self._is_ending = False

    # -- from the road -----------------------------------------------------------------------------------------------

    def offer(
        self,
        decision: Decision,
        policy: Policy[Any],
        judgement: Judgement,
        features: Fetched | NoScore,
    ) -> None:
        """Have a decision scored along by its point's challengers, later. Costs a look-up when there is none.

        Args:
            decision: As recorded.
            policy: Which judged it.
            judgement: What it said.
        """
        if not (routes := self._standing.shadows(decision.point)):
            return
        try:
            row = features if isinstance(features, NoScore) else features.row
            answered = None if decision.score is None else judgement.verdict
            now_s = self._clock.monotonic_s()
            for route in routes:
                version, asked_of = route.version, decision.model
                if asked_of and asked_of[:2] == (version.name, version.number):
                    continue  # a canary scores along what others answered
                figures = self._figures(route, decision.point)
                figures.offered += 1
                asked = Asked(
                    decision.id, decision.at_ms, row, policy, judgement, answered, figures
                )
                if not self._backlog.offer(_key(route.version), asked, now_s):
                    figures.dropped[FULL] += 1
            self._look_later()
        except Exception:  # whatever is wrong here, the decision stands
            log.exception("decision %s could not be offered to challengers", decision.id)

    def stats(self, point: str | None = None) -> tuple[ShadowStats, ...]:
        """Return how each challenger fares: of a point, or of all that were offered something since the process began."""
        now_s, backlog = self._clock.monotonic_s(), self._backlog
        standing = {_key(version) for version in self._standing.every_shadow()}
        if point is not None:
            standing = set()
            for route in self._standing.shadows(point):
                self._figures(route, point)
                standing.add(_key(route.version))
        return tuple(
            figures.stats(
                self._state(key, challenger, now_s),
                backlog.queued_for(key),
                backlog.lag_s(key, now_s),
            )
            for key, challenger in self._challengers.items()
            if key in standing
            for figures in challenger.figures.values()
            if point in (None, figures.point)
        )

    async def drain(self, within_s: float = END_S) -> None:
        """Score and write what waits, as far as there is time; the rest is dropped. More may be offered after it."""
        self._is_ending = True
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._finish()
            for key in self._backlog.waiting():
                for row in self._backlog.empty(key):
                    row.figures.dropped[CLOSING] += 1
            await self._writer.drain()
        finally:
            self._is_ending = False

    async def close(self) -> None:
        """End what challengers run in; one that hangs is left to end with the process."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for challenger in self._challengers.values():
            challenger.threads.shutdown()
        await self._warming.close()

    # -- for the warming ---------------------------------------------------------------------------------------------

    def in_flight(self, place: str) -> int:
        """Return how many calls of a challenger are under way at a place, but for those that were given up."""
        calls = [
            self._backlog.call_of(key)
            for key, challenger in self._challengers.items()
            if challenger.link.place == place
        ]
        return sum(call is not None and not call.is_given_up for call in calls)

    def forget(self, place: str) -> None:
        """End the thread of a challenger that is released."""
        for key, challenger in list(self._challengers.items()):
            if challenger.link.place == place:
                challenger.threads.shutdown()
                challenger.threads = Threads(f"shadow {key[0]}/{key[1]}")

    # -- behind the answer -------------------------------------------------------------------------------------------

    async def _finish(self) -> None:
        """Wait until nothing is left to score."""
        while self._backlog.queued or self._backlog.running:
            self._look()
            if waited := {*self._calls, *self._loads()}:
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED, timeout=LOOK_S)
            elif self._backlog.queued:
                await self._clock.sleep(LOOK_S)

    def _look_later(self, after_s: float = LOOK_S) -> None:
        if self._timer is None:
            self._due_s = self._clock.monotonic_s() + after_s
            self._timer = asyncio.get_running_loop().call_later(after_s, self._look_now)

    def _look_now(self) -> None:
        self._timer = None
        now_s = self._clock.monotonic_s()
        if now_s - self._due_s > LATE_S:
            self._rests_until_s = now_s + REST_S
        self._look()
        if self._backlog.queued or self._calls or self._writer.unwritten:
            self._look_later()
        elif any(self.pools.held()):
            self._look_later(REST_S)  # to release who scores along no more

    def _look(self) -> None:
        """Give up what takes too long, begin what may begin, have written what was said."""
        now_s = self._clock.monotonic_s()
        for call in self._backlog.overdue(now_s):
            self._give_up(call)
        if self._is_ending or not self._rests(now_s):
            for key in self._backlog.waiting():
                self._make_ready(key)
            while next_call := self._backlog.cut(now_s, self._is_ready, freely=self._is_ending):
                self._begin(next_call)
        self._writer.begin()
        self._warming.keep({version.digest for version in self._standing.every_shadow()})

    def _rests(self, now_s: float) -> bool:
        """Return whether challengers rest, since there is or was just now too much else to do."""
        if self._is_full():
            self._rests_until_s = now_s + REST_S
        return now_s < self._rests_until_s

    def _make_ready(self, key: Key) -> None:
        """Begin to load a challenger; of one that cannot be loaded, say so for all rows that wait."""
        challenger = self._challengers[key]
        load = None
        try:
            shelf = self._shelf(challenger)
            load = shelf.begin(challenger.version)
            if not load.done() or shelf.held(challenger.version) is not None:
                return
            load.result()
        except asyncio.CancelledError:
            return
        except OpsrailError as fault:
            if challenger.told is not load:
                log.warning("challenger %s cannot be loaded: %s", challenger.link.label, fault)
            challenger.told = load
            self._fail(self._backlog.empty(key), challenger, fault)

    def _is_ready(self, key: Key) -> bool:
        """Return whether a challenger can be asked: it is loaded, and its process, if it has one, is not being started."""
        challenger = self._challengers[key]
        model = self._shelf(challenger).held(challenger.version)
        if (processes := supervised(model)) is None:
            return model is not None
        health = processes.health()
        return health.children > 0 or health.quarantined_for_s > 0

    def _begin(self, call: Call[Asked]) -> None:
        """Ask a challenger for a batch, in its own thread."""
        challenger = self._challengers[call.key]
        for row in call.rows:
            if isinstance(row.row, NoScore):
                self._said(row, challenger, row.row, 0)
        call.rows = [row for row in call.rows if not isinstance(row.row, NoScore)]
        model = self._shelf(challenger).held(challenger.version)
        if model is None or not call.rows:
            return self._backlog.end(call, None)
        rows: list[Any] = [row.row for row in call.rows]
        asked = asyncio.get_running_loop().run_in_executor(
            challenger.threads, timed, model, rows, self._clock
        )
        self._calls.add(asked)
        asked.add_done_callback(lambda done: self._ended(call, challenger, done))

    def _ended(
        self, call: Call[Asked], challenger: _Challenger, done: asyncio.Future[Timed]
    ) -> None:
        self._calls.discard(done)
        if done.cancelled() or done.exception() is not None:
            return self._backlog.end(call, None)
        results, took_s = done.result()
        self._backlog.end(call, took_s)
        if not call.is_given_up:
            for row, result in zip(call.rows, results, strict=True):
                self._said(row, challenger, result, int(took_s * 1e6))
        if self._backlog.has_batch:
            self._look()
        self._look_later()

    def _give_up(self, call: Call[Asked]) -> None:
        challenger, limit_s = self._challengers[call.key], self._backlog.limits.call_s
        label = challenger.link.label
        log.warning(
            "challenger %s gave no score in %g s; it is left alone until it does", label, limit_s
        )
        self._fail(call.rows, challenger, DeadlinePassed(f"no score within {limit_s:g} s"), limit_s)

    def _fail(
        self,
        rows: Sequence[Asked],
        challenger: _Challenger,
        fault: OpsrailError,
        took_s: float = 0.0,
    ) -> None:
        for row in rows:
            self._said(row, challenger, fault, int(took_s * 1e6))

    def _said(
        self,
        asked: Asked,
        challenger: _Challenger,
        result: Result | NoScore,
        latency_us: int,
    ) -> None:
        """Judge what a challenger said, and have it written."""
        row = row_of(asked, challenger.link, result, latency_us)
        asked.figures.add(row, asked.answered)
        self._writer.add(row)

    # -- what is known -----------------------------------------------------------------------------------------------

    def _figures(self, route: Route, point: str) -> ShadowFigures:
        version = route.version
        challenger = self._challengers.get(_key(version))
        if challenger is None:
            challenger = self._challengers[_key(version)] = _Challenger(version, routed(route))
        figures = challenger.figures.get(point)
        if figures is None:
            figures = ShadowFigures(point, f"{version.name}/{version.number}")
            challenger.figures[point] = figures
        return figures

    def _not_kept(self, row: ShadowScoreRow) -> None:
        challenger = self._challengers[row.model_name, row.model_number]
        challenger.figures[row.point].dropped[UNWRITTEN] += 1

    def _state(self, key: Key, challenger: _Challenger, now_s: float) -> str:
        call = self._backlog.call_of(key)
        if call is not None and call.is_given_up:
            return "hung"
        try:
            shelf = self._shelf(challenger)
        except ModelUnavailable:
            return "failed"
        if shelf.held(challenger.version) is None:
            return "failed" if shelf.is_settled(challenger.version) else "loading"
        return "paused" if now_s < self._rests_until_s else "scoring"

    def _shelf(self, challenger: _Challenger) -> Shelf:
        return self.pools.shelf(challenger.link.pool)

    def _loads(self) -> list[asyncio.Task[LoadedModel]]:
        waiting = (self._challengers[key] for key in self._backlog.waiting())
        loads = []
        for challenger in waiting:
            with suppress(ModelUnavailable):
                loads.append(self._shelf(challenger).begin(challenger.version))
        return [load for load in loads if not load.done()]


def _key(version: ModelVersion) -> Key:
    return version.name, version.number
