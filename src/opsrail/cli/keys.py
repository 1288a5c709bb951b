"""`opsrail keys`: keys of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Group, Invocation, common, examples, limited, operator
from opsrail.cli.users import ROLES

if TYPE_CHECKING:
    from opsrail.access.api_keys import Key
    from opsrail.app import App

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC"


@click.group(cls=Group)
def keys() -> None:
    """Give programs keys of their own, and take them back."""


@keys.command(
    "add",
    epilog=examples(
        "opsrail keys add 'claims intake of the web shop' --role caller --scope claims-intake",
        "opsrail keys add dashboards --role viewer --days 90 --json",
    ),
)
@click.argument("title")
@click.option(
    "--role",
    "roles",
    multiple=True,
    default=("caller",),
    show_default=True,
    type=click.Choice(ROLES),
    help="What it may do; may be repeated.",
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=("*",),
    show_default=True,
    metavar="NAME",
    help="Automation or decision point that it holds for; may be repeated.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 3_650),
    help="How long it works. [default: until it is revoked]",
)
@operator
@common
def add(
    invocation: Invocation,
    title: str,
    roles: tuple[str, ...],
    scopes: tuple[str, ...],
    days: int | None,
    by: str,
) -> None:
    """Make a key and print it, once: opsrail keeps only its digest."""
    from opsrail.access.records import key_record
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    grants = [(scope, role) for scope in scopes for role in roles]

    async def work(app: App) -> tuple[str, Key]:
        return await app.access.keys.add(title, grants, by=by, days=days)

    secret, key = on_app(invocation, work, makes=True)
    if invocation.is_json:
        print_json({"secret": secret, "key": key_record(key)})
        return
    click.echo(secret)
    click.echo(
        f"It is shown once. Send it as `Authorization: Bearer`; end it with: opsrail keys revoke {key.row.id}",
        err=True,
    )


@keys.command("list", epilog=examples("opsrail keys list", "opsrail keys list --json"))
@limited(100)
@click.option("--after", metavar="ID", help="Only those older than this key.")
@common
def list_(invocation: Invocation, limit: int, after: str | None) -> None:
    """List keys, newest first."""
    from opsrail.access.records import key_record
    from opsrail.cli.render import print_json, print_table
    from opsrail.cli.session import on_app

    async def work(app: App) -> list[Key]:
        return await app.access.keys.list(after=after, limit=limit)

    told = [key_record(key) for key in on_app(invocation, work)]
    if invocation.is_json:
        print_json({"keys": told})
        return
    cells = [
        (
            one["id"],
            one["title"],
            ", ".join(f"{held['role']} in {held['scope']}" for held in one["grants"]),
            one["made_by"],
            one["used_at"],
            one["revoked_at"] or one["ends_at"],
        )
        for one in told
    ]
    print_table(
        ("key", "for", "roles", "made by", "last used", "ends"), cells, empty="There are no keys."
    )


@keys.command("revoke", epilog=examples(f"opsrail keys revoke {ID}"))
@click.argument("key_id", metavar="ID")
@operator
@common
def revoke(invocation: Invocation, key_id: str, by: str) -> None:
    """End a key; a running server refuses it within two seconds."""
    from opsrail.access.records import key_record
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app

    async def work(app: App) -> Key:
        return await app.access.keys.revoke(key_id, by=by)

    key = on_app(invocation, work)
    if invocation.is_json:
        print_json({"key": key_record(key)})
    else:
        click.echo(f"Key {key_id} works no more.")
