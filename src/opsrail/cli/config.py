"""`opsrail config`: every setting with its value, where it comes from and why it is there."""

from __future__ import annotations

from typing import Any

import click

from opsrail.cli.options import Group, Invocation, common, examples

HIDDEN = "(set, not shown)"


@click.group(cls=Group)
def config() -> None:
    """Show every setting and where it comes from."""


@config.command(
    "show",
    epilog=examples("opsrail config show", "OPSRAIL_WEB__PORT=9000 opsrail config show --json"),
)
@common
def show(invocation: Invocation) -> None:
    """Show all settings: value, origin, meaning.

    Set one in opsrail.toml or as OPSRAIL_<PART>__<NAME>. Secrets are never shown.
    """
    from opsrail.cli.render import print_json, print_table

    rows = _settings(invocation)
    if invocation.is_json:
        print_json({"settings": rows})
        return
    cells = [(row["name"], row["value"], row["origin"], row["why"]) for row in rows]
    print_table(("setting", "value", "from", "why"), cells, empty="")


@config.command(
    "check", epilog=examples("opsrail config check", "opsrail config check --config staging.toml")
)
@common
def check(invocation: Invocation) -> None:
    """Check settings file and environment; every fault at once, exit status 1."""
    from opsrail.cli.render import print_json

    rows = _settings(invocation)
    _check_channels(invocation)
    changed = [row["name"] for row in rows if row["origin"] != "default"]
    if invocation.is_json:
        print_json({"ok": True, "changed": changed})
    else:
        click.echo(f"The settings are good; {len(changed)} of {len(rows)} are not defaults.")


def _check_channels(invocation: Invocation) -> None:
    """Refuse channels that `serve` would refuse, with secrets as they are found here."""
    from opsrail.config import load

    settings, _ = load(invocation.settings)
    if settings.channels:
        from opsrail.app.notified import notifiers_of
        from opsrail.clock import SystemClock

        notifiers_of(settings, SystemClock())


def _settings(invocation: Invocation) -> list[dict[str, Any]]:
    from opsrail.config import load, parts

    settings, origins = load(invocation.settings)
    rows = []
    for trade, part in parts(settings):
        for name, field in type(part).model_fields.items():
            value = getattr(part, name)
            place = f"{trade}.{name}"
            is_secret = not field.repr or (isinstance(value, str) and "://" in value)
            rows.append(
                {
                    "name": place,
                    "value": HIDDEN if is_secret and value else value,
                    "default": field.get_default(),
                    "origin": origins.get(place, "default"),
                    "why": field.description or "",
                }
            )
    return rows
