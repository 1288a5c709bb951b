"""Registers model versions, moves them through their stages, and says which one answers a request."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor

from opsrail.clock import Clock
from opsrail.errors import (
    ModelStarting,
    ModelUnavailable,
    NotFound,
    StaleWrite,
    StoreUnavailable,
)
from opsrail.ports import LoadedModel, ModelRuntime, Store
from opsrail.registry import rollout
from opsrail.registry.description import changed
from opsrail.registry.held import HeldSettings
from opsrail.registry.pools import PoolRuntimes, Pools
from opsrail.registry.rollout import ANSWERING, Move, Stage
from opsrail.registry.route import Route
from opsrail.registry.versions import Versions
from opsrail.registry.warming import DRAIN_S, Warming
from opsrail.values.models import ModelVersion
from opsrail.values.pools import LOCAL, Pool
from opsrail.values.registry import RolloutChangeRow, RolloutRow
from opsrail.values.rows import Write, equals

log = logging.getLogger("opsrail.registry")
MOST_ROLLOUTS = 100_000
LOAD_S = 60.0
"""How long a version that shall answer may take to load. Ours: large forests take ten seconds."""


class Registry(Versions):
    """Model versions and rollouts. One a process; several processes share them through the store.

    Args:
        runtimes: What loads artifacts, by name: the pool `local`, unless `pools` says how that is.
        pools: Where else versions may run.
        poll_s: How long a change made by another process may stay unseen when the store's notice of it is lost.
        keeps_retired: Points that may ask the version at stage `retired`: it is not released.
        drain_s: How long a version is kept to which no request is routed any more.
        executor: Where models are loaded; None: in the event loop's own threads.

    Attributes:
        pools: Where versions run.
        warming: What loads and releases them.
        held: What holds for points instead of their code; read along with the rollouts.
    """

    def __init__(
        self,
        store: Store,
        runtimes: Mapping[str, ModelRuntime],
        clock: Clock,
        *,
        pools: Sequence[PoolRuntimes] = (),
        poll_s: float = 1.0,
        keeps_retired: Collection[str] = (),
        drain_s: float = DRAIN_S,
        executor: Executor | None = None,
    ) -> None:
        local = PoolRuntimes(Pool(), runtimes)
        super().__init__(store, Pools(store, [local, *pools], clock, executor), clock)
        self._poll_s = poll_s
        self.warming = Warming(self.pools, clock, drain_s)
        self.held = HeldSettings(store)
        self._keeps_retired = frozenset(keeps_retired)
        self._may_go_back: frozenset[str] = frozenset()
        self._along: frozenset[str] = frozenset()
        self._is_serving = False
        self._read: Mapping[str, Sequence[RolloutRow]] = {}
        self._standing: dict[str, Mapping[str, Route]] = {}
        self._alone: dict[str, Route] = {}  # who answers all requests of a point
        self._shadows: dict[str, tuple[Route, ...]] = {}
        self._rollouts: Mapping[str, Sequence[RolloutRow]] = {}
        self._changed: asyncio.Event | None = None
        self._fresh_until_s = -math.inf
        self._refreshing = asyncio.Lock()

    # -- rollout -----------------------------------------------------------------------------------------------------

    async def promote(
        self,
        point: str,
        version: ModelVersion,
        stage: Stage,
        *,
        by: str,
        reason: str,
        share: float = 0.0,
        revision: int | None = None,
        also: Sequence[Write] = (),
    ) -> RolloutChangeRow:
        """Move a version to a stage of a decision point.

        It holds here at once, in other processes within `poll_s` and as soon as they have it loaded. Where this process
        answers requests, it is loaded and tried out before the change is written.

        Args:
            share: For a canary, part of the requests it answers.
            revision: The point's revision the caller looked at; a change since then refuses this one.
            also: What goes into the same commit.

        Raises:
            Conflict: somebody changed the rollout first (StaleWrite), or the version cannot go there from where it stands.
            InvalidInput: share, reason or name is missing. Terminal.
            NotFound: the version is not registered. Terminal.
            ModelUnavailable: it shall answer, and cannot be loaded here. Nothing was changed.
        """
        await self.version(version.name, version.number)
        history = await self.history(point, limit=1)
        current = history[0].revision if history else 0
        if revision is not None and revision != current:
            raise StaleWrite(
                f"the rollout of {point!r} is at revision {current}, not {revision}; look at it again"
            )
        rows = await self.rollout(point)
        move = Move(point, version.name, version.number, Stage(stage), share, by, reason)
        change, writes = rollout.writes_of(rows, current, move, self._clock.now_ms())
        if self._is_serving and move.stage in ANSWERING:
            await self.warming.load(version, LOAD_S)
        try:
            await self._store.commit([*writes, changed(change, version), *also])
        except StaleWrite as lost:
            raise StaleWrite(
                f"somebody else changed the rollout of {point!r} first; look at it again"
            ) from lost
        async with self._refreshing:
            await self._refresh()
        return change

    async def rollout(self, point: str) -> list[RolloutRow]:
        """Return where versions stand for a point now, from the store."""
        return await self._store.select(RolloutRow, *equals(point=point))

    async def history(self, point: str, *, limit: int = 1000) -> list[RolloutChangeRow]:
        """Return changes of a point's rollout, newest first."""
        return await self._store.select(
            RolloutChangeRow,
            *equals(point=point),
            order=("revision",),
            descending=True,
            limit=limit,
        )

    # -- the hot path ------------------------------------------------------------------------------------------------

    async def route(self, point: str, key: str) -> Route:
        """Return which version answers a request.

        Args:
            key: What the canary's choice hangs on: the same key is always answered by the same arm.

        Raises:
            ModelUnavailable: no version is live. The decision falls back.
        """
        return self.known_route(point, key) or await self._read_route(point, key)

    def known_route(self, point: str, key: str) -> Route | None:
        """Return which version answers a request, if that is known without reading."""
        if self._is_stale():
            return None
        return self._alone.get(point) or self._route_of(point, key)

    async def _read_route(self, point: str, key: str) -> Route:
        if self._is_stale():
            await self._refresh_once()
        if (route := self._route_of(point, key)) is None:
            raise ModelUnavailable(
                f"no model version is live for {point!r}; promote one: `opsrail models promote`"
            )
        return route

    def _route_of(self, point: str, key: str) -> Route | None:
        row = rollout.answering(self._rollouts.get(point, ()), key)
        return None if row is None else self.standing(point).get(row.stage)

    def standing(self, point: str) -> Mapping[str, Route]:
        """Return the version at each stage of a point, as last read by `route`: of the retired the last; no shadows."""
        return self._standing.get(point, {})

    def shadows(self, point: str) -> tuple[Route, ...]:
        """Return the versions that score along at a point, as last read by `route`, the first to come first."""
        return self._shadows.get(point, ())

    def every_shadow(self) -> list[ModelVersion]:
        """Return the versions that score along at some point, as last read."""
        return [route.version for routes in self._shadows.values() for route in routes]

    async def model(
        self, version: ModelVersion, wait_s: float, pool: str = LOCAL, *, is_patient: bool = True
    ) -> LoadedModel:
        """Return a version's model in a pool, loaded.

        Args:
            is_patient: See `Shelf.take`.

        Raises:
            ModelUnavailable: it cannot be had within `wait_s`.
        """
        shelf = self.pools.local if pool == LOCAL else self.pools.shelf(pool)
        return shelf.held(version) or await shelf.take(version, wait_s, is_patient=is_patient)

    def known_model(self, version: ModelVersion, pool: str = LOCAL) -> LoadedModel | None:
        """Return a version's model in a pool, if it is loaded. Raises ModelUnavailable: there is no such pool."""
        shelf = self.pools.local if pool == LOCAL else self.pools.shelf(pool)
        return shelf.held(version)

    def is_loaded(self, version: ModelVersion) -> bool:
        """Return whether a version is loaded in one of its pools here."""
        shelves = self.pools.shelves(version)
        return any(shelf.held(version) is not None for shelf in shelves)

    async def warm(self, wait_s: float = LOAD_S) -> list[ModelVersion]:
        """Load every version that may answer now, and from now on each that comes before it does; returns what is loaded.

        A version that cannot be loaded, or not in time, is left out: its requests fall back until it can, or is.
        """
        self._is_serving = True
        async with self._refreshing:
            await self._refresh()
        versions = self._answering()
        loads = await asyncio.gather(
            *(self.warming.load(version, wait_s) for version in versions), return_exceptions=True
        )
        self._settle()
        for version, fault in zip(versions, loads, strict=True):
            if isinstance(fault, ModelStarting):
                told = "model %s/%d is not loaded after %g s; requests to it fall back until it is"
                log.warning(told, version.name, version.number, wait_s)
        return [
            version
            for version, fault in zip(versions, loads, strict=True)
            if not isinstance(fault, BaseException)
        ]

    def keep_retired(self, points: Collection[str], along: Collection[str] = ()) -> None:
        """Keep the retired version of these points loaded, so that they can go back to it at once.

        Args:
            along: Points whose canary also scores, as a challenger does, what the live version answers.
        """
        self._may_go_back = frozenset(points)
        if self._along != (along := frozenset(along)):
            self._along = along
            self._settle()

    async def close(self) -> None:
        """Release all models; nothing is asked any more."""
        self._is_serving = False
        await self.warming.close()

    def _is_stale(self) -> bool:
        return (
            self._changed is None
            or self._changed.is_set()
            or self.held.is_changed
            or self._clock.monotonic_s() >= self._fresh_until_s
        )

    async def _refresh_once(self) -> None:
        """Read the rollouts anew; while one request does, others go by what is known, as all do when the store is down."""
        if self._refreshing.locked() and self._changed is not None:
            return
        async with self._refreshing:
            if not self._is_stale():
                return
            try:
                await self._refresh()
            except StoreUnavailable:
                if self._changed is None:
                    raise
                self._fresh_until_s = self._clock.monotonic_s() + self._poll_s

    async def _refresh(self) -> None:
        changed = self._changed or self._store.changed(RolloutRow)
        changed.clear()
        fresh_until_s = self._clock.monotonic_s() + self._poll_s
        await self.held.read()
        rollouts: dict[str, list[RolloutRow]] = {}
        for row in await self._store.select(RolloutRow, limit=MOST_ROLLOUTS):
            rollouts.setdefault(row.point, []).append(row)
            try:
                await self.version(row.model_name, row.model_number)
            except NotFound:
                continue  # its requests fall back; the others are served
        self._read = rollouts
        self._changed, self._fresh_until_s = changed, fresh_until_s
        if self._is_serving:
            self.warming.begin(self._answering(), self._settle)
        self._settle()

    def _answering(self) -> list[ModelVersion]:
        """Return the versions that may answer by what was last read."""
        keys = {
            (row.model_name, row.model_number)
            for rows in self._read.values()
            for row in rows
            if row.stage in ANSWERING
        }
        return [self._versions[key] for key in sorted(keys) if key in self._versions]

    def _settle(self) -> None:
        """Route by what was last read, but to no version that is still being loaded while another can answer."""
        if not self._is_serving:
            self._rollouts = self._read
        else:
            before = self._rollouts
            self._rollouts = {
                point: rollout.held_back(rows, before.get(point, ()), self._is_ready)
                for point, rows in self._read.items()
            }
        self._standing, self._alone, self._shadows = {}, {}, {}
        for point, rows in self._rollouts.items():
            routes = self._routes(rows)
            standing: dict[str, Route] = {
                route.stage: route for route in routes if route.stage != Stage.SHADOW
            }
            self._standing[point] = standing
            if Stage.LIVE in standing and all(row.stage != Stage.CANARY for row in rows):
                self._alone[point] = standing[Stage.LIVE]
            beside = {Stage.SHADOW, *([Stage.CANARY] if point in self._along else [])}
            self._shadows[point] = tuple(route for route in routes if route.stage in beside)
        if self._is_serving:
            routed = {
                route.version.digest
                for point, standing in self._standing.items()
                for route in standing.values()
                if route.stage != Stage.RETIRED or point in self._keeps_retired | self._may_go_back
            }
            self.warming.keep(routed | {version.digest for version in self._answering()})

    def _is_ready(self, row: RolloutRow) -> bool:
        version = self._versions.get((row.model_name, row.model_number))
        return version is None or self.warming.is_settled(version)

    def _routes(self, rows: Sequence[RolloutRow]) -> list[Route]:
        """Return where versions stand, who came last at the end."""
        return [
            Route(version, Stage(row.stage), row.revision)
            for row in sorted(rows, key=lambda row: row.revision)
            if (version := self._versions.get((row.model_name, row.model_number))) is not None
        ]
