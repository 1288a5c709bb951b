"""`opsrail alarms`: what a person should look at, and guarantees with what labels said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Group, Invocation, common, examples, limited, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.values.rollouts import AlarmRow, GuaranteeRow

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC"


@click.group(cls=Group)
def alarms() -> None:
    """See what rings, and close what was seen to."""


@alarms.command("list", epilog=examples("opsrail alarms list", "opsrail alarms list --all --json"))
@click.option("--point", metavar="NAME", help="Only of this decision point.")
@click.option("--all", "is_all", is_flag=True, help="Those that were closed, too.")
@limited()
@common
def list_(invocation: Invocation, point: str | None, is_all: bool, limit: int) -> None:
    """List alarms, newest first; without --all those that ring."""
    from opsrail.cli.render import print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.watch.alarms import Alarms
    from opsrail.watch.records import alarm_record

    async def work(app: App) -> list[AlarmRow]:
        alarms = Alarms(app.store, app.clock)
        return await alarms.listed(point=point, is_ringing=None if is_all else True, limit=limit)

    told = [alarm_record(row) for row in on_app(invocation, work)]
    if invocation.is_json:
        print_json({"alarms": told})
        return
    cells = [(one["id"], one["kind"], one["at"], one["ended_by"], one["text"]) for one in told]
    print_table(("alarm", "kind", "rang", "closed by", "what"), cells, empty="Nothing rings.")


@alarms.command(
    "close", epilog=examples(f"opsrail alarms close {ID} --reason 'version 8 is withdrawn'")
)
@click.argument("alarm_id", metavar="ID")
@click.option(
    "--reason", required=True, help="What was done about it, for whoever reads the ledger."
)
@operator
@common
def close(invocation: Invocation, alarm_id: str, reason: str, by: str) -> None:
    """Close an alarm that was seen to."""
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.watch.alarms import Alarms
    from opsrail.watch.records import alarm_record

    async def work(app: App) -> AlarmRow:
        return await Alarms(app.store, app.clock).close(alarm_id, by=by, reason=reason)

    row = on_app(invocation, work)
    if invocation.is_json:
        print_json({"alarm": alarm_record(row)})
    else:
        click.echo(f"Closed: {row.text}")


@alarms.command(
    "guarantees", epilog=examples("opsrail alarms guarantees", "opsrail alarms guarantees --json")
)
@click.option("--point", metavar="NAME", help="Only of this decision point.")
@common
def guarantees(invocation: Invocation, point: str | None) -> None:
    """List guarantees that stand, with what labels have said of each since it was made."""
    from opsrail.cli.render import print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.watch.guarantees import Guarantees
    from opsrail.watch.records import guarantee_record

    async def work(app: App) -> list[GuaranteeRow]:
        return await Guarantees(app.store, app.clock).listed(point)

    told = [guarantee_record(row) for row in on_app(invocation, work)]
    if invocation.is_json:
        print_json({"guarantees": told})
        return
    cells = [
        (
            one["id"], one["point"], one.get("text", one.get("fault")), one.get("labels"), one.get("estimate"),
            one.get("evidence"), one.get("needed"), one["broken_at"],
        )
        for one in told
    ]  # fmt: skip
    columns = ("guarantee", "point", "promise", "labels", "seen", "evidence", "needed", "broken")
    print_table(columns, cells, empty="No guarantee stands.")
