"""`opsrail retention`: hold a case, release it, and remove what nobody has to keep any more."""

from __future__ import annotations

from shutil import rmtree
from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Group, Invocation, common, examples, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.govern.retention import Pruned
    from opsrail.values.cases import HoldRow

FLOOR_DAYS = 184


@click.group(cls=Group)
def retention() -> None:
    """Hold cases, and remove old ones."""


@retention.command(epilog=examples("opsrail retention hold ID --reason 'a dispute'"))
@click.argument("case_id", metavar="ID")
@click.option("--reason", required=True, help="Why it must be kept.")
@operator
@common
def hold(invocation: Invocation, case_id: str, reason: str, by: str) -> None:
    """Keep a case for as long as the hold stands, however old it gets."""
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.govern.retention import Retention

    async def work(app: App) -> HoldRow:
        return await Retention(app.store, app.clock).hold(case_id, by=by, reason=reason)

    held = on_app(invocation, work)
    if invocation.is_json:
        print_json({"hold": held._asdict()})
    else:
        click.echo(f"Case {held.case_id} is held by {held.by}.")


@retention.command(epilog=examples("opsrail retention release ID"))
@click.argument("case_id", metavar="ID")
@operator
@common
def release(invocation: Invocation, case_id: str, by: str) -> None:
    """End a hold."""
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.govern.retention import Retention

    async def work(app: App) -> None:
        await Retention(app.store, app.clock).release(case_id, by=by)

    on_app(invocation, work)
    if invocation.is_json:
        print_json({"released": case_id})
    else:
        click.echo(f"Case {case_id} is no longer held.")


@retention.command(
    epilog=examples("opsrail retention prune --days 400", "opsrail retention prune --json")
)
@click.option(
    "--days",
    default=FLOOR_DAYS,
    show_default=True,
    type=int,
    help="Remove cases that ended longer ago than this; 184 at least.",
)
@operator
@common
def prune(invocation: Invocation, days: int, by: str) -> None:
    """Remove cases that ended long ago, with all their rows, and idempotency keys that have expired.

    The ledger keeps what it says of them.

    Held cases, and cases whose action has not gone out, stay. Killed and run again, it completes what it began.
    """
    from opsrail.cli.progress import Ticker
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.govern.retention import Retention
    from opsrail.lab.places import COPIES

    async def work(app: App) -> Pruned:
        with Ticker("cases removed") as ticker:
            keeper = Retention(app.store, app.clock, app.config.decide.idempotency_ttl_s)
            return await keeper.prune(
                days, by=by, progress=lambda removed: ticker.tick(removed, removed)
            )

    pruned = on_app(invocation, work)
    rmtree(invocation.data / COPIES, ignore_errors=True)  # copies hold what was removed, too
    if invocation.is_json:
        print_json({"pruned": pruned._asdict()})
    else:
        click.echo(
            f"{pruned.cases} cases removed; {pruned.held} old ones are held, {pruned.unsent} have actions to send. "
            f"{pruned.keys} expired keys removed."
        )
