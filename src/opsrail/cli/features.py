"""`opsrail features`: views, what they know of an entity now or knew then, training sets, and what is brought in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.features_taking import backfill, defined, push
from opsrail.cli.features_training import training_set
from opsrail.cli.options import Group, Invocation, code_file, common, examples

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.values.decisions import ViewRead

MOST_VIEWS = 10_000


@click.group(cls=Group)
def features() -> None:
    """Read feature views, make training sets, bring values in."""


for command in (push, backfill, training_set):
    features.add_command(command)


@features.command("list", epilog=examples("opsrail features list", "opsrail features list --json"))
@code_file
@common
def list_(invocation: Invocation, file: Path | None) -> None:
    """List the feature views that were served here, and those that FILE defines."""
    from opsrail.cli.render import print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.features.records import unserved_record, view_record
    from opsrail.values.features import ViewRow

    definitions = defined(file)

    async def work(app: App) -> list[dict[str, Any]]:
        rows = await app.store.select(ViewRow, limit=MOST_VIEWS)
        known = {(row.name, row.number) for row in rows}
        fresh = [view for view in definitions.views if (view.name, view.version) not in known]
        return [*map(view_record, rows), *map(unserved_record, fresh)]

    views = on_app(invocation, work, definitions)
    if invocation.is_json:
        print_json({"views": views})
        return
    cells = [
        (
            f"{one['name']}@{one['version']}",
            one["definition"]["kind"],
            one["definition"]["entity"],
            ", ".join(one["definition"]["features"]),
            one["served_at"],
        )
        for one in views
    ]
    print_table(
        ("view", "kind", "entity", "features", "served since"),
        cells,
        empty="No feature view was served here yet.",
    )


@features.command("show", epilog=examples("opsrail features show policyholder@2 --json"))
@click.argument("view")
@common
def show(invocation: Invocation, view: str) -> None:
    """Show how VIEW (`name@version`) is defined, and how much is known."""
    from opsrail.cli.render import print_fields, print_json
    from opsrail.cli.session import on_app
    from opsrail.features.definitions import view_row
    from opsrail.features.records import view_record
    from opsrail.values.features import FactRow, FeatureValueRow
    from opsrail.values.rows import equals

    async def work(app: App) -> dict[str, Any]:
        row = await view_row(app.store, view)
        record = view_record(row)
        table = FactRow if record["definition"]["kind"] == "folded" else FeatureValueRow
        of_view = equals(view=row.name, number=row.number)
        counted = await app.store.count(table, *of_view)
        return {**record, "rows": sum(counted.values())}

    record = on_app(invocation, work)
    if invocation.is_json:
        print_json({"view": record})
        return
    definition = record.pop("definition")
    print_fields({**record, **definition})


@features.command(
    "get",
    epilog=examples(
        "opsrail features get policyholder@2 P-1044",
        "opsrail features get policyholder@2 P-1044 --at 2026-05-03T14:03:00Z --json",
        "opsrail features get make-history@1 Honda --file claims.py",
    ),
)
@click.argument("view")
@click.argument("entity")
@click.option("--at", metavar="MOMENT", help="What was known then, RFC 3339. [default: now]")
@code_file
@common
def get(invocation: Invocation, view: str, entity: str, at: str | None, file: Path | None) -> None:
    """Read what VIEW knows of ENTITY now, or knew at a moment."""
    from opsrail.cli.render import print_fields, print_json
    from opsrail.cli.session import on_app

    moment = None if at is None else moment_of(at)

    async def work(app: App) -> ViewRead:
        if moment is None:
            return await app.features.read(view, entity)
        return await app.features.at(view, entity, moment)

    read = on_app(invocation, work, defined(file))
    record = read.record()
    if invocation.is_json:
        print_json({"features": record})
        return
    print_fields(record["values"])
    click.echo(told(read), err=True)


def moment_of(text: str) -> int:
    """Return a moment that the command line names, epoch ms. Raises UsageError."""
    from opsrail.features.moments import moment_ms

    try:
        return moment_ms(text)
    except ValueError as wrong:
        raise click.UsageError(f"--at {wrong}") from wrong


def told(read: ViewRead) -> str:
    """Return a sentence about where features come from."""
    from opsrail.cli.render import moment
    from opsrail.values.decisions import OutsideAsOf, ValueAsOf

    past = read.as_of
    if past is None:
        return f"Nothing is known of {read.entity!r}."
    if isinstance(past, OutsideAsOf):
        return f"From {past.source}, asked {moment(past.read_at_ms)}."
    if not isinstance(past, ValueAsOf):
        return f"From {past.fact_count:,} facts, the last known since {moment(past.at_ms)}."
    times = f"true since {moment(past.event_at_ms)}, written {moment(past.written_at_ms)}"
    return f"The newest value, {times}, is too old." if past.is_expired else f"A value {times}."
