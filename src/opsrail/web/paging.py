"""Lists in pages: what a query may ask for, and where the next page is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from opsrail.web.door import Parameter, answer
from opsrail.web.reading import Page

T = TypeVar("T")


def choice(name: str, pattern: re.Pattern[str]) -> Parameter:
    """Return the description of a query parameter that picks rows."""
    schema = {"type": "string", "pattern": f"^(?:{pattern.pattern})$"}
    return Parameter(name, "query", schema, f"Only of this {name}.")


def after_parameter(name: str) -> Parameter:
    """Return the description of where a page begins."""
    pattern = {"type": "string", "pattern": "^[0-9A-Z-]{1,64}$"}
    return Parameter(
        "after", "query", pattern, f"The {name} of the last row of the page before; see `next`."
    )


def paged(
    request: Request,
    name: str,
    rows: Sequence[T],
    page: Page,
    record: Callable[[T], Mapping[str, object]],
    key: str = "id",
) -> Response:
    """Answer with a page of records, under the name of what is listed, and the path of the next one.

    Args:
        rows: One more than the page has, where there are more.
    """
    shown = rows[: page.limit]
    told = [record(row) for row in shown]
    return answer({name: told, "next": next_page(request, rows, shown, key)})


def next_page(request: Request, rows: Sequence[Any], shown: Sequence[Any], name: str) -> str | None:
    """Return the path of the next page; None when there is none.

    Args:
        rows: One more than are shown, where there are more.
    """
    if len(rows) == len(shown):
        return None
    url = request.url.include_query_params(after=getattr(shown[-1], name))
    return str(url.replace(scheme="", netloc=""))
