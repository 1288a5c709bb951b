"""Bulk rows as an Arrow IPC stream. Needs the extra `opsrail[parquet]`.

A column is a field of the request model. What comes from outside is looked at before Arrow believes it: buffers may not be
compressed (a few bytes could claim any size), rows cost at least what their columns hold, each batch is validated whole, and
a row that refers to more than may be sent is never written out (`bulk_arrow_sizes`).

Source:
    Apache Arrow, Columnar Format, IPC; Message.fbs for the places of fields.
"""

from __future__ import annotations

import asyncio
import io
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import pyarrow
from pydantic_core import PydanticSerializationError, to_json

from opsrail.web.bulk_arrow_sizes import PLAIN_BYTES, row_sizes
from opsrail.web.bulk_rows import Outcome, Row
from opsrail.web.problems import Malformed, protocol_text
from opsrail.web.reading import DEEPEST, MOST_VALUES

ARROW = "application/vnd.apache.arrow.stream"
SLICE_COUNT = 16
"""Rows that are taken out of a batch at a time. Ours: with rows of 1 MB that is what a small machine has left."""
FLUSH_COUNT = 64
MOST_COLUMNS = 1_000
DICTIONARY_BATCH, RECORD_BATCH = 2, 3
BROKEN = (
    pyarrow.ArrowException,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
)
"""What Arrow raises for bytes that are not what they say, and for values that Python has no form for."""
ANSWER = pyarrow.schema(
    [
        pyarrow.field("line", pyarrow.int64(), nullable=False),
        pyarrow.field("decision_id", pyarrow.string()),
        pyarrow.field("verdict", pyarrow.string()),
        pyarrow.field("score", pyarrow.float64()),
        pyarrow.field("confidence", pyarrow.float64()),
        pyarrow.field("degraded", pyarrow.bool_()),
        pyarrow.field("degraded_why", pyarrow.string()),
        pyarrow.field("model", pyarrow.string()),
        pyarrow.field("code", pyarrow.string()),
        pyarrow.field("detail", pyarrow.string()),
    ]
)
"""One row an outcome: of a decision `decision_id` to `model`, of a problem `code` and `detail`."""


class ArrowStream:
    """Record batches; `line` counts rows from 1.

    Args:
        most_bytes: Largest row, as JSON.
    """

    media_type = ARROW
    flush_count = FLUSH_COUNT

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._sink = io.BytesIO()
        self._writer = pyarrow.ipc.new_stream(pyarrow.PythonFile(self._sink, mode="w"), ANSWER)

    async def check(self, file: IO[bytes]) -> None:
        """Look at every message's head. Raises Malformed when it is no stream that is taken."""
        await asyncio.to_thread(_check, file)

    async def rows(self, file: IO[bytes]) -> AsyncIterator[Row]:
        """Yield the rows of all batches. Raises Malformed when one is not what its schema says."""
        batches = _batches(file)
        line = 0
        while True:
            batch, sizes = await asyncio.to_thread(_next_of, batches)
            if batch is None:
                return
            for at in range(0, batch.num_rows, SLICE_COUNT):
                until = at + SLICE_COUNT
                for row in _taken(batch.slice(at, SLICE_COUNT), sizes[at:until], self._most_bytes):
                    line += 1
                    yield _row(line, row)

    def written(self, outcomes: Sequence[Outcome]) -> bytes:
        """Return a batch of them."""
        columns = list(zip(*map(_cells, outcomes), strict=True))
        arrays = [
            pyarrow.array(cells, field.type) for cells, field in zip(columns, ANSWER, strict=True)
        ]
        self._writer.write_batch(pyarrow.record_batch(arrays, schema=ANSWER))
        return self._taken()

    def end(self) -> bytes:
        """Return the mark of the end."""
        self._writer.close()
        return self._taken()

    def _taken(self) -> bytes:
        taken = self._sink.getvalue()
        self._sink.seek(0)
        self._sink.truncate()
        return taken


def _check(file: IO[bytes]) -> None:
    with _told():
        for message in pyarrow.ipc.MessageReader.open_stream(_opened(file)):
            _check_message(message.metadata.to_pybytes())
        _check_schema(pyarrow.ipc.open_stream(_opened(file)).schema)


def _batches(file: IO[bytes]) -> Iterator[Any]:
    with _told():
        for batch in pyarrow.ipc.open_stream(_opened(file)):
            batch.validate(full=True)
            yield batch, row_sizes(batch)


@contextmanager
def _told() -> Iterator[None]:
    """Tell what Arrow finds wrong."""
    try:
        yield
    except (*BROKEN, IndexError, struct.error) as wrong:
        told = str(wrong).splitlines()[:1] or [type(wrong).__name__]
        raise Malformed(f"the body is no Arrow stream: {told[0][:200]}") from wrong


def _next_of(batches: Iterator[Any]) -> Any:
    return next(batches, (None, None))


