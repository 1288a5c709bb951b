"""`simulate`, and what is built of it: policies side by side, and the fewest devices that keep an objective."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from opsrail.errors import Fault, InvalidInput
from opsrail.lab.engine import Engine, Watch
from opsrail.lab.reading import WRONG, changed
from opsrail.lab.scenario import CRITICALITIES, Scenario
from opsrail.lab.tally import Report, Tally

Progress = Callable[[float, float], None]
"""Told now and then how far it is: virtual seconds done, and all."""


def simulate(
    scenario: Scenario, *, progress: Progress | None = None, watch: Watch | None = None
) -> Report:
    """Run a scenario in virtual time; nothing but its recordings is read.

    Args:
        watch: Told of each request's end: the request, how it ended, and when.

    Raises:
        InvalidInput: a recording cannot be used. Terminal.

    Example:
        >>> from opsrail.lab import Devices, Line, Model, Point, Poisson, Scenario, simulate
        >>> report = simulate(
        ...     Scenario(
        ...         arrivals=Poisson(rate_per_s=100),
        ...         points=(Point(name="risk", model="trees", deadline_ms=100),),
        ...         models=(Model(name="trees", service={"cpu": Line(fixed_ms=1, row_ms=0.1)}),),
        ...         devices=(Devices(name="cpu", count=1),),
        ...     )
        ... )
        >>> report.whole.good_ratio
        1.0
    """
    engine = Engine(scenario, watch)
    for now_s in engine.run():
        if progress is not None:
            progress(min(now_s, scenario.duration_s), scenario.duration_s)
    return _report(engine)


def compare(
    scenario: Scenario,
    choices: Mapping[str, Sequence[object]],
    *,
    progress: Progress | None = None,
) -> Iterator[tuple[dict[str, object], Report]]:
    """Yield a report for each combination of values at some dotted places, all on the same arrivals.

    Raises:
        InvalidInput: a place or a value is wrong; before anything is run. Terminal.
    """
    combinations = [
        dict(zip(choices, values, strict=True)) for values in product(*choices.values())
    ]
    runs = [(changes, changed(scenario, changes)) for changes in combinations]
    for changes, one in runs:
        yield changes, simulate(one, progress=progress)


@dataclass(frozen=True, slots=True)
class Size:
    """How many devices keep an objective.

    Attributes:
        group: The devices that were counted; all others stay as they are.
        count: The fewest that keep it.
        report: What they give.
        tried: Devices -> share of good answers, of each run.
    """

    group: str
    count: int
    report: Report
    tried: dict[int, float]


def size(
    scenario: Scenario,
    objective: float,
    *,
    group: str | None = None,
    most: int = 100_000,
    progress: Progress | None = None,
) -> Size:
    """Return the fewest devices of a group with which this share of the requests gets a good answer.

    More devices are taken to be never worse, so it doubles and halves: about 2 log2(n) runs.

    Args:
        objective: Share of good answers, of all and of each criticality that is `high`; 0 < objective <= 1.
        group: Whose devices are counted; None: the first group.

    Raises:
        InvalidInput: no such group, or `most` devices do not keep it. Terminal.
    """
    names = [one.name for one in scenario.devices]
    place = names.index(group) if group in names else 0 if group is None else -1
    if place < 0:
        raise InvalidInput(WRONG, [Fault("group", f"{group!r} is none of {', '.join(names)}")])
    tried: dict[int, Report] = {}

    def keeps(count: int) -> bool:
        if count not in tried:
            tried[count] = simulate(
                changed(scenario, {f"devices.{place}.count": count}), progress=progress
            )
        return _good_ratio(tried[count]) >= objective

    enough = scenario.devices[place].count
    while not keeps(enough):
        if enough >= most:
            found = _good_ratio(tried[enough])
            told = (
                f"even {enough:,} devices give {found:.4f} good answers, {objective:.4f} are wanted"
            )
            raise InvalidInput(WRONG, [Fault(f"devices.{place}.count", told)])
        enough = min(most, 2 * enough)
    short = max((count for count in tried if not keeps(count)), default=0)
    while enough - short > 1:
        middle = (short + enough) // 2
        if keeps(middle):
            enough = middle
        else:
            short = middle
    shares = {count: _good_ratio(report) for count, report in sorted(tried.items())}
    return Size(names[place], enough, tried[enough], shares)


def _good_ratio(report: Report) -> float:
    """Return the share of good answers: of all, or of the high class where that is lower."""
    high = report.criticality.get("high")
    return min(report.whole.good_ratio, high.good_ratio if high else 1.0)


def _report(engine: Engine) -> Report:
    scenario, end_s = engine.scenario, engine.timeline.now_s
    span_s = scenario.duration_s - scenario.warm_up_s
    whole = Tally()
    by_rank = [Tally() for _ in CRITICALITIES]
    by_point = [Tally() for _ in scenario.points]
    for place, tallies in enumerate(engine.tallies):
        for rank, tally in enumerate(tallies):
            for total in (whole, by_rank[rank], by_point[place]):
                total.take_in(tally)
    uses = {
        group.name: engine.used[place].use(
            group, engine.warmth.paid_s[place], engine.warmth.loads[place], end_s
        )
        for place, group in enumerate(scenario.devices)
    }
    cost_usd = sum(use.cost_usd for use in uses.values())
    return Report(
        scenario=scenario.name,
        seed=scenario.seed,
        span_s=span_s,
        whole=whole.outcome(span_s),
        criticality={
            name: by_rank[rank].outcome(span_s)
            for rank, name in enumerate(CRITICALITIES)
            if by_rank[rank].arrived
        },
        points={
            point.name: by_point[place].outcome(span_s)
            for place, point in enumerate(scenario.points)
        },
        devices=uses,
        cost_usd=cost_usd,
        usd_per_million_good=1e6 * cost_usd / whole.good if whole.good and cost_usd else None,
        events=engine.events,
    )
