"""`opsrail reviews controls`: cases whose right ruling is known, put among the others to see how people rule."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Group, Invocation, common, examples, limited, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.review.controls import Added

ID = "control-3f1c9a0b7d2e4a5c6f70"


@click.group(cls=Group)
def controls() -> None:
    """Keep control cases: their right ruling is known, and reviewers cannot tell them apart.

    How many of a queue's reviews are control cases is a setting: [reviews.controls].
    """


@controls.command(
    "add",
    epilog=examples(
        "opsrail reviews controls add controls.jsonl",
        """# a line: {"queue": "claims-desk", "truth": "decline", "subject": {"input": {"amount": 950}}}""",
    ),
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@operator
@common
def add(invocation: Invocation, file: Path, by: str) -> None:
    """Add the control cases of a file, JSON Lines: all or none. The same line twice is one control case."""
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    done = on_app(invocation, lambda app: _added(app, file, by))
    if invocation.is_json:
        print_json({"added": [row.id for row in done.rows], "unchanged": done.unchanged})
    else:
        click.echo(f"{len(done.rows):,} control cases added, {done.unchanged:,} stood already")


@controls.command("list", epilog=examples("opsrail reviews controls list --queue claims-desk"))
@click.option("--queue", metavar="NAME", help="Only this desk's.")
@click.option("--after", default="", metavar="ID", help="From behind this one.")
@limited(100)
@common
def list_(invocation: Invocation, queue: str | None, after: str, limit: int) -> None:
    """List control cases, with how often each was put to somebody."""
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.review.controls import control_record

    rows = on_app(invocation, lambda app: app.controls.listed(queue, after=after, limit=limit))
    if invocation.is_json:
        print_json(
            {"controls": [{**control_record(row), "added_at": moment(row.at_ms)} for row in rows]}
        )
        return
    cells = [
        (row.id, row.queue, row.truth, row.used, row.added_by, moment(row.at_ms)) for row in rows
    ]
    columns = ("control case", "queue", "right ruling", "used", "added by", "added")
    print_table(columns, cells, empty="There are no control cases.")


@controls.command("remove", epilog=examples(f"opsrail reviews controls remove {ID}"))
@click.argument("control_id", metavar="ID")
@operator
@common
def remove(invocation: Invocation, control_id: str, by: str) -> None:
    """Take a control case out; what was ruled on it before still counts."""
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.review.controls import control_record

    row = on_app(invocation, lambda app: app.controls.remove(control_id, by=by))
    if invocation.is_json:
        print_json({"removed": control_record(row)})
    else:
        click.echo(f"{row.id} is gone.")


async def _added(app: App, file: Path, by: str) -> Added:
    from opsrail.cases.rows import opened_rows
    from opsrail.review.controls import Given

    with opened_rows(file) as opened:
        given = [Given(f"line {row.line}", row.values, tuple(row.faults)) for row in opened.rows]
    return await app.controls.add(given, by=by)
