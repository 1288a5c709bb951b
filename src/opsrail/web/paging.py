"""Lists in pages: what a query may ask for, and where the next page is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from opsrail.web.door import Parameter


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


def next_page(request: Request, rows: Sequence[Any], shown: Sequence[Any], name: str) -> str | None:
    """Return the path of the next page; None when there is none.

    Args:
        rows: One more than are shown, where there are more.
    """
    if len(rows) == len(shown):
        return None
    url = request.url.include_query_params(after=getattr(shown[-1], name))
    return str(url.replace(scheme="", netloc=""))
