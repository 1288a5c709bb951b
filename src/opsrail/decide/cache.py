"""Scores of equal requests to the same model version. Pure but for its memory; `now_s` is an argument.

The key holds the model version's digest, the features' digest and the tenant, so a new version, a new fact or another
tenant never meets an old score. Policy is not in it: it is applied anew to every score. Errors are never kept.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from opsrail.values.models import Score

Key = tuple[str, str, str]
"""Digest of the model version, digest of the features, tenant."""
ENTRY_BYTES = 441
"""An entry with its key and its share of the table, but for the features' digest. Source: measured with tracemalloc on
CPython 3.11, 100,000 entries just after their table grew: 489 bytes each with a digest of 71; rounded up to 512."""
NAME_BYTES = 64
"""A feature name in `Score.unknown`: its place, and its text where nobody else keeps it. Ours."""


class CacheStats(NamedTuple):
    """What a cache did since the process began, and holds now.

    Attributes:
        hits: Requests answered with a kept score.
        misses: Requests that found none, or one that was too old.
        shared: Of the misses, those that waited for an equal request under way instead of asking the model.
        entries: Scores kept now.
        size_bytes: What they are reckoned to take.
        evicted: Scores dropped to make room.
    """

    hits: int
    misses: int
    shared: int
    entries: int
    size_bytes: int
    evicted: int

    @property
    def hit_ratio(self) -> float:
        """Share of look-ups that found a score, in [0, 1]; 0 before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class ScoreCache:
    """Scores up to a size; the one asked for least recently goes first.

    Args:
        capacity_bytes: Most that the entries may take together, as `size_of` reckons; 0 keeps none.
    """

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._scores: OrderedDict[Key, tuple[Score, float, int]] = OrderedDict()
        self._size_bytes = self._hits = self._misses = self._evicted = 0

    def get(self, key: Key, *, ttl_s: float, now_s: float) -> Score | None:
        """Return a score that is younger than `ttl_s`; forget one that is not."""
        if (kept := self._scores.get(key)) is None:
            self._misses += 1
            return None
        score, put_at_s, size_bytes = kept
        if now_s - put_at_s >= ttl_s:
            del self._scores[key]
            self._size_bytes -= size_bytes
            self._misses += 1
            return None
        self._scores.move_to_end(key)
        self._hits += 1
        return score

    def put(self, key: Key, score: Score, *, now_s: float) -> None:
        """Keep a score; one that is larger than the whole cache is not kept."""
        if (earlier := self._scores.pop(key, None)) is not None:
            self._size_bytes -= earlier[2]
        size_bytes = size_of(key, score)
        if size_bytes > self._capacity_bytes:
            return
        self._scores[key] = (score, now_s, size_bytes)
        self._size_bytes += size_bytes
        while self._size_bytes > self._capacity_bytes:
            _, (_, _, gone_bytes) = self._scores.popitem(last=False)
            self._size_bytes -= gone_bytes
            self._evicted += 1

    def stats(self, shared: int = 0) -> CacheStats:
        """Return the counts now.

        Args:
            shared: As `Flights.shared` counted them.
        """
        return CacheStats(
            self._hits,
            self._misses,
            shared,
            len(self._scores),
            self._size_bytes,
            self._evicted,
        )


def size_of(key: Key, score: Score) -> int:
    """Return what an entry is reckoned to take in memory, bytes."""
    _, features, tenant = key
    return (
        ENTRY_BYTES
        + len(features)
        + len(tenant)
        + sum(NAME_BYTES + len(name) for name in score.unknown)
    )
