"""`opsrail run`: a file in, every row a durable case, until nothing can go on without a person."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import DATA, Invocation, common, examples

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.cases.batch import FileRun, Standing
    from opsrail.cases.definition import Automation
    from opsrail.cases.files import CheckedFile
    from opsrail.cases.loader import Definitions

LOOK_S = (0.05, 5.0)
"""Shortest and longest time between two looks at the cases; in between, a twentieth of the time is spent looking."""
SHOWN = 5


@click.command(
    epilog=examples(
        "opsrail run claims.py --input claims.csv",
        "opsrail run claims.py --input 2026-03.jsonl.gz --data /srv/claims --json",
        "opsrail run receipts.py --input scans/ --wait",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--input",
    "input_path",
    required=True,
    metavar="PATH",
    type=click.Path(exists=True, path_type=Path),
    help="CSV, CSV.gz, JSONL, JSONL.gz, Parquet, or a folder of document images.",
)
@click.option("--automation", "name", metavar="NAME", help="Which one, when FILE defines several.")
@click.option(
    "--wait", "is_waiting", is_flag=True, help="Go on until people have ruled on everything, too."
)
@common
def run(
    invocation: Invocation, file: Path, input_path: Path, name: str | None, is_waiting: bool
) -> int:
    """Run every row of a file as a durable case of the automation in FILE.

    The input is checked whole first: bad rows are set aside in NAME.rejected.csv beside it, with line and faults; good rows
    run. Killed and run again, it goes on where it was and doubles nothing. It ends when nothing can go on without a person.

    Exit status 1 when rows were rejected, cases set aside or actions given up.
    """
    from opsrail.cases.loader import load_file
    from opsrail.cli.render import print_json
    from opsrail.cli.session import absolute, on_running_app, settings
    from opsrail.clock import SystemClock

    clock = SystemClock()
    begun_s = clock.monotonic_s()
    config = settings(invocation)
    definitions = load_file(absolute(file))
    automation = chosen(definitions, name, file)
    folder = Path(config.documents.folder) if config.documents.folder else None
    checked = _checked(invocation, input_path, automation, folder)
    before, after, file_run = on_running_app(
        invocation,
        config,
        definitions,
        lambda app: carried(
            app, automation, checked, invocation, folder=folder, is_waiting=is_waiting
        ),
    )
    spent_s = clock.monotonic_s() - begun_s
    result = summary(checked, automation.name, file_run, before, after, spent_s)
    if invocation.is_json:
        print_json(result)
    else:
        _print_summary(result, invocation)
    return 1 if checked.rejected or after.set_aside or after.dead_actions else 0


def _checked(
    invocation: Invocation, path: Path, automation: Automation[Any, Any], folder: Path | None
) -> CheckedFile:
    """Check the file whole and tell what was rejected; nothing is accepted yet."""
    from opsrail.cases.files import check_file
    from opsrail.cli.progress import Ticker

    invocation.interrupted = "Interrupted while the file was checked; no row was accepted."
    with Ticker("% checked") as ticker:

        def tell(ratio: float, rows: int, rejected: int) -> None:
            ticker.tick(100 * ratio, 100, f"{rows:,} rows, {rejected:,} rejected")

        checked = check_file(path, automation, folder=folder, progress=tell)
    if not invocation.is_json:
        _tell_rejected(checked)
    return checked


def chosen(definitions: Definitions, name: str | None, file: Path) -> Automation[Any, Any]:
    """Return the automation that is meant. Raises UsageError when the file leaves it open."""
    known = definitions.automations
    if name is None and len(known) == 1:
        return next(iter(known.values()))
    if name is None or name not in known:
        raise click.UsageError(
            f"{file} defines {', '.join(known) or 'no automation'}; name one with --automation"
        )
    return known[name]


async def carried(
    app: App,
    automation: Automation[Any, Any],
    checked: CheckedFile,
    invocation: Invocation,
    *,
    folder: Path | None,
    is_waiting: bool,
) -> tuple[Standing, Standing, FileRun]:
    """Accept the file and look on until its cases are at rest; return where they stood before, stand now, and the run."""
    import asyncio

    from opsrail.cases.batch import FileRun
    from opsrail.cli.progress import Ticker

    file_run = FileRun(app.store, app.clock, app.intake, automation, checked, folder=folder)
    earlier = await file_run.begin()
    before = await file_run.standing()
    if earlier and not invocation.is_json:
        rest = checked.good - earlier
        told = f"{rest:,} rows are left" if rest else "only cases that did not end are left"
        click.echo(f"Going on: {earlier:,} rows are cases already; {told}.", err=True)
    feeding = asyncio.create_task(file_run.feed(), name="opsrail:feed")
    try:
        with Ticker("cases") as ticker:
            return (
                before,
                await _looked_on(app, file_run, feeding, checked, ticker, is_waiting),
                file_run,
            )
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        invocation.interrupted = _on_interrupt(file_run, checked)


async def _looked_on(
    app: App,
    file_run: FileRun,
    feeding: Any,
    checked: CheckedFile,
    ticker: Any,
    is_waiting: bool,
) -> Standing:
    """Look until nothing can go on; a database that is away is waited for."""
    import logging

    from opsrail.errors import StoreUnavailable

    log = logging.getLogger("opsrail.cli")
    while True:
        if is_fed := feeding.done():
            feeding.result()
        if app.broken is not None:
            raise app.broken
        begun_s = app.clock.monotonic_s()
        try:
            now = await file_run.standing()
            ticker.tick(_at_rest(now), checked.good, _words(now, file_run.held))
            is_quiet = is_fed and not now.may_go_on and not (is_waiting and now.waiting)
            if is_quiet and not await file_run.is_woken() and await file_run.standing() == now:
                return now
        except StoreUnavailable as down:
            log.warning("the run waits for the database: %s", down)
            await app.clock.sleep(LOOK_S[1])
        spent_s = app.clock.monotonic_s() - begun_s
        await app.clock.sleep(min(max(LOOK_S[0], 20 * spent_s), LOOK_S[1]))


def summary(
    checked: CheckedFile,
    automation: str,
    file_run: FileRun,
    before: Standing,
    after: Standing,
    duration_s: float,
) -> dict[str, Any]:
    """Return what `opsrail run --json` prints."""
    carried_count = max(_at_rest(after) - _at_rest(before), 0)
    return {
        "file": str(checked.path),
        "automation": automation,
        "rows": checked.rows,
        "accepted": file_run.accepted,
        "new": file_run.new,
        "rejected": checked.rejected,
        "cases": {
            "settled": after.settled,
            "waiting": after.waiting,
            "set_aside": after.set_aside,
            "cancelled": after.cancelled,
            "running": after.running + after.timers,
        },
        "actions": {
            "due": after.due_actions,
            "held": after.held_actions,
            "dead": after.dead_actions,
        },
        "duration_s": round(duration_s, 3),
        "cases_per_s": round(carried_count / duration_s, 1),
        "rejected_file": None if checked.rejected_file is None else str(checked.rejected_file),
    }


def _at_rest(standing: Standing) -> int:
    return standing.settled + standing.waiting + standing.set_aside + standing.cancelled


def _words(now: Standing, held: str | None) -> str:
    parts = (
        (now.waiting, "waiting for people"),
        (now.timers, "waiting for time"),
        (now.set_aside, "set aside"),
        (now.due_actions, "actions to send"),
        (now.held_actions, "actions held"),
    )
    told = [f"{count:,} {what}" for count, what in parts if count]
    return ", ".join([*told, *([f"waits for the database: {held}"] if held else [])])


def _on_interrupt(file_run: FileRun, checked: CheckedFile) -> str:
    again = shlex.join(["opsrail", *sys.argv[1:]])
    return (
        f"Interrupted; {file_run.accepted:,} of {checked.good:,} rows are durable cases and nothing of them is lost. "
        f"Go on with the same command: {again}"
    )


def _tell_rejected(checked: CheckedFile) -> None:
    for one in checked.first_rejected[:SHOWN]:
        click.echo(f"rejected {one}", err=True)
    if checked.rejected > SHOWN:
        click.echo(f"rejected {checked.rejected - SHOWN:,} more rows", err=True)
    if checked.rejected_file is not None:
        click.echo(
            f"All rejected rows are in {checked.rejected_file}; mend them there and run that file.",
            err=True,
        )


def _print_summary(result: dict[str, Any], invocation: Invocation) -> None:
    from opsrail.cli.progress import span

    where = "" if str(invocation.data) == DATA else f" --data {shlex.quote(str(invocation.data))}"
    cases, actions = result["cases"], result["actions"]
    click.echo(
        f"{result['file']}: {result['rows']:,} rows for {result['automation']} "
        f"in {span(result['duration_s'])}, {result['cases_per_s']:,.1f} cases/s"
    )
    lines = (
        ("settled", cases["settled"], ""),
        (
            "waiting for people",
            cases["waiting"],
            f"opsrail reviews list{where}, then run this again or serve",
        ),
        ("set aside", cases["set_aside"], f"opsrail cases list --state set_aside{where}"),
        ("cancelled", cases["cancelled"], ""),
        ("running", cases["running"], ""),
        ("rejected", result["rejected"], result["rejected_file"]),
        ("actions held", actions["held"], f"opsrail actions resume {result['automation']}{where}"),
        ("actions given up", actions["dead"], f"opsrail actions list --state dead{where}"),
    )
    for what, count, how in lines:
        if count or what == "settled":
            click.echo(f"  {count:>9,}  {what}{how and f': {how}'}")
