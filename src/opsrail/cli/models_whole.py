"""`opsrail models show` and `opsrail models diff`: one version whole, and what differs between two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from opsrail.cli.options import Invocation, VersionText, common, examples, version_argument


@click.command("show", epilog=examples("opsrail models show claims-fraud/7 --json"))
@version_argument
@common
def show(invocation: Invocation, version: tuple[str, int]) -> int:
    """Show one version whole: digests, figures, what it reads, its card with the gaps, where it stands.

    Exit status 1 when its artifact is not the one that was registered.
    """
    from opsrail.cli.render import print_fields, print_json, print_table
    from opsrail.cli.session import on_app

    whole = on_app(invocation, lambda app: app.describer.whole(*version))
    is_intact = whole["artifact_fault"] is None
    if invocation.is_json:
        print_json({"model": whole})
        return 0 if is_intact else 1
    stands = ", ".join(f"{row['point']}: {row['stage']}" for row in whole["stands"])
    print_fields(
        {
            "version": f"{version[0]}/{version[1]}",
            "digest": whole["digest"],
            "runtime": whole["runtime"],
            "trained on": whole["training_digest"],
            "registered": whole["created_at"],
            "stands": stands or "nowhere",
            **{f"metric {metric}": value for metric, value in whole["metrics"].items()},
            **{f"card {told}": value for told, value in whole["card"].items()},
            **{f"card {gap}": "MISSING" for gap in whole["card_missing"]},
        }
    )
    if not is_intact:
        click.echo(f"\nTHE ARTIFACT CANNOT BE USED: {whole['artifact_fault']}")
        return 1
    click.echo()
    cells = [
        (one["name"], one["kind"], one["missing"], ", ".join((one["words"] or ())[:8]))
        for one in whole["features"] or ()
    ]
    empty = "What it reads is not told by its artifact."
    print_table(("feature", "kind", "missing", "words"), cells, empty=empty)
    return 0


@click.command("diff", epilog=examples("opsrail models diff claims-fraud/6 claims-fraud/7 --json"))
@click.argument("first", type=VersionText())
@click.argument("second", type=VersionText())
@common
def diff(invocation: Invocation, first: tuple[str, int], second: tuple[str, int]) -> None:
    """Say what differs between two versions: digests, figures, features, training data, card."""
    from opsrail.cli.render import print_json, print_table
    from opsrail.cli.session import on_app

    keys = first, second
    found = on_app(invocation, lambda app: app.describer.differences(*keys))
    if invocation.is_json:
        print_json({"diff": found})
        return
    cells: list[tuple[object, ...]] = []
    for part in ("version", "metrics", "features", "card"):
        cells += [_cell(part, name, pair) for name, pair in found[part].items()]
    if not found["features_in_order"] and not found["features"]:
        cells.append(("features", "order", "differs", "", None))
    columns = ("part", "what", found["first"], found["second"], "change")
    print_table(columns, cells, empty="They do not differ.")


def _cell(part: str, name: str, pair: Mapping[str, Any]) -> tuple[object, ...]:
    change = pair.get("change")
    said = [_side(pair[side]) for side in ("first", "second")]
    return (part, name, *said, None if change is None else f"{change:+.4g}")


def _side(value: Any) -> Any:
    """Return one side of a difference; of a feature its kind is enough."""
    if isinstance(value, dict) and "kind" in value:
        words = value["words"]
        return value["kind"] if words is None else f"{len(words)} words"
    return value
