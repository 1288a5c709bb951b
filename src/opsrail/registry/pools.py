"""Loaded models by where they run: a version in its own runtime, and in the further ones that its card names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from opsrail.clock import Clock
from opsrail.ports import LoadedModel, ModelRuntime, Store
from opsrail.registry.shelf import Shelf
from opsrail.values.models import ModelVersion

POOLS = "pools"
"""Word of a model's card: names of further runtimes that load the same bytes and may answer when the first cannot."""


class Pools:
    """A shelf for each further runtime, made when it is first asked for: most never are."""

    def __init__(self, store: Store, runtimes: Mapping[str, ModelRuntime], clock: Clock) -> None:
        self._store = store
        self._runtimes = runtimes
        self._clock = clock
        self._shelves: dict[str, Shelf] = {}

    async def take(self, version: ModelVersion, wait_s: float, pool: str) -> LoadedModel:
        """Return a version's model in another runtime. Raises ModelUnavailable when it cannot be had within `wait_s`."""
        shelf = self._shelves.get(pool)
        if shelf is None:
            shelf = self._shelves[pool] = Shelf(self._store, self._runtimes, self._clock)
        elsewhere = replace(version, runtime=pool)
        return shelf.held(elsewhere) or await shelf.take(elsewhere, wait_s)


def pools_of(card: Mapping[str, object]) -> Sequence[str]:
    """Return the further runtimes that a card names; none, if what it says is no list of names."""
    named = card.get(POOLS)
    if not isinstance(named, list):
        return ()
    return [runtime for runtime in named if isinstance(runtime, str)]
