"""What was decided lately, counted from the store's rows: every process that writes them counts, not this one alone. Pure.

Nothing counts a big table. Rows are read once each, in the order of their ids, which grow with time, and go into slots of
2 seconds, a minute and ten minutes; what a slot holds is a few numbers a decision point. From now on everything is counted;
the past is taken in backwards, a stretch at a time, until a day is covered. Until then figures say since when they count.

A decision's id is of the moment when it was asked and its row comes when it was answered, so rows come late by what it
took. Each look reads the last seconds again, one a minute reads further back, and what is known is not counted twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from opsrail.decide.figures import Spent, place_of, spent_of

SECONDS, MINUTES, TENS = 2_000, 60_000, 600_000
SLOTS: Mapping[int, int] = {SECONDS: 31, MINUTES: 61, TENS: 145}
"""Slots kept, by their length in milliseconds: a minute, an hour and a day, and the one under way."""
WINDOWS_MS: Mapping[str, tuple[int, int]] = {
    "minute": (60_000, SECONDS),
    "hour": (3_600_000, MINUTES),
    "day": (86_400_000, TENS),
}
"""How long each window is, and which slots it is made of."""
AGAIN_MS = 5_000
"""How far back each look reads again. Ours: five times what an answer usually may take."""
LONG_MS, LONG_EVERY_MS = 90_000, 60_000
FORGOTTEN_MS = 900_000
"""After so long without a look counting begins anew: taking in what came meanwhile would hold up what is new."""
REMEMBERED_MS = 2 * LONG_MS
ROWS = 5_000
"""Rows a look reads at most: about 12 ms of a reader's thread and 8 of the loop's (a million rows stored, SQLite)."""
FIRST_STRETCH_MS, LONGEST_STRETCH_MS, SHORTEST_STRETCH_MS = 900_000, 21_600_000, 1_000
COLUMNS = ("id", "point", "verdict", "proposed", "degraded", "latency_us", "at_ms")
Row = tuple[str, str, str, str | None, bool, int, int]


class Limits(NamedTuple):
    """What a decision point's rows are held against.

    Attributes:
        review: The verdict that sends to a person.
        deadline_ms: Time that the point gives; None: it is not known here.
    """

    review: str
    deadline_ms: int | None


@dataclass(slots=True)
class Tally:
    """What one decision point did in one slot."""

    decisions: int = 0
    by_people: int = 0
    degraded: int = 0
    judged: int = 0
    kept: int = 0
    places: Counter[int] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Take in another one."""
        self.decisions += other.decisions
        self.by_people += other.by_people
        self.degraded += other.degraded
        self.judged += other.judged
        self.kept += other.kept
        self.places.update(other.places)


class Lately(NamedTuple):
    """What happened in a window.

    Attributes:
        seconds: How long it is; less than its name says while the past is not taken in yet.
        since_ms: When it begins, epoch ms.
        automation_ratio: Share of the decisions that no person had to look at; None: there was none.
        fallback_ratio: Share that the version which should have answered did not.
        kept_ratio: Share that was answered within the point's deadline, of those whose deadline is known.
        spent: From asking to the verdict, milliseconds, within 7 %.
        is_whole: Whether it is as long as its name says.
    """

    seconds: float
    since_ms: int
    decisions: int
    per_s: float
    automation_ratio: float | None
    fallback_ratio: float | None
    kept_ratio: float | None
    spent: Spent | None
    is_whole: bool


class Stretch(NamedTuple):
    """Which rows to read next.

    Attributes:
        begin_ms: The first moment; `after` is an id to go on behind instead, empty: none.
        end_ms: The moment behind the last; None: up to now.
    """

    begin_ms: int
    after: str
    end_ms: int | None