def _taken(batch: Any, sizes: Any, most_bytes: int) -> Iterator[dict[str, Any] | Malformed]:
    """Yield the rows of a slice, or what is wrong with one of them.

    Args:
        sizes: As `row_sizes` says of these rows.
    """
    most = most_bytes + PLAIN_BYTES * MOST_VALUES
    if sizes.sum() <= most:
        try:
            rows = batch.to_pylist()
        except BROKEN:
            pass  # which row it is shows below
        else:
            yield from rows
            return
    for at, size in enumerate(sizes):
        if size > most:
            yield Malformed(f"the row is larger than {most_bytes:,} bytes")
            continue
        try:
            (row,) = batch.slice(at, 1).to_pylist()
        except BROKEN:
            yield Malformed("the row has a date, a time or another value out of range")
        else:
            yield row


class _Clipped(io.RawIOBase):
    """A file that is asked for no more than it holds, whatever a length in it says."""

    def __init__(self, file: IO[bytes], size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes

    def read(self, size: int = -1) -> bytes:
        left = self._size_bytes - self._file.tell()
        return self._file.read(left if size < 0 else min(size, left))

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()


def _opened(file: IO[bytes]) -> Any:
    """Return the file as Arrow reads it, from its beginning."""
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    return pyarrow.PythonFile(_Clipped(file, size_bytes), mode="r")


def _check_message(metadata: bytes) -> None:
    """Refuse compressed buffers."""
    message = struct.unpack_from("<I", metadata)[0]
    kind_at, header_at = _place(metadata, message, 1), _place(metadata, message, 2)
    if kind_at is None or header_at is None:
        return
    kind, batch = metadata[kind_at], _led(metadata, header_at)
    if kind == DICTIONARY_BATCH and (inner := _place(metadata, batch, 1)) is not None:
        kind, batch = RECORD_BATCH, _led(metadata, inner)
    if kind == RECORD_BATCH and _place(metadata, batch, 3) is not None:
        raise Malformed("the Arrow stream is compressed; write it without")


def _place(metadata: bytes, table: int, field: int) -> int | None:
    """Return where a field of a flatbuffers table stands; None when it is left out."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    slot = 4 + 2 * field
    if vtable < 0 or slot + 2 > struct.unpack_from("<H", metadata, vtable)[0]:
        return None
    offset = struct.unpack_from("<H", metadata, vtable + slot)[0]
    return table + offset if offset else None


def _led(metadata: bytes, at: int) -> int:
    """Return where an offset leads."""
    place: int = at + struct.unpack_from("<I", metadata, at)[0]
    return place


def _check_schema(schema: Any) -> None:
    names = schema.names
    if not 1 <= len(names) <= MOST_COLUMNS or len(set(names)) < len(names):
        raise Malformed(f"the Arrow stream needs 1 to {MOST_COLUMNS} columns of different names")
    for field in schema:
        _check_type(field.name, field.type, 1)


def _check_type(name: str, kind: Any, depth: int) -> None:
    """Refuse columns whose rows may cost nothing, so that no few bytes claim rows without end."""
    types = pyarrow.types
    if depth > DEEPEST:
        raise Malformed(f"column {name[:63]!r} is nested deeper than {DEEPEST} levels")
    if isinstance(kind, pyarrow.BaseExtensionType):
        return _check_type(name, kind.storage_type, depth + 1)
    if types.is_dictionary(kind):
        return _check_type(name, kind.value_type, depth + 1)
    unread = (types.is_null, types.is_run_end_encoded, types.is_fixed_size_list, types.is_union)
    if any(is_that(kind) for is_that in unread):
        raise Malformed(f"column {name[:63]!r} is {str(kind)[:63]}, which is not read")
    if types.is_struct(kind) and kind.num_fields == 0:
        raise Malformed(f"column {name[:63]!r} is a struct without fields")
    for at in range(kind.num_fields):
        inner = kind.field(at)
        _check_type(inner.name, inner.type, depth + 1)  # a name that is not UTF-8 shows here


def _row(line: int, row: dict[str, Any] | Malformed) -> Row:
    """Return a row as JSON; what is null is left out: the field's default holds."""
    if isinstance(row, Malformed):
        return Row(line, b"", row)
    try:
        given = {name: value for name, value in row.items() if value is not None}
        return Row(line, to_json(given, inf_nan_mode="null"))
    except (PydanticSerializationError, ValueError, RecursionError):
        return Row(line, b"", Malformed("the row cannot be written as JSON"))


def _cells(outcome: Outcome) -> tuple[Any, ...]:
    line, made, problem = outcome
    if made is None:
        told = problem or {}
        return (line, *(None,) * 7, told["code"], protocol_text(told))
    model = None if made.model is None else f"{made.model.name}/{made.model.number}"
    why = made.degraded_why
    said = (made.id, made.verdict, made.score, made.confidence, made.degraded, why, model)
    return (line, *said, None, None)
