"""Input files, checked whole before the first row runs: good rows are counted, bad rows are set aside in a file beside it.

Reading is streamed and done twice, once to check (`check_file`), once to accept (`good_rows`), so that a file of any length
takes the memory of one row. What a row is, the formats say (`rows.py`); whether it is good, the automation's model says.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import IO, Any, Self, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from opsrail.cases.definition import Automation
from opsrail.cases.intake import INPUT_BYTES, KEY_CHARACTERS, faults_of
from opsrail.cases.lines import Row, Rows
from opsrail.cases.rows import DOCUMENT, IMAGES, opened_rows, read_rows, unpacked
from opsrail.errors import Conflict, Fault, InvalidInput

SHOWN = 20
"""Rejected rows that are kept for the terminal; all of them stand in the file."""
TOLD_EVERY = 1_000
"""Rows between two reports of progress."""
SUFFIXES = (".gz", ".csv", ".jsonl", ".parquet")
Progress = Callable[[float, int, int], None]
"""Called with the part of the file that was read, in [0, 1], rows and rejected rows so far."""

__all__ = ["CheckedFile", "Rejected", "check_file", "good_rows", "read_rows", "rejected_path"]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was set aside.

    Attributes:
        line: Where it begins, counted from 1.
    """

    line: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        return f"line {self.line}: {faults_text(self.faults)}"


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """What checking a file found.

    Attributes:
        digest: `sha256:<hex>` of the automation's name and the (unpacked) content.
        rows: Rows in the file.
        rejected: Rows set aside.
        rejected_file: Where they were written; None when there are none.
        first_rejected: The first of them.
        stamp: Size and moment of change, to notice a file that changes while it is read.
    """

    path: Path
    digest: str
    rows: int
    rejected: int
    rejected_file: Path | None
    first_rejected: tuple[Rejected, ...]
    stamp: tuple[int, int]

    @property
    def good(self) -> int:
        """Rows that will be cases."""
        return self.rows - self.rejected

    def refuse_if_changed(self) -> None:
        """Raise Conflict when the file is not the one that was checked any more."""
        if _stamp(self.path) != self.stamp:
            raise Conflict(
                f"{self.path} changed while it was read; let it be finished, then run it again"
            )


