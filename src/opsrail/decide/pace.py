"""How long a model's next answer will take in one pool, from its last ones and from how many wait. Pure.

By Little's law the time in a system is the number in it over the rate at which it serves: twice as many waiting take twice
as long, once all its devices are busy. Below that the time does not shrink with the queue, so the least time seen of late
is the floor.

Source:
    Little, A Proof for the Queuing Formula L = lambda W (Operations Research, 1961). Weights and ages: ours.
"""

from __future__ import annotations

LATELY = 1 / 8
"""Share of the newest answer in the smoothed ones. Ours: some ten answers show a new pace."""
FLOOR_RISE = 1 / 256
"""Share by which the floor follows slower answers. Ours: it forgets a lucky one within some hundred."""
OLD_S = 10.0
"""Age from which it is a guess. Source: the breaker's window."""


class Pace:
    """One model's in one pool."""

    def __init__(self) -> None:
        self._spent_s = 0.0
        self._waiting = 0.0
        self._floor_s: float | None = None
        self._last_s = 0.0

    def observe(self, spent_s: float, waiting: int, now_s: float) -> None:
        """Take in an answer, or that there was none in time.

        Args:
            spent_s: From asking to answering, or to giving up.
            waiting: Rows that waited when it was asked, itself among them.
        """
        if self._floor_s is None or now_s - self._last_s > OLD_S:
            self._spent_s, self._waiting, self._floor_s = spent_s, float(waiting), spent_s
        else:
            self._spent_s += LATELY * (spent_s - self._spent_s)
            self._waiting += LATELY * (waiting - self._waiting)
            rise_s = FLOOR_RISE * (spent_s - self._floor_s)
            self._floor_s = min(spent_s, self._floor_s + max(0.0, rise_s))
        self._last_s = now_s

    def predicted_s(self, waiting: int) -> float | None:
        """Return how long one more answer would take with so many waiting before it; None while nothing is known."""
        if self._floor_s is None:
            return None
        return max(self._floor_s, self._spent_s * (waiting + 1) / max(1.0, self._waiting))

    def is_guess(self, now_s: float) -> bool:
        """Return whether what is known is old."""
        return now_s - self._last_s > OLD_S
