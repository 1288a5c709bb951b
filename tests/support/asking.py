"""Tells what a request asks of a store from what the app's own loops ask of it meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_IS_ASKING: ContextVar[bool] = ContextVar("is_asking", default=False)


@contextmanager
def asking() -> Iterator[None]:
    """Let what runs in the block, and every task that it starts, count as a request."""
    token = _IS_ASKING.set(True)
    try:
        yield
    finally:
        _IS_ASKING.reset(token)


def is_asking() -> bool:
    """Return whether a request runs, and not a loop of the app."""
    return _IS_ASKING.get()
