"""Rollouts of equal versions in worlds whose decisions hang together: gusts, bursts, tides of load, cold starts, outages."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from bench.rollout_world import Ended, Walk
from opsrail.values.guards import GuardSpec, StepPlan
from opsrail.watch.signals import CANDIDATE, CHAMPION, Seen

STEPS = (StepPlan(0.1, 200.0), StepPlan(0.5, 150.0))
SPEC = GuardSpec.model_validate(
    {
        "watch_s": 60, "no_score": {"margin": 0}, "fallback": {"margin": 0},
        "latency": {"margin": 0, "p99_ms": 350}, "cost": {"most_usd": 0.02, "margin_usd": 0},
    }
)  # fmt: skip
"""No margin anywhere: equal versions stand at the very edge. In the long run less than 1 % take longer than 350 ms."""
LONG_STEPS = (StepPlan(0.1, 1000.0), StepPlan(0.5, 1000.0))
LAX = GuardSpec(watch_s=60)
"""The defaults."""
TICK_S = 0.05
TURN_S = 5.0
USUAL_PER_S = 4.0
BURST_COUNT, BURST_EVERY_S = 64, 15.0
GUST_EVERY_S, GUST_S = 20.0, (0.2, 2.0)
OUTAGE_EVERY_S, OUTAGE_S = 200.0, 5.0
COLD_CALLS, COLD_TIMES = 4, 20.0
PROCESSES = 3


class Weather:
    """What all decisions of a moment meet alike."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._tide = 0.0
        self._gust_until_s = self._outage_until_s = -1.0
        self._times = 1.0
        self._only: int | None = None

    def asked(self, at_s: float) -> int:
        """Return how many decisions are asked for in a tick, and let the world go on."""
        rng = self._rng
        self._tide = 0.998 * self._tide + rng.gauss(0, 0.05)
        if rng.random() < TICK_S / GUST_EVERY_S:
            self._gust_until_s = at_s + rng.uniform(*GUST_S)
            self._times, self._only = rng.uniform(5, 20), None
        if rng.random() < TICK_S / OUTAGE_EVERY_S:
            self._outage_until_s = at_s + OUTAGE_S
        if rng.random() < TICK_S / BURST_EVERY_S:
            self._gust_until_s = max(self._gust_until_s, at_s + 0.3)
            self._times, self._only = 8.0, rng.choice((None, CHAMPION, CANDIDATE))
            return BURST_COUNT
        return int(rng.random() < min(1.0, USUAL_PER_S * TICK_S * math.exp(self._tide)))

    def is_out(self, at_s: float) -> bool:
        return at_s < self._outage_until_s

    def slowed(self, at_s: float, arm: int) -> float:
        """Return by how much everything is slower; in some bursts, all that one arm answers: it came as one batch."""
        is_hit = at_s < self._gust_until_s and self._only in (None, arm)
        gust = self._times if is_hit else 1.0
        return gust * math.exp(0.5 * self._tide)


def walked_in_gusts(
    seed: int,
    times: float = 1.0,
    slow_ratio: float = 1.0,
    spec: GuardSpec = SPEC,
    steps: Sequence[StepPlan] = STEPS,
) -> Ended:
    """Return how a rollout ends in a gusty world of that seed.

    Args:
        times: By how much the candidate is slower than the champion, in the part `slow_ratio` of its calls.
    """
    rng = random.Random(f"gusts {seed}")
    walk, weather = Walk(spec, steps), Weather(rng)
    called = [0] * PROCESSES
    now_s, decisions = 0.0, list[Seen]()
    due_s = TURN_S
    while True:
        now_s += TICK_S
        for _ in range(weather.asked(now_s)):
            arm = CANDIDATE if rng.random() < walk.share else CHAMPION
            slower = 1.0
            if arm == CANDIDATE:
                slower = times if rng.random() < slow_ratio else 1.0
                process = rng.randrange(PROCESSES)
                called[process] += 1
                slower *= COLD_TIMES if called[process] <= COLD_CALLS else 1.0
            decisions.append(_decided(rng, arm, weather, now_s, slower))
        if now_s < due_s:
            continue
        due_s += TURN_S
        walk.evidence.count_decisions(decisions)
        walk.evidence.pass_time(round(now_s * 1000))
        decisions = []
        if not walk.turn(round(now_s * 1000)) and walk.ended is not None:
            return walk.ended


def _decided(rng: random.Random, arm: int, weather: Weather, at_s: float, slower: float) -> Seen:
    is_out = weather.is_out(at_s)
    has_no_score = rng.random() < (0.5 if is_out else 0.002)
    latency_us = round(8_000 * slower * weather.slowed(at_s, arm) * rng.lognormvariate(0, 0.5))
    cost_usd = min(0.02, 0.002 * weather.slowed(at_s, arm))
    return Seen(
        arm,
        "approve",
        has_no_score,
        is_out or has_no_score,
        latency_us,
        cost_usd,
        round(at_s * 1000),
    )


def slow_shares(seed: int) -> Iterator[bool]:
    """Yield of decisions of that world, first calls left out, whether they took longer than 350 ms."""
    rng = random.Random(f"gusts {seed}")
    weather, now_s = Weather(rng), 0.0
    for _ in range(8_000):
        now_s += TICK_S
        for _ in range(weather.asked(now_s)):
            yield (_decided(rng, CHAMPION, weather, now_s, 1.0).latency_us or 0) > 350_000