class RowCheck:
    """What makes a row of one file an input of one automation.

    Args:
        folder: Where documents named by a row must lie; a relative path starts there.

    Raises:
        InvalidInput: the file lacks columns that every input needs, or a folder's documents fit no field. Terminal.
    """

    def __init__(
        self, automation: Automation[Any, Any], opened: Rows, path: Path, folder: Path
    ) -> None:
        fields = {
            _column(name, field): field for name, field in automation.case.model_fields.items()
        }
        self._automation = automation
        self._folder = folder.resolve()
        self._is_text = opened.is_text
        self._optional = frozenset(
            name for name, field in fields.items() if not field.is_required()
        )
        self._nullable = frozenset(
            name for name, field in fields.items() if _takes(field, type(None))
        )
        self._documents = tuple(name for name, field in fields.items() if _is_document(name, field))
        self._renamed = (
            _document_column(automation, fields, self._documents) if path.is_dir() else None
        )
        if opened.header is not None:
            missing = [
                name for name in fields if name not in self._optional and name not in opened.header
            ]
            if missing:
                found = [
                    Fault(
                        "columns", f"{name!r} is missing; the file has: {', '.join(opened.header)}"
                    )
                    for name in missing
                ]
                raise InvalidInput(f"{path} does not fit {automation.name}; no row was read", found)

    def model(self, row: Row) -> BaseModel | tuple[Fault, ...]:
        """Return the row as the automation's input, or every fault found."""
        if row.faults:
            return row.faults
        given = row.values if self._renamed is None else {self._renamed: row.values[DOCUMENT]}
        values = dict(self._present(given))
        found = [fault for name in self._documents if (fault := self._locate(name, values))]
        try:
            model = self._automation.case.model_validate(values, strict=False)
        except ValidationError as wrong:
            return (*found, *faults_of(wrong))
        return tuple(found) or self._kept(model)

    def _present(self, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, value in values.items():
            if value is None or (value == "" and self._is_text):
                if name in self._optional:
                    continue
                if name in self._nullable:
                    value = None
            yield name, value

    def _locate(self, name: str, values: dict[str, Any]) -> Fault | None:
        """Put a document's real path in place of the one the row gives."""
        given = values.get(name)
        if not isinstance(given, str) or not given:
            return None
        try:
            real = (self._folder / given).resolve(strict=True)
        except (OSError, ValueError):
            return Fault(name, f"there is no file {given!r} in {self._folder}")
        if not real.is_relative_to(self._folder):
            return Fault(
                name,
                f"{given!r} lies outside {self._folder}; move it there or set documents.folder",
            )
        if not real.is_file():
            return Fault(name, f"{given!r} is not a file")
        values[name] = str(real)
        return None

    def _kept(self, model: BaseModel) -> BaseModel | tuple[Fault, ...]:
        """Return the model when it reads back from its JSON, as the case will have it."""
        text = model.model_dump_json()
        if len(text) > INPUT_BYTES:
            return (Fault("", f"is {len(text):,} characters as JSON; at most {INPUT_BYTES:,}"),)
        try:
            self._automation.read(text)
        except ValidationError as wrong:
            return tuple(
                Fault(fault.place, f"does not read back from JSON: {fault.message}")
                for fault in faults_of(wrong)
            )
        if (key := self._automation.key) is not None:
            named = str(getattr(model, key))
            if not 1 <= len(named) <= KEY_CHARACTERS or "\0" in named:
                return (
                    Fault(key, f"names the case; give 1 to {KEY_CHARACTERS} characters, no NUL"),
                )
        return model


def check_file(
    path: Path,
    automation: Automation[Any, Any],
    *,
    folder: Path | None = None,
    progress: Progress = lambda ratio, rows, rejected: None,
) -> CheckedFile:
    """Check every row of a file and set the bad ones aside; nothing is accepted. Blocking.

    Bad rows are written to `rejected_path(path)`, whole or not at all: line, faults, and the row's cells as they stand.

    Args:
        folder: Where documents named by rows must lie; None: the file's own folder.

    Raises:
        InvalidInput: the file as a whole cannot be used: damaged, no column names, a column missing. Terminal.
        MissingExtra: it is Parquet and its packages are not installed. Terminal.
        Conflict: it changed while it was read.
    """
    stamp = _stamp(path)
    count = rejected = 0
    first: list[Rejected] = []
    with opened_rows(path) as opened, _Aside(rejected_path(path), opened.columns) as aside:
        check = RowCheck(automation, opened, path, folder or _own_folder(path))
        for count, row in enumerate(opened.rows, 1):
            checked = check.model(row)
            if isinstance(checked, tuple):
                rejected += 1
                aside.write(row, checked)
                if len(first) < SHOWN:
                    first.append(Rejected(row.line, checked))
            if count % TOLD_EVERY == 0:
                progress(opened.read_ratio(), count, rejected)
        found = CheckedFile(
            path, _digest(path, automation.name), count, rejected, aside.path, tuple(first), stamp
        )
        found.refuse_if_changed()
        aside.keep()
    progress(1.0, count, rejected)
    return found


def good_rows(
    checked: CheckedFile,
    automation: Automation[Any, Any],
    *,
    folder: Path | None = None,
    skip: int = 0,
) -> Iterator[BaseModel]:
    """Yield the good rows of a checked file as models, without the first `skip`. Blocking, lazy.

    Raises:
        Conflict: the file changed since it was checked.
    """
    checked.refuse_if_changed()
    with opened_rows(checked.path) as opened:
        check = RowCheck(automation, opened, checked.path, folder or _own_folder(checked.path))
        place = 0
        for row in opened.rows:
            model = check.model(row)
            if isinstance(model, BaseModel):
                place += 1
                if place > skip:
                    yield model
    checked.refuse_if_changed()


def rejected_path(path: Path) -> Path:
    """Return where a file's bad rows go: `claims.csv.gz` -> `claims.rejected.csv`, beside it."""
    name = path.absolute().name
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return path.absolute().with_name(f"{name}.rejected.csv")


def faults_text(faults: tuple[Fault, ...]) -> str:
    """Return faults in one cell; lines are not repeated."""
    return "; ".join(
        fault.message if fault.place.startswith("line ") else str(fault) for fault in faults
    )


class _Aside:
    """The file of rejected rows: begun with the first of them, in its place once `keep` was called, else gone."""

    def __init__(self, target: Path, columns: tuple[str, ...]) -> None:
        self._target = target
        self._part = target.with_name(f".{target.name}.{os.getpid()}.part")
        self._columns = columns
        self._file: IO[str] | None = None
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            with suppress(OSError):
                self._part.unlink(missing_ok=True)

    @property
    def path(self) -> Path | None:
        return None if self._file is None else self._target

    def write(self, row: Row, faults: tuple[Fault, ...]) -> None:
        try:
            if self._file is None:
                self._file = self._part.open(
                    "w", encoding="utf-8", errors="surrogateescape", newline=""
                )
                self._writer = csv.writer(self._file, lineterminator="\n")
                self._writer.writerow(("line", "faults", *self._columns))
            cells = (row.line, faults_text(faults), *row.original)
            if any("\r" in cell for cell in row.original):
                # else a carriage return by itself stands bare, and ends the row for who reads it
                csv.writer(self._file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(cells)
            else:
                self._writer.writerow(cells)
        except OSError as wrong:
            raise self._unwritable(wrong) from wrong

    def keep(self) -> None:
        if self._file is None:
            return
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            os.replace(self._part, self._target)
        except OSError as wrong:
            raise self._unwritable(wrong) from wrong

    def _unwritable(self, wrong: OSError) -> InvalidInput:
        return InvalidInput(
            f"rejected rows cannot be written to {self._target} ({wrong.strerror}); "
            f"make room there, or copy the input to a folder that you may write"
        )


def _digest(path: Path, automation: str) -> str:
    digest = hashlib.sha256(f"{automation}\n".encode())
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        if not path.is_dir() or file.suffix.lower() in IMAGES:
            with unpacked(file) as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
            digest.update(content if file == path else file.name.encode() + b"\0" + content)
    return f"sha256:{digest.hexdigest()}"


def _stamp(path: Path) -> tuple[int, int]:
    if not path.exists():
        raise InvalidInput(f"{path} does not exist; check the path")
    status = path.stat()
    return (status.st_size, status.st_mtime_ns)


def _own_folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _column(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    return alias if isinstance(alias, str) else name


def _takes(field: FieldInfo, kind: type) -> bool:
    """Return whether a field's annotation is a type, or a union that holds it."""
    annotation = field.annotation
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return any(one is kind for one in kinds)


def _is_document(name: str, field: FieldInfo) -> bool:
    return _takes(field, Path) or (name == DOCUMENT and _takes(field, str))


def _document_column(
    automation: Automation[Any, Any], fields: Mapping[str, FieldInfo], documents: tuple[str, ...]
) -> str:
    """Return the field that a folder's documents go to: the one that is a path, or is named `document`."""
    needed = [name for name, field in fields.items() if field.is_required()]
    if len(documents) != 1 or set(needed) - set(documents):
        raise InvalidInput(
            f"a folder fits an automation whose input is one document; {automation.case.__name__} needs "
            f"{', '.join(needed) or 'nothing'}. Annotate one field as pathlib.Path, or hand in a file that names documents"
        )
    return documents[0]
