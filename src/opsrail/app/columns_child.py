"""The process that reads columns of decisions for who judges them meanwhile: two interpreters take two cores.

It speaks frames over its own pipes: four bytes of length, big-endian, then the body. In: first where the rows are, then
which part is wanted, as JSON. Out: first an empty object once the store is open, then for each wish how far the part
reaches, and the part as an Arrow stream. It ends when its input does, so it never outlives the process that started it.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pyarrow

from opsrail.clock import SystemClock
from opsrail.lab.history import part_of_rows
from opsrail.ledger.chain import WriterChain
from opsrail.store.catalog import open_store

LENGTH_BYTES = 4
BOOT = (
    "import json,sys;sys.path[:]=json.loads(sys.argv[1]);"
    "from opsrail.app.columns_child import main;main()"
)
"""What the child's interpreter runs: the parent's import path first, so that both see the same packages."""


def send(pipe: BinaryIO, body: bytes | memoryview) -> None:
    """Write a frame."""
    pipe.write(len(body).to_bytes(LENGTH_BYTES, "big"))
    pipe.write(body)
    pipe.flush()


def take(pipe: BinaryIO) -> bytes | None:
    """Read a frame; None: there is no whole one left."""
    head = pipe.read(LENGTH_BYTES)
    size = int.from_bytes(head, "big")
    body = pipe.read(size) if len(head) == LENGTH_BYTES else b""
    return body if len(head) == LENGTH_BYTES and len(body) == size else None


def main() -> None:
    """Read parts until the input ends. Blocking; owns the process."""
    gc.disable()  # rows are tuples by the ten thousand and hold no cycles: looking for some took a fifth of the time
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints must not land between the frames
        if (place := take(sys.stdin.buffer)) is not None:
            asyncio.run(_serve(orjson.loads(place), sys.stdin.buffer, answers))


async def _serve(place: dict[str, Any], wishes: BinaryIO, answers: BinaryIO) -> None:
    clock = SystemClock()
    store, _ = open_store(
        place["url"], Path(place["file"]), WriterChain(clock), clock, exclusive=False
    )
    await store.open()
    try:
        send(answers, b"{}")
        while (wish := take(wishes)) is not None:
            part, reached = await part_of_rows(store, **orjson.loads(wish))
            send(answers, reached.encode())
            send(answers, streamed(part))
    finally:
        await store.close()


def streamed(part: pyarrow.Table) -> memoryview:
    """Return a table as an Arrow stream."""
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, part.schema) as writer:
        writer.write_table(part)
    return memoryview(sink.getvalue())
