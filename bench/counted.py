"""Counts what one answer asks of a store: any of the house's stores, and an application that tells the count in a header."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from opsrail.ports import Store

HEADER = "x-bench-queries"
ASKED = {name for name in vars(Store) if not name.startswith("_")}
ASKED -= {"open", "close", "changed", "check", "now_ms"}
"""What of the port asks the database something; SQLite's clock is this machine's."""
GATE = "opsrail.access.directory"
"""Looks up who asks, at most once a second, and who there is, at most every ten: no query of the page's."""
_counted: ContextVar[list[str] | None] = ContextVar("bench_counted", default=None)


class Counting:
    """Stands before a store's class, so that the store notes what a request asks of it."""

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
                headers = [*message["headers"], (HEADER.encode(), b"%d" % len(counted))]
                message = {**message, "headers": headers}
            await send(message)

        await asgi(scope, receive, tell)

    return answer