class Recent:
    """Counts rows. One a process.

    Args:
        now_ms: When counting begins.
        limits: Returns what holds for a decision point.
    """

    def __init__(self, now_ms: int, limits: Callable[[str], Limits]) -> None:
        self._limits = limits
        self._slots: dict[int, dict[int, dict[str, Tally]]] = {length: {} for length in SLOTS}
        self._seen: dict[str, int] = {}
        self._behind = ""
        self._looked_ms = self._long_ms = now_ms
        self.covered_ms = now_ms - AGAIN_MS
        self._stretch_ms = FIRST_STRETCH_MS

    # -- what is new -------------------------------------------------------------------------------------------------

    def newest(self, now_ms: int) -> Stretch:
        """Return which rows to read for what happened since the last look."""
        if now_ms - self._looked_ms > FORGOTTEN_MS:
            self._begin_anew(now_ms)
        back_ms = AGAIN_MS
        if now_ms - self._long_ms >= LONG_EVERY_MS and not self._behind:
            self._long_ms, back_ms = now_ms, LONG_MS
        begin_ms = max(self.covered_ms, min(now_ms, self._looked_ms) - back_ms)
        return Stretch(begin_ms, self._behind, None)

    def take(self, rows: Sequence[Row], now_ms: int) -> None:
        """Count what `newest` asked for; a full read is gone on with by the next look."""
        for row in rows:
            self._count_once(row, now_ms)
        self._behind = rows[-1][0] if len(rows) >= ROWS else ""
        self._looked_ms = now_ms
        self._forget(now_ms)

    @property
    def is_behind(self) -> bool:
        """Whether more was decided than was read."""
        return bool(self._behind)

    # -- what was ----------------------------------------------------------------------------------------------------

    def earlier(self, now_ms: int) -> Stretch | None:
        """Return which rows to read to know more of the past; None: a day is covered."""
        oldest_ms = now_ms - WINDOWS_MS["day"][0]
        if self.covered_ms <= oldest_ms:
            return None
        return Stretch(max(oldest_ms, self.covered_ms - self._stretch_ms), "", self.covered_ms)

    def take_earlier(self, stretch: Stretch, rows: Sequence[Row], now_ms: int) -> None:
        """Count what `earlier` asked for; of a stretch with too many rows a shorter one is asked for instead."""
        if len(rows) >= ROWS and self._stretch_ms > SHORTEST_STRETCH_MS:
            self._stretch_ms = max(SHORTEST_STRETCH_MS, self._stretch_ms // 4)
            return
        for row in rows:
            self._count_once(row, now_ms)
        self.covered_ms = stretch.begin_ms
        if len(rows) < ROWS // 3:
            self._stretch_ms = min(LONGEST_STRETCH_MS, self._stretch_ms * 2)

    # -- what it comes to --------------------------------------------------------------------------------------------

    def windows(self, now_ms: int, points: Collection[str] | None = None) -> dict[str, Lately]:
        """Return what happened in the last minute, hour and day.

        Args:
            points: Of which decision points; None: of all.
        """
        found = {}
        for name, (length_ms, slot_ms) in WINDOWS_MS.items():
            first = now_ms // slot_ms - SLOTS[slot_ms] + 1
            whole = Tally()
            for slot, tallies in self._slots[slot_ms].items():
                if slot >= first:
                    for point, tally in tallies.items():
                        if points is None or point in points:
                            whole.add(tally)
            since_ms = max(first * slot_ms, self.covered_ms)
            found[name] = _lately(whole, since_ms, now_ms, length_ms)
        return found

    def course(
        self, window: str, now_ms: int, points: Collection[str] | None = None
    ) -> list[tuple[int, int, int]]:
        """Return decisions and those by people, slot by slot, oldest first: (moment, decisions, by people)."""
        slot_ms = WINDOWS_MS[window][1]
        last = now_ms // slot_ms
        found = []
        for slot in range(last - SLOTS[slot_ms] + 1, last + 1):
            tallies = [
                tally
                for point, tally in self._slots[slot_ms].get(slot, {}).items()
                if points is None or point in points
            ]
            decisions = sum(tally.decisions for tally in tallies)
            found.append((slot * slot_ms, decisions, sum(tally.by_people for tally in tallies)))
        return found

    def points(self) -> list[str]:
        """Return the decision points that decided within the day, by name."""
        return sorted({point for tallies in self._slots[TENS].values() for point in tallies})

    def _begin_anew(self, now_ms: int) -> None:
        for slots in self._slots.values():
            slots.clear()
        self._seen, self._behind = {}, ""
        self._looked_ms = self._long_ms = now_ms
        self.covered_ms = now_ms - AGAIN_MS

    def _count_once(self, row: Row, now_ms: int) -> None:
        """Count a row unless it was; only those are remembered that may be read again."""
        if row[0] in self._seen:
            return
        if row[6] > now_ms - REMEMBERED_MS:
            self._seen[row[0]] = row[6]
        self._count(row, now_ms)

    def _count(self, row: Row, now_ms: int) -> None:
        _, point, verdict, proposed, degraded, latency_us, at_ms = row
        review, deadline_ms = self._limits(point)
        for slot_ms, kept in SLOTS.items():
            slot = at_ms // slot_ms
            if slot <= now_ms // slot_ms - kept:
                continue
            tally = self._slots[slot_ms].setdefault(slot, defaultdict(Tally))[point]
            tally.decisions += 1
            tally.by_people += verdict == review or proposed is not None
            tally.degraded += bool(degraded)
            tally.places[place_of(latency_us)] += 1
            if deadline_ms is not None:
                tally.judged += 1
                tally.kept += latency_us <= 1000 * deadline_ms

    def _forget(self, now_ms: int) -> None:
        for slot_ms, kept in SLOTS.items():
            slots = self._slots[slot_ms]
            for slot in [each for each in slots if each <= now_ms // slot_ms - kept]:
                del slots[slot]
        if len(self._seen) > ROWS:
            old_ms = now_ms - REMEMBERED_MS
            self._seen = {one: at_ms for one, at_ms in self._seen.items() if at_ms >= old_ms}


def _lately(whole: Tally, since_ms: int, now_ms: int, length_ms: int) -> Lately:
    seconds = max(0, now_ms - since_ms) / 1000
    count = whole.decisions
    return Lately(
        seconds,
        since_ms,
        count,
        count / seconds if seconds else 0.0,
        1 - whole.by_people / count if count else None,
        whole.degraded / count if count else None,
        whole.kept / whole.judged if whole.judged else None,
        spent_of(whole.places) if count else None,
        now_ms - since_ms >= length_ms * 0.95,
    )
