"""`opsrail models`: versions, and which of them answers at which decision point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.models_card import card
from opsrail.cli.models_history import history
from opsrail.cli.models_outside import export
from opsrail.cli.models_register import import_, register
from opsrail.cli.models_shown import version_record
from opsrail.cli.models_whole import diff, show
from opsrail.cli.options import Group, Invocation, common, examples, operator, version_argument

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.values.models import ModelVersion
    from opsrail.values.registry import RolloutChangeRow, RolloutRow

STAGES = ("shadow", "canary", "live", "standby", "retired")


@click.group(cls=Group)
def models() -> None:
    """Register and promote model versions."""


for command in (import_, export, register, show, card, diff, history):
    models.add_command(command)


@models.command("list", epilog=examples("opsrail models list", "opsrail models list --json"))
@common
def list_(invocation: Invocation) -> None:
    """List model versions and where they stand."""
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.values.registry import RolloutRow

    async def work(app: App) -> tuple[list[ModelVersion], list[RolloutRow]]:
        return await app.registry.versions(limit=10_000), await app.store.select(
            RolloutRow, limit=10_000
        )

    versions, rollouts = on_app(invocation, work)
    if invocation.is_json:
        print_json(
            {
                "models": [version_record(one) for one in versions],
                "rollouts": [_rollout(row) for row in rollouts],
            }
        )
        return
    cells = [
        (
            f"{one.name}/{one.number}",
            one.runtime,
            one.digest[:19],
            _stands(one, rollouts),
            moment(one.created_at_ms),
        )
        for one in versions
    ]
    print_table(
        ("version", "runtime", "digest", "stands", "registered"),
        cells,
        empty="No model is registered.",
    )


@models.command(
    "promote",
    epilog=examples(
        "opsrail models promote fraud-risk claims-fraud/7 --stage canary --share 0.05 --reason 'beats 6 in shadow'",
        "opsrail models promote fraud-risk claims-fraud/6 --stage live --reason 'roll back: 7 is slow'",
    ),
)
@click.argument("point")
@version_argument
@click.option("--stage", required=True, type=click.Choice(STAGES), help="Where it shall stand.")
@click.option(
    "--share",
    default=0.0,
    type=click.FloatRange(0, 1),
    help="Of a canary: part of the requests, 0..1.",
)
@click.option("--reason", required=True, help="Why, for whoever reads the history.")
@click.option(
    "--revision", type=click.IntRange(0), help="Only if the rollout is still at this revision."
)
@click.option(
    "--break-glass",
    "breaks_glass",
    is_flag=True,
    help="Without the approvals that the point asks for; the ledger keeps who did it and why.",
)
@operator
@common
def promote(
    invocation: Invocation,
    point: str,
    version: tuple[str, int],
    stage: str,
    share: float,
    reason: str,
    revision: int | None,
    breaks_glass: bool,
    by: str,
) -> None:
    """Move a version to a stage of a decision point. It holds within a second in every process.

    Where a wrong verdict costs much, this takes approvals: `opsrail changes plan POINT --promote NAME/NUMBER`.
    """
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.registry.past import change_record
    from opsrail.registry.rollout import Stage

    async def work(app: App) -> RolloutChangeRow:
        found = await app.registry.version(*version)
        return await app.changes.promote(
            point,
            found,
            Stage(stage),
            by=by,
            reason=reason,
            share=share,
            revision=revision,
            breaks_glass=breaks_glass,
        )

    name, number = version
    change = on_app(invocation, work)
    if invocation.is_json:
        print_json({"change": change_record(change)})
    else:
        click.echo(f"{name}/{number} is {stage} for {point}, revision {change.revision}.")


@models.command("rollout", epilog=examples("opsrail models rollout fraud-risk"))
@click.argument("point")
@common
def rollout(invocation: Invocation, point: str) -> None:
    """Show which versions stand at a decision point now."""
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app

    rows = on_app(invocation, lambda app: app.registry.rollout(point))
    if invocation.is_json:
        print_json({"rollout": [_rollout(row) for row in rows]})
        return
    cells = [
        (
            str(row.stage),
            f"{row.model_name}/{row.model_number}",
            row.share,
            row.revision,
            moment(row.at_ms),
        )
        for row in rows
    ]
    print_table(
        ("stage", "version", "share", "revision", "since"),
        cells,
        empty=f"No version stands at {point}.",
    )


def _stands(version: ModelVersion, rollouts: list[RolloutRow]) -> str:
    """Return at which points a version stands, and at which stage."""
    here = [
        row
        for row in rollouts
        if (row.model_name, row.model_number) == (version.name, version.number)
    ]
    shares = {"canary": " {:.0%}"}
    return ", ".join(
        f"{row.point}: {row.stage}{shares.get(row.stage, '').format(row.share)}" for row in here
    )


def _rollout(row: RolloutRow) -> dict[str, Any]:
    return _timed(row._asdict())


def _timed(plain: dict[str, Any]) -> dict[str, Any]:
    from opsrail.cli.render import moment

    return {**plain, "stage": str(plain["stage"]), "at": moment(plain.pop("at_ms"))}
