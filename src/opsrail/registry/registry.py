"""Registers model versions, moves them through their stages, and says which one answers a request."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import orjson

from opsrail.clock import Clock
from opsrail.errors import (
    Conflict,
    ModelUnavailable,
    NotFound,
    StaleWrite,
    StoreUnavailable,
)
from opsrail.ports import LoadedModel, ModelRuntime, Store
from opsrail.registry import rollout
from opsrail.registry.description import check_description
from opsrail.registry.pools import Pools, pools_of
from opsrail.registry.rollout import Move, Stage
from opsrail.registry.shelf import Shelf
from opsrail.values.canonical import canonical, digest
from opsrail.values.models import ModelVersion
from opsrail.values.registry import ArtifactRow, ModelVersionRow, RolloutChangeRow, RolloutRow
from opsrail.values.rows import Append, Insert, Where, Write, equals

ATTEMPTS = 20
"""How often a registration looks for the next free number; each loss means another registration of that name was written."""
MOST_ROLLOUTS = 100_000


class Route(NamedTuple):
    """Which version answers a request.

    Attributes:
        stage: `live` or `canary`; of one that stands in, where it stands.
        revision: Of the point's last change of this version.
    """

    version: ModelVersion
    stage: Stage
    revision: int


class Registry:
    """Model versions and rollouts. One a process; several processes share them through the store.

    Args:
        runtimes: What loads artifacts, by name.
        poll_s: How long a change made by another process may stay unseen when the store's notice of it is lost.
    """

    def __init__(
        self,
        store: Store,
        runtimes: Mapping[str, ModelRuntime],
        clock: Clock,
        *,
        poll_s: float = 1.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._poll_s = poll_s
        self._shelf = Shelf(store, runtimes, clock)
        self._pools = Pools(store, runtimes, clock)
        self._standing: Mapping[str, Mapping[str, Route]] = {}
        self._versions: dict[tuple[str, int], ModelVersion] = {}
        self._rollouts: Mapping[str, Sequence[RolloutRow]] = {}
        self._changed: asyncio.Event | None = None
        self._fresh_until_s = -math.inf
        self._refreshing = asyncio.Lock()

    # -- versions ----------------------------------------------------------------------------------------------------

    async def register(
        self,
        name: str,
        artifact: bytes,
        *,
        runtime: str,
        training_digest: str,
        by: str,
        metrics: Mapping[str, float] | None = None,
        card: Mapping[str, object] | None = None,
    ) -> ModelVersion:
        """Keep an artifact as the next version of a model; the same bytes again give the version they have, unchanged.

        Args:
            artifact: The model's bytes, as the runtime loads them.
            training_digest: `sha256:<hex>` of the training rows.
            by: Who registers it.
            metrics: Finite figures by name.
            card: What it is for, what it was made from, its limits; `cost_usd` is what one call costs, `pools` names further
                runtimes that may score it when this one cannot.

        Raises:
            InvalidInput: all faults of the description at once. Terminal; nothing was kept.
            ArtifactRefused: the runtime does not load it. Terminal; nothing was kept.
            ModelUnavailable: this process has no such runtime.
        """
        check_description(name, training_digest, metrics or {}, card or {}, by)
        content_digest = digest(artifact)
        for each in (runtime, *pools_of(card or {})):
            await asyncio.to_thread(self._shelf.check, artifact, content_digest, each)
        for _ in range(ATTEMPTS):
            known = await self._store.select(
                ModelVersionRow, *equals(name=name), order=("number",), limit=MOST_ROLLOUTS
            )
            if same := [row for row in known if row.digest == content_digest]:
                return _version_of(same[0])
            number = known[-1].number + 1 if known else 1
            figures = canonical(dict(metrics or {})).decode()
            told = canonical(dict(card or {})).decode()
            at_ms = self._clock.now_ms()
            row = ModelVersionRow(
                name, number, content_digest, runtime, training_digest, figures, told, at_ms
            )
            stored = await self._store.count(ArtifactRow, *equals(digest=content_digest))
            writes: list[Write] = (
                [] if stored.get((), 0) else [Insert(ArtifactRow(content_digest, artifact))]
            )
            try:
                await self._store.commit([*writes, Insert(row), _registered(row, by)])
            except StaleWrite:
                continue
            return _version_of(row)
        raise Conflict(
            f"model {name!r}: {ATTEMPTS} other registrations came first; register it again"
        )

    def try_out(self, artifact: bytes, runtime: str) -> LoadedModel:
        """Return the model of an artifact that is not registered. Blocking; raises as `register`."""
        return self._shelf.check(artifact, digest(artifact), runtime)

    async def version(self, name: str, number: int) -> ModelVersion:
        """Return one version. Raises NotFound when there is none."""
        if (known := self._versions.get((name, number))) is not None:
            return known
        row = await self._store.get(ModelVersionRow, name, number)
        if row is None:
            raise NotFound(f"there is no model version {name}/{number}; see `opsrail models list`")
        return self._versions.setdefault((name, number), _version_of(row))

    async def versions(self, *where: Where, limit: int = 1000) -> list[ModelVersion]:
        """Return versions by name and number."""
        return [
            _version_of(row)
            for row in await self._store.select(ModelVersionRow, *where, limit=limit)
        ]

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
    ) -> RolloutChangeRow:
        """Move a version to a stage of a decision point; it holds here at once, in other processes within `poll_s`.

        Args:
            share: For a canary, part of the requests it answers.
            revision: The point's revision the caller looked at; a change since then refuses this one.

        Raises:
            Conflict: somebody changed the rollout first (StaleWrite), or the version cannot go there from where it stands.
            InvalidInput: share, reason or name is missing. Terminal.
            NotFound: the version is not registered. Terminal.
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
        try:
            await self._store.commit([*writes, _changed(change, version)])
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
        return None if self._is_stale() else self._route_of(point, key)

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
        version = None if row is None else self._versions.get((row.model_name, row.model_number))
        if row is None or version is None:
            return None
        return Route(version, Stage(row.stage), row.revision)

    def standing(self, point: str) -> Mapping[str, Route]:
        """Return the version at each stage of a point, as last read by `route`."""
        return self._standing.get(point, {})

    async def model(
        self, version: ModelVersion, wait_s: float, pool: str | None = None
    ) -> LoadedModel:
        """Return a version's model, loaded.

        Args:
            pool: Another runtime that its card names; None: its own.

        Raises:
            ModelUnavailable: it cannot be had within `wait_s`.
        """
        if pool is None:
            return self.held(version) or await self._shelf.take(version, wait_s)
        return await self._pools.take(version, wait_s, pool)

    def held(self, version: ModelVersion) -> LoadedModel | None:
        """Return a version's model if it is loaded."""
        return self._shelf.held(version)

    async def warm(self, wait_s: float = 60.0) -> list[ModelVersion]:
        """Load every version that may answer now, so that the first request does not wait for it; returns what is loaded.

        A version that cannot be loaded is left out: its requests fall back until it can.
        """
        async with self._refreshing:
            await self._refresh()
        serving = {
            (row.model_name, row.model_number)
            for rows in self._rollouts.values()
            for row in rows
            if row.stage in (Stage.LIVE, Stage.CANARY, Stage.STANDBY)
        }
        versions = [self._versions[key] for key in sorted(serving) if key in self._versions]
        loads = await asyncio.gather(
            *(self.model(version, wait_s) for version in versions), return_exceptions=True
        )
        return [
            version
            for version, model in zip(versions, loads, strict=True)
            if not isinstance(model, BaseException)
        ]

    def _is_stale(self) -> bool:
        return (
            self._changed is None
            or self._changed.is_set()
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
        rollouts: dict[str, list[RolloutRow]] = {}
        for row in await self._store.select(RolloutRow, limit=MOST_ROLLOUTS):
            rollouts.setdefault(row.point, []).append(row)
            try:
                await self.version(row.model_name, row.model_number)
            except NotFound:
                continue  # its requests fall back; the others are served
        self._rollouts = rollouts
        self._standing = {point: self._routes(rows) for point, rows in rollouts.items()}
        self._changed, self._fresh_until_s = changed, fresh_until_s

    def _routes(self, rows: Sequence[RolloutRow]) -> dict[str, Route]:
        return {
            row.stage: Route(version, Stage(row.stage), row.revision)
            for row in rows
            if (version := self._versions.get((row.model_name, row.model_number))) is not None
        }


def _version_of(row: ModelVersionRow) -> ModelVersion:
    fields = row._asdict()
    return ModelVersion(
        **{**fields, "metrics": orjson.loads(row.metrics), "card": orjson.loads(row.card)}
    )


def _registered(row: ModelVersionRow, by: str) -> Append:
    body = {
        "actor": by,
        "at_ms": row.created_at_ms,
        "digest": row.digest,
        "name": row.name,
        "number": row.number,
        "runtime": row.runtime,
        "training_digest": row.training_digest,
    }
    return Append(
        "model.registered", f"{row.name}/{row.number}", row.created_at_ms, canonical(body)
    )


def _changed(change: RolloutChangeRow, version: ModelVersion) -> Append:
    body = {**change._asdict(), "stage": str(change.stage), "model_digest": version.digest}
    return Append("rollout.changed", change.point, change.at_ms, canonical(body))
