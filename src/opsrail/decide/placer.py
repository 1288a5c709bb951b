"""Looks at the pools of a model version and says in which order they are asked; keeps what each point has spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from opsrail.clock import Clock
from opsrail.decide.asking import Asker
from opsrail.decide.asks import RANK_OF
from opsrail.decide.chain import Link, links_of, routed
from opsrail.decide.deadline import Deadline
from opsrail.decide.placement import placed
from opsrail.decide.point import DecisionPoint
from opsrail.registry.pools import POOLS, place_of, pools_of
from opsrail.registry.registry import Registry
from opsrail.registry.route import Route
from opsrail.registry.spending import Budget
from opsrail.values.decisions import Criticality
from opsrail.values.models import ModelVersion, Score
from opsrail.values.pools import LOCAL

CLASSES: Sequence[Criticality] = sorted(RANK_OF, key=lambda name: RANK_OF[name])
"""Criticality classes by rank."""


class Placer:
    """Places requests. One a process."""

    def __init__(self, registry: Registry, asker: Asker, clock: Clock) -> None:
        self._registry = registry
        self._asker = asker
        self._clock = clock
        self._budgets: dict[str, Budget] = {}
        self._lone: dict[str, tuple[Route, Mapping[str, Route], tuple[Link, ...]]] = {}

    def links(
        self, point: DecisionPoint[Any], rank: int, route: Route, deadline: Deadline
    ) -> tuple[Link, ...]:
        """Return who may be asked, in order. A version that runs in `local` alone costs a look at its card."""
        standing = self._registry.standing(point.name)
        lone = self._lone.get(point.name)
        if lone is None or lone[0] is not route or lone[1] is not standing:
            is_plain = len(standing) == 1 and POOLS not in route.version.card
            links = (routed(route),) if is_plain else ()
            lone = self._lone[point.name] = (route, standing, links)
        if lone[2] and not self._is_refused(LOCAL, rank):
            return lone[2]
        pools_for = partial(self._pools, point, rank, deadline)
        return links_of(point.stand_ins, route, standing, pools_for)

    def paid(self, point: DecisionPoint[Any], link: Link, score: Score) -> float:
        """Take in a score that was paid for; return what it cost."""
        cost_usd = link.cost_usd_of(score)
        if not (point.budget_usd_per_hour or point.budget_usd_per_day):
            return cost_usd
        budget = self._budgets.get(point.name)
        if budget is None:
            budget = Budget(point.budget_usd_per_hour, point.budget_usd_per_day)
            self._budgets[point.name] = budget
        budget.add(cost_usd, self._clock.monotonic_s())
        return cost_usd

    def _is_refused(self, pool: str, rank: int) -> bool:
        """Return whether the only pool there is has spent its budget, which `low` requests pay for."""
        return rank == RANK_OF["low"] and self._registry.pools.is_spent(pool)

    def _pools(
        self,
        point: DecisionPoint[Any],
        rank: int,
        deadline: Deadline,
        version: ModelVersion,
    ) -> Sequence[str]:
        now_s = self._clock.monotonic_s()
        pools, warming = self._registry.pools, self._registry.warming
        named = pools_of(version.card)
        known = [pool for each in named if (pool := pools.pool(each)) is not None]
        if not known:
            return named  # who asks hears that a pool is not there
        if len(named) == 1:
            return () if self._is_refused(known[0].name, rank) else named
        outlooks = []
        for pool in known:
            looks = self._asker.outlook(place_of(version, pool.name), rank, now_s)
            is_warm = pools.shelf(pool.name).held(version) is not None
            outlooks.append(
                looks._replace(
                    pool=pool.name,
                    cost_usd_per_s=pool.cost_usd_per_s,
                    is_warm=is_warm,
                    is_blocked=looks.is_blocked or pools.pressed(version, pool.name),
                    is_spent=pools.is_spent(pool.name),
                )
            )
        if not all(outlook.is_warm for outlook in outlooks):
            warming.begin([version], lambda: None)
        budget = self._budgets.get(point.name)
        is_point_spent = budget is not None and budget.is_spent(now_s)
        left_s = deadline.left_s(now_s)
        return placed(outlooks, CLASSES[rank], left_s, is_point_spent=is_point_spent)
