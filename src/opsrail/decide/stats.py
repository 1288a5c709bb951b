"""How the decision road fares in this process, for those who watch it."""

from __future__ import annotations

from typing import NamedTuple

from opsrail.decide.admission import Admission, AdmissionStats
from opsrail.decide.asking import Asker, ModelStats
from opsrail.decide.cache import CacheStats
from opsrail.decide.recorder import Recorder
from opsrail.decide.shadow_figures import ShadowStats
from opsrail.registry.pools import Pools, PoolStats


class ProcessStats(NamedTuple):
    """How a model fares that runs in processes of its own.

    Attributes:
        model: `name/number`.
        pool: Where it runs.
        state: `serving`, `quarantined` or `trial`.
        children: Processes that are ready.
        wanted: Processes that should be.
        crashes: Deaths since it was loaded.
        quarantined_for_s: How long it is still left alone; 0 unless quarantined.
    """

    model: str
    pool: str
    state: str
    children: int
    wanted: int
    crashes: int
    quarantined_for_s: float


class DeciderStats(NamedTuple):
    """What `Decider.stats` shows.

    Attributes:
        admission: Places for requests from outside.
        pending: Decisions that are not durable yet.
        mean_group: Decisions that one commit made durable, on average.
        unwritten: Decisions answered ahead of the disk (`async`) that the database then refused.
        pools: Where models run.
        processes: The models that run in processes of their own.
        shadows: The challengers that score along.
    """

    admission: AdmissionStats
    cache: CacheStats
    models: tuple[ModelStats, ...]
    pending: int
    mean_group: float
    unwritten: int
    pools: tuple[PoolStats, ...]
    processes: tuple[ProcessStats, ...]
    shadows: tuple[ShadowStats, ...]


def stats_of(
    admission: Admission,
    cache: CacheStats,
    asker: Asker,
    pools: Pools,
    recorder: Recorder,
    shadows: tuple[ShadowStats, ...],
) -> DeciderStats:
    """Return it all."""
    return DeciderStats(
        admission.stats(),
        cache,
        asker.stats(),
        recorder.pending,
        recorder.mean_group,
        recorder.unwritten,
        pools.stats(),
        tuple(
            ProcessStats(f"{version.name}/{version.number}", pool, *health)
            for pool, version, health in pools.health()
        ),
        shadows,
    )
