"""Scores kept for equal requests."""

from __future__ import annotations

from opsrail.decide.cache import ENTRY_BYTES, CacheStats, Key, ScoreCache, size_of
from opsrail.values.models import Score

ONE, TWO = Score(0.1, 1.0, "m"), Score(0.2, 1.0, "m")
ROOM = 1_000_000


def key(features: str = "f", *, model: str = "m", tenant: str = "t") -> Key:
    return (model, features, tenant)


def test_a_score_is_kept_for_its_time() -> None:
    cache = ScoreCache(ROOM)
    cache.put(key(), ONE, now_s=0.0)

    found = [cache.get(key(), ttl_s=5.0, now_s=now_s) for now_s in (0.0, 4.999, 5.0, 0.0)]

    assert found == [ONE, ONE, None, None]


def test_another_model_other_features_or_another_tenant_meet_nothing() -> None:
    cache = ScoreCache(ROOM)
    cache.put(key(), ONE, now_s=0.0)

    others = [key(model="n"), key("g"), key(tenant="u")]

    assert [cache.get(other, ttl_s=5.0, now_s=0.0) for other in others] == [None] * 3


def test_what_was_asked_for_least_recently_goes_first() -> None:
    cache = ScoreCache(2 * size_of(key(), ONE))
    cache.put(key("a"), ONE, now_s=0.0)
    cache.put(key("b"), TWO, now_s=0.0)
    cache.get(key("a"), ttl_s=5.0, now_s=0.0)
    cache.put(key("c"), TWO, now_s=0.0)

    found = [cache.get(key(name), ttl_s=5.0, now_s=0.0) for name in "abc"]

    assert found == [ONE, None, TWO]


def test_a_cache_without_room_keeps_nothing() -> None:
    cache = ScoreCache(0)
    cache.put(key(), ONE, now_s=0.0)

    assert cache.stats() == CacheStats(0, 0, 0, 0, 0, 0)


def test_an_entry_that_is_larger_than_the_cache_drives_nobody_out() -> None:
    cache = ScoreCache(ENTRY_BYTES + 100)
    cache.put(key("a"), ONE, now_s=0.0)
    cache.put(key("b"), Score(0.1, 1.0, "m", ("x" * 200,)), now_s=0.0)

    assert cache.get(key("a"), ttl_s=5.0, now_s=0.0) == ONE


def test_a_score_that_is_put_again_counts_once() -> None:
    cache = ScoreCache(ROOM)
    cache.put(key(), Score(0.1, 1.0, "m", ("a feature",)), now_s=0.0)
    cache.put(key(), ONE, now_s=1.0)

    stats = cache.stats()

    assert (stats.entries, stats.size_bytes) == (1, size_of(key(), ONE))


def test_its_counts_say_how_well_it_serves() -> None:
    cache = ScoreCache(2 * size_of(key(), ONE))
    for name in "abc":
        cache.get(key(name), ttl_s=5.0, now_s=0.0)
        cache.put(key(name), ONE, now_s=0.0)
    cache.get(key("c"), ttl_s=5.0, now_s=0.0)
    cache.get(key("b"), ttl_s=5.0, now_s=9.0)

    stats = cache.stats(shared=2)

    assert stats == CacheStats(1, 4, 2, 1, size_of(key(), ONE), 1)
    assert stats.hit_ratio == 0.2
    assert CacheStats(0, 0, 0, 0, 0, 0).hit_ratio == 0.0
