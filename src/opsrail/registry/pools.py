"""Where versions run: pools with their runtimes, a shelf of loaded models in each, and what each has spent.

A version's card names the pools it may run in (`pools`); without, it runs in `local` alone. Its `isolation` says whether it
has to be kept in child processes wherever it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from opsrail.clock import Clock
from opsrail.config import PoolConfig
from opsrail.errors import Fault, ModelUnavailable
from opsrail.ports import LoadedModel, ModelHealth, ModelRuntime, RowReader
from opsrail.registry.priced import Priced, supervised
from opsrail.registry.shelf import Shelf
from opsrail.registry.spending import Budget
from opsrail.values.canonical import digest
from opsrail.values.models import ModelVersion
from opsrail.values.pools import ISOLATIONS, LOCAL, Pool

POOLS = "pools"
"""Word of a model's card: names of the pools it may run in."""
ISOLATION = "isolation"
"""Word of a model's card: `process` keeps it in child processes."""
USUAL = (LOCAL,)


class PoolRuntimes(NamedTuple):
    """A pool and what loads versions there.

    Attributes:
        here: Runtimes of this process, by name.
        apart: The same, running in child processes.
    """

    pool: Pool
    here: Mapping[str, ModelRuntime]
    apart: Mapping[str, ModelRuntime] = {}


class PoolStats(NamedTuple):
    """How a pool fares in this process.

    Attributes:
        pool: Its name.
        hardware: `cpu`, `gpu` or `remote`.
        models: Versions that are loaded there.
        cost_usd: What it cost since the process began.
        is_spent: Whether its budget is used up for now.
    """

    pool: str
    hardware: str
    models: int
    cost_usd: float
    is_spent: bool


class _Placed:
    """A pool as this process has it."""

    def __init__(
        self, store: RowReader, given: PoolRuntimes, clock: Clock, executor: Executor | None
    ) -> None:
        self.pool = pool = given.pool
        self.budget = Budget(pool.budget_usd_per_hour, pool.budget_usd_per_day)
        self._given = given
        self._clock = clock
        self.shelf = Shelf(store, self.runtime_of, clock, self._priced, executor, self.is_apart)

    def runtime_of(self, version: ModelVersion) -> ModelRuntime:
        """Return what loads a version here. Raises ModelUnavailable: this process has no such runtime."""
        pool, (_, here, apart) = self.pool, self._given
        runtimes = apart if self.is_apart(version) else here
        name = pool.runtime or version.runtime
        if name not in runtimes:
            known = ", ".join(sorted(runtimes)) or "none"
            where = " that runs in child processes" if runtimes is apart else ""
            raise ModelUnavailable(
                f"no runtime {name!r}{where} in pool {pool.name} of this process (known: {known}); install its extra"
            )
        return runtimes[name]

    def is_apart(self, version: ModelVersion) -> bool:
        """Return whether a version may run here in processes of its own alone."""
        return "process" in (self.pool.isolation, version.card.get(ISOLATION))

    def _priced(self, model: LoadedModel) -> LoadedModel:
        if not self.pool.cost_usd_per_s:
            return model
        return Priced(model, self.pool.cost_usd_per_s, self.budget, self._clock)


