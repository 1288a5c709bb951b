"""How many batches may be under way at once on many devices: as many as the model answers without getting slower. Pure.

A lane of a few devices uses them all; only of more than `FLOOR` is there something to find out: the connections to a remote
model are many, the processors behind them may be few. After each batch

    limit <- limit * gradient + sqrt(limit),   gradient = TOLERANCE * usual / current, at most 1 and at least 1/2

smoothed, where `usual` is the pace at its best: it follows a faster one soon and a slower one hardly.

Source:
    Netflix concurrency-limits, `Gradient2Limit` (tolerance 1.5, smoothing 0.2). Its usual pace is a long average, which
    drifts with a lasting overload; ours leans to the lower end. Floor 4: ours.
"""

from __future__ import annotations

from math import sqrt

FLOOR = 4
FIRST = 16
"""Ours: where it begins; 1,000 devices are all in use after some 300 batches."""
TOLERANCE = 1.5
SMOOTHING = 0.2
LATELY = 1 / 8
"""Share of the last batch in the current pace. Ours."""
FASTER, SLOWER = 1 / 50, 1 / 2000
"""How soon the usual pace follows a faster and a slower one. Ours."""


class Gradient:
    """One limit.

    Args:
        devices: Batches that can run at once.

    Attributes:
        limit: Batches that may run at once now.
    """

    __slots__ = ("_a_s", "_b_s", "_devices", "_lately", "_limit", "limit")

    def __init__(self, devices: int) -> None:
        self._devices = devices
        self.limit = min(devices, FIRST)
        self._limit = float(self.limit)
        self._a_s = self._b_s = 0.0
        self._lately = 1.0

    def observe(self, rows: int, took_s: float, a_s: float, b_s: float, running: int) -> None:
        """Take in a batch.

        Args:
            a_s: Seconds a batch costs by what is known now.
            b_s: Seconds a row adds.
            running: Batches that were under way.
        """
        if self._devices <= FLOOR:
            return
        usual_s = self._a_s + self._b_s * rows
        if usual_s <= 0.0:
            self._a_s, self._b_s = a_s, b_s
            return
        share = FASTER if a_s + b_s * rows < usual_s else SLOWER
        self._a_s += share * (a_s - self._a_s)
        self._b_s += share * (b_s - self._b_s)
        self._lately += LATELY * (took_s / usual_s - self._lately)
        gradient = max(0.5, min(1.0, TOLERANCE / max(self._lately, 1e-9)))
        target = self._limit * gradient + sqrt(self._limit)
        if target > self._limit and running < self._limit / 2:
            return
        self._limit += SMOOTHING * (target - self._limit)
        self._limit = max(float(FLOOR), min(float(self._devices), self._limit))
        self.limit = int(self._limit)
