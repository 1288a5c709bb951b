"""From path and method to an operation: exact paths first, then templates; a wrong method learns which are right."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Match, Route
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


class Paths:
    """Serves all operations; an ASGI app that raises what goes wrong.

    Raises:
        HTTPException: 404, 405.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        paths: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            paths.setdefault(operation.path, {})[operation.method] = operation
        names = {path: len(TEMPLATE.findall(path)) for path in paths}
        templates = sorted((path for path in paths if names[path]), key=lambda path: names[path])
        self._exact = {path: Methods(held) for path, held in paths.items() if not names[path]}
        self._templates = [Route(path, Methods(paths[path])) for path in templates]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if (methods := self._exact.get(scope["path"])) is not None:
            return await methods(scope, receive, send)
        for route in self._templates:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                return await route.handle(scope, receive, send)
        raise HTTPException(404)
