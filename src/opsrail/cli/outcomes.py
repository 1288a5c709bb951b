"""`opsrail outcomes`: what turned out true of decisions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Group, Invocation, common, examples, operator

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.cli.progress import Ticker
    from opsrail.decide.outcome_import import Defaults, Imported
    from opsrail.values.outcomes import OutcomeRow

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC"
SOURCES = ("review", "audit", "late", "import")


@click.group(cls=Group)
def outcomes() -> None:
    """Record, import and list what turned out true of decisions."""


@outcomes.command(
    "record",
    epilog=examples(
        f"opsrail outcomes record {ID} fraud 1",
        f"opsrail outcomes record {ID} fraud 0 --source audit --ratio 0.05",
    ),
)
@click.argument("decision_id", metavar="ID")
@click.argument("name", metavar="NAME")
@click.argument("value", metavar="VALUE", type=float)
@click.option(
    "--source",
    type=click.Choice(SOURCES),
    default="late",
    show_default=True,
    help="How it came to be known.",
)
@click.option(
    "--ratio",
    type=float,
    default=1.0,
    metavar="P",
    help="Probability with which such a decision was looked at, above 0 and up to 1. [default: 1]",
)
@click.option("--known-at", metavar="MOMENT", help="When it could be known. [default: now]")
@operator
@common
def record(
    invocation: Invocation,
    decision_id: str,
    name: str,
    value: float,
    source: str,
    ratio: float,
    known_at: str | None,
    by: str,
) -> None:
    """Write down what turned out true of a decision: 1 for yes, 0 for no, or a quantity.

    What was written before stays in the book; of one name, what is written last holds.
    """
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.clock import epoch_ms
    from opsrail.decide.outcomes import record_of

    known_at_ms = None if known_at is None else epoch_ms(known_at, "--known-at")

    async def work(app: App) -> OutcomeRow:
        return await app.outcomes.record(
            decision_id,
            name,
            value,
            source=source,
            by=by,
            ratio=ratio,
            known_at_ms=known_at_ms,
        )

    row = on_app(invocation, work)
    if invocation.is_json:
        print_json(record_of(row))
    else:
        click.echo(
            f"{row.name} of decision {row.decision_id} is {row.value:g}, source {row.source}"
        )


@outcomes.command(
    "import",
    epilog=examples(
        "opsrail outcomes import frauds.csv --name fraud",
        "opsrail outcomes import frauds.csv --name fraud --automation claims-intake --point fraud-risk",
        "opsrail outcomes import audit.jsonl --source audit --ratio 0.05",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="What turned out, where the file has no column `name`.")
@click.option(
    "--source", type=click.Choice(SOURCES), default="import", show_default=True, help="Likewise."
)
@click.option("--ratio", type=float, default=1.0, metavar="P", help="Likewise. [default: 1]")
@click.option("--automation", help="Whose case keys the column `case_key` holds.")
@click.option("--point", help="Of a case's decisions, those made here.")
@operator
@common
def import_(
    invocation: Invocation,
    file: Path,
    name: str | None,
    source: str,
    ratio: float,
    automation: str | None,
    point: str | None,
    by: str,
) -> None:
    """Write down the outcomes of a file: CSV, JSON Lines (also gzipped) or Parquet.

    Columns: decision_id or case_key; value; and where the options do not say it name, source, ratio, known_at, by.

    Every row is checked first; nothing is written unless all are right. What stands as the file says is passed over, so the
    same command goes on after an interruption.
    """
    from opsrail.cli.progress import Ticker
    from opsrail.cli.render import print_json
    from opsrail.cli.session import on_app
    from opsrail.decide.outcome_import import Defaults

    defaults = Defaults(by, name, source, ratio, automation, point)
    invocation.interrupted = "Interrupted; what was written stays. The same command goes on."

    with Ticker("passes over rows") as ticker:
        done = on_app(invocation, lambda app: _imported(app, file, defaults, ticker))
    if invocation.is_json:
        print_json({"import": done._asdict()})
        return
    click.echo(
        f"{done.recorded:,} of {done.rows:,} outcomes recorded, {done.unchanged:,} stood already"
    )


async def _imported(app: App, file: Path, defaults: Defaults, ticker: Ticker) -> Imported:
    from opsrail.cases.rows import opened_rows
    from opsrail.decide.outcome_import import GivenRow, OutcomeImport

    counts = {"checked": 0, "written": 0}

    def read() -> Iterator[GivenRow]:
        with opened_rows(file) as opened:
            for row in opened.rows:
                yield GivenRow(row.line, row.values, row.faults)

    def tell(what: str, count: int) -> None:
        counts[what] = count
        ticker.tick(sum(counts.values()), 2 * counts["checked"], f"{what} {count:,} rows")

    return await OutcomeImport(app.store, app.clock, read, defaults, tell).run()


@outcomes.command(
    "list",
    epilog=examples(
        f"opsrail outcomes list {ID}", "opsrail outcomes list --name fraud --source audit --json"
    ),
)
@click.argument("decision_id", metavar="[ID]", required=False)
@click.option("--name", help="Only of this name.")
@click.option("--source", type=click.Choice(SOURCES), help="Only of this source.")
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many."
)
@common
def list_(
    invocation: Invocation,
    decision_id: str | None,
    name: str | None,
    source: str | None,
    limit: int,
) -> None:
    """List what was written, newest first: of one decision, or of all."""
    from opsrail.cli.render import moment, print_json, print_table
    from opsrail.cli.session import on_app
    from opsrail.decide.outcomes import record_of

    async def work(app: App) -> list[OutcomeRow]:
        return await app.outcomes.newest(
            decision_id=decision_id, name=name, source=source, limit=limit
        )

    rows = on_app(invocation, work)
    if invocation.is_json:
        print_json({"outcomes": [record_of(row) for row in rows]})
        return
    print_table(
        ("decision", "name", "value", "source", "ratio", "by", "known"),
        [
            (
                row.decision_id,
                row.name,
                row.value,
                row.source,
                row.ratio,
                row.by,
                moment(row.known_at_ms),
            )
            for row in rows
        ],
        empty="No outcome was recorded.",
    )
