"""`opsrail cases`: what became of each case, and what an operator may do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Group, Invocation, common, examples, limited, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.values.cases import CaseRow

STATES = ("ready", "running", "waiting", "settled", "set_aside", "cancelled")
LOOK_EVERY_S = 0.5


@click.group(cls=Group)
def cases() -> None:
    """List, show, retry, cancel and wait for cases."""


@cases.command(
    "list",
    epilog=examples("opsrail cases list", "opsrail cases list --state set_aside --json"),
)
@click.option("--state", type=click.Choice(STATES), help="Only cases in this state.")
@click.option("--automation", metavar="NAME", help="Only cases of this automation.")
@limited()
@click.option("--after", metavar="ID", help="Go on below this case: the last of the page before.")
@common
def list_(
    invocation: Invocation, state: str | None, automation: str | None, limit: int, after: str | None
) -> None:
    """List cases, newest first."""
    from opsrail.cases.office import Office, case_record
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.values.cases import CaseState

    async def work(app: App) -> list[CaseRow]:
        of_state = None if state is None else CaseState(state)
        office = Office(app.store, app.clock)
        return await office.list(automation=automation, state=of_state, limit=limit, after=after)

    rows = on_app(invocation, work)
    if invocation.is_json:
        print_json({"cases": [case_record(row) for row in rows]})
        return
    cells = [
        (
            row.id,
            row.automation,
            str(row.state),
            moment(row.updated_at_ms),
            row.waiting_for or row.reason,
        )
        for row in rows
    ]
    print_table(
        ("case", "automation", "state", "updated", "why"), cells, empty="There are no such cases."
    )


@cases.command("show", epilog=examples("opsrail cases show 01K8ZC2V7N3T9D4M6Q0RWXYABC"))
@click.argument("case_id", metavar="ID")
@common
def show(invocation: Invocation, case_id: str) -> None:
    """Show one case: its input, what it did, what was decided, asked and sent."""
    from opsrail.cases.office import CaseView, Office
    from opsrail.cli.render import print_fields, print_json, print_table
    from opsrail.cli.session import on_app

    async def work(app: App) -> CaseView:
        return await Office(app.store, app.clock).view(case_id)

    view = on_app(invocation, work).record()
    if invocation.is_json:
        print_json({"case": view})
        return
    print_fields({name: value for name, value in view.items() if not isinstance(value, list)})
    for part in ("journal", "decisions", "reviews", "actions"):
        if rows := view[part]:
            click.echo(f"\n{part}")
            print_table(tuple(rows[0]), [tuple(row.values()) for row in rows], empty="")


@cases.command(
    "retry",
    epilog=examples("opsrail cases retry 01K8ZC2V7N3T9D4M6Q0RWXYABC", "opsrail cases retry --all"),
)
@click.argument("case_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Every case that is set aside.")
@click.option("--automation", metavar="NAME", help="With --all: only cases of this automation.")
@operator
@common
def retry(
    invocation: Invocation, case_ids: tuple[str, ...], is_all: bool, automation: str | None, by: str
) -> None:
    """Send cases that were set aside on, from where they were.

    A running `opsrail serve` or `opsrail run` carries them; without one, the next does.
    """
    if bool(case_ids) == is_all:
        raise click.UsageError("name the cases, or give --all")
    from opsrail.cases.office import Office, case_record
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.values.cases import CaseState

    async def work(app: App) -> list[CaseRow]:
        office = Office(app.store, app.clock)
        ids = list(case_ids)
        after = None
        aside = CaseState.SET_ASIDE
        while is_all and (
            page := await office.list(automation=automation, state=aside, after=after)
        ):
            ids += [row.id for row in page]
            after = page[-1].id
        return [await office.retry(case_id, by=by) for case_id in ids]

    rows = on_app(invocation, work)
    if invocation.is_json:
        print_json({"cases": [case_record(row) for row in rows]})
    else:
        click.echo(f"{len(rows)} case{'' if len(rows) == 1 else 's'} sent on.")


@cases.command(
    "cancel",
    epilog=examples("opsrail cases cancel 01K8ZC2V7N3T9D4M6Q0RWXYABC --reason 'claim withdrawn'"),
)
@click.argument("case_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why; kept with the case.")
@common
def cancel(invocation: Invocation, case_ids: tuple[str, ...], reason: str) -> None:
    """End cases for good; what they sent is not taken back."""
    from opsrail.cases.office import Office, case_record
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    async def work(app: App) -> list[CaseRow]:
        office = Office(app.store, app.clock)
        return [await office.cancel(case_id, reason) for case_id in case_ids]

    rows = on_app(invocation, work)
    if invocation.is_json:
        print_json({"cases": [case_record(row) for row in rows]})
        return
    for row in rows:
        told = (
            "told to stop; it ends at its next line" if row.state == "running" else str(row.state)
        )
        click.echo(f"{row.id}  {told}")


@cases.command(
    "wait", epilog=examples("opsrail cases wait 01K8ZC2V7N3T9D4M6Q0RWXYABC --timeout 5m")
)
@click.argument("case_ids", metavar="ID...", nargs=-1, required=True)
@click.option(
    "--timeout", default="1h", show_default=True, metavar="SPAN", help="How long, e.g. 90s or 4h."
)
@common
def wait(invocation: Invocation, case_ids: tuple[str, ...], timeout: str) -> int:
    """Wait until cases are settled, set aside or cancelled; something else must carry them.

    Exit status 1 when one is set aside or cancelled, or the time is over.
    """
    from opsrail.cases.office import case_record
    from opsrail.cli.render import print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.values.spans import span_ms

    limit_s = span_ms(timeout) / 1000
    invocation.interrupted = "Interrupted; the cases go on without you."
    rows = on_app(invocation, lambda app: _ended(app, case_ids, limit_s))
    if invocation.is_json:
        print_json({"cases": [case_record(row) for row in rows]})
    else:
        cells = [(row.id, str(row.state), row.waiting_for or row.reason) for row in rows]
        print_table(("case", "state", "why"), cells, empty="")
    return 0 if all(row.state == "settled" for row in rows) else 1


async def _ended(app: App, case_ids: tuple[str, ...], limit_s: float) -> list[CaseRow]:
    from opsrail.cases.office import Office

    office = Office(app.store, app.clock)
    until_s = app.clock.monotonic_s() + limit_s
    while True:
        rows = [await office.get(case_id) for case_id in case_ids]
        is_over = all(row.state in ("settled", "set_aside", "cancelled") for row in rows)
        if is_over or app.clock.monotonic_s() >= until_s:
            return rows
        await app.clock.sleep(LOOK_EVERY_S)
