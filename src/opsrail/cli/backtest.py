"""`opsrail lab backtest`: a point's history, judged again by another policy or another model's scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Invocation, VersionText, common, examples

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.app.backtesting import Asked
    from opsrail.lab.backtested import Backtest, ErrorRate, Slice

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MOST_SHOWN = 20
KEPT = "What was read and scored so far is kept: the same command goes on from there."


@dataclass(frozen=True)
class Wish:
    """What the command line asks for."""

    point: str
    model: tuple[str, int] | None
    policy: Path | None
    bands: str | None
    file: Path | None
    since: str
    segments: tuple[str, ...]
    wrong: tuple[str, ...]
    review_s: float | None
    usd_per_hour: float | None
    output: Path | None


@click.command(
    "backtest",
    epilog=examples(
        "opsrail lab backtest --point fraud-risk --bands approve:0.03,review:1.01 --since 90d",
        "opsrail lab backtest --point fraud-risk --model claims-fraud/8 --file claims.py --since 90d",
        "opsrail lab backtest --point fraud-risk --policy new.yaml --segments BasePolicy --wrong 'approve|fraud=2500'",
    ),
)
@click.option("--point", required=True, metavar="NAME", help="Whose history.")
@click.option("--model", type=VersionText(), help="Scores of this version. [default: as recorded]")
@click.option("--policy", type=FILE, help="A policy as data (YAML); see docs/replay.md.")
@click.option("--bands", metavar="VERDICT:BELOW,...", help="Other bands, all else as recorded.")
@click.option("--file", type=FILE, help="The automation's file: the policy of its code.")
@click.option("--since", default="90d", show_default=True, metavar="SPAN", help="How far back.")
@click.option(
    "--segments",
    "--segment",
    "segments",
    multiple=True,
    metavar="FIELD,FIELD",
    help="Request fields to tell decisions apart by.",
)
@click.option(
    "--wrong",
    multiple=True,
    metavar="VERDICT|OUTCOME[=USD]",
    help="What is a wrong verdict, and its cost; `VERDICT|not OUTCOME`; may be repeated.",
)
@click.option(
    "--review-s",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="What one review takes. [default: as measured from claim to ruling]",
)
@click.option("--usd-per-hour", type=click.FloatRange(0), metavar="USD", help="Of a reviewer.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="List the decisions whose verdict changes in this Parquet file.",
)
@common
def backtest(invocation: Invocation, **given: Any) -> None:
    """Judge a whole history again and say what would have been otherwise, for whom, and what that costs.

    Decisions are read as columns and copied beside the database, so that the next question is answered at once.
    """
    from opsrail.cli.render import print_json
    from opsrail.lab.whatif import check_packages

    wish = Wish(**given)
    if wish.policy is not None and wish.bands is not None:
        raise click.UsageError("--policy has bands of its own; leave --bands away")
    if wish.policy is None and wish.bands is None and wish.file is None:
        raise click.UsageError("say which policy: --policy, --bands or --file")
    check_packages()
    invocation.interrupted = KEPT
    asked, found = _backtested(invocation, wish)
    if invocation.is_json:
        from opsrail.app.backtesting import record_of

        print_json({"backtest": record_of(asked, found)})
    else:
        _print(found, wish)


def _backtested(invocation: Invocation, wish: Wish) -> tuple[Asked, Backtest]:
    from opsrail.app import NOTHING
    from opsrail.app.backtesting import Asked, backtested
    from opsrail.cases.loader import load_file
    from opsrail.cli.progress import Ticker
    from opsrail.cli.session import absolute, on_app
    from opsrail.errors import UnknownName
    from opsrail.lab.policy_file import read_policy
    from opsrail.values.spans import span_ms

    definitions = NOTHING if wish.file is None else load_file(absolute(wish.file))
    point = definitions.points.get(wish.point)
    if wish.file is not None and point is None:
        raise UnknownName(f"{wish.file} defines no decision point {wish.point!r}")
    fields = [name.strip() for each in wish.segments for name in each.split(",") if name.strip()]
    asked = Asked(
        wish.point, wish.model, None if wish.policy is None else read_policy(wish.policy)[0],
        wish.bands, point, span_ms(wish.since), tuple(fields), wish.wrong, wish.review_s,
        wish.usd_per_hour, wish.output,
    )  # fmt: skip

    async def work(app: App) -> Backtest:
        with Ticker("decisions") as ticker:
            return await backtested(app, asked, invocation.data, ticker.tick)

    return asked, on_app(invocation, work, definitions)


def _print(found: Backtest, wish: Wish) -> None:
    from opsrail.cli.render import print_table

    share = found.changed / found.decisions if found.decisions else 0.0
    if not found.decisions:
        click.echo(f"{wish.point!r} decided nothing in that time; look further back with --since")
        return
    click.echo(f"{found.changed:,} of {found.decisions:,} verdicts change ({share:.2%}).\n")
    moves = [(one.was, one.now, f"{one.decisions:,}") for one in found.moves]
    print_table(("was", "now", "decisions"), moves, empty="There was nothing to judge.")
    if len(found.segments) > 1:
        click.echo()
        rows = [_segment(one, found.people.verdict) for one in found.segments[1 : MOST_SHOWN + 1]]
        columns = ("segment", "decisions", "changed", "to people was", "to people now")
        print_table(columns, rows, empty="")
    click.echo()
    people = found.people
    hours = "handling time is not known: --review-s"
    if people.was_hours is not None and people.now_hours is not None:
        each = f"{people.handling_from} {people.handling_s:,.0f} s each"
        hours = f"{people.was_hours:,.1f} h was, {people.now_hours:,.1f} h now ({each})"
    click.echo(f"To people: {people.was:,} was, {people.now:,} now; {hours}")
    for was, now in zip(found.errors_was, found.errors_now, strict=True):
        click.echo(f"{was.wrong}: {_error(was)} was; {_error(now)} now")
    for what, before, after in (
        ("people", found.money.people_was, found.money.people_now),
        ("errors", found.money.errors_was, found.money.errors_now),
    ):
        if before is not None or after is not None:
            click.echo(f"USD of {what}: {_usd(before)} was, {_usd(after)} now")
    if wish.output is not None:
        click.echo(f"The decisions that change stand in {wish.output}.")
    for note in found.notes:
        click.echo(note)


def _segment(one: Slice, review: str) -> tuple[object, ...]:
    name = ", ".join(f"{field}={value}" for field, value in one.segment.items())
    was, now = (counts.get(review, 0) / one.decisions for counts in (one.was, one.now))
    return (
        name,
        f"{one.decisions:,}",
        f"{one.changed / one.decisions:.2%}",
        f"{was:.1%}",
        f"{now:.1%}",
    )


def _error(one: ErrorRate) -> str:
    if one.rate is None:
        return f"not known (none of {one.of:,} has a known truth)"
    return f"{one.rate:.2%} [{one.low:.2%}, {one.high:.2%}] of {one.of:,}, known of {one.known:,}"


def _usd(amount: float | None) -> str:
    return "not known" if amount is None else f"{amount:,.0f}"
