"""How the commands that make model versions show what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from opsrail.registry.importer import Looked, Offered, WouldBe
    from opsrail.values.models import ModelVersion


def say_imported(
    offered: Offered, looked: Looked, version: ModelVersion | WouldBe, *, is_json: bool
) -> None:
    """Print what was inferred, and which version it became, or would have."""
    from opsrail.cli.render import print_json
    from opsrail.registry.importer import WouldBe, looked_record

    if is_json:
        inferred = looked_record(looked)
        if isinstance(version, WouldBe):
            print_json({"model": None, "import": inferred, "would_be": version._asdict()})
        else:
            print_json({"model": version_record(version), "import": inferred})
        return
    print_looked(offered, looked)
    if isinstance(version, WouldBe):
        label = f"{version.name}/{version.number}"
        would = f"It would become {label}" if version.is_new else f"It is {label} already"
        click.echo(f"{would}. Nothing was kept: --dry-run.")
        return
    click.echo(f"Imported {version.name}/{version.number} ({version.digest}).")
    say_promote(version)


def version_record(version: ModelVersion) -> dict[str, Any]:
    """Return a model version as plain JSON values."""
    from opsrail.registry.describing import version_record as record

    return record(version)


def print_looked(offered: Offered, looked: Looked) -> None:
    """Print what was inferred, for people."""
    from opsrail.cli.render import print_table
    from opsrail.registry.importer import column_record

    cells = []
    for place, column in enumerate(looked.columns):
        told = column_record(looked, place, column)
        span = None if told["low"] is None else f"{told['low']:g} to {told['high']:g}"
        words = None if told["words"] is None else ", ".join(told["words"][:5])
        missing = "refused" if told["missing"] is None else told["missing"]
        cells.append((column.name, told["kind"], missing, words or span, told["from"]))
    print_table(("feature", "kind", "missing", "words or range", "told by"), cells, empty="")
    for note in looked.notes:
        click.echo(note)
    for number, score in enumerate(looked.trial, 1):
        unknown = f", unknown: {', '.join(score.unknown)}" if score.unknown else ""
        click.echo(
            f"Row {number} scores {score.value:.4f} (confidence {score.confidence:.2f}{unknown})."
        )
    if looked.card_missing:
        click.echo(f"The card does not tell: {', '.join(looked.card_missing)}.")


def say_promote(version: ModelVersion) -> None:
    """Print how a version begins to answer."""
    click.echo(
        f"Let it answer: opsrail models promote POINT {version.name}/{version.number} --stage live --reason WHY"
    )
