"""Has versions loaded before they answer, and releases them after their last request.

A version that comes is loaded and tried out in each of its pools; who stood there before answers until then. One that went
is kept while requests may still be on their way to it, then until the last of them is answered, then closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Protocol

from opsrail.clock import Clock
from opsrail.errors import ModelUnavailable
from opsrail.registry.pools import Pools, place_of
from opsrail.values.models import ModelVersion

DRAIN_S = 5.0
"""How long a version that nobody is routed to any more is kept. Ours: well over what a usual deadline leaves between route
and model; a request that comes later still loads it again."""
LOOK_S = 0.2
"""How often its last requests are looked for. Ours."""


class ModelUser(Protocol):
    """Who asks loaded models."""

    def in_flight(self, place: str) -> int:
        """Return how many requests wait for the model at a place."""
        ...

    def forget(self, place: str) -> None:
        """Keep nothing of the model at a place: it is released."""
        ...


class Warming:
    """Loads and releases the models of one process.

    Args:
        drain_s: Stands in for DRAIN_S.
    """

    def __init__(self, pools: Pools, clock: Clock, drain_s: float = DRAIN_S) -> None:
        self._pools = pools
        self._clock = clock
        self._drain_s = drain_s
        self._wanted: Collection[str] = frozenset()
        self._users: list[ModelUser] = []
        self._drains: dict[str, asyncio.Task[None]] = {}

    def add_user(self, user: ModelUser) -> None:
        """Ask before a model is released, and tell of it."""
        self._users.append(user)

    def begin(self, versions: Iterable[ModelVersion], then: Callable[[], None]) -> None:
        """Begin to load what is not loaded. `then` is called after each load that ends, be it that it failed."""
        for version in versions:
            for shelf in self._pools.shelves(version):
                if shelf.held(version) is None and not shelf.is_begun(version):
                    shelf.begin(version).add_done_callback(lambda load: then())

    def is_settled(self, version: ModelVersion) -> bool:
        """Return whether a version is loaded wherever it may run, or could not be."""
        return all(shelf.is_settled(version) for shelf in self._pools.shelves(version))

    def is_loading(self, version: ModelVersion) -> bool:
        """Return whether a version's load is under way somewhere."""
        shelves = self._pools.shelves(version)
        return any(shelf.is_begun(version) and not shelf.is_settled(version) for shelf in shelves)

    async def load(self, version: ModelVersion, wait_s: float, *, is_patient: bool = True) -> None:
        """Wait until a version is loaded in all of its pools.

        Args:
            is_patient: See `Shelf.take`.

        Raises:
            ModelUnavailable: it could not be loaded in any, or not in time.
        """
        shelves = self._pools.shelves(version)
        loads = await asyncio.gather(
            *(shelf.take(version, wait_s, is_patient=is_patient) for shelf in shelves),
            return_exceptions=True,
        )
        faults = [load for load in loads if isinstance(load, BaseException)]
        if len(faults) == len(loads):
            raise (
                faults[0]
                if faults
                else ModelUnavailable(f"{version.name} names no pool known here")
            )

    def keep(self, wanted: Collection[str]) -> None:
        """Release what is loaded and has none of these digests, once nobody asks it any more."""
        self._wanted = wanted
        for pool, version, _ in self._pools.held():
            place = place_of(version, pool)
            if version.digest not in wanted and place not in self._drains:
                drain = asyncio.get_running_loop().create_task(
                    self._drain(pool, version, place), name=f"drain {place}"
                )
                self._drains[place] = drain
                drain.add_done_callback(partial(self._drained, place))

    async def close(self) -> None:
        """Release everything."""
        drains = list(self._drains.values())
        for drain in drains:
            drain.cancel()
        await asyncio.gather(*drains, return_exceptions=True)
        for shelf in self._pools.all():
            await shelf.close()

    async def _drain(self, pool: str, version: ModelVersion, place: str) -> None:
        await self._clock.sleep(self._drain_s)
        while any(user.in_flight(place) for user in self._users):
            await self._clock.sleep(LOOK_S)
        if version.digest in self._wanted:
            return
        dropped = self._pools.shelf(pool).drop(version)
        for user in self._users:
            user.forget(place)
        await dropped

    def _drained(self, place: str, _: asyncio.Task[None]) -> None:
        self._drains.pop(place, None)
