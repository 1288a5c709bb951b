"""One decision, read top to bottom: `Decider.decide` is the table of contents of the hot path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from opsrail.clock import Clock, in_time
from opsrail.decide.breaker import Breaker, Limits, Outcome
from opsrail.decide.cache import ScoreCache
from opsrail.decide.deadline import Deadline, deadline_of
from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import Judgement, NoScore
from opsrail.decide.recorder import Recorder, Ticket
from opsrail.decide.scheduler import Scheduler
from opsrail.errors import (
    AuthorError,
    DeadlinePassed,
    Fault,
    InvalidInput,
    OpsrailError,
    Terminal,
    Unavailable,
    UnknownName,
)
from opsrail.features.features import Features, Fetched
from opsrail.features.request import request_read
from opsrail.ports import Store
from opsrail.registry.registry import Registry, Route
from opsrail.values.decisions import CacheState, Decision, ModelRef, ViewRead
from opsrail.values.models import Score
from opsrail.values.rows import Write

M = TypeVar("M", bound=BaseModel)
LONGEST_KEY = 255


@dataclass(frozen=True)
class Request(Generic[M]):
    """One question to a decision point.

    Attributes:
        facts: The input, checked: an instance of the point's request model.
        correlation_id: W3C trace id (32 hex digits) shared with the caller; the canary's choice hangs on it, or on the case.
        actor: Who asks.
        idempotency_key: The same key and facts give the same decision; at most 255 characters.
        case_id: The case it is asked in.
        seq: Position in that case's journal.
        budget_ms: Time for the answer; None: what the point declares.
        also: The decision -> writes that go into the same commit. Not together with a key.
    """

    point: DecisionPoint[M]
    facts: M
    correlation_id: str
    actor: str
    idempotency_key: str | None = None
    case_id: str | None = None
    seq: int | None = None
    budget_ms: int | None = None
    also: Callable[[Decision], Sequence[Write]] | None = None


class Decider:
    """Answers requests. One a process.

    Args:
        cache_entries: Scores kept, all points together.
        max_batch: Rows a model scores in one call, at most.
        breaker: When a model version is left alone.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        features: Features,
        clock: Clock,
        *,
        cache_entries: int = 10_000,
        max_batch: int = 64,
        breaker: Limits | None = None,
    ) -> None:
        self._registry = registry
        self._features = features
        self._clock = clock
        self._cache = ScoreCache(cache_entries)
        self._limits = breaker
        self._breakers: dict[str, Breaker] = {}
        self._scheduler = Scheduler(max_batch)
        self._recorder = Recorder(store, clock)

    async def decide(self, request: Request[M]) -> Decision:
        """Answer one request; its record is durable before this returns. The whole hot path is on this page.

        Raises:
            InvalidInput: the facts are not of the point's model or have no JSON form. Terminal; nothing was recorded.
            UnknownName: the point names a feature view that the code does not define. Terminal.
            KeyReused, InFlight: see `Recorder`.
            StoreUnavailable: the record cannot be written. Nothing was accepted; ask again.
        """
        point = request.point
        asked = _asked(request)
        laps = _Laps(self._clock)
        deadline = deadline_of(point.deadline_ms, request.budget_ms, laps.start_s)
        ticket = _ticket(request, asked.read)
        async with self._recorder.once(ticket) as earlier:
            if earlier is not None:
                return earlier
            laps.begin()
            route = await self._route(request, deadline)
            laps.end("route")
            features = await self._fetch(request, asked.read, deadline)
            laps.end("features")
            score, cache = await self._score(point, route, features, deadline)
            laps.end("score")
            judgement = point.policy.judge(request.facts, score, point.fallback)
            laps.end("verdict")
            decision = self._decision(
                request, asked, route, features, score, cache, judgement, laps
            )
            return await self._recorder.record(decision, ticket, request.also)

    def close(self) -> None:
        """End the threads that score; call it when no request is under way."""
        self._scheduler.close()

    async def _route(self, request: Request[Any], deadline: Deadline) -> Route | NoScore:
        point, key = request.point.name, request.case_id or request.correlation_id
        if (known := self._registry.known_route(point, key)) is not None:
            return known
        try:
            route = self._registry.route(point, key)
            return await in_time(route, deadline.left_s(self._clock.monotonic_s()))
        except (Unavailable, TimeoutError) as fault:
            return _no_score(fault, "the rollout could not be read in time")

    async def _fetch(
        self, request: Request[Any], asked: ViewRead, deadline: Deadline
    ) -> Fetched | NoScore:
        facts, views = request.facts, request.point.features
        try:
            if (known := self._features.known(asked, facts, views)) is not None:
                return known
            fetched = self._features.fetch(asked, facts, views)
            return await in_time(fetched, deadline.left_s(self._clock.monotonic_s()))
        except UnknownName:
            raise
        except (Unavailable, AuthorError, TimeoutError) as fault:
            return _no_score(fault, "the features could not be read in time")

    async def _score(
        self,
        point: DecisionPoint[Any],
        route: Route | NoScore,
        features: Fetched | NoScore,
        deadline: Deadline,
    ) -> tuple[Score | NoScore, CacheState]:
        """Return the cached score of equal features, else the model's, else why there is none."""
        cache: CacheState = "miss" if point.cache_ttl_s else "off"
        if isinstance(route, NoScore):
            return route, cache
        if isinstance(features, NoScore):
            return features, cache
        version, now_s = route.version.digest, self._clock.monotonic_s()
        if point.cache_ttl_s:
            kept = self._cache.get(version, features.digest, ttl_s=point.cache_ttl_s, now_s=now_s)
            if kept is not None:
                return kept, "hit"
        score = await self._ask(route, features, deadline)
        if isinstance(score, Score) and point.cache_ttl_s:
            self._cache.put(version, features.digest, score, now_s=self._clock.monotonic_s())
        return score, cache

    async def _ask(self, route: Route, features: Fetched, deadline: Deadline) -> Score | NoScore:
        """Ask the model, unless its breaker is open."""
        now_s = self._clock.monotonic_s()
        breaker = self._breakers.get(route.version.digest)
        if breaker is None:
            breaker = self._breakers[route.version.digest] = Breaker(self._limits)
        try:
            model = self._registry.held(route.version) or await self._registry.model(
                route.version, deadline.left_s(now_s)
            )
        except Unavailable as fault:
            return _no_score(fault, "")
        permit = breaker.admit(now_s)
        if permit is None:
            label = f"{route.version.name}/{route.version.number}"
            wait_s = breaker.closed_in_s(now_s)
            return NoScore(
                "breaker-open",
                f"Model {label} failed too often and is left alone for {wait_s:.1f} s more.",
            )
        outcome = Outcome.VOID
        left_s = deadline.left_s(self._clock.monotonic_s())
        try:
            score = await self._scheduler.submit(model, features.row, features.digest, left_s)
            outcome = Outcome.GOOD
        except DeadlinePassed as late:
            outcome = Outcome.BAD if left_s >= deadline.fair_s else Outcome.VOID
            return _no_score(late, "")
        except Unavailable as failed:
            outcome = Outcome.BAD
            return _no_score(failed, "")
        except Terminal as refused:  # the request is at fault, not the model
            return _no_score(refused, "")
        finally:
            breaker.settle(permit, outcome, self._clock.monotonic_s())
        return score

    def _decision(
        self,
        request: Request[Any],
        asked: _Asked,
        route: Route | NoScore,
        features: Fetched | NoScore,
        score: Score | NoScore,
        cache: CacheState,
        judgement: Judgement,
        laps: _Laps,
    ) -> Decision:
        point = request.point
        scored = score if isinstance(score, Score) else None
        return Decision(
            id=self._clock.new_id(),
            point=point.name,
            impact=point.impact,
            correlation_id=request.correlation_id,
            case_id=request.case_id,
            seq=request.seq,
            actor=request.actor,
            model=None if isinstance(route, NoScore) else _model_ref(route),
            policy_version=asked.policy_version,
            score=None if scored is None else scored.value,
            confidence=None if scored is None else scored.confidence,
            unknown=() if scored is None else scored.unknown,
            verdict=judgement.verdict,
            reasons=judgement.reasons,
            features=(asked.read,) if isinstance(features, NoScore) else features.reads,
            cache=cache,
            degraded=scored is None,
            degraded_why=score.code if isinstance(score, NoScore) else None,
            cost_usd=0.0
            if scored is None or cache == "hit" or isinstance(route, NoScore)
            else _cost_usd(route),
            latency_ms=laps.spent_ms(),
            at_ms=laps.at_ms,
        )


