"""`opsrail decisions`: the record of a decision, and why it is what it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Group, Invocation, common, examples

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.cases.loader import Definitions
    from opsrail.decide.turning import Nearest
    from opsrail.values.decisions import Decision

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC"
ANY = "any"


@click.group(cls=Group)
def decisions() -> None:
    """Show and explain recorded decisions."""


@decisions.command("show", epilog=examples(f"opsrail decisions show {ID} --json"))
@click.argument("decision_id", metavar="ID")
@common
def show(invocation: Invocation, decision_id: str) -> None:
    """Show the whole record of a decision, as its ledger entry vouches for it."""
    from opsrail.cli.render import print_json

    record, _ = _found(invocation, decision_id)
    print_json({"decision": record} if invocation.is_json else record)


@decisions.command(
    "explain",
    epilog=examples(
        f"opsrail decisions explain {ID}",
        f"opsrail decisions explain {ID} claims.py --towards approve",
    ),
)
@click.argument("decision_id", metavar="ID")
@click.argument("file", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.option(
    "--towards",
    metavar="VERDICT",
    help="Also say what would have to be otherwise for this verdict; `any`: for any other. Needs FILE.",
)
@common
def explain(
    invocation: Invocation, decision_id: str, file: Path | None, towards: str | None
) -> int:
    """Say in sentences why a decision is what it is, and whether its record is still the one that was entered.

    FILE is the automation's, whose policy and request model a change is held against.

    Exit status 1 when the record was changed after it was entered in the ledger.
    """
    from opsrail.cli.render import print_json
    from opsrail.decide.explain import explain as sentences_of
    from opsrail.values.decisions import Decision

    if towards is not None and file is None:
        raise click.UsageError("--towards needs the automation's FILE: its policy is asked again")
    record, is_untouched = _found(invocation, decision_id)
    decision = Decision.from_record(record)
    nearest = (
        None if towards is None or file is None else _nearest(invocation, decision, file, towards)
    )
    sentences = sentences_of(decision)
    if invocation.is_json:
        document = {
            "id": decision_id,
            "verdict": record["verdict"],
            "sentences": sentences,
            "untouched": is_untouched,
        }
        print_json(document if nearest is None else {**document, "nearest": nearest.record()})
    else:
        for sentence in [*sentences, *(() if nearest is None else nearest.sentences())]:
            click.echo(sentence)
        click.echo(
            "The record is the one that its ledger entry commits to."
            if is_untouched
            else "THE RECORD IS NOT THE ONE that its ledger entry commits to: it was changed. Run `opsrail ledger verify`."
        )
    return 0 if is_untouched else 1


def _nearest(invocation: Invocation, decision: Decision, file: Path, towards: str) -> Nearest:
    """Return the smallest change that turns a decision's verdict."""
    from opsrail.cases.loader import load_file
    from opsrail.cli.session import absolute, on_app
    from opsrail.errors import UnknownName

    definitions: Definitions = load_file(absolute(file))
    point = definitions.points.get(decision.point)
    if point is None:
        known = ", ".join(definitions.points) or "none"
        raise UnknownName(
            f"{file} defines no decision point {decision.point!r}; it defines: {known}"
        )

    async def work(app: App) -> Nearest:
        wanted = None if towards == ANY else towards
        return await app.explainer.nearest(decision, point, wanted)

    return on_app(invocation, work, definitions)


def _found(invocation: Invocation, decision_id: str) -> tuple[dict[str, Any], bool]:
    """Return a decision's record, and whether a ledger entry commits to it as it stands."""
    from pydantic_core import from_json

    from opsrail.cli.session import on_app
    from opsrail.errors import LedgerBroken, NotFound
    from opsrail.ledger.book import entries_about
    from opsrail.ledger.commitment import check_record
    from opsrail.values.decisions import DecisionRow

    async def work(app: App) -> tuple[dict[str, Any], bool]:
        row = await app.store.get(DecisionRow, decision_id)
        if row is None:
            raise NotFound(
                f"no decision {decision_id}; `opsrail cases show` names the decisions of a case"
            )
        entered = [
            entry
            for entry in await entries_about(app.store, decision_id)
            if entry.kind == "decision.made"
        ]
        try:
            for entry in entered:
                check_record(entry.body, row.salt, row.record.encode())
        except LedgerBroken:
            return from_json(row.record), False
        return from_json(row.record), bool(entered)

    return on_app(invocation, work)
