"""`opsrail lab`: what would happen, in virtual time, and what would have happened, out of what is recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.backtest import backtest
from opsrail.cli.lab_compare import compare
from opsrail.cli.lab_tune import tune
from opsrail.cli.options import Group, Invocation, common, examples
from opsrail.cli.replay import replay

if TYPE_CHECKING:
    from opsrail.lab.scenario import Scenario
    from opsrail.lab.simulator import Size
    from opsrail.lab.tally import Outcome, Report

SCENARIO = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTCOME_COLUMNS = (
    "arrived/s", "good/s", "good", "p50 ms", "p95 ms", "p99 ms", "shed", "late", "failed", "cold",
)  # fmt: skip
DEVICE_COLUMNS = (
    "devices", "count", "warm", "used", "rows/batch", "p99 rows", "loads", "crashes", "USD",
)  # fmt: skip


@click.group(cls=Group)
def lab() -> None:
    """Ask what would happen, what would have happened, and what may be promised."""


lab.add_command(compare)
lab.add_command(backtest)
lab.add_command(replay)
lab.add_command(tune)


@lab.command(
    "simulate",
    epilog=examples(
        "opsrail lab simulate --example > scenario.toml",
        "opsrail lab simulate scenario.toml",
        "opsrail lab simulate scenario.toml --compare queue=fifo,lane --compare devices.cpu.count=2,4",
        "opsrail lab simulate scenario.toml --set arrivals.rate_per_s=5000 --json",
    ),
)
@click.argument("scenario", required=False, type=SCENARIO)
@click.option("--example", is_flag=True, help="Print a scenario file to begin with.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="PLACE=VALUE",
    help="Change a value, e.g. devices.cpu.count=4; may be repeated.",
)
@click.option(
    "--compare",
    "choices",
    multiple=True,
    metavar="PLACE=VALUE,VALUE",
    help="Run each value on the same arrivals; a place without a dot is the policy's.",
)
@common
def simulate(
    invocation: Invocation,
    scenario: Path | None,
    example: bool,
    changes: tuple[str, ...],
    choices: tuple[str, ...],
) -> None:
    """Run a scenario file in virtual time and say what became of the requests."""
    if example:
        _print_example(invocation)
        return
    from opsrail.cli.render import print_json
    from opsrail.lab.simulator import compare
    from opsrail.lab.simulator import simulate as run

    read = _read(scenario, changes)
    compared = {place: _listed(place, value) for place, value in map(_placed, choices)}
    with _ticking() as progress:
        if not compared:
            report = run(read, progress=progress)
        else:
            found = list(compare(read, compared, progress=progress))
    if not compared and invocation.is_json:
        print_json({"report": report})
    elif not compared:
        _print_report(report)
    elif invocation.is_json:
        print_json({"comparison": [{"changes": made, "report": one} for made, one in found]})
    else:
        _print_comparison(found)


@lab.command(
    "size",
    epilog=examples(
        "opsrail lab size scenario.toml --slo 0.99",
        "opsrail lab size scenario.toml --slo 0.999 --group gpu --json",
    ),
)
@click.argument("scenario", type=SCENARIO)
@click.option(
    "--slo",
    required=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of requests, and of the high ones, that get a good answer.",
)
@click.option("--group", help="Whose devices are counted. [default: the first group]")
@click.option(
    "--most",
    default=100_000,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Give up above.",
)
@click.option("--set", "changes", multiple=True, metavar="PLACE=VALUE", help="Change a value.")
@common
def size(
    invocation: Invocation,
    scenario: Path,
    slo: float,
    group: str | None,
    most: int,
    changes: tuple[str, ...],
) -> None:
    """Find the fewest devices that keep an objective."""
    from opsrail.cli.render import print_json
    from opsrail.lab.simulator import size as find

    read = _read(scenario, changes)
    with _ticking() as progress:
        found = find(read, slo, group=group, most=most, progress=progress)
    if invocation.is_json:
        print_json({"size": found})
    else:
        _print_size(found, slo)


@contextmanager
def _ticking() -> Iterator[Callable[[float, float], None]]:
    """Show how far virtual time is, for what takes long."""
    from opsrail.cli.progress import Ticker

    with Ticker("virtual ms") as ticker:
        yield lambda now_s, end_s: ticker.tick(1000 * now_s, 1000 * end_s)


def _read(path: Path | None, changes: tuple[str, ...]) -> Scenario:
    if path is None:
        raise click.UsageError("name a scenario file; --example prints one to begin with")
    from opsrail.lab.reading import changed, read

    made = {place: _value(text) for place, text in map(_placed, changes)}
    scenario = read(path)
    return changed(scenario, made) if made else scenario


def _placed(text: str) -> tuple[str, str]:
    """Return place and value of `PLACE=VALUE`; a place without a dot is the policy's, unless it is the scenario's own."""
    place, equals, value = text.partition("=")
    if not (place.strip() and equals and value.strip()):
        raise click.UsageError(f"{text!r} is not PLACE=VALUE, e.g. policy.queue=fifo")
    from opsrail.lab.scenario import Policy

    place = place.strip()
    return (f"policy.{place}" if place in Policy.model_fields else place), value.strip()


def _listed(place: str, text: str) -> list[object]:
    values = [_value(one.strip()) for one in text.split(",") if one.strip()]
    if len(values) < 2:
        raise click.UsageError(f"--compare {place} needs two values at least: {place}=ONE,TWO")
    return values


def _value(text: str) -> object:
    """Return what a text is as JSON; what is none is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print_example(invocation: Invocation) -> None:
    from opsrail.lab.reading import example, example_scenario

    if invocation.is_json:
        from opsrail.cli.render import print_json

        print_json(example_scenario().model_dump(mode="json"))
    else:
        click.echo(example(), nl=False)


