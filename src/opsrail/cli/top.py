"""`opsrail top`: a live view of a running server, from what its `GET /v1/stats` tells."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from opsrail.cli.options import Invocation, common, examples

if TYPE_CHECKING:
    from rich.console import Console

INTERVAL_S = 2.0
ENDS = frozenset(b"qQ\x03\x04")
"""Keys that end it: q, Ctrl-C, Ctrl-D."""
Ask = Callable[[], dict[str, Any]]


@click.command(
    epilog=examples(
        "opsrail top",
        "opsrail top --url http://10.0.0.5:8321 --interval 1",
        "opsrail top --once --json",
    )
)
@click.option("--url", metavar="URL", help="Server to watch. [default: web.host and web.port]")
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.2, 3600),
    default=INTERVAL_S,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks.",
)
@click.option(
    "--once", is_flag=True, help="Print one frame and end, as it does without a terminal."
)
@common
def top(invocation: Invocation, url: str | None, interval_s: float, once: bool) -> None:
    """Watch what a running server decides: rates, latencies by stage, models, cache, cost; q ends it.

    The key in web.api_key is sent along, where one is set.
    """
    from opsrail.cli.asking import Server, address
    from opsrail.cli.render import print_json
    from opsrail.cli.session import settings
    from opsrail.config import resolved

    config = settings(invocation)
    server = Server(url or address(config.web), resolved(config.web.api_key))

    def ask() -> dict[str, Any]:
        return server.get("/v1/stats")

    document = ask()
    if invocation.is_json:
        print_json(document)
    elif once or not sys.stdout.isatty():
        from rich.console import Console

        from opsrail.cli.top_frame import WIDTH, frame

        width = None if sys.stdout.isatty() else WIDTH
        console = Console(width=width, emoji=False, highlight=False)
        console.print(frame(document, server.url, width=console.width))
    else:
        _watch(document, ask, server.url, interval_s)


def _watch(document: dict[str, Any], ask: Ask, url: str, interval_s: float) -> None:
    """Show one frame after the other until somebody ends it."""
    from rich.console import Console
    from rich.live import Live

    from opsrail.cli.top_frame import frame
    from opsrail.errors import OpsrailError

    console: Console = Console(emoji=False, highlight=False)
    trouble = ""
    with (
        _ended_by_signals(),
        _keys() as is_ended_within,
        Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live,
    ):
        while True:
            live.update(frame(document, url, trouble, console.width), refresh=True)
            if is_ended_within(interval_s):
                return
            try:
                document, trouble = ask(), ""
            except OpsrailError as fault:
                trouble = str(fault)


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Give what waits some seconds and says whether a key or signal ended it meanwhile."""
    import os
    import select
    import termios
    import tty

    if not sys.stdin.isatty():
        yield lambda seconds: bool(select.select([], [], [], seconds)[0])
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)

    def is_ended_within(seconds: float) -> bool:
        ready, _, _ = select.select([number], [], [], seconds)
        if not ready:
            return False
        keys = os.read(
            number, 1024
        )  # all there are: an arrow is three, and sys.stdin would keep two of them back
        return not keys or not ENDS.isdisjoint(keys)

    try:
        tty.setcbreak(number)
        yield is_ended_within
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an end that leaves the terminal as it was."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)
