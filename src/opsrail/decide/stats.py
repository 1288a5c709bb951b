"""How the decision road fares in this process, for those who watch it."""

from __future__ import annotations

from typing import NamedTuple

from opsrail.decide.asking import ModelStats
from opsrail.decide.cache import CacheStats


class AdmissionStats(NamedTuple):
    """How many decisions may be under way in this process.

    Attributes:
        under_way: Those that are.
        limit: As many may be.
        refused: Refused since the process began, by class: high, normal, low.
    """

    under_way: int
    limit: int
    refused: tuple[int, int, int]


class DeciderStats(NamedTuple):
    """What `Decider.stats` shows.

    Attributes:
        admission: Places for requests from outside.
        pending: Decisions that are not durable yet.
        mean_group: Decisions that one commit made durable, on average.
        unwritten: Decisions answered ahead of the disk (`async`) that the database then refused.
    """

    admission: AdmissionStats
    cache: CacheStats
    models: tuple[ModelStats, ...]
    pending: int
    mean_group: float
    unwritten: int