def _print_report(report: Report) -> None:
    from opsrail.cli.render import print_table

    rows = [("all", *_cells(report.whole))]
    rows += [(name, *_cells(one)) for name, one in report.criticality.items()]
    if len(report.points) > 1:
        rows += [(f"point {name}", *_cells(one)) for name, one in report.points.items()]
    click.echo(f"{report.scenario}, {report.span_s:g} virtual seconds, seed {report.seed}\n")
    print_table(("requests", *OUTCOME_COLUMNS), rows, empty="Nobody came.")
    click.echo()
    print_table(DEVICE_COLUMNS, _device_rows(report), empty="No devices.")
    if report.usd_per_million_good is not None:
        click.echo(f"\n{report.usd_per_million_good:.4g} USD for a million good answers")


def _device_rows(report: Report) -> list[tuple[object, ...]]:
    return [
        (
            name,
            use.devices,
            use.warm_mean,
            f"{use.used_ratio:.1%}",
            use.batch_mean,
            use.batch_p99,
            use.loads,
            use.crashes,
            use.cost_usd,
        )
        for name, use in report.devices.items()
    ]


def _print_comparison(found: list[tuple[dict[str, object], Report]]) -> None:
    from opsrail.cli.render import print_table

    rows = [
        (
            _told(made),
            *_cells(one.whole),
            _high(one),
            sum(use.warm_mean for use in one.devices.values()),
            one.cost_usd,
        )
        for made, one in found
    ]
    columns = ("with", *OUTCOME_COLUMNS, "high good", "warm", "USD")
    print_table(columns, rows, empty="Nothing was compared.")


def _print_size(found: Size, slo: float) -> None:
    from opsrail.cli.render import print_table

    devices = "device" if found.count == 1 else "devices"
    click.echo(f"{found.count} {found.group} {devices} keep {slo:.2%} good answers.\n")
    cells = [(count, f"{share:.3%}") for count, share in found.tried.items()]
    print_table(("devices", "good"), cells, empty="Nothing was tried.")
    click.echo()
    _print_report(found.report)


def _cells(outcome: Outcome) -> tuple[Any, ...]:
    return (
        _rate(outcome.arrived_per_s),
        _rate(outcome.goodput_per_s),
        f"{outcome.good_ratio:.2%}",
        outcome.p50_ms,
        outcome.p95_ms,
        outcome.p99_ms,
        outcome.shed,
        outcome.late,
        outcome.failed,
        outcome.cold,
    )


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.4g}"


def _high(report: Report) -> str | None:
    high = report.criticality.get("high")
    return None if high is None else f"{high.good_ratio:.2%}"


def _told(made: Mapping[str, object]) -> str:
    return " ".join(f"{place.removeprefix('policy.')}={value}" for place, value in made.items())
