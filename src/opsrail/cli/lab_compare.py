"""`opsrail lab compare`: a version against another one, whoever answered, or people, on the decisions that were made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Invocation, VersionText, common, examples

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.decide.point import DecisionPoint
    from opsrail.lab.agreement import Paired
    from opsrail.lab.comparison import Comparison, Side
    from opsrail.lab.disagreement import Disagreement
    from opsrail.lab.shifts import Shift

AGAINST = ("people", "champion")
MOST_SEGMENTS = 12
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PICTURE = click.Path(dir_okay=False, path_type=Path)


@click.command(
    "compare",
    epilog=examples(
        "opsrail lab compare claims-fraud/7 --against champion --since 30d",
        "opsrail lab compare claims-fraud/7 --against people --point fraud-risk --segments AccidentArea,Age",
        "opsrail lab compare claims-fraud/7 --against claims-fraud/6 --file claims.py --picture compared.svg",
        "opsrail lab compare claims-fraud/7 --against people --json",
    ),
)
@click.argument("version", type=VersionText(), metavar="NAME/NUMBER")
@click.option(
    "--against",
    default="champion",
    show_default=True,
    metavar="WHO",
    help="people (their rulings), champion (whoever answered), or another NAME/NUMBER.",
)
@click.option("--point", metavar="NAME", help="Decision point. [default: the one where it stands]")
@click.option(
    "--since", default="30d", show_default=True, metavar="SPAN", help="Decisions of this time."
)
@click.option(
    "--segments", metavar="FIELD,FIELD", help="Request fields to tell decisions apart by."
)
@click.option(
    "--file",
    "file",
    type=FILE,
    help="The automation's file: segments, and the verdict for people, are its point's.",
)
@click.option("--picture", type=PICTURE, help="Also draw it, as SVG.")
@common
def compare(
    invocation: Invocation,
    version: tuple[str, int],
    against: str,
    point: str | None,
    since: str,
    segments: str | None,
    file: Path | None,
    picture: Path | None,
) -> None:
    """Say how a model version disagrees, with whom, and where most.

    A version is heard as a challenger (stage shadow) or where it answered itself. Verdicts are those of the policy of then.
    """
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    other = against if against in AGAINST else _other(against)

    async def work(app: App) -> Comparison:
        for each in (version, other):
            if not isinstance(each, str):
                await app.registry.version(
                    *each
                )  # a slip of the pen is no version that said nothing
        chosen = point or await _point_of(app, version)
        declared = None if file is None else _declared(file, chosen)
        return await _compared(app, invocation, chosen, version, other, since, segments, declared)

    found = on_app(invocation, work)
    if picture is not None:
        from opsrail.lab.comparison_picture import draw

        picture.write_text(draw(found), encoding="utf-8")
    if invocation.is_json:
        print_json({"comparison": found.record()})
        return
    report(found, since)
    if picture is not None:
        click.echo(f"\nDrawn in {picture}.")


async def _compared(
    app: App,
    invocation: Invocation,
    point: str,
    mine: tuple[str, int],
    other: tuple[str, int] | str,
    since: str,
    segments: str | None,
    declared: DecisionPoint[Any] | None,
) -> Comparison:
    from opsrail.cli.progress import Ticker
    from opsrail.errors import MissingExtra
    from opsrail.values.spans import span_ms

    try:
        from opsrail.lab.comparison import compared
        from opsrail.lab.history import COPIES
        from opsrail.lab.joins import UNDECIDED
    except ModuleNotFoundError as missing:
        raise MissingExtra("opsrail lab compare", "lab") from missing
    until_ms = await app.store.now_ms() + 1
    with Ticker("decisions") as ticker:
        return await compared(
            app.store,
            point,
            mine,
            other,
            since_ms=until_ms - span_ms(since),
            until_ms=until_ms,
            fields=_fields(segments, declared),
            referred=UNDECIDED if declared is None else declared.policy.review,
            folder=invocation.data / COPIES,
            progress=lambda done: ticker.tick(done, done),
        )


def _other(text: str) -> tuple[str, int]:
    from opsrail.errors import InvalidInput
    from opsrail.values.versions import version_of

    try:
        return version_of(text)
    except InvalidInput as wrong:
        raise click.UsageError(f"--against: {wrong}, {' or '.join(AGAINST)}") from wrong


async def _point_of(app: App, version: tuple[str, int]) -> str:
    """Return the one point where a version stands or stood."""
    from opsrail.errors import NotFound
    from opsrail.values.registry import RolloutRow
    from opsrail.values.rows import equals

    name, number = version
    rows = await app.store.select(RolloutRow, *equals(model_name=name, model_number=number))
    if not rows:
        raise NotFound(f"{name}/{number} stands at no decision point; see `opsrail models list`")
    if len(rows) > 1:
        known = ", ".join(row.point for row in rows)
        raise click.UsageError(f"{name}/{number} stands at several points ({known}); say --point")
    return rows[0].point


def _fields(segments: str | None, declared: DecisionPoint[Any] | None) -> Sequence[str]:
    """Return the fields that are asked for, else those that the point declares."""
    if segments is not None:
        return [name.strip() for name in segments.split(",") if name.strip()]
    return () if declared is None else declared.segments


def _declared(file: Path, point: str) -> DecisionPoint[Any]:
    from opsrail.cases.loader import load_file
    from opsrail.cli.session import absolute
    from opsrail.errors import UnknownName

    points = load_file(absolute(file)).points
    if point not in points:
        known = ", ".join(points) or "none"
        raise UnknownName(f"{file} defines no decision point {point!r}; it defines: {known}")
    return points[point]


# -- for people ------------------------------------------------------------------------------------------------------


def report(found: Comparison, since: str) -> None:
    """Print a comparison."""
    click.echo(
        f"{found.mine.name} against {found.theirs.name} at {found.point}: "
        f"{found.decisions:,} decisions of the last {since}\n"
    )
    _whole(found)
    if found.disagreement.is_enough:
        _segments(found.disagreement)
        _confusion(found)
    if found.shift is not None:
        _shift(found, found.shift)
    _sides([found.mine, found.theirs])


def _whole(found: Comparison) -> None:
    from opsrail.lab.rates import count_for

    one = found.disagreement
    if one.rate.ratio is None:
        click.echo("There is nothing to compare: no decision has a verdict of both.")
    else:
        click.echo(f"They disagree on {_rate(one)} of {one.rate.of:,} compared decisions.")
    if one.referred:
        click.echo(
            f"{one.referred:,} more were left to people by one of them, so nothing is compared there."
        )
    if one.unknown:
        click.echo(f"On {one.unknown:,} decisions one of them said nothing.")
    if not one.is_enough:
        click.echo(f"TOO FEW to say anything: {one.least} are needed at least.")
        return
    if one.kappa.value is not None:
        kappa = one.kappa
        click.echo(
            f"Agreement beyond chance (kappa): {kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f})."
        )
    needed = count_for(0.01, one.rate.ratio or 0.01)
    if one.rate.of < needed:
        click.echo(f"To know it within one point, about {needed:,} compared decisions are needed.")
    if found.champion is not None and found.errors is not None:
        _errors(found, found.champion, found.errors)


def _errors(found: Comparison, champion: Disagreement, errors: Paired) -> None:
    mine = found.mine.name
    click.echo(
        f"On the {errors.decisions:,} of these that whoever answered decided, too, that one disagrees with people on "
        f"{_rate(champion)}."
    )
    if errors.only_mine or errors.only_theirs:
        click.echo(
            f"Only {mine} differs from people on {errors.only_mine:,} of them, only the other on {errors.only_theirs:,} "
            f"(p = {errors.p_value:.2g}, were both wrong equally often)."
        )


def _rate(one: Disagreement) -> str:
    if one.rate.ratio is None:
        return "none"
    return f"{one.rate.ratio:.2%} ({one.rate.low:.2%} to {one.rate.high:.2%})"


def _segments(one: Disagreement) -> None:
    from opsrail.cli.render import print_table

    if not one.segments:
        click.echo()
        click.echo(
            "Decisions are told apart by nothing; name fields with --segments, or in the decision point."
        )
        return
    tested = [segment for segment in one.segments if segment.p_value is not None]
    few = len(one.segments) - len(tested)
    click.echo()
    if worst := one.worst:
        click.echo(
            f"They disagree more than elsewhere in {len(worst)} of {len(tested)} segments (at most 5% of these by chance):"
        )
    else:
        click.echo(f"In none of {len(tested)} segments do they disagree more than chance explains.")
    cells = [
        (
            f"{segment.field} = {segment.segment}",
            f"{segment.rate.ratio:.2%}",
            f"{segment.rate.low:.2%} to {segment.rate.high:.2%}",
            segment.rate.of,
            f"{segment.rest.ratio:.2%}",
            segment.q_value,
            "more" if segment.is_worse else "",
        )
        for segment in tested[:MOST_SEGMENTS]
    ]
    columns = ("segment", "disagree", "95% interval", "of", "elsewhere", "q", "")
    print_table(columns, cells, empty="")
    if len(tested) > MOST_SEGMENTS:
        click.echo(f"... and {len(tested) - MOST_SEGMENTS} more; --json lists all.")
    if few:
        click.echo(
            f"{few} segments have fewer than {one.least} decisions, or leave so few outside, and were not tested."
        )


def _confusion(found: Comparison) -> None:
    from opsrail.cli.render import print_table

    table = found.disagreement.confusion
    click.echo()
    rows = [
        (verdict, *counts) for verdict, counts in zip(table.verdicts, table.counts, strict=True)
    ]
    print_table((f"{found.mine.name} \\ {found.theirs.name}", *table.verdicts), rows, empty="")


def _shift(found: Comparison, shift: Shift) -> None:
    from opsrail.cli.render import print_table

    click.echo()
    psi = "too few scores for PSI" if shift.psi is None else f"PSI {shift.psi:.3f}"
    click.echo(
        f"Scores of {shift.scores:,} decisions lie {shift.ks:.3f} apart (Kolmogorov-Smirnov), {psi}."
    )
    names = [f"p{100 * quantile:g}" for quantile in shift.quantiles]
    rows = [
        (found.mine.name, shift.mean, *shift.quantiles.values()),
        (found.theirs.name, shift.other_mean, *shift.other_quantiles.values()),
    ]
    print_table(("score", "mean", *names), rows, empty="")


def _sides(sides: Sequence[Side]) -> None:
    from opsrail.cli.render import print_table

    rows = [
        (
            side.name,
            sum(side.verdicts.values()),
            sum(side.failed.values()),
            None if side.took is None else side.took.p50,
            None if side.took is None else side.took.p95,
            None if side.took is None else side.took.p99,
            side.cost_usd,
        )
        for side in sides
    ]
    click.echo()
    print_table(("", "verdicts", "failed", "p50 ms", "p95 ms", "p99 ms", "USD"), rows, empty="")
    click.echo("Times: of a challenger its calls, of who answered the whole decision.")
    for side in sides:
        if side.failed:
            codes = ", ".join(f"{code} {count:,}" for code, count in side.failed.items())
            click.echo(f"{side.name} had no score: {codes}.")
