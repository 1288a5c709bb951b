"""The requests of a scenario, in the order in which they come."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import accumulate, count

from opsrail.clock import Chance, chance
from opsrail.decide.asks import RANK_OF
from opsrail.lab.scenario import CRITICALITIES, Point, Scenario

KEYLESS = -1


class Asked:
    """One request.

    Attributes:
        number: Its place among all, from 0.
        point: Position of its point in the scenario.
        rank: 0 for `high`, 1 for `normal`, 2 for `low`.
        key: Whose order it has to keep; `KEYLESS`: nobody's.
        is_cold: Whether it found no warm device.
        is_counted: Whether it came after the warm-up.
        is_pinned: Whether the next of its key has to go where it went.
    """

    __slots__ = (
        "at_s",
        "due_s",
        "is_cold",
        "is_counted",
        "is_pinned",
        "key",
        "number",
        "point",
        "rank",
    )

    def __init__(
        self, number: int, at_s: float, due_s: float, point: int, rank: int, key: int
    ) -> None:
        self.number = number
        self.at_s = at_s
        self.due_s = due_s
        self.point = point
        self.rank = rank
        self.key = key
        self.is_cold = False
        self.is_counted = True
        self.is_pinned = False


def demand(scenario: Scenario) -> Iterator[Asked]:
    """Yield the requests until the scenario's duration is over. Raises InvalidInput: a recording cannot be used."""
    kinds = [_Kind(place, point, scenario.seed) for place, point in enumerate(scenario.points)]
    numbers, end_s, warm_up_s = count(), scenario.duration_s, scenario.warm_up_s
    for at_s, place in _moments(scenario):
        if at_s >= end_s:
            return
        asked = kinds[place].asked(next(numbers), at_s)
        if at_s < warm_up_s:
            asked.is_counted = False
        yield asked


def _moments(scenario: Scenario) -> Iterator[tuple[float, int]]:
    """Yield (moment, position of the point), ascending, without end."""
    sources = [
        _alone(place, point.arrivals.moments(chance(f"{scenario.seed}/arrivals/{point.name}")))
        for place, point in enumerate(scenario.points)
        if point.arrivals is not None
    ]
    sharing = [place for place, point in enumerate(scenario.points) if point.arrivals is None]
    if sharing and scenario.arrivals is not None:
        moments = scenario.arrivals.moments(chance(f"{scenario.seed}/arrivals"))
        if len(sharing) == 1:
            sources.append(_alone(sharing[0], moments))
        else:
            weights = [scenario.points[place].share for place in sharing]
            sources.append(_shared(sharing, weights, moments, chance(f"{scenario.seed}/points")))
    return sources[0] if len(sources) == 1 else merge(*sources)


def _alone(place: int, moments: Iterator[float]) -> Iterator[tuple[float, int]]:
    for at_s in moments:
        yield at_s, place


def _shared(
    places: list[int], weights: list[float], moments: Iterator[float], chance: Chance
) -> Iterator[tuple[float, int]]:
    sums = list(accumulate(weights))
    for at_s in moments:
        drawn, place = chance.random() * sums[-1], 0
        while drawn >= sums[place] and place < len(sums) - 1:
            place += 1
        yield at_s, places[place]


class _Kind:
    """What the requests of one point have in common."""

    def __init__(self, place: int, point: Point, seed: int) -> None:
        self._place = place
        self._deadline_s = point.deadline_ms / 1000
        self._key_count = point.key_count
        self._chance = chance(f"{seed}/requests/{point.name}")
        named = [name for name in CRITICALITIES if point.criticality.get(name, 0) > 0]
        self._ranks = [RANK_OF[name] for name in named]
        self._sums = list(accumulate(point.criticality[name] for name in named))

    def asked(self, number: int, at_s: float) -> Asked:
        """Return the next request. Requests of one key have one criticality: between classes nothing has an order."""
        key = KEYLESS
        rank = self._ranks[0]
        if self._key_count or len(self._ranks) > 1:
            drawn = self._chance.random()
            if self._key_count:
                key = int(drawn * self._key_count)
                drawn = (key + 0.5) / self._key_count
            place = 0
            while drawn >= self._sums[place] and place < len(self._ranks) - 1:
                place += 1
            rank = self._ranks[place]
        return Asked(number, at_s, at_s + self._deadline_s, self._place, rank, key)
