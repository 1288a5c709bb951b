"""Lists in pages, by key: where the next one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request


def next_of(request: Request, rows: Sequence[Any], count: int, key: str = "id") -> str | None:
    """Return the address of the next page, with the filters of this one; None: there is none.

    Args:
        rows: One more than are shown, where there are more.
        count: How many are shown.
        key: Name of the column that the list goes by.
    """
    if len(rows) <= count:
        return None
    return further(request, str(getattr(rows[count - 1], key)))


def further(request: Request, after: str) -> str:
    """Return the address of the page that begins behind a key, with the filters of this one."""
    url = request.url.include_query_params(after=after)
    return str(url.replace(scheme="", netloc=""))
