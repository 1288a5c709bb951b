"""`opsrail models card`: a version's card, with its gaps, and a better wording of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Invocation, common, examples, operator, version_argument

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.registry.card_book import CardView


@click.command(
    "card",
    epilog=examples(
        "opsrail models card claims-fraud/7",
        "opsrail models card claims-fraud/7 --markdown > card.md",
        "opsrail models card claims-fraud/7 --revise card.yaml --reason 'figures by age group added'",
    ),
)
@version_argument
@click.option("--markdown", "is_markdown", is_flag=True, help="Print Markdown.")
@click.option(
    "--revise",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Word the card anew: YAML or JSON, whole.",
)
@click.option("--reason", default="", help="With --revise: why.")
@operator
@common
def card(
    invocation: Invocation,
    version: tuple[str, int],
    is_markdown: bool,
    revise: Path | None,
    reason: str,
    by: str,
) -> None:
    """Show a version's card. What it should tell and does not stands there as MISSING.

    The version never changes. A better wording is a revision of its own; the ones before stay.
    """
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.registry.card_page import markdown, text
    from opsrail.registry.cards import parse_card

    wording = None if revise is None else parse_card(revise.read_bytes(), revise.name)

    async def work(app: App) -> CardView:
        if wording is None:
            return await app.describer.card(*version)
        found = await app.registry.version(*version)
        return await app.cards.revise(found, wording, by=by, reason=reason)

    view = on_app(invocation, work)
    if invocation.is_json:
        print_json({"card": view.record()})
    else:
        click.echo(markdown(view) if is_markdown else text(view), nl=False)
