"""Serves an installation and counts the queries of each answer: `python -m bench.pages_server FOLDER`.

It is `opsrail serve` but for a store that counts what is asked of it; an answer's header `x-bench-queries` tells how often.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import orjson
import uvicorn
import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bench.console_rows import PEOPLE
from bench.console_store import EXAMPLE
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
from opsrail.ports import Store
from opsrail.store.sqlite import SqliteStore
from opsrail.web.asgi import create_asgi
from opsrail.web.connection import Connection
from opsrail.web.console.catalog import pages_of
from opsrail.web.door import Door
from opsrail.web.server import listen, seldom_collecting

ADMIN = PEOPLE[0].removeprefix("user:")
ASKED = {name for name in vars(Store) if not name.startswith("_")}
ASKED -= {"open", "close", "changed", "check", "now_ms"}
"""What of the port asks the database something; SQLite's clock is this machine's."""
GATE = "opsrail.access.directory"
"""Looks up who asks, at most once a second: no query of the page's."""
_counted: ContextVar[list[str] | None] = ContextVar("bench_counted", default=None)


class CountingStore(SqliteStore):
    """A store that notes what a request asks of it."""

    def __getattribute__(self, name: str) -> Any:
        if name in ASKED and (counted := _counted.get()) is not None:
            asker = sys._getframe(1).f_globals["__name__"]
            if asker != GATE:
                counted.append(name)
        return super().__getattribute__(name)


def told(asgi: ASGIApp) -> Callable[[Scope, Receive, Send], Any]:
    """Return the application with the number of queries in each answer's headers."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        counted: list[str] = []
        _counted.set(counted)

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], (b"x-bench-queries", b"%d" % len(counted))]
                message = {**message, "headers": headers}
            await send(message)

        await asgi(scope, receive, tell)

    return answer


def pages_in(app: App) -> list[str]:
    """Return the path template of every page."""
    door = Door(app, Office(app.store, app.clock), Gate("127.0.0.1", ""), lambda: False)
    return [one.path for one in pages_of(door)[1] if one.method == "GET"]


async def serve(folder: Path) -> None:
    """Serve until stdin ends."""
    clock = SystemClock()
    config, _ = load()
    store = CountingStore(folder / DATABASE, chain=WriterChain(clock), exclusive=True, clock=clock)
    signer = load_or_create_signer(folder / KEY_FILE, clock, config.ledger.origin)
    app = App(
        config, load_file(EXAMPLE), store, signer, clock, anchor=Anchor(folder / ANCHOR_FILE), alone=True
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
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            link, _ = await app.access.users.link(ADMIN, by="bench")
            told_once = {"url": url, "pages": pages_in(app), "link": link}
            print(orjson.dumps(told_once).decode(), flush=True)
            await server.serve(sockets=[listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1])))
