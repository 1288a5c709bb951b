"""Who answers when the routed version cannot: other versions, other pools, the point's fallback, the policy. Pure.

    routed version -> the point's `stand_ins`, in order -> its `fallback` -> the policy's `without_score`: a person

A stand-in is asked only when the fault is the model's or the clock's. A row that a model refuses, features that could not be
had, and a point without a live version go to the fallback at once: another version cures none of them, and taking the live
version away is how an operator stops the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from opsrail.decide.policy import Judgement, NoScore
from opsrail.errors import (
    DeadlinePassed,
    ModelCrashed,
    ModelQuarantined,
    ModelStarting,
    ModelUnavailable,
    Overloaded,
    TimedOut,
)
from opsrail.registry.libraries import library_of
from opsrail.registry.pools import place_of, pools_of
from opsrail.registry.rollout import Stage
from opsrail.registry.route import Route
from opsrail.values.decisions import CacheState, ModelRef
from opsrail.values.models import ModelVersion, Score
from opsrail.values.pools import LOCAL
from opsrail.values.reasons import FallbackStep

StandIn = Literal["live", "standby", "pool", "retired"]
STAND_INS: tuple[str, ...] = get_args(StandIn)
USUAL: tuple[StandIn, ...] = ("live", "standby", "pool")
"""Ours: what an operator put there to answer. A retired version may have been retired for cause: the point has to say so."""
BREAKER_OPEN = "breaker-open"
BULKHEAD_FULL = "bulkhead-full"
CURABLE = frozenset(
    {
        BREAKER_OPEN,
        BULKHEAD_FULL,
        DeadlinePassed.code,
        ModelCrashed.code,
        ModelQuarantined.code,
        ModelStarting.code,
        ModelUnavailable.code,
        Overloaded.code,
        TimedOut.code,
    }
)
"""Codes of what another model may do better."""

FREE = frozenset({"hit", "shared"})
"""Cache states of scores that another request paid for."""


@dataclass(slots=True)
class Link:
    """One model that may answer.

    Attributes:
        what: The stage it stands at, or `pool`: the routed version in another pool.
        place: What breaker, bulkhead and asks under way hang on, see `place_of`.
        ref: It as records name it.
        call_usd: What a call costs, as the model's card declares it.
    """

    what: str
    version: ModelVersion
    stage: Stage
    pool: str
    place: str
    ref: ModelRef
    call_usd: float

    @property
    def label(self) -> str:
        """Return `name/number`, with the pool where that tells it apart."""
        version = f"{self.version.name}/{self.version.number}"
        is_plain = self.pool == LOCAL and self.what != "pool"
        return version if is_plain else f"{version} in {self.pool}"

    def cost_usd_of(self, score: Score) -> float:
        """Return what a score cost: a call and the time in its pool."""
        return score.cost_usd + self.call_usd


@dataclass(slots=True)
class Answer:
    """What was had for a score.

    Attributes:
        link: Whose score it is; without one who was asked first, None when nobody was live.
        faults: Why those who were asked before had none, in order.
        steps: From each of those to the next.
        cost_usd: What was paid for the score; 0 without one, or where another request paid.
    """

    score: Score | NoScore
    cache: CacheState
    link: Link | None
    faults: Sequence[NoScore]
    steps: tuple[FallbackStep, ...]
    cost_usd: float = 0.0


def routed(route: Route) -> Link:
    """Return the version that should answer, in the first of its pools."""
    return _link(str(route.stage), route, pools_of(route.version.card)[0])


def asked_for(
    route: Route | NoScore, standing: Mapping[str, Route], number: int
) -> Route | NoScore:
    """Return the version with a number that the caller named; only one that answers requests may be asked for.

    Args:
        route: What the rollout says; its silence stands.
        standing: The versions at each stage of the point.
    """
    if isinstance(route, NoScore) or route.version.number == number:
        return route
    for stage in (Stage.LIVE, Stage.CANARY):
        if (other := standing.get(stage)) is not None and other.version.number == number:
            return other
    return NoScore(ModelUnavailable.code, f"No score: version {number} no longer answers.")


def links_of(
    stand_ins: Sequence[StandIn],
    route: Route,
    standing: Mapping[str, Route],
    pools_for: Callable[[ModelVersion], Sequence[str]] = lambda version: pools_of(version.card),
) -> tuple[Link, ...]:
    """Return who may be asked, the routed version first, each model once; nobody, when there is no pool for any.

    Args:
        stand_ins: As the point declares them.
        standing: The versions at each stage of the point.
        pools_for: Returns the pools in which a version is asked, the best first.
    """
    links: dict[str, Link] = {}
    pools = pools_for(route.version)
    for pool in pools[:1]:
        _add(links, _link(str(route.stage), route, pool))
    for kind in stand_ins:
        if kind == "pool":
            for pool in pools[1:]:
                _add(links, _link(kind, route, pool))
        elif (other := standing.get(kind)) is not None:
            for pool in pools_for(other.version)[:1]:
                _add(links, _link(kind, other, pool))
    return tuple(links.values())


def _link(what: str, route: Route, pool: str) -> Link:
    version, stage = route.version, str(route.stage)
    library = library_of(version.runtime) if pool == LOCAL else None
    ref = ModelRef(version.name, version.number, version.digest, stage, pool, library)
    declared = version.card.get("cost_usd", 0.0)
    call_usd = float(declared) if isinstance(declared, int | float) else 0.0
    return Link(what, version, route.stage, pool, place_of(version, pool), ref, call_usd)


def _add(links: dict[str, Link], link: Link) -> None:
    links.setdefault(link.place, link)


def stood_in(links: Sequence[Link], faults: Sequence[NoScore]) -> tuple[FallbackStep, ...]:
    """Return the steps from model to model.

    Args:
        faults: Why those that were asked had no score, in order; the link after them is the one that had one, if any.
    """
    return tuple(
        FallbackStep(link.what, link.label, fault.code)
        for link, fault in zip(links[1:], faults, strict=False)
    )


def ruled(judgement: Judgement, why: str) -> tuple[FallbackStep, ...]:
    """Return the steps of a verdict that was found without a score.

    Args:
        why: Code of what stood in the last model's way.
    """
    said = judgement.reasons[0]
    if said.source == "fallback":
        return (FallbackStep("fallback", None, why),)
    if said.code == "fallback-failed":
        return (FallbackStep("fallback", None, why), FallbackStep("policy", None, said.code))
    return (FallbackStep("policy", None, why),)
