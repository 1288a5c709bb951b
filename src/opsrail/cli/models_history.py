"""`opsrail models history`: what was live when, and who said so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Invocation, common, examples

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.registry.past import Held
    from opsrail.values.registry import RolloutChangeRow


@click.command(
    "history",
    epilog=examples(
        "opsrail models history fraud-risk --json",
        'opsrail models history fraud-risk --at "2026-05-03 14:03"',
    ),
)
@click.argument("point")
@click.option("--at", metavar="MOMENT", help="What held then, UTC unless it says. [default: now]")
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Of the changes before it, at most so many.",
)
@common
def history(invocation: Invocation, point: str, at: str | None, limit: int) -> None:
    """Say what held at a decision point at a moment, and list the changes that led there, newest first."""
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.registry.past import change_record, changes_until, held_at, moment_of

    async def work(app: App) -> tuple[Held, list[RolloutChangeRow]]:
        now_ms = app.clock.now_ms()
        at_ms = now_ms if at is None else moment_of(at, now_ms, "--at")
        held = await held_at(app.store, point, at_ms)
        return held, await changes_until(app.store, point, at_ms, limit)

    held, rows = on_app(invocation, work)
    if invocation.is_json:
        print_json({"at": held.record(), "changes": [change_record(row) for row in rows]})
        return
    for line in told(held):
        click.echo(line)
    click.echo()
    cells = [
        (
            row.revision,
            f"{row.model_name}/{row.model_number}",
            str(row.stage),
            row.changed_by,
            moment(row.at_ms),
            row.reason,
        )
        for row in rows
    ]
    print_table(
        ("revision", "version", "became", "by", "at", "reason"),
        cells,
        empty=f"{point} has no history before that.",
    )


def told(held: Held) -> list[str]:
    """Return what held, in sentences."""
    from opsrail.cli.render import moment, shown

    lines = [
        f"{one.name}/{one.number} {_WORDS[one.stage].format(share=one.share)}, since {moment(one.since_ms)}."
        for one in held.standing
    ]
    if not held.at("live"):
        lines.insert(0, f"No version was live at {held.point}.")
    if held.settings is None or held.settings.content == "{}":
        lines.append("Bands, deadline and autonomy were those of the code.")
    else:
        lines.append(
            f"Settings, revision {held.settings.revision}, since {moment(held.settings.at_ms)}: "
            f"{shown(held.settings.content)}"
        )
    until = "it still does" if held.until_ms is None else f"until {moment(held.until_ms)}"
    return [f"At {moment(held.at_ms)} this held at {held.point}, {until}:", *lines]


_WORDS = {
    "live": "was live",
    "canary": "was canary, for {share:.4g} of the requests",
    "standby": "stood by",
    "shadow": "scored along",
}
