"""The process that does a job's work: it is told its order in one line, and tells in lines how far it is."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson

LARGEST_LINE_BYTES = 64_000_000
"""Of what came of a job, as JSON. Ours: a back-test with a thousand segments takes 1 MB."""
NICE = 10
"""How far behind decisions its process stands for the machine's time. Ours: half of the way to the last place."""


@asynccontextmanager
async def working(module: str, order: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[Any]]:
    """Run a module with an order while the block runs, and give what it tells; it is killed when the block ends.

    The process ends by itself when this one dies: its standard input is closed then.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BOOT, orjson.dumps(sys.path).decode(), module,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LARGEST_LINE_BYTES,
        start_new_session=True,
    )  # fmt: skip
    try:
        if process.stdin is None or process.stdout is None:
            raise OSError("the process has no pipes")
        process.stdin.write(orjson.dumps(order) + b"\n")
        with suppress(BrokenPipeError, ConnectionResetError):
            await process.stdin.drain()
        yield _told(process.stdout)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()


async def _told(stream: asyncio.StreamReader) -> AsyncIterator[Any]:
    async for line in stream:
        with suppress(orjson.JSONDecodeError):  # the last line of one that was killed
            yield orjson.loads(line)


BOOT = "import json, runpy, sys; sys.path[:] = json.loads(sys.argv[1]); runpy.run_module(sys.argv[2], run_name='__main__')"
"""Begins with the folders that this process imports from, wherever it was started."""
