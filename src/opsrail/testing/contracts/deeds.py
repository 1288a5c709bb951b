"""Sees what code does outside itself: files opened, sockets, processes, objects unpickled.

The interpreter tells such deeds to audit hooks. A hook cannot be taken away again, so one is set once and asleep outside of
`outside_deeds`. What native code does without the interpreter is not seen.

Source:
    PEP 578, Python runtime audit hooks; the audit events table of the Python documentation for the names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

OUTSIDE = (
    "open", "socket.", "subprocess.", "os.", "pickle.", "marshal.", "shutil.", "tempfile.", "urllib.", "http.",
    "ctypes.dlopen", "exec",
)  # fmt: skip
HARMLESS = frozenset({"os.putenv", "os.unsetenv", "socket.__new__"})
"""Memory of this process alone. A new socket that goes nowhere is how an event loop wakes itself."""

_watching: list[list[str]] = []
_is_set = False


@contextmanager
def outside_deeds() -> Iterator[list[str]]:
    """Yield a list that fills with the deeds of all threads while the block runs, each as `event: first argument`."""
    _set_hook()
    deeds: list[str] = []
    _watching.append(deeds)
    try:
        yield deeds
    finally:
        _watching.remove(deeds)


def _set_hook() -> None:
    global _is_set
    if not _is_set:
        _is_set = True
        sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if _watching and event.startswith(OUTSIDE) and event not in HARMLESS:
        told = f"{event}: {arguments[0]!r}" if arguments else event
        for deeds in _watching:
            deeds.append(told[:200])
