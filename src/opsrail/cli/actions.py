"""`opsrail actions`: what goes out to the world, what did not get through, and the stop button."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Group, Invocation, common, examples, limited, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.values.cases import OutboxRow, SwitchRow

KEY = "01K8ZC2V7N3T9D4M6Q0RWXYABC-3"
ALL = "*"


@click.group(cls=Group)
def actions() -> None:
    """See, retry, stop and resume what goes out."""


@actions.command(
    "list", epilog=examples("opsrail actions list", "opsrail actions list --state dead --json")
)
@click.option(
    "--state", type=click.Choice(("due", "sent", "dead")), help="Only actions in this state."
)
@limited()
@click.option(
    "--after", metavar="KEY", help="Go on below this action: the last of the page before."
)
@common
def list_(invocation: Invocation, state: str | None, limit: int, after: str | None) -> None:
    """List actions, newest case first, and the stop buttons that are pressed."""
    from opsrail.cases.office import Office, action_record
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.values.cases import SwitchRow

    async def work(app: App) -> tuple[list[OutboxRow], list[SwitchRow]]:
        rows = await Office(app.store, app.clock).actions(state=state, limit=limit, after=after)
        return rows, await app.store.select(SwitchRow)

    rows, stopped = on_app(invocation, work)
    if invocation.is_json:
        print_json(
            {
                "actions": [action_record(row) for row in rows],
                "stopped": [_stop_record(row) for row in stopped],
            }
        )
        return
    cells = [
        (
            row.key,
            row.automation,
            row.action,
            str(row.state),
            row.attempts,
            moment(row.due_at_ms),
            row.last_error,
        )
        for row in rows
    ]
    columns = ("action", "automation", "name", "state", "attempts", "due", "last error")
    print_table(columns, cells, empty="No such action.")
    for row in stopped:
        name = row.name.removeprefix("actions:")
        click.echo(
            f"STOPPED: {'all automations' if name == ALL else name}, by {row.by} since {moment(row.at_ms)}: {row.reason}"
        )


@actions.command(
    "retry", epilog=examples(f"opsrail actions retry {KEY}", "opsrail actions retry --all")
)
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Every action that is dead.")
@common
def retry(invocation: Invocation, keys: tuple[str, ...], is_all: bool) -> None:
    """Send actions again that used up their attempts, under the same key.

    A running `opsrail serve` or `opsrail run` sends them; without one, the next does.
    """
    if bool(keys) == is_all:
        raise click.UsageError("name the actions, or give --all")
    from opsrail.cases.office import Office, action_record
    from opsrail.cases.outbox import retry_dead
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    async def work(app: App) -> list[OutboxRow]:
        office = Office(app.store, app.clock)
        named = list(keys)
        after = None
        while is_all and (page := await office.actions(state="dead", after=after)):
            named += [row.key for row in page]
            after = page[-1].key
        return [await retry_dead(app.store, app.clock, key) for key in named]

    rows = on_app(invocation, work)
    if invocation.is_json:
        print_json({"actions": [action_record(row) for row in rows]})
    else:
        click.echo(f"{len(rows)} action{'' if len(rows) == 1 else 's'} will be sent again.")


@actions.command(
    "stop",
    epilog=examples(
        "opsrail actions stop claims-intake --reason 'paid twice'",
        "opsrail actions stop '*' --reason drill",
    ),
)
@click.argument("automation")
@click.option("--reason", required=True, help="Why; kept in the ledger.")
@operator
@common
def stop(invocation: Invocation, automation: str, reason: str, by: str) -> None:
    """Hold all actions of an automation, of every one with '*'; they wait and none is lost.

    Cases go on up to their actions. What is being sent this moment is not called back.
    """
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.ledger.entries import entry
    from opsrail.values.cases import SwitchRow
    from opsrail.values.rows import Insert

    async def work(app: App) -> SwitchRow:
        now_ms = app.clock.now_ms()
        row = SwitchRow(f"actions:{automation}", by, reason, now_ms)
        if (known := await app.store.get(SwitchRow, row.name)) is not None:
            return known
        noted = entry("actions.stopped", row.name, now_ms, {"by": by, "reason": reason})
        await app.store.commit([Insert(row), noted])
        return row

    row = on_app(invocation, work)
    if invocation.is_json:
        print_json({"stopped": _stop_record(row)})
    else:
        click.echo(
            f"Stopped: nothing more goes out of {automation}. Go on with: opsrail actions resume '{automation}'"
        )


@actions.command("resume", epilog=examples("opsrail actions resume claims-intake"))
@click.argument("automation")
@operator
@common
def resume(invocation: Invocation, automation: str, by: str) -> None:
    """Let actions out again that `stop` held."""
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.errors import NotFound
    from opsrail.ledger.entries import entry
    from opsrail.values.cases import SwitchRow
    from opsrail.values.rows import Delete, Require

    async def work(app: App) -> SwitchRow:
        row = await app.store.get(SwitchRow, f"actions:{automation}")
        if row is None:
            raise NotFound(f"actions of {automation!r} are not stopped; see `opsrail actions list`")
        noted = entry("actions.resumed", row.name, app.clock.now_ms(), {"by": by})
        same: dict[str, str | int] = {"by": row.by, "at_ms": row.at_ms}
        await app.store.commit(
            [Require(SwitchRow, (row.name,), same), Delete(SwitchRow, {"name": row.name}), noted]
        )
        return row

    row = on_app(invocation, work)
    if invocation.is_json:
        print_json({"resumed": _stop_record(row)})
    else:
        click.echo(f"Resumed: actions of {automation} go out again.")


def _stop_record(row: SwitchRow) -> dict[str, str | None]:
    from opsrail.cli.render import moment

    return {
        "automation": row.name.removeprefix("actions:"),
        "by": row.by,
        "reason": row.reason,
        "at": moment(row.at_ms),
    }
