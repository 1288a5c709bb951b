"""The queue to compare with: first come, first served, in batches of a fixed size, as most model servers do it.

It has the shape of `decide.lane.Lane`, as far as the simulator drives one. Nothing is predicted and no deadline is looked at
before a row is about to start: what nobody waits for any more by then is given back as late.
"""

from __future__ import annotations

from collections import deque

from opsrail.decide.asks import DONE, LATE, RUNNING, SHED, Ask, Batch

AFTER_S = 1.0
"""What a refused caller is told to wait; a guess, as nothing is predicted."""


class Fifo:
    """One queue before one device.

    Args:
        most_queued: Rows that wait, at most; more are shed. 0: no bound.
        wait_s: How long the first of a batch waits for others.

    Attributes:
        returned: As a lane's: asks given back that `offer` did not turn away.
    """

    def __init__(self, max_batch: int, most_queued: int, wait_s: float) -> None:
        self.returned: list[Ask] = []
        self._max_batch = max_batch
        self._most_queued = most_queued
        self._wait_s = wait_s
        self._queue: deque[Ask] = deque()
        self._running = 0
        self._seq = 0

    @property
    def queued(self) -> int:
        """Asks that wait."""
        return len(self._queue)

    def offer(self, key: object, payload: object, rank: int, due_s: float, now_s: float) -> Ask:
        """Queue an ask, or turn it away when there is no room."""
        self._seq += 1
        ask = Ask(key, payload, rank, due_s, now_s, self._seq)
        if self._most_queued and len(self._queue) >= self._most_queued:
            ask.state, ask.after_s = SHED, AFTER_S
        else:
            self._queue.append(ask)
        return ask

    def cut(self, now_s: float) -> Batch | None:
        """Return the next batch; None: the device is busy, nothing is queued, or the first still waits for others."""
        self.expire(now_s)
        queue = self._queue
        if self._running or not queue:
            return None
        if len(queue) < self._max_batch and now_s < queue[0].arrived_s + self._wait_s:
            return None
        asks = [queue.popleft() for _ in range(min(len(queue), self._max_batch))]
        for ask in asks:
            ask.state = RUNNING
        self._running = 1
        return Batch(asks, now_s, 0.0)

    def finish(self, batch: Batch, now_s: float, *, is_learned: bool = True) -> None:
        """Take back the device; nothing is learned."""
        self._running = 0
        for ask in batch.asks:
            ask.state = DONE

    def expire(self, now_s: float) -> None:
        """Give back from the front what nobody waits for any more."""
        queue = self._queue
        while queue and queue[0].last_s <= now_s:
            ask = queue.popleft()
            ask.state = LATE
            self.returned.append(ask)

    def wake_s(self) -> float | None:
        """Return when to look again, whatever else happens."""
        if not self._queue:
            return None
        first = self._queue[0]
        return first.last_s if self._running else min(first.last_s, first.arrived_s + self._wait_s)
