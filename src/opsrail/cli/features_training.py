"""`opsrail features training-set`: rows with what was known at each row's moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Invocation, code_file, common, examples

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.features.view import FeatureView

TABLES = (".csv", ".parquet")


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
    help="One line an example: .csv or .parquet.",
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
    help="Written anew: .csv or .parquet.",
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
    from opsrail.cli.features_taking import defined
    from opsrail.cli.session import on_app

    refs = [ref.strip() for ref in views.split(",") if ref.strip()]
    columns = _columns(refs, entity_columns)
    for path in (rows_path, output_path):
        if path.suffix not in TABLES:
            raise click.UsageError(f"{path}: name it {' or '.join(TABLES)}, as it is written")
    rows = _read(rows_path)

    async def work(app: App) -> Any:
        from opsrail.lab.training import entities_of
        from opsrail.lab.training import training_set as made
        from opsrail.lab.view_histories import read_history

        known: list[FeatureView[Any]] = [await app.features.known_view(ref) for ref in refs]
        histories = [
            await read_history(app.store, view, entities_of(rows, columns[view.ref]))
            for view in known
        ]
        return made(rows, histories, entity_column=columns, at_column=at_column)

    table = on_app(invocation, work, defined(file))
    _write(table, output_path)
    _tell(invocation, table, table.column_names[rows.num_columns :], output_path)


def _tell(invocation: Invocation, table: Any, added: Sequence[str], path: Path) -> None:
    """Say what was made, and what is not known."""
    from opsrail.cli.render import print_json

    nulls = {name: table.column(name).null_count for name in added}
    if invocation.is_json:
        told = {"rows": table.num_rows, "features": added, "missing": nulls}
        print_json({**told, "output": str(path)})
        return
    click.echo(f"{table.num_rows:,} rows with {len(added)} features, see {path}")
    for name, count in nulls.items():
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


def _read(path: Path) -> Any:
    """Return a file as an Arrow table. Raises MissingExtra, InvalidInput."""
    from opsrail.errors import InvalidInput, MissingExtra

    try:
        import pyarrow as pa
        from pyarrow import csv, parquet
    except ImportError as missing:
        raise MissingExtra("A training set", "lab") from missing
    try:
        return csv.read_csv(path) if path.suffix == ".csv" else parquet.read_table(path)
    except pa.ArrowException as wrong:
        raise InvalidInput(f"{path} cannot be read: {wrong}") from wrong


def _write(table: Any, path: Path) -> None:
    """Write a table whole: beside it first, so that a killed command leaves no half of one."""
    from pyarrow import csv, parquet

    beside = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".csv":
            csv.write_csv(table, beside)
        else:
            parquet.write_table(table, beside, compression="zstd")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
