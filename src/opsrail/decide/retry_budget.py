"""The retry budget of one model version: how much may be asked on top of what was asked for. Pure; `now_s` is an argument.

Retries and hedges are paid from it. A model whose every call fails is asked at most `ratio` more than without retries, so
that retries never are what keeps it down. Requests and retries are counted by slices of the window; a slice that is older
than the window counts no more.

Source:
    The share as in Envoy's retry budget and Finagle's `RetryBudget` (20%), with a floor for quiet times; window: ours.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SLICES = 10
"""Parts of a window; the oldest is forgotten whole."""


@dataclass(slots=True)
class _Slice:
    number: int
    offered: int = 0
    taken: int = 0


class RetryBudget:
    """One budget. `offer` for each request; `take` before each retry or hedge, which must not be made without it.

    Args:
        ratio: Retries for each request in the window, at most; 0 allows none.
        least: Retries in the window that are allowed however few the requests were, unless `ratio` is 0.
        window_s: How far back requests count.

    Attributes:
        taken: Retries and hedges paid since the process began.
        refused: Those there was no budget for.
    """

    def __init__(self, ratio: float = 0.2, least: int = 3, window_s: float = 10.0) -> None:
        self._ratio = ratio
        self._least = least if ratio > 0 else 0
        self._slice_s = window_s / SLICES
        self._slices: deque[_Slice] = deque()
        self._offered = self._taken = 0  # in the window
        self.taken = 0
        self.refused = 0

    def offer(self, now_s: float) -> None:
        """Count a request."""
        self._current(now_s).offered += 1
        self._offered += 1

    def take(self, now_s: float) -> bool:
        """Pay for one retry; False: there is no budget, leave it."""
        current = self._current(now_s)
        if self._taken + 1 > max(self._least, self._ratio * self._offered):
            self.refused += 1
            return False
        current.taken += 1
        self._taken += 1
        self.taken += 1
        return True

    def _current(self, now_s: float) -> _Slice:
        number, slices = int(now_s / self._slice_s), self._slices
        while slices and slices[0].number <= number - SLICES:
            gone = slices.popleft()
            self._offered -= gone.offered
            self._taken -= gone.taken
        if not slices or slices[-1].number != number:
            slices.append(_Slice(number))
        return slices[-1]
