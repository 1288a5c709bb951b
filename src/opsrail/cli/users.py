"""`opsrail users`: people who sign in, and what they may do where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Group, Invocation, common, examples, limited, operator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from opsrail.access.users import User
    from opsrail.app import App

ROLES = ("viewer", "reviewer", "operator", "approver", "admin", "caller")
scope_option = click.option(
    "--scope",
    default="*",
    show_default=True,
    metavar="NAME",
    help="Automation or decision point that it holds for; *: everywhere.",
)
role_option = click.option(
    "--role", required=True, type=click.Choice(ROLES), help="What they may do."
)


@click.group(cls=Group)
def users() -> None:
    """Let people sign in, and say what they may do where."""


@users.command(
    "add",
    epilog=examples(
        "opsrail users add anna --role reviewer --scope claims-intake --shown 'Anna Berg'",
        "opsrail users add ben --role admin",
        "opsrail users link anna",
    ),
)
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(ROLES),
    help="What they may do; may be repeated.",
)
@scope_option
@click.option("--shown", default="", help="Name for people to read. [default: NAME]")
@click.option("--address", help="Where notices go, e.g. a mail address.")
@click.option(
    "--skills",
    default="",
    help="What they can judge, words with spaces between; queues may ask for them.",
)
@click.option(
    "--zone",
    default="UTC",
    show_default=True,
    help="Time zone of their quiet hours, e.g. Europe/Berlin.",
)
@click.option("--quiet", help="When no notice is sent, e.g. 18:00-08:00.")
@click.option(
    "--password-stdin", "reads", is_flag=True, help="Read a password from standard input."
)
@operator
@common
def add(
    invocation: Invocation,
    name: str,
    roles: tuple[str, ...],
    scope: str,
    by: str,
    reads: bool,
    **given: Any,
) -> None:
    """Make a user. Without a password they sign in by a link: opsrail users link NAME."""
    from opsrail.errors import InvalidInput
    from opsrail.notices.quiet import person_faults

    password = _read_password() if reads else None
    grants = [(scope, role) for role in dict.fromkeys(roles)]

    if faults := list(person_faults(given["quiet"] or "", given["zone"])):
        raise InvalidInput(f"user {name[:63]!r} was not made", faults)

    async def work(app: App) -> User:
        return await app.access.users.add(name, by=by, grants=grants, password=password, **given)

    _tell(
        invocation,
        work,
        f"User {name} was made; opsrail users link {name} prints a link that signs them in once.",
        makes=True,
    )


@users.command("list", epilog=examples("opsrail users list", "opsrail users list --json"))
@limited(100)
@click.option("--after", metavar="NAME", help="Only those after this name.")
@common
def list_(invocation: Invocation, limit: int, after: str | None) -> None:
    """List users by name."""
    from opsrail.access.records import user_record
    from opsrail.cli.render import print_json, print_table
    from opsrail.cli.session import on_app

    async def work(app: App) -> list[dict[str, Any]]:
        rows = await app.access.users.list(after=after, limit=limit)
        held = await app.access.users.roles_of(row.name for row in rows)
        return [user_record(row, held.get(row.name, ())) for row in rows]

    told = on_app(invocation, work)
    if invocation.is_json:
        print_json({"users": told})
        return
    cells = [
        (one["name"], one["shown"], one["state"], _roles(one), one["locked_until"]) for one in told
    ]
    columns = ("user", "name", "state", "roles", "locked until")
    print_table(columns, cells, empty="There are no users: this machine alone is trusted.")


@users.command("show", epilog=examples("opsrail users show anna"))
@click.argument("name")
@common
def show(invocation: Invocation, name: str) -> None:
    """Show a user, their roles, and the keys that they gave out."""

    async def work(app: App) -> User:
        return await app.access.users.get(name)

    _tell(invocation, work, "")


@users.command(
    "grant", epilog=examples("opsrail users grant anna --role approver --scope claims-intake")
)
@click.argument("name")
@role_option
@scope_option
@operator
@common
def grant(invocation: Invocation, name: str, role: str, scope: str, by: str) -> None:
    """Give a user a role; a running server heeds it within two seconds."""

    async def work(app: App) -> User:
        return await app.access.users.grant(name, scope, role, by=by)

    _tell(invocation, work, f"{name} is {role} in {scope}.")


@users.command(
    "revoke", epilog=examples("opsrail users revoke anna --role approver --scope claims-intake")
)
@click.argument("name")
@role_option
@scope_option
@operator
@common
def revoke(invocation: Invocation, name: str, role: str, scope: str, by: str) -> None:
    """Take a role from a user; a running server heeds it within two seconds."""

    async def work(app: App) -> User:
        return await app.access.users.revoke(name, scope, role, by=by)

    _tell(invocation, work, f"{name} is no longer {role} in {scope}.")


@users.command("disable", epilog=examples("opsrail users disable anna"))
@click.argument("name")
@operator
@common
def disable(invocation: Invocation, name: str, by: str) -> None:
    """End a user's sessions and links, let them sign in no more, and refuse the keys they gave out; lists those."""

    async def work(app: App) -> User:
        return await app.access.users.disable(name, by=by)

    _tell(
        invocation,
        work,
        f"{name} is disabled. Keys that they gave out are refused until {name} is enabled again.",
    )


