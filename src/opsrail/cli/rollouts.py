"""`opsrail rollouts`: versions on their way to live, in steps, watched; and what a person may do about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import (
    Group,
    Invocation,
    common,
    examples,
    limited,
    operator,
    version_argument,
)

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.values.rollouts import RolloutRunRow
    from opsrail.watch.rollouts import Rollouts

STATES = ("running", "paused", "promoted", "rolled-back", "stopped")
ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC"
MOST_BYTES = 1_000_000


@click.group(cls=Group)
def rollouts() -> None:
    """Carry a version to live in steps, and look after it."""


@rollouts.command(
    "begin",
    epilog=examples(
        "opsrail rollouts begin fraud-risk claims-fraud/8 --steps 5%:10m,25%:30m,50%:30m --reason 'beats 7 in shadow'",
        "opsrail rollouts begin fraud-risk claims-fraud/8 --steps 10%:1h --guard guard.json --reason 'new data'",
    ),
)
@click.argument("point")
@version_argument
@click.option(
    "--steps",
    required=True,
    metavar="SHARE:HOLD,...",
    help="E.g. 5%:10m,25%:30m (units s, m, h, d).",
)
@click.option(
    "--guard",
    "guard_file",
    metavar="FILE",
    help="What it is judged by: JSON, TOML or YAML. [default: docs/rollouts.md says]",
)
@click.option("--reason", required=True, help="Why, for whoever reads the ledger.")
@click.option(
    "--revision", type=click.IntRange(0), help="Only if the rollout is still at this revision."
)
@operator
@common
def begin(
    invocation: Invocation,
    point: str,
    version: tuple[str, int],
    steps: str,
    guard_file: str | None,
    reason: str,
    revision: int | None,
    by: str,
) -> None:
    """Let a version answer its first share of a point's requests; a running `opsrail serve` takes it from there.

    Where a wrong verdict costs much, this takes approvals: `opsrail changes plan POINT --promote NAME/NUMBER --steps ...`.
    """
    from opsrail.values.guards import GuardSpec, steps_of

    planned = steps_of(steps)
    spec = GuardSpec() if guard_file is None else read_guard(Path(guard_file))

    async def work(app: App) -> RolloutRunRow:
        found = await app.registry.version(*version)
        return await app.rollouts.begin(
            point, found, planned, spec, by=by, reason=reason, revision=revision
        )

    _show(invocation, work)


@rollouts.command(
    "list", epilog=examples("opsrail rollouts list", "opsrail rollouts list --state running --json")
)
@click.option("--point", metavar="NAME", help="Only of this decision point.")
@click.option("--state", type=click.Choice(STATES), help="Only rollouts in this state.")
@limited()
@common
def list_(invocation: Invocation, point: str | None, state: str | None, limit: int) -> None:
    """List rollouts, newest first."""
    from opsrail.cli.render import print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.watch.records import run_record

    rows = on_app(
        invocation, lambda app: app.rollouts.listed(point=point, state=state, limit=limit)
    )
    told = [run_record(row) for row in rows]
    if invocation.is_json:
        print_json({"rollouts": told})
        return
    cells = [
        (
            one["id"],
            one["point"],
            one["candidate"],
            one["state"],
            _stands(one),
            one["started_at"],
            _brief(one["why"] or one.get("hold") or ""),
        )
        for one in told
    ]
    columns = ("rollout", "point", "version", "state", "stands", "started", "why")
    print_table(columns, cells, empty="There are no such rollouts.")


def _brief(why: str) -> str:
    """Return the first thing that a rollout waits for; `show` has them all."""
    first, _, more = why.partition("; ")
    return f"{first}; ..." if more else first


@rollouts.command("show", epilog=examples(f"opsrail rollouts show {ID}"))
@click.argument("rollout_id", metavar="ID")
@common
def show(invocation: Invocation, rollout_id: str) -> None:
    """Show where a rollout stands: its steps, what was counted, and each test's evidence against its limit."""
    _show(invocation, lambda app: app.rollouts.get(rollout_id))


def _person(
    verb: str, help_: str, ask: Callable[[Rollouts], Callable[..., Awaitable[RolloutRunRow]]]
) -> None:
    """Add a command by which a person changes a rollout."""

    @rollouts.command(
        verb, help=help_, epilog=examples(f"opsrail rollouts {verb} {ID} --reason 'seen to'")
    )
    @click.argument("rollout_id", metavar="ID")
    @click.option("--reason", required=True, help="Why, for whoever reads the ledger.")
    @operator
    @common
    def change(invocation: Invocation, rollout_id: str, reason: str, by: str) -> None:
        _show(invocation, lambda app: ask(app.rollouts)(rollout_id, by=by, reason=reason))


_person(
    "pause",
    "Take no step forward; a version that is worse is rolled back all the same.",
    lambda of: of.pause,
)
_person("resume", "Go on after pause.", lambda of: of.resume)
_person("stop", "End a rollout where it stands; nobody watches it any more.", lambda of: of.stop)
_person(
    "promote",
    "Make the version live now; it is watched as after the last step.",
    lambda of: of.promote,
)
_person(
    "rollback",
    "Let the champion answer all requests again, and end the rollout.",
    lambda of: of.roll_back,
)


def read_guard(path: Path) -> Any:
    """Return the guard of a `.json`, `.toml`, `.yaml` or `.yml` file. Raises InvalidInput with every fault."""
    from opsrail.values.guards import guard_of

    return guard_of(guard_tree(path))


def guard_tree(path: Path) -> Any:
    """Return what a guard's file says, unchecked. Raises InvalidInput: it cannot be read."""
    import json
    import tomllib

    from opsrail.errors import Fault, InvalidInput

    wrong = "the guard cannot be used; nothing was begun"
    kind = path.suffix.lower()
    if kind not in {".json", ".toml", ".yaml", ".yml"}:
        raise InvalidInput(
            wrong, [Fault(str(path), "its name ends in none of .json, .toml, .yaml")]
        )
    if path.stat().st_size > MOST_BYTES:
        raise InvalidInput(wrong, [Fault(str(path), f"is above {MOST_BYTES:,} bytes")])
    text = path.read_text(encoding="utf-8")
    try:
        found = {".json": json.loads, ".toml": tomllib.loads}.get(kind, _yaml)(text)
    except (ValueError, RecursionError) as fault:
        raise InvalidInput(wrong, [Fault(str(path), str(fault))]) from fault
    return {} if found is None else found


def _yaml(text: str) -> Any:
    from opsrail.errors import MissingExtra

    try:
        import yaml
    except ImportError as missing:
        raise MissingExtra("a guard in YAML", "lab") from missing
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as fault:
        raise ValueError(str(fault)) from fault


def _show(invocation: Invocation, work: Callable[[App], Awaitable[RolloutRunRow]]) -> None:
    from opsrail.cli.render import print_json
    from opsrail.cli.rollout_picture import picture
    from opsrail.cli.session import on_app
    from opsrail.watch.records import run_record

    told = run_record(on_app(invocation, work))
    if invocation.is_json:
        print_json({"rollout": told})
    else:
        click.echo("\n".join(picture(told)))


def _stands(told: dict[str, Any]) -> str:
    if "steps" not in told:
        return "unreadable"
    return (
        "live"
        if told["is_live"]
        else f"step {told['step'] + 1}/{len(told['steps'])}, {told['share']:.4g}"
    )
