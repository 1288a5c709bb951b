"""`opsrail features training-set`: rows with what was known at each row's moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Invocation, code_file, common, examples

if TYPE_CHECKING:
    from opsrail.app import App


@click.command(
    "training-set",
    epilog=examples(
        "opsrail features training-set --views policyholder@2 --rows labels.csv \\\n"
        "      --entity-column policy_id --at-column at --output train.parquet",
        "opsrail features training-set --views policyholder@2,make-history@1 --rows labels.parquet --file claims.py \\\n"
        "      --entity-column policyholder@2=policy_id --entity-column make-history@1=make --at-column at --output t.csv",
    ),
)
@click.option("--views", required=True, metavar="A@1,B@2", help="Which views, by version.")
@click.option(
    "--rows",
    "rows_path",
    required=True,
    metavar="PATH",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="One line an example: .csv, .jsonl or .parquet.",
)
@click.option(
    "--entity-column",
    "entity_columns",
    required=True,
    multiple=True,
    metavar="[VIEW=]COLUMN",
    help="Column that says whose features a row has; for one view, or for all others.",
)
@click.option("--at-column", required=True, metavar="COLUMN", help="Column of each row's moment.")
@click.option(
    "--output",
    "output_path",
    required=True,
    metavar="PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Written anew: .csv, .jsonl or .parquet.",
)
@code_file
@common
def training_set(
    invocation: Invocation,
    views: str,
    rows_path: Path,
    entity_columns: Sequence[str],
    at_column: str,
    output_path: Path,
    file: Path | None,
) -> None:
    """Add to every row the features that were known at its moment: nothing that was true or written later gets in."""
    from opsrail.app.training_sets import MEDIA, read_table, training_set_of, write_table
    from opsrail.cli.features_taking import defined
    from opsrail.cli.session import on_app

    refs = [ref.strip() for ref in views.split(",") if ref.strip()]
    columns = _columns(refs, entity_columns)
    for path in (rows_path, output_path):
        if path.suffix.removeprefix(".") not in MEDIA:
            known = ", ".join(f".{ending}" for ending in MEDIA)
            raise click.UsageError(f"{path}: name it as it is written, {known}")
    rows = read_table(rows_path)

    async def work(app: App) -> Any:
        return await training_set_of(app, rows, columns, at_column)

    table = on_app(invocation, work, defined(file))
    write_table(table, output_path)
    _tell(invocation, table, table.column_names[rows.num_columns :], output_path)


def _tell(invocation: Invocation, table: Any, added: Sequence[str], path: Path) -> None:
    """Say what was made, and what is not known."""
    from opsrail.app.training_sets import told_of
    from opsrail.cli.render import print_json

    told = told_of(table, added)
    if invocation.is_json:
        print_json({**told, "output": str(path)})
        return
    features = "1 feature" if len(added) == 1 else f"{len(added)} features"
    click.echo(f"{table.num_rows:,} rows with {features}, see {path}")
    for name, count in told["missing"].items():
        if count:
            click.echo(f"  {name} is not known for {count / table.num_rows:.1%} of the rows")


def _columns(refs: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    """Return the entity column of each view. Raises UsageError when one is left open."""
    named: dict[str, str] = {}
    for text in given:
        ref, equals, column = text.partition("=")
        named[ref if equals else ""] = column if equals else text
    if unknown := named.keys() - {"", *refs}:
        raise click.UsageError(
            f"--entity-column names {', '.join(sorted(unknown))}, not in --views"
        )
    columns = {ref: named.get(ref, named.get("")) for ref in refs}
    if not refs or None in columns.values():
        lacking = ", ".join(ref for ref, column in columns.items() if column is None)
        raise click.UsageError(f"no --entity-column for {lacking or 'any view'}")
    return {ref: column for ref, column in columns.items() if column is not None}
