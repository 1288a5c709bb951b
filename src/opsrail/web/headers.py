"""The headers of a request, decoded once for all who look at them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Scope

PLACE = "opsrail.headers"
"""Where a request's scope holds them."""


class Headers(dict[str, str]):
    """Values by lower-case name; of a header that stands more than once the first."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._more: dict[str, list[str]] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            if name in self:
                self._more.setdefault(name, []).append(value)
            else:
                self[name] = value

    def every(self, name: str) -> list[str]:
        """Return all values of a header, in order."""
        return [self[name], *self._more.get(name, ())] if name in self else []


def headers_of(request: Request) -> Headers:
    """Return the headers of a request that came through the envelope."""
    headers: Headers = request.scope[PLACE]
    return headers
