"""Where versions run, as the settings describe it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsrail.clock import Clock
from opsrail.config import Config, PoolConfig
from opsrail.connect.catalog import child_runtimes
from opsrail.decide.threads import Threads
from opsrail.ports import ModelRuntime, RowReader
from opsrail.registry.pools import PoolRuntimes, Pools, pool_of
from opsrail.values.pools import LOCAL


def pools_of(
    config: Config, runtimes: Mapping[str, ModelRuntime], factory: str, clock: Clock
) -> list[PoolRuntimes]:
    """Return the pools that the settings describe, each with what loads versions there."""
    return [
        PoolRuntimes(
            pool_of(name, pool),
            runtimes,
            child_runtimes(runtimes, pool, clock, factory, runtime_options(config)),
        )
        for name, pool in {LOCAL: PoolConfig(), **config.pools}.items()
    ]


def shadow_pools(
    store: RowReader,
    config: Config,
    runtimes: Mapping[str, ModelRuntime],
    factory: str,
    clock: Clock,
) -> Pools:
    """Return the same pools for challengers: models, processes and costs of their own, one process each, loaded one by one.

    Args:
        store: What artifacts are read from.
    """
    alone = {
        name: pool.model_copy(update={"warm": 1, "devices": 1})
        for name, pool in config.pools.items()
    }
    own = pools_of(config.model_copy(update={"pools": alone}), runtimes, factory, clock)
    return Pools(store, own, clock, Threads("load challengers"))


def runtime_options(config: Config) -> dict[str, Any]:
    """Return how the runtimes are set, in this process and in those of its models."""
    return {
        "remote_hosts": config.decide.remote_hosts,
        "threads": config.models.threads,
        "trusted_types": config.models.trusted,
    }
