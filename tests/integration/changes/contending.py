"""A process with several contenders, each a thread with a connection of its own, who all act at the same moment.

Reads lines of JSON, `{"deeds": [[verb, change_id, who], ...]}`, one deed a contender; answers each with what came of it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from opsrail.clock import SystemClock
from opsrail.errors import OpsrailError
from opsrail.ledger.chain import WriterChain
from opsrail.store.catalog import open_store
from tests.support.approved import Installation


class Contender:
    """One thread with its own store."""

    def __init__(self, folder: Path, url: str, start: threading.Barrier) -> None:
        clock = SystemClock()
        self._runner = asyncio.Runner()
        self._store, _ = open_store(
            url, folder / "opsrail.db", WriterChain(clock), clock, exclusive=False
        )
        self._start = start

    def act(self, deed: list[str]) -> str:
        """Do one thing at the moment at which all do theirs; return what came of it."""
        return self._runner.run(self._act(*deed))

    def open(self) -> None:
        """Connect."""
        self._runner.run(self._store.open())

    def close(self) -> None:
        """Leave."""
        self._runner.run(self._store.close())
        self._runner.close()

    async def _act(self, verb: str, change_id: str, who: str) -> str:
        changes = Installation(self._store).changes
        self._start.wait()
        try:
            await getattr(changes, verb)(change_id, by=who)
        except OpsrailError as refused:
            return refused.code
        return "done"


def main(folder: str, url: str, count: str) -> None:
    """Serve until there is nothing more to read."""
    barrier = threading.Barrier(int(count))
    contenders = [Contender(Path(folder), url, barrier) for _ in range(int(count))]
    with ThreadPoolExecutor(int(count)) as threads:
        places: list[Any] = list(contenders)
        list(threads.map(Contender.open, places))
        print("ready", flush=True)
        for line in sys.stdin:
            deeds = json.loads(line)["deeds"]
            came = list(threads.map(Contender.act, places, deeds))
            print(json.dumps(came), flush=True)
        list(threads.map(Contender.close, places))


if __name__ == "__main__":
    main(*sys.argv[1:])
