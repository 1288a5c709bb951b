"""The headers of a request, decoded once for all who look at them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

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
NO_MORE: Mapping[str, list[str]] = MappingProxyType({})
PLACE = "opsrail.headers"
"""Where a request's scope holds them."""


class Headers(dict[str, str]):
    """Values by lower-case name; of a header that stands more than once the first."""

    __slots__ = ("_more",)

    def __init__(self, scope: Scope) -> None:
        raw = scope["headers"]
        super().__init__({name.decode("latin-1"): text.decode("latin-1") for name, text in raw})
        self._more: Mapping[str, list[str]] = NO_MORE if len(self) == len(raw) else self._sort(raw)

    def _sort(self, raw: Iterable[tuple[bytes, bytes]]) -> Mapping[str, list[str]]:
        """Hold the first value of each, and return what more there is."""
        more: dict[str, list[str]] = {}
        self.clear()
        for raw_name, raw_value in raw:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            if name in self:
                more.setdefault(name, []).append(value)
            else:
                self[name] = value
        return more

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
