"""Runs one command on an installation: settings, wiring, the event loop. Imported when a command runs, not before."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from opsrail.app import DATABASE, NOTHING, App, build
from opsrail.cases.loader import Definitions
from opsrail.cli.logs import log_to
from opsrail.cli.options import Invocation
from opsrail.config import Config, load
from opsrail.errors import NotFound

T = TypeVar("T")


def on_app(
    invocation: Invocation,
    work: Callable[[App], Awaitable[T]],
    definitions: Definitions = NOTHING,
    *,
    makes: bool = False,
    alone: bool = False,
    keeps: bool = True,
) -> T:
    """Open an installation that exists, do one thing with it, close it.

    Args:
        makes: Make it when it does not exist.
        alone: Nobody may carry cases on the folder meanwhile (SQLite).
        keeps: The work keeps something; where it does not and there is no installation, it has one that is gone afterwards.

    Raises:
        NotFound: the folder holds no installation. Terminal: nothing was made.
        DataDirInUse: somebody carries cases on it. Stop it first.
    """
    config = settings(invocation)
    if not keeps and not is_there(invocation, config):
        with tempfile.TemporaryDirectory(prefix="opsrail-") as folder:
            return on_app(replace(invocation, data=Path(folder)), work, definitions, makes=True)
    if makes:
        invocation.data.mkdir(parents=True, exist_ok=True)
    else:
        refuse_unless_there(invocation, config)
    log_to(invocation.data)

    async def once() -> T:
        async with build(config, invocation.data, definitions, runs=alone).opened() as app:
            return await work(app)

    return loop(once())


def on_running_app(
    invocation: Invocation,
    config: Config,
    definitions: Definitions,
    work: Callable[[App], Awaitable[T]],
) -> T:
    """Carry cases in an installation, made if missing, while the work lasts."""
    invocation.data.mkdir(parents=True, exist_ok=True)
    log_to(invocation.data)

    async def once() -> T:
        async with build(config, invocation.data, definitions, runs=True).running() as app:
            return await work(app)

    return loop(once())


def settings(invocation: Invocation) -> Config:
    """Return the settings that hold for the command."""
    return load(invocation.settings)[0]


def refuse_unless_there(invocation: Invocation, config: Config) -> None:
    """Raise NotFound when there is nothing to look at: looking must not make a new installation."""
    if not is_there(invocation, config):
        raise NotFound(
            f"{invocation.data} holds no opsrail installation; name its folder with --data, "
            f"or make one: `opsrail serve FILE.py`, or `opsrail run FILE.py --input ROWS.csv`"
        )


def is_there(invocation: Invocation, config: Config) -> bool:
    """Return whether there is an installation, as far as it can be seen without opening it."""
    return bool(config.store.url) or (invocation.data / DATABASE).is_file()


def loop(work: Coroutine[Any, Any, T], *, serves: bool = False) -> T:
    """Run a coroutine to its end; the first Ctrl-C or SIGTERM ends it in order, the second at once.

    A shell has what it puts in the background ignore Ctrl-C; SIGTERM ends it all the same.

    Args:
        serves: Whether it answers requests: then on uvloop, which takes a quarter less CPU for one.

    Raises:
        KeyboardInterrupt: it was ended so.
    """
    ended: list[signal.Signals] = []

    def end(task: asyncio.Task[Any]) -> None:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.raise_signal(signal.SIGINT)
        elif ended:
            raise KeyboardInterrupt
        else:
            ended.append(signal.SIGTERM)
            task.cancel()

    async def heeding() -> T:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end, task)
        return await work

    with asyncio.Runner(loop_factory=_uvloop if serves else None) as runner:
        try:
            return runner.run(heeding())
        except asyncio.CancelledError:
            if ended:
                raise KeyboardInterrupt from None
            raise


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def absolute(path: Path) -> Path:
    """Return a path that stays good when the working folder changes."""
    return path.expanduser().absolute()
