"""Writes what reviewers ruled into a file: JSON Lines, CSV or Parquet by its ending, with a manifest beside it.

Lines are gathered in `FILE.part` first, which a run that was stopped goes on with; the span stands in `FILE.part.json`: it
is that of the first run. A line that was cut is dropped. The file itself appears when it is whole.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from opsrail.clock import Clock, rfc3339
from opsrail.errors import Conflict, Fault, InvalidInput, MissingExtra
from opsrail.ports import Store
from opsrail.review.exporting import Wanted, exported

ENDINGS = (".jsonl", ".csv", ".parquet")
FEATURES = "features."
NESTED = ("fields_before", "fields_after", "rulings")
"""Columns that hold JSON text where a file has no nested values."""
BLOCK_BYTES = 1_000_000
BATCH_ROWS = 5_000
Progress = Callable[[int], None]


async def export(
    store: Store,
    clock: Clock,
    wanted: Wanted,
    path: Path,
    *,
    progress: Progress = lambda lines: None,
    made_by: str = "opsrail",
) -> dict[str, Any]:
    """Write the file and its manifest; return the manifest.

    Raises:
        InvalidInput: the file's name has another ending. Terminal; nothing was written.
        Conflict: an export of something else was begun there. Remove the file that is named, or choose another name.
        MissingExtra: it is Parquet, and the packages for that are not installed. Terminal.
    """
    if path.suffix not in ENDINGS:
        fault = Fault("out", f"{path.name!r}: end it with one of {', '.join(ENDINGS)}")
        raise InvalidInput("nothing was exported", [fault])
    if path.suffix == ".parquet":
        _require_parquet()
    part, plan = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.part.json")
    wanted = _begun(plan, wanted)
    count, last = _whole_lines(part)
    with part.open("ab") as sink:
        async for lines in exported(store, clock, wanted, after=last):
            sink.write(b"".join(orjson.dumps(line) + b"\n" for line in lines))
            sink.flush()
            count += len(lines)
            progress(count)
        os.fsync(sink.fileno())
    columns = _columns(part)
    {".jsonl": _as_lines, ".csv": _as_csv, ".parquet": _as_parquet}[path.suffix](
        part, path, columns
    )
    manifest = {
        **_manifest(path, wanted, count, columns),
        "made_at": rfc3339(clock.now_ms()),
        "made_by": made_by,
    }
    _write_whole(
        path.with_name(f"{path.name}.manifest.json"),
        orjson.dumps(manifest, option=orjson.OPT_INDENT_2),
    )
    part.unlink(missing_ok=True)
    plan.unlink(missing_ok=True)
    return manifest


def _begun(plan: Path, wanted: Wanted) -> Wanted:
    """Return what the run that began here wanted, or write down what this one wants."""
    told = {name: getattr(wanted, name) for name in ("since_ms", "queue", "point", "is_named")}
    if not plan.exists():
        _write_whole(plan, orjson.dumps({**told, "until_ms": wanted.until_ms}))
        return wanted
    known = orjson.loads(plan.read_bytes())
    until_ms = known.pop("until_ms")
    known.pop("since_ms")  # `30d` is another moment each time: the first one holds
    if known != {name: told[name] for name in known}:
        raise Conflict(
            f"an export of something else was begun there; remove {plan} and its .part file"
        )
    since_ms = orjson.loads(plan.read_bytes())["since_ms"]
    return Wanted(since_ms, until_ms, wanted.queue, wanted.point, wanted.is_named)


def _whole_lines(part: Path) -> tuple[int, str | None]:
    """Cut off a line that is not whole; return how many there are, and the last one's review."""
    if not part.exists():
        return 0, None
    count, end, last = 0, 0, b""
    with part.open("rb+") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            count, end, last = count + 1, end + len(line), line
        file.truncate(end)
    return count, orjson.loads(last)["review_id"] if last else None


def _rows(part: Path) -> Iterator[dict[str, Any]]:
    with part.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def _columns(part: Path) -> dict[str, set[str]]:
    """Return each column of a flat file with the kinds of its values, in order; features come last, by name."""
    fixed: dict[str, set[str]] = {}
    features: dict[str, set[str]] = {}
    for row in _rows(part):
        for name, value in row.items():
            if name != "features":
                fixed.setdefault(name, set()).add(type(value).__name__)
        for name, value in row["features"].items():
            features.setdefault(f"{FEATURES}{name}", set()).add(type(value).__name__)
    return {**fixed, **dict(sorted(features.items()))}


def _flat(row: Mapping[str, Any], columns: Mapping[str, set[str]]) -> dict[str, Any]:
    values = {**row, **{f"{FEATURES}{name}": value for name, value in row["features"].items()}}
    return {name: _plain(values.get(name), kinds, name) for name, kinds in columns.items()}


def _plain(value: Any, kinds: set[str], name: str) -> Any:
    """Return a value as a column of one kind holds it."""
    if value is None:
        return None
    kind = kind_of(kinds, name)
    if kind == "number":
        return float(value)
    return value if kind in ("text", "truth") else orjson.dumps(value).decode()


def kind_of(kinds: set[str], name: str = "") -> str:
    """Return what a column holds, by its values' types: `number`, `truth`, `text`, or `json` for text of mixed values."""
    seen = kinds - {"NoneType"}
    if name in NESTED:
        return "json"
    if seen <= {"int", "float"} and seen:
        return "number"
    if seen == {"bool"}:
        return "truth"
    return "text" if seen <= {"str"} else "json"


def _as_lines(part: Path, path: Path, columns: Mapping[str, set[str]]) -> None:
    part.replace(path)


def _as_csv(part: Path, path: Path, columns: Mapping[str, set[str]]) -> None:
    beside = path.with_name(f"{path.name}.new")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n")
        writer.writeheader()
        for row in _rows(part):
            writer.writerow(_flat(row, columns))
    beside.replace(path)


def _as_parquet(part: Path, path: Path, columns: Mapping[str, set[str]]) -> None:
    import pyarrow
    import pyarrow.parquet

    of = {"number": pyarrow.float64(), "truth": pyarrow.bool_()}
    schema = pyarrow.schema(
        [(name, of.get(kind_of(kinds, name), pyarrow.string())) for name, kinds in columns.items()]
    )
    beside = path.with_name(f"{path.name}.new")
    with pyarrow.parquet.ParquetWriter(beside, schema, compression="zstd") as writer:
        batch: list[dict[str, Any]] = []
        for row in _rows(part):
            batch.append(_flat(row, columns))
            if len(batch) == BATCH_ROWS:
                writer.write_table(pyarrow.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(pyarrow.Table.from_pylist(batch, schema))
    beside.replace(path)


def _require_parquet() -> None:
    try:
        import pyarrow.parquet  # noqa: F401 - whether it is there
    except ModuleNotFoundError as missing:
        raise MissingExtra("A Parquet file", "parquet") from missing


def _manifest(
    path: Path, wanted: Wanted, count: int, columns: Mapping[str, set[str]]
) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return {
        "file": path.name,
        "digest": f"sha256:{digest.hexdigest()}",
        "bytes": size,
        "rows": count,
        "columns": list(columns),
        "filter": wanted.record(),
        "control_cases": "left out",
    }


def _write_whole(path: Path, content: bytes) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)
