"""Serves an installation and counts the queries of each answer: `python -m bench.pages_server FOLDER`.

It is `opsrail serve`, settings of the environment included, but for a store that counts what is asked of it; an answer's
header `x-bench-queries` tells how often.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import orjson
import uvicorn
import uvloop

from bench.console_rows import PEOPLE
from bench.console_store import EXAMPLE
from bench.counted import Counting, told
from opsrail.access.keys import Gate
from opsrail.app import DATABASE, App
from opsrail.app.building import ANCHOR_FILE, KEY_FILE
from opsrail.cases.loader import load_file
from opsrail.cases.office import Office
from opsrail.clock import SystemClock
from opsrail.config import load
from opsrail.ledger.anchor import Anchor
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import load_or_create_signer
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
from opsrail.web.asgi import create_asgi
from opsrail.web.connection import Connection
from opsrail.web.console.catalog import pages_of
from opsrail.web.door import Door
from opsrail.web.server import listen, seldom_collecting

ADMIN = PEOPLE[0].removeprefix("user:")


class CountingSqlite(Counting, SqliteStore):
    """A file that notes what a request asks of it."""


class CountingPostgres(Counting, PostgresStore):
    """A database that notes what a request asks of it."""


def pages_in(app: App) -> list[str]:
    """Return the path template of every page."""
    door = Door(app, Office(app.store, app.clock), Gate("127.0.0.1", ""), lambda: False)
    return [one.path for one in pages_of(door)[1] if one.method == "GET"]


async def serve(folder: Path) -> None:
    """Serve until stdin ends."""
    clock = SystemClock()
    config, _ = load()
    url, chain = config.store.url, WriterChain(clock)
    store = (
        CountingPostgres(url, chain=chain, clock=clock)
        if url
        else CountingSqlite(folder / DATABASE, chain=chain, exclusive=True, clock=clock)
    )
    signer = load_or_create_signer(folder / KEY_FILE, clock, config.ledger.origin)
    app = App(
        config, load_file(EXAMPLE), store, signer, clock, anchor=Anchor(folder / ANCHOR_FILE), alone=not url
    )  # fmt: skip
    async with app.running():
        listener = listen("127.0.0.1", 0)
        set_up = uvicorn.Config(
            told(create_asgi(app)), http=Connection, ws="none", lifespan="off", log_config=None, access_log=False
        )  # fmt: skip
        server = uvicorn.Server(set_up)
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin, lambda: setattr(server, "should_exit", True))
        with seldom_collecting():
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            link, _ = await app.access.users.link(ADMIN, by="bench")
            told_once = {"url": address, "pages": pages_in(app), "link": link}
            print(orjson.dumps(told_once).decode(), flush=True)
            await server.serve(sockets=[listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1])))
