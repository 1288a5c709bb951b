"""The headers of a request, decoded once for all who look at them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Scope

SINGLE = frozenset(
    (
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "inference-header-content-length",
        "origin",
        "sec-fetch-site",
        "transfer-encoding",
        "x-opsrail-criticality",
        "x-opsrail-deadline-ms",
    )
)
"""Headers that hold one value: of two, a proxy before opsrail may have looked at the other (RFC 9110, section 5.3)."""
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

    def doubled(self) -> list[str]:
        """Return the headers that stand more than once although they hold one value."""
        return sorted(SINGLE & self._more.keys()) if self._more else []


def headers_of(request: Request) -> Headers:
    """Return the headers of a request that came through the envelope."""
    headers: Headers = request.scope[PLACE]
    return headers
