"""How long each stage of one decision took."""

from __future__ import annotations

from opsrail.clock import Clock


class Laps:
    """Time spent by stage. Milliseconds, to the microsecond."""

    __slots__ = ("_marks", "_now_s", "at_ms", "begun_s", "start_s")

    def __init__(self, clock: Clock) -> None:
        self._now_s = clock.monotonic_s
        self.at_ms = clock.now_ms()
        self.start_s = self.begun_s = self._now_s()
        self._marks: list[tuple[str, float]] = []

    def begin(self) -> None:
        """Begin the first stage: what was waited for before belongs to none."""
        self.begun_s = self._now_s()

    def end(self, stage: str) -> None:
        """End a stage; the next one begins."""
        self._marks.append((stage, self._now_s()))

    def spent_ms(self) -> dict[str, float]:
        """Return what each stage took."""
        spent_ms, last_s = {}, self.begun_s
        for stage, end_s in self._marks:
            spent_ms[stage] = int((end_s - last_s) * 1e6) / 1000
            last_s = end_s
        spent_ms["total"] = int((last_s - self.start_s) * 1e6) / 1000
        return spent_ms
