"""Serves the door on a socket, in the loop that carries the cases, and ends in order.

Ctrl-C or SIGTERM: listening stops, requests under way are answered, then the app gives its cases back. A second
signal does not wait for requests.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn

from opsrail.app import App
from opsrail.errors import ConfigInvalid, Fault, MissingExtra
from opsrail.web.asgi import create_asgi
from opsrail.web.connection import Connection

log = logging.getLogger("opsrail.web")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
BACKLOG = 2_048
GRACE_S = 10
"""Time that requests under way have to end. Ours: less than the 30 s after which schedulers kill."""
KEEP_ALIVE_S = 30
GARBAGE = (20_000, 20, 100)
"""When the garbage collector looks: after so many new objects, and every 20th and 2,000th time at older ones. With Python's
700, 10 and 10 it took a third of a request's CPU with 64 in flight (bench serve): what a decision makes lives until it is
recorded, so nearly nothing that is looked at is garbage yet, and kept scores are looked at again and again."""


async def serve(
    app: App,
    host: str | None = None,
    port: int | None = None,
    *,
    announce: Callable[[str], object] = print,
) -> None:
    """Run the app and serve it until a signal comes; then end both in order.

    A ledger that was rolled back is served for reading until an operator acknowledges it; then work begins.

    Args:
        host: None: `web.host`.
        port: None: `web.port`; 0: any free one.
        announce: Called once with the real address when requests are answered, e.g. `http://127.0.0.1:8321`.

    Raises:
        ConfigInvalid: the address is taken, or can be reached from other machines and no key is set. Terminal: nothing ran.
        WeakDurability, SchemaMismatch, StoreUnavailable, DataDirInUse: see `App.running`.
    """
    with _listening(app, host, port) as (name, listener):
        async with app.running(waits=True):
            await _serve(app, name, listener, announce)


async def serve_running(
    app: App,
    host: str | None = None,
    port: int | None = None,
    *,
    announce: Callable[[str], object] = print,
) -> None:
    """As `serve`, for an app that runs already and goes on running afterwards."""
    with _listening(app, host, port) as (name, listener):
        await _serve(app, name, listener, announce)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: they would end the process before the app has."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(
    app: App, host: str, listener: socket.socket, announce: Callable[[str], object]
) -> None:
    server: _Server | None = None
    asgi = create_asgi(app, host=host, is_closing=lambda: server is not None and server.should_exit)
    config = uvicorn.Config(
        asgi,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)
    async with _beside(app, host, lambda: server.should_exit):
        with _signals(server), seldom_collecting():
            announce(_address(listener))
            await server.serve(sockets=[listener])


@asynccontextmanager
async def _beside(app: App, host: str, is_closing: Callable[[], bool]) -> AsyncIterator[None]:
    """Look for a first user while the block runs, and serve gRPC too, where a port is set for it."""
    watching = asyncio.create_task(app.access.directory.watch(), name="opsrail:users")
    try:
        async with _grpc(app, host, is_closing):
            yield
    finally:
        watching.cancel()


@asynccontextmanager
async def _grpc(app: App, host: str, is_closing: Callable[[], bool]) -> AsyncIterator[None]:
    if not app.config.web.grpc_port:
        yield
        return
    try:
        from opsrail.web.inference_grpc import serving
    except ModuleNotFoundError as missing:
        raise MissingExtra("The Open Inference Protocol over gRPC", "grpc") from missing
    async with serving(app, host, is_closing, grace_s=GRACE_S):
        yield


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Let the garbage collector leave what was loaded until now alone, and look seldom at the rest."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextmanager
def _signals(server: uvicorn.Server) -> Iterator[None]:
    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    loop = asyncio.get_running_loop()
    with suppress(
        ValueError, RuntimeError, NotImplementedError
    ):  # not the main thread: whoever runs this ends it
        for number in SIGNALS:
            loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in SIGNALS:
            with suppress(ValueError, RuntimeError, NotImplementedError):
                loop.remove_signal_handler(number)


@contextmanager
def _listening(app: App, host: str | None, port: int | None) -> Iterator[tuple[str, socket.socket]]:
    name = app.config.web.host if host is None else host
    number = app.config.web.port if port is None else port
    create_asgi(app, host=name)  # refuses an address that others reach, before anything starts
    try:
        listener = listen(name, number)
    except (OSError, OverflowError) as wrong:
        message = (
            f"{name}:{number} cannot be listened on: {wrong}; stop who does, or choose another"
        )
        raise ConfigInvalid(
            "the web server was not started", [Fault("web.port", message)]
        ) from wrong
    with listener:
        yield name, listener


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; its connections send small answers at once.

    asyncio turns Nagle's algorithm off only for sockets that say that they speak TCP, which those of `create_server` do not:
    with it each answer would wait about 40 ms for the caller's delayed acknowledgement (measured on Linux).
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
