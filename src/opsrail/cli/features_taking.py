"""`opsrail features push` and `backfill`: values and facts that are brought in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Invocation, code_file, common, examples

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.cases.loader import Definitions
    from opsrail.features.backfill import Backfilled
    from opsrail.features.keeping import NewValue, Taken
    from opsrail.features.view import FeatureView

INPUT = click.Path(exists=True, dir_okay=False, path_type=Path)
SHOWN = 5


def defined(file: Path | None) -> Definitions:
    """Return what the named file defines; nothing when none is named."""
    from opsrail.app import NOTHING
    from opsrail.cases.loader import load_file
    from opsrail.cli.session import absolute

    return NOTHING if file is None else load_file(absolute(file))


@click.command(
    "push",
    epilog=examples(
        "opsrail features push policyholder@2 --entity P-1044 claims_5y=2 premium_usd=913.5 region=north",
        "opsrail features push policyholder@2 --input today.csv --key 2026-05-03",
    ),
)
@click.argument("view")
@click.argument("values", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--entity", metavar="ENTITY", help="Whose values they are.")
@click.option("--event-at", metavar="MOMENT", help="When they were true. [default: now]")
@click.option(
    "--input",
    "input_path",
    metavar="PATH",
    type=INPUT,
    help="Or many: CSV, JSONL or Parquet with columns entity, event_at and one a feature; all or none.",
)
@click.option("--key", metavar="K", help="Names this push: under it these values are taken once.")
@code_file
@common
def push(
    invocation: Invocation,
    view: str,
    values: Sequence[str],
    entity: str | None,
    event_at: str | None,
    input_path: Path | None,
    key: str | None,
    file: Path | None,
) -> None:
    """Keep values of VIEW (`name@version`), known from now on.

    Pushed again they change nothing. Other values for the same event time correct those that were there, from now on.
    """
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.decide.code import code_digest
    from opsrail.features.keeping import NewValue

    if (entity is None) == (input_path is None) or bool(values) == (entity is None):
        raise click.UsageError("give --entity and NAME=VALUE for one, or --input for many")
    spelled = _spelled(values)

    async def work(app: App) -> Taken:
        await app.features.keep_definitions(code_digest)
        known = await app.features.known_view(view)
        if input_path is not None:
            brought, is_text = _read_values(known, input_path)
        else:
            when = app.clock.now_ms() if event_at is None else event_at
            brought, is_text = [NewValue(entity or "", when, spelled)], True
        return await app.features.push(view, brought, key=key, is_text=is_text)

    taken = on_app(invocation, work, defined(file), makes=file is not None)
    if invocation.is_json:
        print_json({"view": view, **taken._asdict()})
    else:
        click.echo(f"{taken.kept:,} values kept, {taken.there:,} were there.")


@click.command(
    "backfill",
    epilog=examples(
        "opsrail features backfill policyholder@2 --from policyholders.parquet --file claims.py",
        "opsrail features backfill policyholder@2",
        "opsrail features backfill make-history@2 --cases --file claims.py",
    ),
)
@click.argument("view")
@click.option(
    "--from",
    "path",
    metavar="PATH",
    type=INPUT,
    help="CSV, JSONL (both also .gz) or Parquet. [default: the view's own source]",
)
@click.option(
    "--cases", "is_cases", is_flag=True, help="Teach a folded view what settled cases tell."
)
@code_file
@common
def backfill(
    invocation: Invocation, view: str, path: Path | None, is_cases: bool, file: Path | None
) -> int:
    """Read the past into VIEW (`name@version`): a file or query, or with --cases the facts of settled cases.

    It may be killed at any time and run again: it goes on, and takes nothing twice. With --cases nobody may serve the folder
    meanwhile (SQLite), and the version should be served after it, since facts are folded in the order of their writing.

    Exit status 1 when rows were faulty; the others are kept.
    """
    from opsrail.app.backfilling import WHOLE, backfill_record, backfilled
    from opsrail.cli.progress import Ticker
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.decide.code import code_digest

    if is_cases and (file is None or path is not None):
        raise click.UsageError("--cases needs --file, whose automations are asked, and no --from")
    definitions = defined(file)
    invocation.interrupted = "Interrupted; what was kept stays. Run it again to go on."
    what = "settled cases" if is_cases else "% read"

    async def work(app: App) -> Backfilled:
        job = app.features.backfill

        def tick(done: float, total: float) -> None:
            scale = 1 if is_cases else WHOLE / total
            ticker.tick(done * scale, total * scale, f"{job.done.kept:,} kept")

        if not is_cases:
            return await backfilled(app, view, path, tick)
        await app.features.keep_definitions(code_digest)
        known = await app.features.known_view(view)
        return await job.facts(known, _histories(definitions, known), told=tick)

    with Ticker(what) as ticker:
        done = on_app(invocation, work, definitions, makes=file is not None, alone=is_cases)
    if invocation.is_json:
        print_json(backfill_record(view, done))
    else:
        _print_done(done, is_cases=is_cases)
    return 1 if done.faulty else 0


def _print_done(done: Backfilled, *, is_cases: bool) -> None:
    what = "settled cases" if is_cases else "rows"
    click.echo(f"{done.rows:,} {what}: {done.kept:,} kept, {done.there:,} there already or silent.")
    if done.faulty:
        click.echo(f"{done.faulty:,} rows were left out:", err=True)
        for fault in done.faults[:SHOWN]:
            click.echo(f"  {fault}", err=True)
        click.echo("--json lists the first 100; correct them and run it again.", err=True)


def _spelled(values: Sequence[str]) -> dict[str, object]:
    """Return the values that the command line spells out. Raises UsageError."""
    told: dict[str, object] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"{text!r} is not NAME=VALUE, e.g. claims_5y=2")
        told[name] = value
    return told


def _read_values(view: FeatureView[Any], path: Path) -> tuple[list[NewValue], bool]:
    """Return all values of a file, and whether they are text. Raises InvalidInput: rows that cannot be read, too many."""
    from opsrail.app.backfilling import columns_of, file_rows
    from opsrail.errors import InvalidInput
    from opsrail.features.backfill import new_value
    from opsrail.features.keeping import MOST_PUSHED

    with file_rows(path) as rows:
        columns = replace(columns_of(view), written_at=None)  # what is pushed is known from now
        read: list[NewValue] = []
        for row in rows.rows:
            if row.faults:
                raise InvalidInput(f"{path} cannot be pushed; nothing was kept", row.faults)
            if len(read) == MOST_PUSHED:
                raise InvalidInput(
                    f"{path} has more than {MOST_PUSHED:,} rows; use `opsrail features backfill {view.ref} --from {path}`"
                )
            read.append(new_value(view, columns, row))
        return read, rows.is_text


def _histories(definitions: Definitions, view: FeatureView[Any]) -> list[Any]:
    """Return how the cases are read that teach a view. Raises UsageError: none do."""
    from opsrail.features.backfill import CaseHistory

    found = [
        CaseHistory(one.name, one.read, one.outcome.model_validate_json)
        for one in definitions.automations.values()
        if any(taught.ref == view.ref for taught in one.history)
    ]
    if not found:
        raise click.UsageError(f"no automation of the file has {view.ref} in its `history`")
    return found
