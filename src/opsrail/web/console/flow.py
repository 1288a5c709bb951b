"""How cases really ran: what followed what, how often and after how long, from the journals of recorded cases. Pure.

Source:
    The directly-follows graph: van der Aalst (2016), "Process Mining: Data Science in Action", section 6.2.
    Time of an edge: the median from one entry to the next, as a mean would be one stuck case's.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from opsrail.values.cases import CaseRow, CaseState

UNSEEN = frozenset({"now", "random"})
"""Kinds of entries that are no work: readings of clock and chance."""
MOST_NODES = 40
"""Ours: more boxes are no picture. What is left out stands in the table."""
BEGIN = "accepted"
ENDS: Mapping[str, str] = {
    CaseState.SETTLED: "settled",
    CaseState.CANCELLED: "cancelled",
    CaseState.SET_ASIDE: "set aside",
    CaseState.WAITING: "waiting now",
}
"""States that a run is drawn to; one that runs now has no end yet."""


class Event(NamedTuple):
    """One entry of a journal."""

    case_id: str
    seq: int
    kind: str
    name: str
    at_ms: int


class Node(NamedTuple):
    """One thing that cases do.

    Attributes:
        id: `kind name`; of an end or the beginning its kind alone.
        kind: As in the journal, or `begin` or `end`.
        runs: How often it was done.
        cases: How many cases did it.
        rank: Mean place in the cases that did it: 0 the beginning, 1 the end.
    """

    id: str
    kind: str
    name: str
    runs: int
    cases: int
    rank: float


class Arc(NamedTuple):
    """One thing that came right after another.

    Attributes:
        times: How often.
        median_ms: From one to the other.
    """

    source: str
    target: str
    times: int
    median_ms: float


class Flow(NamedTuple):
    """What the cases did, in their usual order, and what followed what, most frequent first."""

    cases: int
    nodes: tuple[Node, ...]
    arcs: tuple[Arc, ...]

    def main(self, most: int = MOST_NODES) -> Flow:
        """Return the part with the nodes that most cases ran through."""
        if len(self.nodes) <= most:
            return self
        kept = {node.id for node in sorted(self.nodes, key=lambda node: -node.cases)[:most]}
        nodes = tuple(node for node in self.nodes if node.id in kept)
        arcs = tuple(arc for arc in self.arcs if arc.source in kept and arc.target in kept)
        return Flow(self.cases, nodes, arcs)


def flow_of(cases: Sequence[CaseRow], events: Iterable[Event]) -> Flow:
    """Return how cases ran.

    Args:
        events: Of these cases' journals, in any order; those of other cases are left out.
    """
    journals: dict[str, list[Event]] = {row.id: [] for row in cases}
    for event in events:
        if event.case_id in journals and event.kind not in UNSEEN:
            journals[event.case_id].append(event)
    tally = _Tally()
    for row in cases:
        ordered = sorted(journals[row.id], key=lambda event: (event.at_ms, event.seq))
        tally.add(_walk(row, ordered))
    return tally.flow(len(cases))


Stop = tuple[str, str, str, int]
"""Id, kind, name, moment."""


def _walk(row: CaseRow, ordered: Sequence[Event]) -> list[Stop]:
    stops: list[Stop] = [(BEGIN, "begin", BEGIN, row.accepted_at_ms)]
    stops += [
        (f"{event.kind} {event.name}", event.kind, event.name, event.at_ms) for event in ordered
    ]
    if (end := ENDS.get(row.state)) is not None:
        ended_ms = row.updated_at_ms if row.settled_at_ms is None else row.settled_at_ms
        stops.append((end, "end", end, ended_ms))
    return stops


class _Tally:
    def __init__(self) -> None:
        self._runs: Counter[str] = Counter()
        self._cases: Counter[str] = Counter()
        self._places: defaultdict[str, list[float]] = defaultdict(list)
        self._names: dict[str, tuple[str, str]] = {}
        self._gaps: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def add(self, stops: Sequence[Stop]) -> None:
        self._cases.update({stop[0] for stop in stops})
        last = max(len(stops) - 1, 1)
        for place, (one, kind, name, _) in enumerate(stops):
            self._runs[one] += 1
            self._names[one] = (kind, name)
            self._places[one].append(place / last)
        for before, after in itertools.pairwise(stops):
            self._gaps[before[0], after[0]].append(max(0, after[3] - before[3]))

    def flow(self, cases: int) -> Flow:
        nodes = [
            Node(one, kind, name, self._runs[one], self._cases[one], self._rank(one, kind))
            for one, (kind, name) in self._names.items()
        ]
        arcs = [
            Arc(source, target, len(gaps), float(median(gaps)))
            for (source, target), gaps in self._gaps.items()
        ]
        nodes.sort(key=lambda node: (node.rank, node.id))
        arcs.sort(key=lambda arc: (-arc.times, arc.source, arc.target))
        return Flow(cases, tuple(nodes), tuple(arcs))

    def _rank(self, one: str, kind: str) -> float:
        """Return the mean place; the beginning is before all, an end behind all."""
        if kind in ("begin", "end"):
            return -1.0 if kind == "begin" else 2.0
        places = self._places[one]
        return sum(places) / len(places)
