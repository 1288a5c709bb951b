"""Imports what computes over arrays when it is first asked for, off the event loop: it takes a second, and others decide."""

from __future__ import annotations

import asyncio
from importlib import import_module

from opsrail.errors import MissingExtra

_imported: set[str] = set()


async def imported(module: str, what: str) -> None:
    """Import a module of `opsrail.lab` in a thread; from then on an import of it costs nothing.

    Args:
        what: What was asked for, as a sentence begins.

    Raises:
        MissingExtra: its packages are not installed. Terminal.
    """
    if module in _imported:
        return
    try:
        await asyncio.to_thread(import_module, f"opsrail.lab.{module}")
    except ModuleNotFoundError as missing:
        raise MissingExtra(what, "lab") from missing
    _imported.add(module)
