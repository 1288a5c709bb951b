"""How well people and the machine decide: figures over rulings, control cases and spot checks. Pure.

    found = quality_of(rulings, waiting, since_ms=since_ms, until_ms=until_ms)
    print(found.people.ratio, found.agreement.kappa.value)

What the machine is measured by are spot checks alone: they were drawn by chance from what it decided without anybody, so
they speak for all of that once each counts as many times as it stands for. Rulings on what policy sent to people say
nothing of the rest. What people said before they saw the score counts where there is that (`first`), since what they saw
may have moved them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from opsrail.clock import rfc3339
from opsrail.lab.agreement import Agreement, Rating, agreed
from opsrail.lab.rates import Rate, rate
from opsrail.lab.weighed import Weighed, Weights

WEEK_MS = 7 * 86_400_000
MONDAY_MS = 4 * 86_400_000
"""The first Monday of the epoch, 1970-01-05."""
PERCENTILES = (50, 90, 95, 99)
K = TypeVar("K", bound=Hashable)


class Ruled(NamedTuple):
    """What one person ruled on one review.

    Attributes:
        item: What was judged, the same for all who judged it: the review, or the control case.
        first: What they said before they saw the score; None: the queue is not blind.
        truth: The right ruling of a control case; None: not one.
        said: What the machine said; None: nothing, it asked.
        ratio: Probability with which it was drawn as a spot check, above 0; None: not one.
        held_s: From claim to ruling; None: never claimed.
        waited_s: From opening to ruling.
    """

    item: str
    queue: str
    by: str
    verdict: str
    at_ms: int
    first: str | None = None
    truth: str | None = None
    said: str | None = None
    ratio: float | None = None
    held_s: float | None = None
    waited_s: float | None = None

    @property
    def own(self) -> str:
        """What they said by themselves."""
        return self.verdict if self.first is None else self.first


class Spread(NamedTuple):
    """How long something takes: seconds by percentile.

    Attributes:
        of: Of how many; 0: the others are None.
    """

    of: int
    p50_s: float | None
    p90_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class Week:
    """One week, from Monday, UTC.

    Attributes:
        start_ms: Its first moment, epoch ms.
        machine: How often the machine was right, as people saw its spot checks.
        disagreement: How often people ruled otherwise than the machine said, of what they ruled on; it speaks for no other.
    """

    start_ms: int
    machine: Weighed
    disagreement: Rate


@dataclass(frozen=True, slots=True)
class Reconsidered:
    """What seeing the score did to people who had said something before.

    Attributes:
        rulings: Of those where the machine had said something.
        towards: Changed to what the machine said, of those who had said otherwise: automation bias, or good advice.
        away: Changed from what the machine said, of those who had said the same.
        other: Changed from one thing to another, neither the machine's.
    """

    rulings: int
    towards: Rate
    away: Rate
    other: int


@dataclass(frozen=True, slots=True)
class Quality:
    """How well people and the machine decide in a span of time.

    Attributes:
        rulings: By people.
        people: How often people ruled right on control cases; by person in `by_person`, those who saw any.
        machine: How often the machine was right, of all it decided alone, by spot checks; and in `weeks`, oldest first.
        agreement: Between reviewers, on what several of them ruled on.
        held: Seconds from claim to ruling, by queue.
        waited: Seconds from opening to ruling, by queue.
        waiting: How long what has no ruling waits so far, by queue.
    """

    since_ms: int
    until_ms: int
    queue: str | None
    rulings: int
    people: Rate
    by_person: Mapping[str, Rate]
    machine: Weighed
    weeks: tuple[Week, ...]
    agreement: Agreement
    reconsidered: Reconsidered
    held: Mapping[str, Spread]
    waited: Mapping[str, Spread]
    waiting: Mapping[str, Spread]

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON values, with moments as text."""
        return {
            "since": rfc3339(self.since_ms),
            "until": rfc3339(self.until_ms),
            "queue": self.queue,
            "rulings": self.rulings,
            "people": {
                **asdict(self.people),
                "by_person": {name: asdict(one) for name, one in self.by_person.items()},
            },
            "machine": self.machine._asdict(),
            "weeks": [
                {
                    "start": rfc3339(week.start_ms),
                    "machine": week.machine._asdict(),
                    "disagreement": asdict(week.disagreement),
                }
                for week in self.weeks
            ],
            "agreement": asdict(self.agreement),
            "reconsidered": asdict(self.reconsidered),
            "queues": {
                name: {
                    "held": self.held[name]._asdict(),
                    "waited": self.waited[name]._asdict(),
                    "waiting": self.waiting[name]._asdict(),
                }
                for name in self.held
            },
        }


