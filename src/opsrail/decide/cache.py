"""Scores of equal requests to the same model version. Pure but for its memory; `now_s` is an argument.

The key holds the model version's digest and the features' digest, so a new version or a new fact never meets an old
score. Policy is not in it: it is applied anew to every score. Errors are never kept.
"""

from __future__ import annotations

from collections import OrderedDict

from opsrail.values.models import Score

Key = tuple[str, str]


class ScoreCache:
    """At most `capacity` scores; the one asked for least recently goes first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._scores: OrderedDict[Key, tuple[Score, float]] = OrderedDict()

    def get(
        self, model_digest: str, features_digest: str, *, ttl_s: float, now_s: float
    ) -> Score | None:
        """Return a score that is younger than `ttl_s`; forget one that is not."""
        key = (model_digest, features_digest)
        if (kept := self._scores.get(key)) is None:
            return None
        score, put_at_s = kept
        if now_s - put_at_s >= ttl_s:
            del self._scores[key]
            return None
        self._scores.move_to_end(key)
        return score

    def put(self, model_digest: str, features_digest: str, score: Score, *, now_s: float) -> None:
        """Keep a score."""
        key = (model_digest, features_digest)
        self._scores[key] = (score, now_s)
        self._scores.move_to_end(key)
        if len(self._scores) > self._capacity:
            self._scores.popitem(last=False)

    def __len__(self) -> int:
        return len(self._scores)
