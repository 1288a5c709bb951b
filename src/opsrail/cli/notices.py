"""`opsrail notices`: what was sent to people and other systems, and what could not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Group, Invocation, common, examples, limited

if TYPE_CHECKING:
    from opsrail.values.reviews import NoticeRow

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC"


@click.group(cls=Group)
def notices() -> None:
    """See what was sent by mail, Slack and webhooks, and send again what could not be."""


@notices.command(
    "list", epilog=examples("opsrail notices list", "opsrail notices list --state dead --json")
)
@click.option("--state", type=click.Choice(["due", "sent", "dead"]), help="Only these.")
@click.option("--about", metavar="ID", help="Only about this review, alarm or change.")
@limited(100)
@common
def list_(invocation: Invocation, state: str | None, about: str | None, limit: int) -> None:
    """List notices, newest first."""
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app

    rows = on_app(
        invocation, lambda app: app.notices.listed(state=state, subject_id=about, limit=limit)
    )
    if invocation.is_json:
        print_json({"notices": [notice_record(row) for row in rows]})
        return
    cells = [
        (row.id, row.channel, row.kind, row.subject_id, row.state, row.attempts, moment(row.sent_at_ms or row.due_at_ms),
        row.last_error) for row in rows
    ]  # fmt: skip
    columns = ("notice", "channel", "kind", "about", "state", "tries", "sent or due", "last error")
    print_table(columns, cells, empty="No notice.")


@notices.command(
    "retry", epilog=examples(f"opsrail notices retry {ID}", "opsrail notices retry --all")
)
@click.argument("ids", metavar="ID...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All that are dead.")
@common
def retry(invocation: Invocation, ids: tuple[str, ...], is_all: bool) -> None:
    """Send dead notices again, from a first attempt on; a running server does it."""
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    if bool(ids) == is_all:
        raise click.UsageError("name notices, or say --all")
    rows = on_app(invocation, lambda app: app.notices.retry(ids))
    if invocation.is_json:
        print_json({"notices": [notice_record(row) for row in rows]})
    else:
        click.echo(f"{len(rows):,} notices will be sent again.")


def notice_record(row: NoticeRow) -> dict[str, Any]:
    """Return a notice as plain JSON values."""
    from opsrail.cli.render import moment

    return {
        "id": row.id,
        "channel": row.channel,
        "address": row.address or None,
        "kind": row.kind,
        "about": row.subject_id,
        "state": row.state,
        "attempts": row.attempts,
        "due_at": moment(row.due_at_ms),
        "sent_at": moment(row.sent_at_ms),
        "last_error": row.last_error,
    }
