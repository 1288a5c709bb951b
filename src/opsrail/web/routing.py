"""From path and method to an operation: exact paths first, then templates; a wrong method learns which are right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from opsrail.web.door import Operation

TEMPLATE = re.compile(r"\{[a-z_]+\}")


class Methods:
    """Serves one path: dispatches by method. HEAD is GET without its body."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = operations
        told = [method for method, operation in operations.items() if operation.is_told]
        self._allow = ", ".join(sorted([*told, *(["HEAD"] if "GET" in told else [])]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        operation = self._operations.get(method)
        if operation is None:
            raise HTTPException(405, headers={"allow": self._allow})
        response = await operation.run(Request(scope, receive))
        await response(scope, receive, send)


class Exact(BaseRoute):
    """All paths that are no templates: one look finds the right one."""

    def __init__(self, paths: Mapping[str, Methods]) -> None:
        self._paths = paths

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the request's path is one of them."""
        if scope["type"] == "http" and (found := self._paths.get(scope["path"])) is not None:
            return Match.FULL, {"endpoint": found}
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that matched."""
        await scope["endpoint"](scope, receive, send)


def routes_of(operations: Iterable[Operation]) -> list[BaseRoute]:
    """Return the routes: exact paths, then one a template, those with fewer names first."""
    paths: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation
    names = {path: len(TEMPLATE.findall(path)) for path in paths}
    exact = {path: Methods(held) for path, held in paths.items() if not names[path]}
    templates = sorted((path for path in paths if names[path]), key=lambda path: names[path])
    return [Exact(exact), *(Route(path, Methods(paths[path])) for path in templates)]