class _Asked(NamedTuple):
    read: ViewRead
    policy_version: str


class _Laps:
    """Time spent by stage. Milliseconds, to the microsecond."""

    __slots__ = ("_last_s", "_now_s", "_spent_ms", "at_ms", "start_s")

    def __init__(self, clock: Clock) -> None:
        self._now_s = clock.monotonic_s
        self.at_ms = clock.now_ms()
        self.start_s = self._last_s = self._now_s()
        self._spent_ms: dict[str, float] = {}

    def begin(self) -> None:
        self._last_s = self._now_s()

    def end(self, stage: str) -> None:
        now_s = self._now_s()
        self._spent_ms[stage] = round((now_s - self._last_s) * 1000, 3)
        self._last_s = now_s

    def spent_ms(self) -> dict[str, float]:
        self._spent_ms["total"] = round((self._last_s - self.start_s) * 1000, 3)
        return self._spent_ms


def _asked(request: Request[Any]) -> _Asked:
    """Return what is asked and under which policy, after checking what the caller handed in.

    The first call for a point reads its author's source for the versions, which takes milliseconds: no deadline runs yet.
    """
    point, key = request.point, request.idempotency_key
    found = []
    if not isinstance(request.facts, point.request):
        found.append(
            Fault("facts", f"is {type(request.facts).__name__}, not {point.request.__name__}")
        )
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        found.append(
            Fault("idempotency_key", f"has {len(key)} characters; 1..{LONGEST_KEY} are allowed")
        )
    if key is not None and request.also is not None:
        found.append(
            Fault(
                "also", "goes with no idempotency key: a case's journal already tells twins apart"
            )
        )
    if request.budget_ms is not None and request.budget_ms < 1:
        found.append(Fault("budget_ms", f"{request.budget_ms} is below 1"))
    if found:
        raise InvalidInput(f"the request to decision point {point.name!r} is wrong", found)
    return _Asked(request_read(request.facts, point.request_version), point.policy_version)


def _ticket(request: Request[Any], asked: ViewRead) -> Ticket | None:
    if request.idempotency_key is None:
        return None
    return Ticket(f"decision:{request.point.name}", request.idempotency_key, asked.digest)


def _no_score(fault: OpsrailError | TimeoutError, late: str) -> NoScore:
    if isinstance(fault, OpsrailError):
        return NoScore(fault.code, f"No score: {fault}.")
    return NoScore(DeadlinePassed.code, f"No score: {late}.")


def _model_ref(route: Route) -> ModelRef:
    version = route.version
    return ModelRef(version.name, version.number, version.digest, str(route.stage))


def _cost_usd(route: Route) -> float:
    declared = route.version.card.get("cost_usd", 0.0)
    return float(declared) if isinstance(declared, int | float) else 0.0