class Pools:
    """All pools of this process.

    Args:
        executor: Where models are loaded; None: in the event loop's own threads.
    """

    def __init__(
        self,
        store: RowReader,
        pools: Sequence[PoolRuntimes],
        clock: Clock,
        executor: Executor | None = None,
    ) -> None:
        self._clock = clock
        self._placed = {each.pool.name: _Placed(store, each, clock, executor) for each in pools}
        self.local = self._placed[LOCAL].shelf

    def shelf(self, pool: str) -> Shelf:
        """Return a pool's loaded models. Raises ModelUnavailable: this process has no such pool."""
        return self._known(pool).shelf

    def pool(self, name: str) -> Pool | None:
        """Return a pool, None when this process has none of that name."""
        placed = self._placed.get(name)
        return None if placed is None else placed.pool

    def is_spent(self, pool: str) -> bool:
        """Return whether a pool's budget is used up for now."""
        return self._known(pool).budget.is_spent(self._clock.monotonic_s())

    def pressed(self, version: ModelVersion, pool: str) -> bool:
        """Return whether no process of a version is ready in a pool: it is in quarantine, or one is being started."""
        model = self._known(pool).shelf.held(version)
        return (processes := supervised(model)) is not None and processes.health().children == 0

    def check(
        self, content_digest: str, runtime: str, card: Mapping[str, object], artifact: bytes
    ) -> None:
        """Load what shall become a version in each of its pools, and drop it again; blocking. Raises as `Shelf.loaded`."""
        version = ModelVersion("", 0, content_digest, runtime, "", {}, card, 0)
        for pool in pools_of(version.card):
            self._known(pool).shelf.check(version, artifact)

    def try_out(self, artifact: bytes, runtime: str) -> LoadedModel:
        """Return the model of an artifact that is no version, in this process; blocking. Raises as `Shelf.loaded`."""
        version = ModelVersion("", 0, digest(artifact), runtime, "", {}, {}, 0)
        return self.local.loaded(version, artifact)

    def stats(self) -> tuple[PoolStats, ...]:
        """Return how each fares."""
        now_s = self._clock.monotonic_s()
        return tuple(
            PoolStats(
                name,
                placed.pool.hardware,
                len(placed.shelf.versions()),
                placed.budget.total_usd,
                placed.budget.is_spent(now_s),
            )
            for name, placed in self._placed.items()
        )

    def health(self) -> Iterator[tuple[str, ModelVersion, ModelHealth]]:
        """Yield pool, version and health of each model that runs in processes of its own."""
        for name, version, model in self.held():
            if (processes := supervised(model)) is not None:
                yield name, version, processes.health()

    def release(self, version: ModelVersion) -> int:
        """End a version's quarantine; returns in how many pools there was one."""
        released = 0
        for _, held, model in self.held():
            processes = supervised(model) if held.digest == version.digest else None
            if processes is not None and processes.health().quarantined_for_s:
                processes.release()
                released += 1
        return released

    def held(self) -> Iterator[tuple[str, ModelVersion, LoadedModel]]:
        """Yield pool, version and model of all that is loaded."""
        for name, placed in self._placed.items():
            for version in placed.shelf.versions():
                if (model := placed.shelf.held(version)) is not None:
                    yield name, version, model

    def shelves(self, version: ModelVersion) -> list[Shelf]:
        """Return where a version may run in this process."""
        return [self._placed[pool].shelf for pool in pools_of(version.card) if pool in self._placed]

    def all(self) -> Iterator[Shelf]:
        """Yield every pool's loaded models."""
        return (placed.shelf for placed in self._placed.values())

    def _known(self, name: str) -> _Placed:
        if (placed := self._placed.get(name)) is None:
            known = ", ".join(self._placed)
            raise ModelUnavailable(
                f"no pool {name!r} in this process (known: {known}); add [pools.{name}] to its settings"
            )
        return placed


def pool_of(name: str, given: PoolConfig) -> Pool:
    """Return a pool as the settings describe it."""
    return Pool(
        name,
        given.hardware,
        given.runtime or None,
        given.isolation,
        given.cost_usd_per_hour / 3600,
        given.budget_usd_per_hour,
        given.budget_usd_per_day,
    )


def pools_of(card: Mapping[str, object]) -> Sequence[str]:
    """Return the pools that a card names; `local`, if it names none or what it says is no list of names."""
    named = card.get(POOLS)
    if not isinstance(named, list):
        return USUAL
    return [pool for pool in named if isinstance(pool, str)] or USUAL


def place_of(version: ModelVersion, pool: str) -> str:
    """Return what breaker, bulkhead and asks under way hang on: the digest, in another pool than `local` with its name."""
    return version.digest if pool == LOCAL else f"{version.digest} {pool}"


def card_faults(card: Mapping[str, object]) -> Iterator[Fault]:
    """Yield what is wrong with what a card says of pools."""
    named = card.get(POOLS, [LOCAL])
    if list(pools_of(card)) != named or len(set(pools_of(card))) != len(pools_of(card)):
        yield Fault(f"card.{POOLS}", "is not a list of names of pools, each once")
    if (isolation := card.get(ISOLATION, "none")) not in ISOLATIONS:
        yield Fault(f"card.{ISOLATION}", f"{isolation!r} is none of {', '.join(ISOLATIONS)}")
