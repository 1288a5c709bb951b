"""From path and method to an operation: exact paths first, then templates; a wrong method learns which are right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route
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


def routes_of(operations: Iterable[Operation]) -> list[Route]:
    """Return one route a path."""
    paths: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation
    exact_first = sorted(paths, key=lambda path: len(TEMPLATE.findall(path)))
    return [Route(path, Methods(paths[path])) for path in exact_first]