@users.command("enable", epilog=examples("opsrail users enable anna"))
@click.argument("name")
@operator
@common
def enable(invocation: Invocation, name: str, by: str) -> None:
    """Let a user sign in again, and their keys work; a lock of wrong passwords ends too."""

    async def work(app: App) -> User:
        return await app.access.users.enable(name, by=by)

    _tell(invocation, work, f"{name} can sign in.")


@users.command(
    "password",
    epilog=examples("opsrail users password anna", "opsrail users password anna --stdin < FILE"),
)
@click.argument("name")
@click.option("--stdin", "reads", is_flag=True, help="Read it from standard input.")
@operator
@common
def password(invocation: Invocation, name: str, reads: bool, by: str) -> None:
    """Give a user a password: 12 characters or more, better 15. Their sessions end."""
    chosen = (
        _read_password()
        if reads
        else click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    )

    async def work(app: App) -> User:
        await app.access.users.set_password(name, chosen, by=by)
        return await app.access.users.get(name)

    _tell(invocation, work, f"{name} has a new password; their sessions ended.")


@users.command(
    "link",
    epilog=examples(
        "opsrail users link anna", "opsrail users link anna --url https://opsrail.example.com"
    ),
)
@click.argument("name")
@click.option(
    "--url",
    metavar="URL",
    help="How browsers reach the server. [default: web.public_url, else web.host and web.port of the settings]",
)
@operator
@common
def link(invocation: Invocation, name: str, url: str | None, by: str) -> None:
    """Print a link that signs a user in, once.

    Where `opsrail serve --port` said another port than the settings, name it with --url.
    """
    from opsrail.access.links import link_of
    from opsrail.cli.render import moment, print_json
    from opsrail.cli.session import on_app

    if url is not None and not url.startswith(("http://", "https://")):
        raise click.UsageError(f"--url: {url!r} begins with neither http:// nor https://")

    async def work(app: App) -> tuple[str, str | None]:
        token, row = await app.access.users.link(name, by=by)
        return link_of(app.config.web, token, url), moment(row.ends_at_ms)

    made, ends_at = on_app(invocation, work)
    if invocation.is_json:
        print_json({"link": made, "user": name, "ends_at": ends_at})
        return
    click.echo(made)
    click.echo(f"It signs {name} in once, until {ends_at}; give it to nobody else.", err=True)


def _tell(
    invocation: Invocation,
    work: Callable[[App], Awaitable[User]],
    said: str,
    *,
    makes: bool = False,
) -> None:
    from opsrail.access.records import bare_key_record, user_record
    from opsrail.cli.render import print_fields, print_json
    from opsrail.cli.session import on_app

    user = on_app(invocation, work, makes=makes)
    told = user_record(user.row, user.grants)
    keys = [bare_key_record(row) for row in user.keys]
    if invocation.is_json:
        print_json({"user": {**told, "keys": keys}})
        return
    if said:
        click.echo(said)
    else:
        print_fields({**told, "grants": _roles(told), "skills": " ".join(told["skills"])})
    for one in keys:
        click.echo(f"Key {one['id']} that they gave out works: {one['title']}")


def _roles(user: dict[str, Any]) -> str:
    return ", ".join(
        one["role"] if one["scope"] == "*" else f"{one['role']} in {one['scope']}"
        for one in user["grants"]
    )


def _read_password() -> str:
    import sys

    return sys.stdin.readline().rstrip("\r\n")
