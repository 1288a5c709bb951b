"""Rows of input files as they stand: CSV, JSON Lines (both also gzipped), Parquet, a folder of documents.

A row that cannot be read is a row with faults; a file that cannot be read at all is refused. Nothing here knows a
model.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from opsrail.cases.csv_rows import csv_rows
from opsrail.cases.lines import ROW_BYTES, Lines, Row, Rows, TooLong
from opsrail.errors import Fault, InvalidInput, MissingExtra

IMAGES: Mapping[str, tuple[bytes, ...]] = {
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".jpeg": (b"\xff\xd8\xff",),
    ".tif": (b"II*\0", b"MM\0*"),
    ".tiff": (b"II*\0", b"MM\0*"),
    ".bmp": (b"BM",),
    ".webp": (b"RIFF",),
}
"""Images a folder is searched for, and how their files begin. Source: the formats' specifications, first bytes."""
DOCUMENT = "document"
"""Column of a folder's rows."""


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file or folder.

    Raises:
        InvalidInput: the file as a whole cannot be read. Terminal.
        MissingExtra: it is Parquet, and the packages for that are not installed. Terminal.
    """
    with opened_rows(path) as opened:
        yield from opened.rows


@contextmanager
def opened_rows(path: Path) -> Iterator[Rows]:
    """Open a file or folder by its name's ending: `.csv`, `.csv.gz`, `.jsonl`, `.jsonl.gz`, `.parquet`.

    Raises:
        InvalidInput: it does not exist, has another ending, or cannot be read. Terminal.
        MissingExtra: as `read_rows`.
    """
    if path.is_dir():
        yield _folder(path)
        return
    kind = kind_of(path)
    with unpacked(path) as stream:
        if kind == "parquet":
            yield _parquet(path, stream)
            return
        raw = getattr(stream, "fileobj", stream)
        size_bytes = path.stat().st_size or 1
        read = csv_rows if kind == "csv" else _jsonl
        yield read(Lines(stream, path), path, lambda: min(raw.tell() / size_bytes, 1.0))


@contextmanager
def unpacked(path: Path) -> Iterator[Any]:
    """Open a file for reading bytes, those behind gzip when its name ends in `.gz`.

    Raises:
        InvalidInput: while the block reads: it is damaged or cannot be read. Terminal.
    """
    try:
        with path.open("rb") as raw:
            if path.name.endswith(".gz"):
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield stream
            else:
                yield raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as wrong:
        raise InvalidInput(f"{path} is damaged ({wrong}); pack it again with gzip") from wrong
    except OSError as wrong:
        raise InvalidInput(f"{path} cannot be read: {wrong.strerror or wrong}") from wrong


def kind_of(path: Path) -> str:
    """Return `csv`, `jsonl` or `parquet`. Raises InvalidInput for another ending, or when there is no such file."""
    kind = Path(path.name.removesuffix(".gz")).suffix.removeprefix(".").lower()
    if not path.exists():
        raise InvalidInput(f"{path} does not exist; check the path")
    if kind not in ("csv", "jsonl", "parquet") or (kind == "parquet" and path.suffix == ".gz"):
        raise InvalidInput(
            f"{path} is no input file; give a .csv, .csv.gz, .jsonl, .jsonl.gz, .parquet or a folder"
        )
    return kind


def _jsonl(lines: Lines, path: Path, read_ratio: Callable[[], float]) -> Rows:
    return Rows(("row",), None, _jsonl_rows(lines), read_ratio)


def _jsonl_rows(lines: Lines) -> Iterator[Row]:
    while True:
        lines.begin_row()
        try:
            text = next(lines)
        except StopIteration:
            return
        except TooLong:
            number, text, _ = lines.taken[-1]
            yield Row(
                number,
                {},
                (Fault(f"line {number}", f"is longer than {ROW_BYTES:,} characters"),),
                (text,),
            )
            continue
        number, _, why = lines.taken[-1]
        if not text.strip():
            continue
        values: Any = None
        if not why:
            try:
                values = from_json(text, allow_inf_nan=False)
            except ValueError as wrong:
                why = f"is not JSON: {str(wrong).partition(' at line')[0]}"
            else:
                why = "" if isinstance(values, dict) else "is not a JSON object"
        faults = (Fault(f"line {number}", why),) if why else ()
        yield Row(number, {} if why else values, faults, (text.rstrip("\r\n"),))


def _parquet(path: Path, raw: Any) -> Rows:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as missing:
        raise MissingExtra(f"Reading {path}", "parquet") from missing
    try:
        file = parquet.ParquetFile(raw)
    except ArrowException as wrong:
        raise InvalidInput(f"{path} is no Parquet file: {wrong}") from wrong
    columns = tuple(str(name) for name in file.schema_arrow.names)
    done = 0

    def rows() -> Iterator[Row]:
        nonlocal done
        try:
            for batch in file.iter_batches(batch_size=1_000):
                for values in batch.to_pylist():
                    done += 1
                    yield Row(done, values, (), tuple(_plain(value) for value in values.values()))
        except ArrowException as wrong:
            raise InvalidInput(f"{path} is damaged behind row {done}: {wrong}") from wrong

    return Rows(columns, columns, rows(), lambda: done / max(file.metadata.num_rows, 1))


def _plain(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return to_json(value, fallback=repr, inf_nan_mode="constants").decode().strip('"')


def _folder(path: Path) -> Rows:
    names = sorted(
        file for file in path.iterdir() if file.suffix.lower() in IMAGES and file.is_file()
    )
    if not names:
        raise InvalidInput(
            f"{path} holds no document; give a folder with images: {', '.join(IMAGES)}"
        )
    done = 0

    def rows() -> Iterator[Row]:
        nonlocal done
        for done, file in enumerate(names, 1):
            why = _image_fault(file)
            faults = (Fault(file.name, why),) if why else ()
            yield Row(done, {} if why else {DOCUMENT: file.name}, faults, (file.name,))

    return Rows((DOCUMENT,), None, rows(), lambda: done / len(names))


def _image_fault(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            begin = opened.read(8)
    except OSError as wrong:
        return f"cannot be read: {wrong.strerror}"
    return (
        ""
        if begin.startswith(IMAGES[file.suffix.lower()])
        else f"is not a {file.suffix.removeprefix('.')} image"
    )
