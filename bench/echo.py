"""The limit: PORT BYTES; opsrail's own HTTP server with nothing behind it.

It reads the body and answers with so many bytes of JSON. Nothing is parsed, checked, scored or recorded.
"""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from opsrail.cli.session import loop
from opsrail.config import Config
from opsrail.web import server

ANSWER_BYTES = 1_190
"""Length of a whole decision of `tabular_point`, as `bench serve` finds it."""


def echo(size_bytes: int) -> Any:
    """Return an ASGI app that answers every request with the same JSON object."""
    around = len('{"echo":""}')
    body = b'{"echo":"%s"}' % (b"x" * max(0, size_bytes - around))
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ],
    }
    end = {"type": "http.response.body", "body": body}

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send(start)
        await send(end)

    return answer


def main() -> None:
    port, size_bytes = int(sys.argv[1]), int(sys.argv[2])
    app = echo(size_bytes)
    doors: Any = server
    doors.create_asgi = lambda *_, **__: app  # the same socket, loop and settings, another app
    doors._beside = lambda *_: nullcontext()  # nothing is done beside: no users, no gRPC
    settings: Any = SimpleNamespace(config=Config())
    served = server.serve_running(settings, "127.0.0.1", port, announce=lambda _: None)
    loop(served, serves=True)


if __name__ == "__main__":
    main()
