"""One ask at a time for equal questions: who comes while one is under way waits for its answer instead of asking too.

The first asks in its own task, so a question that nobody shares costs two dict operations. What it got is everyone's, a
fault as much as a score: a thousand waiting must not ask a failing model a thousand times. Only what says nothing to the
others is not theirs: that it was cancelled, or that its own time was short while another still has a fair time left. Then
one of the others asks, and the rest wait for that one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from opsrail.clock import Clock
from opsrail.decide.cache import Key
from opsrail.decide.deadline import Deadline
from opsrail.decide.policy import NoScore
from opsrail.errors import DeadlinePassed
from opsrail.values.models import Score

Answer = Score | NoScore
TOO_LATE = NoScore(DeadlinePassed.code, "No score: an equal request got none in time.")


class Flights:
    """Asks under way by cache key.

    Attributes:
        shared: Questions so far that were answered with another's ask.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[Key, list[asyncio.Future[Answer | None]]] = {}
        self.shared = 0

    async def once(
        self, key: Key, ask: Callable[[], Awaitable[Answer]], deadline: Deadline
    ) -> tuple[Answer, bool]:
        """Return the answer to a question, and whether it is that of an equal one.

        Args:
            ask: Asks the model; called only when no equal question is under way. It keeps the deadline itself.
            deadline: Until when this one waits for another's answer.
        """
        while (waiting := self._waiting.get(key)) is not None:
            answer = await self._wait(waiting, deadline)
            if answer is not None and not self._says_nothing(answer, deadline):
                self.shared += 1
                return answer, True
        return await self._lead(key, ask), False

    async def _lead(self, key: Key, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        waiting: list[asyncio.Future[Answer | None]] = []
        self._waiting[key] = waiting
        answer = None
        try:
            answer = await ask()
        finally:
            del self._waiting[key]
            for future in waiting:
                if not future.done():
                    future.set_result(answer)
        return answer

    async def _wait(
        self, waiting: list[asyncio.Future[Answer | None]], deadline: Deadline
    ) -> Answer | None:
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[Answer | None] = loop.create_future()
        left_s = deadline.left_s(self._clock.monotonic_s())
        timer = loop.call_later(left_s, _settle, mine, TOO_LATE)
        waiting.append(mine)
        try:
            return await mine
        finally:
            timer.cancel()

    def _says_nothing(self, answer: Answer, deadline: Deadline) -> bool:
        """Return whether another was merely short of time, and this one is not."""
        if isinstance(answer, Score) or answer.code != DeadlinePassed.code:
            return False
        left_s = deadline.left_s(self._clock.monotonic_s())
        return left_s > 0 and left_s >= deadline.fair_s


def _settle(future: asyncio.Future[Answer | None], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)
