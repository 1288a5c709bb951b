"""Scores kept for equal requests."""

from __future__ import annotations

from opsrail.decide.cache import ScoreCache
from opsrail.values.models import Score

ONE, TWO = Score(0.1, 1.0, "m"), Score(0.2, 1.0, "m")


def test_a_score_is_kept_for_its_time() -> None:
    cache = ScoreCache(10)
    cache.put("m", "f", ONE, now_s=0.0)

    found = [cache.get("m", "f", ttl_s=5.0, now_s=now_s) for now_s in (0.0, 4.999, 5.0, 0.0)]

    assert found == [ONE, ONE, None, None]


def test_another_model_or_other_features_meet_nothing() -> None:
    cache = ScoreCache(10)
    cache.put("m", "f", ONE, now_s=0.0)

    assert cache.get("n", "f", ttl_s=5.0, now_s=0.0) is None
    assert cache.get("m", "g", ttl_s=5.0, now_s=0.0) is None


def test_what_was_asked_for_least_recently_goes_first() -> None:
    cache = ScoreCache(2)
    cache.put("m", "a", ONE, now_s=0.0)
    cache.put("m", "b", TWO, now_s=0.0)
    cache.get("m", "a", ttl_s=5.0, now_s=0.0)
    cache.put("m", "c", TWO, now_s=0.0)

    found = [cache.get("m", name, ttl_s=5.0, now_s=0.0) for name in "abc"]

    assert found == [ONE, None, TWO]


def test_a_cache_without_room_keeps_nothing() -> None:
    cache = ScoreCache(0)
    cache.put("m", "a", ONE, now_s=0.0)

    assert len(cache) == 0