def quality_of(
    rulings: Sequence[Ruled],
    waiting: Sequence[tuple[str, float]] = (),
    *,
    since_ms: int = 0,
    until_ms: int = 0,
    queue: str | None = None,
) -> Quality:
    """Return the figures of a span of time.

    Args:
        rulings: In any order.
        waiting: Queue and seconds so far of each review without a ruling.
        since_ms, until_ms, queue: What they are of; they stand in the answer.

    Example:
        >>> quality_of([Ruled("c", "desk", "ann", "approve", 0, truth="approve")]).people.ratio
        1.0
    """
    known = [one for one in rulings if one.truth is not None]
    others = [one for one in rulings if one.truth is None]
    names = {one.queue for one in rulings} | {name for name, _ in waiting}
    ages: dict[str, list[float]] = defaultdict(list)
    for name, age_s in waiting:
        ages[name].append(age_s)
    by_queue = _grouped(rulings, lambda one: one.queue)
    held, waited = (
        {name: spread(_seconds(by_queue.get(name, ()), field)) for name in sorted(names)}
        for field in ("held_s", "waited_s")
    )
    return Quality(
        since_ms,
        until_ms,
        queue,
        len(rulings),
        _right(known),
        {name: _right(some) for name, some in sorted(_grouped(known, lambda one: one.by).items())},
        machine_accuracy(others),
        weeks_of(others),
        agreed(Rating(one.item, one.by, one.own) for one in sorted(rulings, key=_moment)),
        reconsidered(others),
        held,
        waited,
        {name: spread(ages[name]) for name in sorted(names)},
    )


def machine_accuracy(rulings: Iterable[Ruled]) -> Weighed:
    """Return how often the machine was right, of all it decided alone, as people saw its spot checks.

    Several rulings on one spot check count once, by the last of them.

    Source:
        Each spot check stands for 1 / ratio decisions: Horvitz and Thompson 1952, Journal of the American Statistical
        Association 47; the rate and its interval as `lab/weighed.py`.
    """
    last: dict[str, Ruled] = {}
    for one in sorted(rulings, key=_moment):
        if one.ratio is not None and one.said is not None:
            last[one.item] = one
    weights = Weights()
    if last:
        hits = np.array([one.own == one.said for one in last.values()])
        weights.add(hits, np.array([one.ratio for one in last.values()], dtype=np.float64))
    return weights.rate()


def weeks_of(rulings: Sequence[Ruled]) -> tuple[Week, ...]:
    """Return the figures of each week in which the machine had said something, oldest first."""
    spoken = [one for one in rulings if one.said is not None]
    by_week = _grouped(spoken, lambda one: week_of(one.at_ms))
    return tuple(
        Week(start_ms, machine_accuracy(some), rate(sum(one.own != one.said for one in some), len(some)))
        for start_ms, some in sorted(by_week.items())
    )  # fmt: skip


def week_of(at_ms: int) -> int:
    """Return the first moment of a moment's week: Monday, UTC. Epoch ms."""
    return at_ms - (at_ms - MONDAY_MS) % WEEK_MS


def reconsidered(rulings: Iterable[Ruled]) -> Reconsidered:
    """Return what seeing the score did to people who had ruled blind before.

    Source:
        Changes towards advice, of those who first thought otherwise, are what Goddard, Roudsari, Wyatt 2012, Journal of the
        American Medical Informatics Association 19, count as automation bias where the advice is wrong; here it is any.
    """
    blind = [one for one in rulings if one.first is not None and one.said is not None]
    against = [one for one in blind if one.first != one.said]
    along = [one for one in blind if one.first == one.said]
    return Reconsidered(
        len(blind),
        rate(sum(one.verdict == one.said for one in against), len(against)),
        rate(sum(one.verdict != one.said for one in along), len(along)),
        sum(one.verdict not in (one.first, one.said) for one in against),
    )


def spread(seconds: Sequence[float]) -> Spread:
    """Return how long something takes.

    Source:
        Percentiles by linear interpolation, type 7 of Hyndman, Fan 1996, The American Statistician 50.
    """
    if not seconds:
        return Spread(0, None, None, None, None)
    found = np.percentile(np.asarray(seconds, dtype=np.float64), PERCENTILES)
    return Spread(len(seconds), *(round(float(one), 3) for one in found))


def _moment(one: Ruled) -> int:
    return one.at_ms


def _right(known: Sequence[Ruled]) -> Rate:
    return rate(sum(one.verdict == one.truth for one in known), len(known))


def _seconds(rulings: Iterable[Ruled], field: str) -> list[float]:
    return [value for one in rulings if (value := getattr(one, field)) is not None]


def _grouped(rulings: Iterable[Ruled], key: Callable[[Ruled], K]) -> dict[K, list[Ruled]]:
    groups: dict[K, list[Ruled]] = defaultdict(list)
    for one in rulings:
        groups[key(one)].append(one)
    return dict(groups)
