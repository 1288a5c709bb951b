"""`opsrail reviews quality` and `export`: how well people and the machine decide; what people ruled as a training set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Invocation, common, examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opsrail.app import App
    from opsrail.lab.quality import Quality, Spread
    from opsrail.lab.rates import Rate
    from opsrail.lab.weighed import Weighed


@click.command(
    "quality",
    epilog=examples(
        "opsrail reviews quality", "opsrail reviews quality --queue claims-desk --since 90d --json"
    ),
)
@click.option("--queue", metavar="NAME", help="Only this desk's.")
@click.option("--since", default="30d", show_default=True, help="How far back.")
@common
def quality(invocation: Invocation, queue: str | None, since: str) -> None:
    """Tell how often people are right on control cases, and the machine as people see its spot checks.

    Also: how far people and the model differ by week, how far reviewers agree (kappa), whom seeing the score moved, and how
    long rulings take and wait.
    """
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.errors import MissingExtra
    from opsrail.values.spans import span_ms

    length_ms = span_ms(since)

    async def work(app: App) -> Quality:
        try:
            from opsrail.lab.rulings import quality as figures
        except ModuleNotFoundError as missing:
            raise MissingExtra("opsrail reviews quality", "lab") from missing
        await app.desk.refuse_unless_known(queue)
        until_ms = app.clock.now_ms() + 1
        since_ms = max(0, until_ms - length_ms)
        return await figures(app.store, since_ms=since_ms, until_ms=until_ms, queue=queue)

    found = on_app(invocation, work)
    if invocation.is_json:
        print_json(found.record())
        return
    for line in sentences(found):
        click.echo(line)


@click.command(
    "export",
    epilog=examples(
        "opsrail reviews export --out corrections.jsonl",
        "opsrail reviews export --out corrections.parquet --point fraud-risk --since 365d",
    ),
)
@click.option(
    "--out", required=True, metavar="FILE", type=click.Path(path_type=Path), help="Ends in .jsonl, .csv or .parquet."
)  # fmt: skip
@click.option("--queue", metavar="NAME", help="Only this desk's.")
@click.option("--point", metavar="NAME", help="Only about decisions of this point.")
@click.option("--since", default=None, help="How far back, e.g. 90d. [default: all]")
@click.option("--names", is_flag=True, help="Name people; without, each has a pseudonym.")
@common
def export(
    invocation: Invocation,
    out: Path,
    queue: str | None,
    point: str | None,
    since: str | None,
    names: bool,
) -> None:
    """Write what reviewers ruled and corrected as a training set, a line a review, with its provenance.

    A manifest with digest, counts and filter stands beside it (FILE.manifest.json). Control cases are left out. The same
    command goes on after an interruption.
    """
    from opsrail import __version__
    from opsrail.cli.progress import Ticker
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.lab.ruling_file import export as write
    from opsrail.review.exporting import Wanted
    from opsrail.values.reviews import ReviewRow, ReviewState
    from opsrail.values.rows import equals
    from opsrail.values.spans import span_ms

    length_ms = None if since is None else span_ms(since)
    invocation.interrupted = "Interrupted; the same command goes on."

    async def work(app: App) -> dict[str, Any]:
        await app.desk.refuse_unless_known(queue)
        until_ms = app.clock.now_ms() + 1
        since_ms = 0 if length_ms is None else max(0, until_ms - length_ms)
        wanted = Wanted(since_ms, until_ms, queue, point, names)
        counted = await app.store.count(ReviewRow, *equals(state=ReviewState.RULED))
        total = counted.get((), 0)
        return await write(
            app.store, app.clock, wanted, out, progress=lambda done: ticker.tick(done, max(done, total)),
            made_by=f"opsrail {__version__}",
        )  # fmt: skip

    with Ticker("rulings") as ticker:
        manifest = on_app(invocation, work)
    if invocation.is_json:
        print_json({"export": manifest})
    else:
        click.echo(f"{manifest['rows']:,} rulings in {out}, {manifest['digest']}")


def sentences(found: Quality) -> Iterator[str]:
    """Yield the figures in sentences."""
    where = "" if found.queue is None else f" of {found.queue}"
    yield f"{found.rulings:,} rulings{where}."
    yield f"People on control cases: {_rate(found.people)}."
    for name, one in found.by_person.items():
        yield f"  {name}: {_rate(one)}"
    yield f"The machine, by spot checks: {_weighed(found.machine)}."
    agreement, kappa = found.agreement, found.agreement.kappa
    if kappa.value is None:
        yield "Agreement between reviewers: not known; nothing with two verdicts was ruled on by two of them."
    else:
        yield (
            f"Agreement between {agreement.judges} reviewers on {agreement.items:,} reviews: {agreement.method}'s kappa "
            f"{kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f})."
        )
    seen = found.reconsidered
    yield (
        f"Having seen the score, of {seen.rulings:,} who had ruled blind: towards the machine {_rate(seen.towards)}; away "
        f"from it {_rate(seen.away)}."
    )
    for week in found.weeks:
        yield f"  {week_text(week.start_ms)}: machine {_weighed(week.machine)}; people differ {_rate(week.disagreement)}"
    for name in found.held:
        told = {
            "held before the ruling": found.held[name],
            "waited for it": found.waited[name],
            f"{found.waiting[name].of:,} wait, so far": found.waiting[name],
        }
        yield f"{name}: {'; '.join(f'{what} {_spread(one)}' for what, one in told.items())}"


def week_text(start_ms: int) -> str:
    """Return a week by its Monday."""
    from opsrail.clock import rfc3339

    return f"week of {rfc3339(start_ms)[:10]}"


def _rate(one: Rate) -> str:
    if one.ratio is None:
        return "none"
    return f"{one.ratio:.1%} of {one.of:,} ({one.low:.1%} to {one.high:.1%})"


def _weighed(one: Weighed) -> str:
    if one.rate is None:
        return "none were ruled on"
    return f"right in {one.rate:.1%} ({one.low:.1%} to {one.high:.1%}), from {one.known:,}"


def _spread(one: Spread) -> str:
    if one.p50_s is None or one.p95_s is None:
        return "-"
    return f"{one.p50_s:,.0f} s (95%: {one.p95_s:,.0f} s)"
