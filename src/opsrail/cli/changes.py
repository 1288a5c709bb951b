"""`opsrail changes`: what alters live behaviour goes through a plan, the people who agree to it, and can be taken back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.changes_asked import FILE, asked_of, asking, json_of
from opsrail.cli.options import Group, Invocation, common, examples, limited, operator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opsrail.app import App
    from opsrail.registry.change_reading import ChangeView
    from opsrail.values.changes import ChangeRow

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC"
STATES = ("planned", "approved", "rejected", "withdrawn", "applied", "rolled-back")


@click.group(cls=Group)
def changes() -> None:
    """Plan, approve, apply and roll back changes of live behaviour."""


@changes.command(
    "plan",
    epilog=examples(
        "opsrail changes plan fraud-risk --promote claims-fraud/8 --steps 5%:10m,25%:1h --reason 'beats 7'",
        "opsrail changes plan fraud-risk --bands approve:0.15,review:1.01 --reason 'tuned' --file claims.py",
        "opsrail changes plan fraud-risk --autonomy assist --where BasePolicy=Liability --reason 'starts here'",
    ),
)
@click.argument("point")
@asking
@click.option("--reason", required=True, help="Why, for those who are asked to agree.")
@click.option(
    "--backtest", type=FILE, help="JSON: what the history says of it; shown to those who are asked."
)
@click.option(
    "--days",
    default=7,
    show_default=True,
    type=click.IntRange(1, 365),
    help="How far to look back for whom it touches.",
)
@click.option(
    "--file", "code", type=FILE, help="The automation's file: the plan is held against its code."
)
@click.option("--dry-run", is_flag=True, help="Show the plan and keep nothing.")
@operator
@common
def plan(
    invocation: Invocation,
    point: str,
    reason: str,
    backtest: Path | None,
    days: int,
    code: Path | None,
    dry_run: bool,
    by: str,
    **given: Any,
) -> None:
    """Plan a change and explain it: what, whom it touches, what may go wrong, who has to agree. Nothing is altered."""
    from opsrail.app import NOTHING
    from opsrail.cases.loader import load_file
    from opsrail.cli.session import absolute, on_app

    kind, content = asked_of(given)
    attached = None if backtest is None else json_of(backtest)
    definitions = NOTHING if code is None else load_file(absolute(code))

    async def work(app: App) -> ChangeView:
        return await app.changes.plan(
            point,
            kind,
            content,
            by=by,
            reason=reason,
            backtest=attached,
            days=days,
            keeps=not dry_run,
        )

    view = on_app(invocation, work, definitions)
    kept = (
        "It was not kept."
        if dry_run
        else f"Change {view.row.id} is planned; it alters nothing yet."
    )
    _tell(invocation, view, kept)


@changes.command("explain", epilog=examples(f"opsrail changes explain {ID}"))
@click.argument("change_id", metavar="ID")
@common
def explain(invocation: Invocation, change_id: str) -> None:
    """Say what a change would do, or did: what, whom it touches, what may go wrong, who has to agree."""
    from opsrail.cli.session import on_app

    view = on_app(invocation, lambda app: app.changes.get(change_id))
    _tell(invocation, view, f"Change {view.row.id} is {view.row.state.replace('-', ' ')}.")


@changes.command("show", epilog=examples(f"opsrail changes show {ID} --json"))
@click.argument("change_id", metavar="ID")
@common
def show(invocation: Invocation, change_id: str) -> None:
    """Show a change: where it stands, and who said what."""
    from opsrail.cli.render import print_fields, print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.registry.change_reading import change_record

    view = on_app(invocation, lambda app: app.changes.get(change_id))
    if invocation.is_json:
        print_json({"change": view.record()})
        return
    print_fields(change_record(view.row))
    click.echo()
    cells = [
        (one["by"], one["verdict"], one["at"], one["reason"]) for one in view.record()["approvals"]
    ]
    print_table(("who", "said", "at", "reason"), cells, empty="Nobody has spoken on it.")


@changes.command(
    "list", epilog=examples("opsrail changes list", "opsrail changes list --state planned --json")
)
@click.option("--point", metavar="NAME", help="Only of this decision point.")
@click.option("--state", type=click.Choice(STATES), help="Only those.")
@limited()
@click.option("--after", metavar="ID", help="Those before this one.")
@common
def list_(
    invocation: Invocation, point: str | None, state: str | None, limit: int, after: str | None
) -> None:
    """List changes, newest first."""
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.registry.change_reading import change_record

    async def work(app: App) -> list[ChangeRow]:
        return await app.changes.list(point=point, state=state, limit=limit, after=after)

    rows = on_app(invocation, work)
    if invocation.is_json:
        print_json({"changes": [change_record(row) for row in rows]})
        return
    cells = [
        (
            row.id,
            row.point,
            row.kind,
            str(row.state),
            row.tier,
            row.author,
            moment(row.created_at_ms),
        )
        for row in rows
    ]
    columns = ("change", "point", "kind", "state", "tier", "by", "planned")
    print_table(columns, cells, empty="There are no changes.")


@changes.command("approve", epilog=examples(f"opsrail changes approve {ID} --by bob"))
@click.argument("change_id", metavar="ID")
@click.option("--reason", default="", help="Why, if there is more to say than yes.")
@operator
@common
def approve(invocation: Invocation, change_id: str, reason: str, by: str) -> None:
    """Agree to a change; nobody does to their own."""
    _act(invocation, lambda app: app.changes.approve(change_id, by=by, reason=reason))


@changes.command(
    "reject", epilog=examples(f"opsrail changes reject {ID} --reason 'too few labels'")
)
@click.argument("change_id", metavar="ID")
@click.option("--reason", required=True, help="Why.")
@operator
@common
def reject(invocation: Invocation, change_id: str, reason: str, by: str) -> None:
    """Refuse a change that is not applied; it is over then."""
    _act(invocation, lambda app: app.changes.reject(change_id, by=by, reason=reason))


@changes.command(
    "withdraw", epilog=examples(f"opsrail changes withdraw {ID} --reason 'planned anew'")
)
@click.argument("change_id", metavar="ID")
@click.option("--reason", required=True, help="Why.")
@operator
@common
def withdraw(invocation: Invocation, change_id: str, reason: str, by: str) -> None:
    """Take a change back that is not applied; it is over then."""
    _act(invocation, lambda app: app.changes.withdraw(change_id, by=by, reason=reason))


@changes.command("apply", epilog=examples(f"opsrail changes apply {ID}"))
@click.argument("change_id", metavar="ID")
@operator
@common
def apply(invocation: Invocation, change_id: str, by: str) -> None:
    """Let an approved change take hold, whole; within a second it holds in every process.

    Refused when anything else was changed at the point since it was planned: plan it anew then.
    """
    _act(invocation, lambda app: app.changes.apply(change_id, by=by))


@changes.command(
    "rollback",
    epilog=examples(
        f"opsrail changes rollback {ID} --reason 'overrides doubled'",
        f"opsrail changes rollback {ID} --reason 'both were wrong' --over 9",
    ),
)
@click.argument("change_id", metavar="ID")
@click.option("--reason", required=True, help="Why.")
@click.option(
    "--over",
    type=click.IntRange(1),
    metavar="REVISION",
    help="Undo what was changed later, too, up to this revision of the point.",
)
@operator
@common
def rollback(
    invocation: Invocation, change_id: str, reason: str, over: int | None, by: str
) -> None:
    """Restore exactly what stood before a change; refused when something was changed later."""
    _act(
        invocation,
        lambda app: app.changes.rollback(change_id, by=by, reason=reason, over=over),
    )


def _act(invocation: Invocation, work: Callable[[App], Awaitable[ChangeView]]) -> None:
    from opsrail.cli.session import on_app

    view = on_app(invocation, work)
    _tell(
        invocation,
        view,
        f"Change {view.row.id} is {view.row.state.replace('-', ' ')}.",
        is_short=True,
    )


def _tell(invocation: Invocation, view: ChangeView, told: str, *, is_short: bool = False) -> None:
    from opsrail.cli.render import print_json

    if invocation.is_json:
        print_json({"change": view.record()})
        return
    if not is_short:
        for sentence in view.explain():
            click.echo(sentence)
    elif view.row.state == "planned":
        told = f"{told} {view.missing} more must agree."
    elif view.row.state == "approved":
        told = f"{told} Let it take hold: opsrail changes apply {view.row.id}"
    click.echo(told)
