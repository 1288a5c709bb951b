"""What waits for challengers, and whose turn it is. Pure; time is an argument.

    offer     a row comes: it queues, or there is no room for it
    cut       the next call, none while nothing may start
    end       a call ended
    overdue   calls that took too long are given up, so that others may start

Rules:
1. Nothing here is urgent: what finds no room is dropped, newest first, and whoever asked counts it.
2. Each challenger has its own room and at most one call under way, so that one that hangs costs the others nothing but its
   first `call_s`. A challenger whose call was given up gets no other until that call ends after all.
3. Challengers take turns, who waited longest for a turn first.
4. A call has as many rows as ought to take `FILL_RATIO` of `call_s`, as far as the challenger's last one tells; the first
   has one. Else a model of half a second a row would never end a call in time, and have no score at all.
5. Together they get `time_ratio` of the time, saved up for `SAVED_S` at most: a call may begin while there is some left, and
   what it takes is subtracted.

Source:
    Rule 5 is a token bucket (Turner, New directions in communications, 1986) of seconds, where a call may overdraw it once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
SAVED_S = 1.0
"""Ours: a challenger that had nothing to do for a minute must not use the process for fifteen seconds after it."""
FILL_RATIO = 0.5
"""Ours: a call of rows that take twice as long as those before still ends in time."""
Key = tuple[str, int]
"""Name and number of a challenger."""


class Limits(NamedTuple):
    """What challengers may take, all together unless said otherwise.

    Attributes:
        rows_waiting: Rows that wait for one challenger; more are dropped.
        at_once: Calls under way.
        time_ratio: Seconds of calls in a second, above 0.
        call_s: Time of one call, then it is given up.
        max_batch: Rows in one call, at most.
    """

    rows_waiting: int = 1_000
    at_once: int = 1
    time_ratio: float = 0.25
    call_s: float = 5.0
    max_batch: int = 64


class Call(Generic[T]):
    """Rows that one challenger is asked for.

    Attributes:
        is_given_up: Whether it took too long.
    """

    __slots__ = ("begun_s", "is_given_up", "key", "rows")

    def __init__(self, key: Key, rows: list[T], begun_s: float) -> None:
        self.key = key
        self.rows = rows
        self.begun_s = begun_s
        self.is_given_up = False


class Backlog(Generic[T]):
    """The queues of all challengers."""

    def __init__(self, limits: Limits, now_s: float) -> None:
        self.limits = limits
        self._queues: dict[Key, deque[tuple[float, T]]] = {}
        self._calls: dict[Key, Call[T]] = {}
        self._row_s: dict[Key, float] = {}
        self._left_s = limits.time_ratio * SAVED_S
        self._counted_s = now_s

    @property
    def queued(self) -> int:
        """Rows that wait."""
        return sum(map(len, self._queues.values()))

    @property
    def has_batch(self) -> bool:
        """Whether a whole batch waits for some challenger."""
        return any(len(queue) >= self.limits.max_batch for queue in self._queues.values())

    @property
    def running(self) -> int:
        """Calls under way that were not given up."""
        return sum(not call.is_given_up for call in self._calls.values())

    def waiting(self) -> list[Key]:
        """Return who has rows that wait."""
        return [key for key, queue in self._queues.items() if queue]

    def queued_for(self, key: Key) -> int:
        """Return how many rows wait for a challenger."""
        return len(self._queues.get(key, ()))

    def lag_s(self, key: Key, now_s: float) -> float:
        """Return how long the oldest row has waited for a challenger, 0 when none does."""
        queue = self._queues.get(key)
        return max(0.0, now_s - queue[0][0]) if queue else 0.0

    def call_of(self, key: Key) -> Call[T] | None:
        """Return a challenger's call under way, be it that it was given up."""
        return self._calls.get(key)

    def offer(self, key: Key, row: T, now_s: float) -> bool:
        """Queue a row; False: there is no room, it is dropped."""
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = deque()
        if len(queue) >= self.limits.rows_waiting:
            return False
        queue.append((now_s, row))
        return True

    def cut(
        self, now_s: float, is_ready: Callable[[Key], bool], *, freely: bool = False
    ) -> Call[T] | None:
        """Return the next call, under way from now on; None when none may start.

        Args:
            is_ready: Whether a challenger is loaded.
            freely: Whether the share of time does not matter: the process is about to end.
        """
        self._save(now_s)
        if self.running >= self.limits.at_once or not (freely or self._left_s > 0.0):
            return None
        for key, queue in self._queues.items():
            if queue and key not in self._calls and is_ready(key):
                rows = [queue.popleft()[1] for _ in range(min(len(queue), self._most_rows(key)))]
                del self._queues[key]
                self._queues[key] = queue  # behind the others
                call = self._calls[key] = Call(key, rows, now_s)
                return call
        return None

    def end(self, call: Call[T], took_s: float | None) -> None:
        """Take in that a call ended.

        Args:
            took_s: Time it took; None: the model said nothing.
        """
        del self._calls[call.key]
        if took_s is None:
            return
        self._row_s[call.key] = took_s / len(call.rows)
        if not call.is_given_up:
            self._left_s -= took_s

    def overdue(self, now_s: float) -> list[Call[T]]:
        """Give up the calls that took too long; returns them. Each is still ended when it ends."""
        found = []
        for call in self._calls.values():
            if not call.is_given_up and now_s - call.begun_s >= self.limits.call_s:
                call.is_given_up = True
                self._left_s -= self.limits.call_s
                found.append(call)
        return found

    def empty(self, key: Key) -> list[T]:
        """Return all rows that wait for a challenger; none waits any more."""
        return [row for _, row in self._queues.pop(key, ())]

    def _most_rows(self, key: Key) -> int:
        """Return how many rows a challenger's next call has at most."""
        most, fill_s = self.limits.max_batch, FILL_RATIO * self.limits.call_s
        if (row_s := self._row_s.get(key)) is None:
            return 1
        return most if row_s * most <= fill_s else max(1, int(fill_s / row_s))

    def _save(self, now_s: float) -> None:
        limits = self.limits
        self._left_s += limits.time_ratio * max(0.0, now_s - self._counted_s)
        self._left_s = min(self._left_s, limits.time_ratio * SAVED_S)
        self._counted_s = max(self._counted_s, now_s)
