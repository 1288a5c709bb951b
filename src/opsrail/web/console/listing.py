"""Lists in pages, by key: where the next one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request

from opsrail.ports import Store
from opsrail.values.rows import R, Where, among, equals
from opsrail.web.door import scopes_of

PAGE_COUNT = 50


def bounds(request: Request, query: Mapping[str, str], permission: str) -> list[Where]:
    """Return which rows of decision points a list is about: those that who asks may see, of one point, behind an id."""
    return [
        *(equals(point=query["point"]) if query.get("point") else []),
        *among("point", scopes_of(request, permission)),
        *([Where("id", "<", query["after"])] if "after" in query else []),
    ]


async def newest(store: Store, table: type[R], where: Sequence[Where]) -> list[R]:
    """Return a page's rows by id, newest first, and one more where there are more."""
    return await store.select(table, *where, order=("id",), descending=True, limit=PAGE_COUNT + 1)


def listed(request: Request, query: Mapping[str, str], rows: Sequence[Any]) -> dict[str, Any]:
    """Return what templates show of a list of rows by id: a page of it, and where the next and the first one are.

    Args:
        rows: As `newest` gives them.
    """
    first = request.url.path if "after" in query else ""
    return {"rows": rows[:PAGE_COUNT], "next": next_of(request, rows, PAGE_COUNT), "first": first}


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
