"""How long each stage of one decision took."""

from __future__ import annotations

from collections.abc import Awaitable

from opsrail.clock import Clock


class Laps:
    """Time spent by stage. Milliseconds, to the microsecond.

    Attributes:
        others: Awaited: lets who is under way too catch up, see `side_by_side`.
        start_s: When the request was taken up; monotonic.
        at_ms: The same as epoch ms.
    """

    __slots__ = ("_last_s", "_now_s", "_spent_ms", "at_ms", "others", "start_s")

    def __init__(self, clock: Clock, others: Awaitable[None]) -> None:
        self.others = others
        self._now_s = clock.monotonic_s
        self.at_ms = clock.now_ms()
        self.start_s = self._last_s = self._now_s()
        self._spent_ms: dict[str, float] = {}

    def begin(self) -> None:
        """Begin the first stage: what was waited for before belongs to none."""
        self._last_s = self._now_s()

    def end(self, stage: str) -> Awaitable[None]:
        """End a stage, the next one begins; returns `others`."""
        now_s = self._now_s()
        self._spent_ms[stage] = int((now_s - self._last_s) * 1e6) / 1000
        self._last_s = now_s
        return self.others

    def spent_ms(self) -> dict[str, float]:
        """Return what each stage took, and all from the start to the end of the last."""
        total_ms = int((self._last_s - self.start_s) * 1e6) / 1000
        return {**self._spent_ms, "total": total_ms}
