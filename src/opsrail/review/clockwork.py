"""What happens to reviews by itself: held rulings go to their cases, unruled reviews escalate and expire.

Every process runs one; a review's moment is taken by whoever is first, by compare and set. What a process that dies leaves
is done by the next that looks, since the moment stands on the row.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from opsrail.clock import Clock
from opsrail.errors import AlreadyRuled, Conflict, Unavailable
from opsrail.ports import Store
from opsrail.review.moving import Moving
from opsrail.values.reviews import ReviewRow
from opsrail.values.rows import Where

log = logging.getLogger("opsrail.review")
AT_ONCE = 200
SHORTEST_S = 0.02
"""Ours: a moment that a lost race leaves due is tried again, but not in a spin."""


class Clockwork:
    """Looks for reviews whose moment has come.

    Args:
        poll_s: How often it looks at least: another process may have given a review a moment.
    """

    def __init__(self, store: Store, clock: Clock, desk: Moving, *, poll_s: float) -> None:
        self._store = store
        self._clock = clock
        self._desk = desk
        self._poll_s = poll_s

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self._desk.moments.clear()
            try:
                wait_s = await self.turn()
            except (Unavailable, Conflict) as down:
                log.warning("held rulings and due times wait: %s", down)
                wait_s = self._poll_s
            with suppress(TimeoutError):
                async with asyncio.timeout(max(wait_s, SHORTEST_S)):
                    await self._desk.moments.wait()

    async def turn(self) -> float:
        """Do all that is due; return how long there is nothing to do, seconds, at most one poll.

        Raises:
            StoreUnavailable: what was not done is due still.
        """
        while True:
            now_ms = self._clock.now_ms()
            rows = await self._store.select(
                ReviewRow,
                Where("wake_at_ms", "null", False),
                order=("wake_at_ms",),
                limit=AT_ONCE,
            )
            due = [row for row in rows if (row.wake_at_ms or 0) <= now_ms]
            for row in due:
                with suppress(AlreadyRuled):  # somebody was first
                    await self._desk.wake(row)
            if len(due) < AT_ONCE:
                later = [row.wake_at_ms or 0 for row in rows[len(due) :]]
                next_ms = min(later, default=now_ms + round(1000 * self._poll_s))
                wait_s = min(self._poll_s, (next_ms - now_ms) / 1000)
                return 0.0 if due else wait_s
