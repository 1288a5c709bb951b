"""Rows with what was known at each row's moment: what `opsrail features training-set` and the job of that name both do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from opsrail.app.wired import App
from opsrail.app.work import Bench, FileId, Made, Part
from opsrail.errors import Fault, InvalidInput, MissingExtra

MEDIA: Mapping[str, str] = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}
"""How tables are written, by the ending of a file's name."""
Ending = Literal["csv", "jsonl", "parquet"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
VIEW = r"[a-z][a-z0-9-]{0,62}@[1-9][0-9]{0,8}"


class TrainingSetWish(Part):
    """What a job of this kind is asked."""

    views: Annotated[
        list[Annotated[str, StringConstraints(pattern=f"^{VIEW}$")]],
        Field(min_length=1, max_length=50, description="Which, by version: `policyholder@2`"),
    ]
    rows: Annotated[FileId, Field(description="One line an example, as it was sent")]
    ending: Annotated[Ending, Field(description="How those rows are written")] = "csv"
    entity_columns: Annotated[
        dict[str, Name],
        Field(
            min_length=1,
            max_length=51,
            description="View -> column that says whose features a row has; an empty name stands for all others",
        ),
    ]
    at_column: Annotated[Name, Field(description="Column of each row's moment")]
    output: Annotated[Ending, Field(description="How the training set is written")] = "parquet"


async def training_set_job(app: App, wish: TrainingSetWish, bench: Bench) -> Made:
    """Do a job of this kind."""
    columns = columns_by_view(wish.views, wish.entity_columns)
    path = bench.desk / f"rows.{wish.ending}"
    path.write_bytes((await app.jobs.file(wish.rows)).content)
    rows = read_table(path)
    bench.tick(0, rows.num_rows, "rows")
    table = await training_set_of(app, rows, columns, wish.at_column)
    written = bench.desk / f"training-set.{wish.output}"
    write_table(table, written)
    added = table.column_names[rows.num_columns :]
    return Made({"training_set": told_of(table, added)}, written, MEDIA[wish.output])


async def training_set_of(app: App, rows: Any, columns: Mapping[str, str], at_column: str) -> Any:
    """Return an Arrow table with the features of views added.

    Args:
        columns: The entity column by view.

    Raises:
        NotFound: a view was never served here. Terminal.
        InvalidInput, MissingExtra: see `lab.training_set`. Terminal.
    """
    from opsrail.lab.training import entities_of, training_set
    from opsrail.lab.view_histories import read_history

    known = [await app.features.known_view(ref) for ref in columns]
    histories = [
        await read_history(app.store, view, entities_of(rows, columns[view.ref])) for view in known
    ]
    return training_set(rows, histories, entity_column=columns, at_column=at_column)


def columns_by_view(refs: Sequence[str], named: Mapping[str, str]) -> dict[str, str]:
    """Return the entity column of each view.

    Args:
        named: By view; an empty name stands for all others.

    Raises:
        InvalidInput: one is left open, or a view is named that is not asked for. Terminal.
    """
    unknown = named.keys() - {"", *refs}
    lacking = [ref for ref in refs if ref not in named and "" not in named]
    found = [
        *(Fault(f"entity_columns.{ref}", "is none of the views") for ref in sorted(unknown)),
        *(Fault(f"entity_columns.{ref}", "is missing") for ref in lacking),
    ]
    if found:
        raise InvalidInput("which column names the entity is not told of each view", found)
    return {ref: named[ref] if ref in named else named[""] for ref in refs}


def told_of(table: Any, added: Sequence[str]) -> dict[str, Any]:
    """Return what was made, and what is not known, as plain JSON values."""
    nulls = {name: table.column(name).null_count for name in added}
    return {"rows": table.num_rows, "features": list(added), "missing": nulls}


def read_table(path: Path) -> Any:
    """Return a file as an Arrow table. Raises MissingExtra, InvalidInput."""
    try:
        import pyarrow as pa
        from pyarrow import csv, json, parquet
    except ImportError as missing:
        raise MissingExtra("A training set", "lab") from missing
    read = {".csv": csv.read_csv, ".jsonl": json.read_json, ".parquet": parquet.read_table}
    try:
        return read[path.suffix](path)
    except pa.ArrowException as wrong:
        raise InvalidInput(f"{path.name} cannot be read: {wrong}") from wrong


def write_table(table: Any, path: Path) -> None:
    """Write a table whole: beside it first, so that a killed command leaves no half of one."""
    import orjson
    from pyarrow import csv, parquet

    beside = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".csv":
            csv.write_csv(table, beside)
        elif path.suffix == ".parquet":
            parquet.write_table(table, beside, compression="zstd")
        else:
            with beside.open("wb") as lines:
                for batch in table.to_batches(max_chunksize=10_000):
                    for row in batch.to_pylist():
                        lines.write(orjson.dumps(row, default=str) + b"\n")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
