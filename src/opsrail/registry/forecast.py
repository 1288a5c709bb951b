"""How many warm devices or processes a model needs in the time that loading one takes. Pure; `now_s` is an argument.

What was asked is counted in slots of a second and in bins of the day. The forecast is the higher of two: the recent level,
moved by what the time of day did to it on the days before; and the mean of that time of day itself, which alone knows of a
morning after a silent night. On top comes what bursts need: the slots of the last minutes that only one in a hundred was
above, and never less than chance alone makes of a steady rate. A model that nobody asks keeps one warm place while the next
request is still likely: for as long as 99 of 100 of its pauses lasted.

Two rules: a forecast costs devices, never answers, so where two guesses differ the higher one stands; and a day counts only
once all of it was seen.

Source:
    Level times season: Winters, Forecasting sales by exponentially weighted moving averages (1960); Hyndman and
    Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 8.3. Room for chance: square-root staffing, Halfin and
    Whitt (1981). How long to stay warm: the histogram of pauses of Shahrad et al., Serverless in the Wild (ATC 2020), 4.2.
    Highest of them, and the windows: ours, docs/adr/0012.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import NormalDist

LONGEST_GAP_BINS = 2
"""Days of silence after which nothing older is known; a longer gap is told from it by nothing."""
PAUSES_KEPT = 200
LEAST_PAUSES = 20
"""Before so many pauses were seen, one place stays warm for `longest_keep_s`: a cold start costs a caller, a place cents."""


@dataclass(frozen=True, slots=True)
class ForecastLimits:
    """How far a forecast looks back, and how careful it is.

    Attributes:
        slot_s: Width of what is counted as one moment: bursts shorter than it are not seen.
        memory_s: How long a burst is remembered. 10 minutes: several periods of on/off traffic.
        level_s: Time constant of the recent level. A minute: two of three parts of it are the last minute's.
        burst_quantile: Share of the remembered slots that the devices must be enough for, 0..1.
        season_s: Length of the pattern that repeats; a day.
        season_bins: Parts of it that are told apart; 96: quarters of an hour.
        season_weight: How much the newest day counts in a bin's mean, 0..1.
        longest_keep_s: Longest time for which a model that nobody asks keeps its last warm place.
    """

    slot_s: float = 1.0
    memory_s: float = 600.0
    level_s: float = 60.0
    burst_quantile: float = 0.99
    season_s: float = 86_400.0
    season_bins: int = 96
    season_weight: float = 0.3
    longest_keep_s: float = 1_200.0


class Forecast:
    """The forecast of one model. `observe` what was asked; ask what is `wanted`.

    Args:
        per_device_per_s: Requests a second that one warm device should get: what it can answer, less the room it needs.
    """

    def __init__(
        self, per_device_per_s: float, limits: ForecastLimits | None = None, *, now_s: float = 0.0
    ) -> None:
        self._per_device_per_s = per_device_per_s
        self._limits = limits = limits or ForecastLimits()
        self._slot = math.floor(now_s / limits.slot_s)
        self._slot_count = 0
        self._recent: deque[float] = deque(maxlen=round(limits.memory_s / limits.slot_s))
        self._level_per_s = 0.0
        self._level_weight = 0.0  # of what was seen; below 1 while the level is young
        self._fade = math.exp(-limits.slot_s / limits.level_s)
        self._season = _Season(limits, now_s)
        self._pauses: deque[float] = deque(maxlen=PAUSES_KEPT)
        self._asked_s: float | None = None

    def observe(self, now_s: float, count: int) -> None:
        """Count requests that came just now, those that were turned away too. `now_s` never goes back."""
        self._close_until(now_s)
        if count <= 0:
            return
        self._slot_count += count
        self._season.observe(now_s, count)
        if self._asked_s is not None and now_s > self._asked_s:
            self._pauses.append(now_s - self._asked_s)
        self._asked_s = now_s

    def rate_per_s(self, now_s: float, horizon_s: float) -> float:
        """Return the rate to be ready for from now to the horizon, requests a second: mean and bursts."""
        self._close_until(now_s)
        growth, usual_per_s = self._season.ahead(now_s, horizon_s)
        mean_per_s = max(self._level() * growth, usual_per_s)
        burst_per_s = _quantile(self._recent, self._limits.burst_quantile) * growth
        share = self._limits.burst_quantile
        if mean_per_s * horizon_s < 1.0 - share:  # most likely nobody comes
            return burst_per_s
        deviation_per_s = math.sqrt(mean_per_s / self._limits.slot_s)
        return max(burst_per_s, mean_per_s + _deviations(share) * deviation_per_s)

    def wanted(self, now_s: float, horizon_s: float) -> int:
        """Return how many devices should be warm from now to the horizon.

        Args:
            horizon_s: How long it takes until a device that is asked for now is warm, and until this is asked again.
        """
        needed = math.ceil(self.rate_per_s(now_s, horizon_s) / self._per_device_per_s - 1e-9)
        return max(needed, int(self._is_likely(now_s, horizon_s)))

    def _is_likely(self, now_s: float, horizon_s: float) -> bool:
        """Return whether another request may come soon enough to stay warm for it."""
        if self._asked_s is None:
            return False
        keep_s = self._limits.longest_keep_s
        if len(self._pauses) >= LEAST_PAUSES:
            keep_s = min(keep_s, max(horizon_s, _quantile(self._pauses, 0.99)))
        return now_s - self._asked_s <= keep_s

    def _level(self) -> float:
        return self._level_per_s / self._level_weight if self._level_weight else 0.0

    def _close_until(self, now_s: float) -> None:
        """Close the slots that ended; those without a request count, too."""
        limits = self._limits
        gone = math.floor(now_s / limits.slot_s) - self._slot
        if gone <= 0:
            return
        self._slot += gone
        self._fold(self._slot_count / limits.slot_s)
        self._slot_count = 0
        silent = gone - 1
        if silent <= 0:
            return
        self._recent.extend([0.0] * min(silent, self._recent.maxlen or 0))
        faded = self._fade**silent
        self._level_per_s *= faded
        self._level_weight = 1.0 - (1.0 - self._level_weight) * faded

    def _fold(self, rate_per_s: float) -> None:
        self._recent.append(rate_per_s)
        part = 1.0 - self._fade
        self._level_per_s += part * (rate_per_s - self._level_per_s)
        self._level_weight += part * (1.0 - self._level_weight)


class _Season:
    """The mean rate of each time of day, over the days seen."""

    def __init__(self, limits: ForecastLimits, now_s: float) -> None:
        self._bins = limits.season_bins
        self._bin_s = limits.season_s / limits.season_bins
        self._weight = limits.season_weight
        self._means_per_s: list[float | None] = [None] * self._bins
        self._bin = math.floor(now_s / self._bin_s)
        self._count = 0
        self._is_whole = False  # a bin that was entered in its middle tells nothing

    def observe(self, now_s: float, count: int) -> None:
        self._close_until(now_s)
        self._count += count

    def ahead(self, now_s: float, horizon_s: float) -> tuple[float, float]:
        """Return what the time of day will do to the rate, as a factor >= 1, and the highest usual rate; (1, 0): unknown."""
        self._close_until(now_s)
        means = self._means_per_s
        known = [mean for mean in means if mean is not None]
        if len(known) < self._bins:
            return 1.0, 0.0
        last = math.floor((now_s + horizon_s) / self._bin_s)
        places = range(self._bin, min(last, self._bin + self._bins) + 1)
        usual_per_s = max(means[place % self._bins] or 0.0 for place in places)
        here_per_s = means[self._bin % self._bins] or 0.0
        floor_per_s = 0.1 * sum(known) / self._bins  # a night without a request is no divisor
        return max(1.0, usual_per_s / max(here_per_s, floor_per_s, 1e-12)), usual_per_s

    def _close_until(self, now_s: float) -> None:
        newest = math.floor(now_s / self._bin_s)
        if newest - self._bin > LONGEST_GAP_BINS * self._bins:
            self._bin = newest - LONGEST_GAP_BINS * self._bins
        while self._bin < newest:
            if self._is_whole:
                self._learn(self._bin % self._bins, self._count / self._bin_s)
            self._bin += 1
            self._count, self._is_whole = 0, True

    def _learn(self, place: int, rate_per_s: float) -> None:
        known = self._means_per_s[place]
        self._means_per_s[place] = (
            rate_per_s if known is None else known + self._weight * (rate_per_s - known)
        )


def _quantile(values: deque[float], share: float) -> float:
    """Return the smallest value that at least this share does not exceed; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def _deviations(share: float) -> float:
    """Return how many standard deviations above its mean a normal value stays below so often; 0 up to half the time."""
    return NormalDist().inv_cdf(share) if 0.5 < share < 1.0 else 0.0
