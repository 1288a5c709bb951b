"""One decision, read top to bottom: `Decider.decide` is the table of contents of the hot path."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel

from opsrail.clock import Clock, in_time
from opsrail.decide.admission import Admission
from opsrail.decide.asking import Asker, AskLimits, no_score
from opsrail.decide.asks import rank_of
from opsrail.decide.cache import ScoreCache
from opsrail.decide.chain import CURABLE, FREE, Answer, Link, asked_for, routed, ruled, stood_in
from opsrail.decide.deadline import Deadline, deadline_of
from opsrail.decide.figures import Figures
from opsrail.decide.flights import Flights
from opsrail.decide.held import HeldPoints, handed_over, left_to
from opsrail.decide.laps import Laps
from opsrail.decide.placement import BUDGET_SPENT
from opsrail.decide.placer import Placer
from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import Judgement, NoScore
from opsrail.decide.reasoner import Reasoner
from opsrail.decide.recorder import KEY_TTL_S, Recorder
from opsrail.decide.request import LONGEST_KEY as LONGEST_KEY
from opsrail.decide.request import Request as Request
from opsrail.decide.request import arm_key_of, asked_of, durability_of, ticket_of
from opsrail.decide.scheduler import Scheduler
from opsrail.decide.shadow import Shadows
from opsrail.decide.side_by_side import NO_TURN, ONE_TURN, WIDEST
from opsrail.decide.stats import DeciderStats, stats_of
from opsrail.errors import (
    AuthorError,
    Overloaded,
    Unavailable,
    UnknownName,
)
from opsrail.features.features import Features, Fetched
from opsrail.ports import Store
from opsrail.registry.registry import Registry
from opsrail.registry.route import Route
from opsrail.values.decisions import CacheState, Decision, ViewRead
from opsrail.values.explanations import ReasonCodes
from opsrail.values.models import Score
from opsrail.values.reasons import FallbackStep

M = TypeVar("M", bound=BaseModel)
NO_BUDGET = NoScore(BUDGET_SPENT, "No score: the budget is spent, and the request can go without.")


class Decider:
    """Answers requests. One a process.

    Args:
        cache_bytes: Memory for scores that are kept, all points together.
        max_batch: Rows a model scores in one call, at most.
        limits: What each model version may take and get.
        idempotency_ttl_s: Time for which an idempotency key stands for its decision.
        group_wait_s: How long a decision waits for others to be committed with, at most.
        most_pending: Decisions that wait to be durable, at most.
        shadow: Has challengers score along; None: nobody does.

    Attributes:
        admission: How many may be asked for at once; whoever takes requests from outside asks it first.
        figures: How many decisions there were lately, how fast, and what came of them.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        features: Features,
        clock: Clock,
        *,
        cache_bytes: int = 16_000_000,
        max_batch: int = 64,
        limits: AskLimits | None = None,
        idempotency_ttl_s: int = KEY_TTL_S,
        group_wait_s: float = 0.002,
        most_pending: int = 10_000,
        shadow: Shadows | None = None,
    ) -> None:
        self._registry = registry
        self._features = features
        self._clock = clock
        self._cache = ScoreCache(cache_bytes)
        self._flights = Flights(clock)
        new_scheduler = partial(Scheduler, max_batch)
        self._asker = Asker(registry, clock, limits or AskLimits(), new_scheduler)
        self._placer = Placer(registry, self._asker, clock)
        self._held = HeldPoints()
        self._recorder = Recorder(
            store, clock, idempotency_ttl_s, linger_s=group_wait_s, most_pending=most_pending
        )
        self._reasoner = Reasoner(registry, clock)
        self._shadow = shadow
        self.admission = Admission()
        self.figures = Figures(clock.monotonic_s())

    async def decide(self, request: Request[M]) -> Decision:
        """Answer one request; its record is durable before this returns. The whole hot path is on this page.

        Raises:
            InvalidInput: the facts are not of the point's model or have no JSON form. Terminal; nothing was recorded.
            UnknownName: the point names a feature view that the code does not define. Terminal.
            KeyReused, InFlight: see `Recorder`.
            Overloaded: more is asked of the models than they can answer in time. Nothing was recorded; ask again.
            StoreUnavailable: the record cannot be written. Nothing was accepted; ask again.
        """
        point, facts = request.point, request.facts
        asked = asked_of(request)
        laps = Laps(self._clock, self.catch_up())
        due = deadline_of(point.deadline_ms, request.budget_ms, laps.start_s)
        ticket = ticket_of(request, asked)
        await laps.others
        self._recorder.check_room()
        async with self._recorder.once(ticket) as earlier:
            if earlier is not None:
                return earlier
            laps.begin()
            route = self._known_route(request) or await self._route(request, due)
            if (settings := self._registry.held.of(point.name)) is not None:
                point = self._held.of(point, settings)
                due = deadline_of(point.deadline_ms, request.budget_ms, laps.start_s)
            if (number := request.model_number) is not None:
                route = asked_for(route, self._registry.standing(point.name), number)
            laps.end("route")
            features = self._known(point, facts, asked) or await self._fetch(
                point, facts, asked, due
            )
            await laps.end("features")
            answer = await self._score(point, request, route, features, due)
            await laps.end("score")
            judgement = point.policy.judge(facts, answer.score, point.fallback)
            laps.end("verdict")
            codes = None
            if point.reason_codes:
                codes = await self._reasoner.codes(point, answer.link, features, answer.score, due)
                laps.end("reasons")
            reads = features.reads if isinstance(features, Fetched) else (asked,)
            decision = self._decision(point, request, reads, answer, judgement, laps, codes)
            await laps.others
            stands = await self._recorder.record(decision, ticket, request.also)
            await laps.others
            self.figures.add(decision, laps.start_s, self._clock.monotonic_s())
            if self._shadow is not None and stands is decision:
                self._shadow.offer(decision, point.policy, judgement, features)
            return stands

    def catch_up(self) -> Awaitable[None]:
        """Return what a request awaits after each stage, see `side_by_side`; who was recorded alone waits for nobody."""
        return ONE_TURN if 1 < self._recorder.lately <= WIDEST else NO_TURN

    async def drain(self) -> None:
        """Wait until every decision that was answered is durable; call it before the store is closed."""
        await self._recorder.drain()
        if self._shadow is not None:
            await self._shadow.drain()

    def close(self) -> None:
        """End the threads that score; call it when no request is under way."""
        self._asker.close()
        self._reasoner.close()

    def stats(self) -> DeciderStats:
        """Return what cache and models did since the process began, and how they are now."""
        cache = self._cache.stats(self._flights.shared)
        pools = self._registry.pools
        shadows = () if self._shadow is None else self._shadow.stats()
        return stats_of(self.admission, cache, self._asker, pools, self._recorder, shadows)

    def _known_route(self, request: Request[Any]) -> Route | NoScore | None:
        try:
            return self._registry.known_route(request.point.name, arm_key_of(request))
        except AuthorError as fault:
            return no_score(fault)

    async def _route(self, request: Request[Any], deadline: Deadline) -> Route | NoScore:
        try:
            route = self._registry.route(request.point.name, arm_key_of(request))
            return await in_time(route, deadline.left_s(self._clock.monotonic_s()))
        except (Unavailable, TimeoutError) as fault:
            return no_score(fault, "the rollout could not be read in time")

    def _known(
        self, point: DecisionPoint[M], facts: M, asked: ViewRead
    ) -> Fetched | NoScore | None:
        try:
            return self._features.known(asked, facts, point.features)
        except UnknownName:
            raise
        except (Unavailable, AuthorError) as fault:
            return no_score(fault)

    async def _fetch(
        self, point: DecisionPoint[M], facts: M, asked: ViewRead, deadline: Deadline
    ) -> Fetched | NoScore:
        try:
            fetched = self._features.fetch(asked, facts, point.features)
            return await in_time(fetched, deadline.left_s(self._clock.monotonic_s()))
        except UnknownName:
            raise
        except (Unavailable, AuthorError, TimeoutError) as fault:
            return no_score(fault, "the features could not be read in time")

    async def _score(
        self,
        point: DecisionPoint[Any],
        request: Request[Any],
        route: Route | NoScore,
        features: Fetched | NoScore,
        deadline: Deadline,
    ) -> Answer:
        """Return what the routed version says, else who may stand in for it, else why nobody has a score."""
        if not isinstance(route, Route):
            return _silence(point, route, None)
        if not isinstance(features, Fetched):
            return _silence(point, features, routed(route))
        rank = rank_of(point.criticality, request.criticality)
        if not (links := self._placer.links(point, rank, route, deadline)):
            return _silence(point, NO_BUDGET, routed(route))
        faults: list[NoScore] = []
        for link in links:
            now_s = self._clock.monotonic_s()
            if faults and not deadline.left_s(now_s):
                break
            due = deadline if link is links[-1] else deadline.leaving_time(now_s)
            try:
                if point.cache_ttl_s:
                    score, cache = await self._kept(point, request, link, features, due, rank)
                else:
                    score, cache = await self._asker.ask(link, features, due, rank), "off"
            except Overloaded as full:
                if link is links[-1]:
                    raise
                score, cache = no_score(full), "miss"
            if isinstance(score, Score):
                steps = stood_in(links, faults) if faults else ()
                cost_usd = 0.0 if cache in FREE else self._placer.paid(point, link, score)
                return Answer(score, cache, link, faults, steps, cost_usd)
            faults.append(score)
            if score.code not in CURABLE:
                break
        return Answer(faults[0], cache, links[0], faults, stood_in(links, faults[:-1]))

    async def _kept(
        self,
        point: DecisionPoint[Any],
        request: Request[Any],
        link: Link,
        features: Fetched,
        due: Deadline,
        rank: int,
    ) -> tuple[Score | NoScore, CacheState]:
        """Return the score kept of equal features, else the one an equal request is asking for, else the model's."""
        key = (link.version.digest, features.digest, request.tenant)
        now_s = self._clock.monotonic_s()
        kept = self._cache.get(key, ttl_s=point.cache_ttl_s, now_s=now_s)
        if kept is not None:
            return kept, "hit"

        async def ask() -> Score | NoScore:
            score = await self._asker.ask(link, features, due, rank)
            if isinstance(score, Score):
                self._cache.put(key, score, now_s=self._clock.monotonic_s())
            return score

        score, is_shared = await self._flights.once((f"{link.place} {rank}", *key[1:]), ask, due)
        return score, "shared" if is_shared else "miss"

    def _decision(
        self,
        point: DecisionPoint[Any],
        request: Request[Any],
        reads: tuple[ViewRead, ...],
        answer: Answer,
        judgement: Judgement,
        laps: Laps,
        codes: ReasonCodes | None,
    ) -> Decision:
        link, faults = answer.link, answer.faults
        score = answer.score if isinstance(answer.score, Score) else None
        level = left_to(point, reads[0].values)
        verdict, reasons, proposed = handed_over(judgement, level, point.policy.review)
        fallback = (*answer.steps, *_silent(answer, judgement)) if faults else ()
        return Decision(  # in order: by name it takes 1.9 us instead of 0.45
            self._clock.new_id(), point.name, point.impact,
            request.correlation_id, request.case_id, request.seq, request.actor,
            None if link is None else link.ref, point.policy_version,
            None if score is None else score.value, None if score is None else score.confidence,
            () if score is None else score.unknown, verdict, reasons, reads,
            answer.cache, bool(faults), faults[0].code if faults else None,
            answer.cost_usd, laps.spent_ms(), laps.at_ms,
            fallback, codes, durability_of(request), level, proposed,
        )  # fmt: skip


def _silence(point: DecisionPoint[Any], why: NoScore, link: Link | None) -> Answer:
    """Return why no model is asked at all."""
    return Answer(why, "miss" if point.cache_ttl_s else "off", link, [why], ())


def _silent(answer: Answer, judgement: Judgement) -> tuple[FallbackStep, ...]:
    """Return the steps of a verdict that was found without a score; none with one."""
    return () if isinstance(answer.score, Score) else ruled(judgement, answer.faults[-1].code)
