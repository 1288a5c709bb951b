"""How the decision road fares in this process, for those who watch it."""

from __future__ import annotations

from typing import NamedTuple

from opsrail.decide.asking import ModelStats
from opsrail.decide.cache import CacheStats


class DeciderStats(NamedTuple):
    """What `Decider.stats` shows.

    Attributes:
        pending: Decisions that are not durable yet.
        mean_group: Decisions that one commit made durable, on average.
        unwritten: Decisions answered ahead of the disk (`async`) that the database then refused.
    """

    cache: CacheStats
    models: tuple[ModelStats, ...]
    pending: int
    mean_group: float
    unwritten: int
