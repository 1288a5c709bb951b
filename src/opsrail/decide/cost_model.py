"""How long a model takes for a batch, learned from its last batches: seconds = a + b * rows. Pure; time is an argument.

Batches are sorted into classes by size (1, 2-3, 4-7, ...). Of each class the last few times are kept, and their median
stands for it: nearly half of them may be outliers. The line goes through those medians: its slope is their weighted median
of slopes (classes far apart count more), its height the median of what is left. Two more rules:

- While all batches had one size, nothing tells a from b: half of the time is taken for each.
- Nothing is known before `LEAST_COUNT` batches: a first call is often slow. After a silence of `STALE_S` it starts anew.

Source:
    Theil (1950) and Sen (1968) for the median of slopes, Sievers (1978) for weights by distance; that the time of a batch
    is linear in its rows: Crankshaw et al., Clipper (NSDI 2017). Medians by size class: ours, all pairs cost too much.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence

WINDOW_COUNT = 9
"""Times kept of each size class. Ours: four outliers in a row change nothing, five batches show a new pace."""
OLD_S = 10.0
"""Age at which a class says nothing any more. Source: the breaker's window."""
LEAST_COUNT = 3
"""Ours: the median of three is no outlier."""
STALE_S = 1.0
"""Silence after which what was learned is only a guess. Ours: a model that was slow gets a probe each second."""
REFIT_COUNT = 8
"""Batches after which the line is drawn anew. Ours: it costs some microseconds."""
SURPRISE_RATIO = 0.5
"""Deviation from the prediction after which it is drawn at once. Ours."""


class CostModel:
    """What one model's batches cost.

    Attributes:
        a_s: Seconds that a batch costs however few its rows; 0 while nothing is known.
        b_s: Seconds that each row adds.
        is_known: Whether there is a prediction.
    """

    __slots__ = ("_classes", "_count", "_last_s", "_until_refit", "a_s", "b_s", "is_known")

    def __init__(self) -> None:
        self.a_s = 0.0
        self.b_s = 0.0
        self.is_known = False
        self._classes: dict[int, _SizeClass] = {}
        self._count = 0
        self._last_s = 0.0
        self._until_refit = 0

    def predicted_s(self, rows: int) -> float:
        """Return the seconds that a batch will take; 0 while nothing is known."""
        return self.a_s + self.b_s * rows

    def rows_within(self, limit_s: float, most: int) -> int:
        """Return the rows of a batch that ends within a time, 1 at least and `most` at most."""
        rest_s = limit_s - self.a_s
        return most if self.b_s * most <= max(rest_s, 0.0) else max(1, int(rest_s / self.b_s))

    def is_stale(self, now_s: float) -> bool:
        """Return whether too long ago a batch ended to rely on what is known."""
        return now_s - self._last_s > STALE_S

    def observe(self, rows: int, took_s: float, now_s: float) -> bool:
        """Take in what a batch took, queueing not counted; return whether the line was drawn anew.

        Args:
            rows: Rows in it, 1 or more.
        """
        if now_s - took_s - self._last_s > STALE_S:
            self._classes.clear()
            self._count, self.is_known, self.a_s, self.b_s = 0, False, 0.0, 0.0
        self._last_s = now_s
        self._count += 1
        number = rows.bit_length()
        size = self._classes.get(number)
        if size is None:
            size = self._classes[number] = _SizeClass()
            self._until_refit = 0
        size.observe(rows, took_s, now_s)
        self._until_refit -= 1
        if self._count < LEAST_COUNT:
            return False
        expected_s = self.a_s + self.b_s * rows
        if self._until_refit > 0 and abs(took_s - expected_s) < SURPRISE_RATIO * expected_s:
            return False
        self._refit(now_s)
        self.is_known = True
        return True

    def _through_one(self, median_s: float, rows: int) -> None:
        if not self.is_known or self.b_s * rows > median_s:
            self.b_s = median_s / 2 / rows
        self.a_s = median_s - self.b_s * rows

    def _refit(self, now_s: float) -> None:
        self._until_refit = REFIT_COUNT
        for number in [n for n, size in self._classes.items() if now_s - size.last_s > OLD_S]:
            del self._classes[number]
        points = [size.middle() for size in self._classes.values()]
        if len(points) == 1:
            self._through_one(*points[0])
            return
        slopes = [
            ((two_s - one_s) / (two - one), abs(two - one))
            for place, (one_s, one) in enumerate(points)
            for two_s, two in points[:place]
        ]
        self.b_s = max(0.0, weighted_median(slopes))
        heights = sorted(took_s - self.b_s * rows for took_s, rows in points)
        middle = len(heights) // 2
        self.a_s = max(0.0, (heights[middle] + heights[-middle - 1]) / 2)


class _SizeClass:
    """The last batches of about one size, (seconds, rows), in order of arrival and of time taken."""

    __slots__ = ("_arrived", "_sorted", "last_s")

    def __init__(self) -> None:
        self._arrived: deque[tuple[float, int]] = deque()
        self._sorted: list[tuple[float, int]] = []
        self.last_s = 0.0

    def observe(self, rows: int, took_s: float, now_s: float) -> None:
        self.last_s = now_s
        self._arrived.append((took_s, rows))
        insort(self._sorted, (took_s, rows))
        if len(self._arrived) > WINDOW_COUNT:
            del self._sorted[bisect_left(self._sorted, self._arrived.popleft())]

    def middle(self) -> tuple[float, int]:
        """Return the batch of the median time: one that was, so that seconds and rows belong together."""
        return self._sorted[len(self._sorted) // 2]


def weighted_median(weighted: Sequence[tuple[float, float]]) -> float:
    """Return the value below which half of the weight lies.

    Args:
        weighted: (value, weight), one at least; weights above 0.
    """
    ordered = sorted(weighted)
    half, below = sum(weight for _, weight in ordered) / 2, 0.0
    for value, weight in ordered:
        below += weight
        if below >= half:
            return value
    return ordered[-1][0]
