"""From path and method to an operation: exact paths first, then templates; a wrong method learns which are right."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope

from opsrail.access.keys import Principal
from opsrail.errors import Denied
from opsrail.web.door import Operation

TEMPLATE = re.compile(r"\{[a-z_]+\}")


class Methods:
    """Serves one path: dispatches by method. HEAD is GET without its body."""

    def __init__(self, operations: Mapping[str, Operation]) -> None:
        self._operations = dict(operations)
        if "GET" in operations:
            self._operations["HEAD"] = operations["GET"]
        told = [method for method, operation in operations.items() if operation.is_told]
        self._allow = ", ".join(sorted([*told, *(["HEAD"] if "GET" in told else [])]))

    def is_full(self, scope: Scope) -> bool:
        """Return whether the operation would refuse a request whatever it asks; one that it would not, it expects."""
        operation = self._operations.get(scope["method"])
        if operation is None or operation.is_full is None:
            return False
        if operation.is_full(scope["headers"]):
            return True
        if operation.expect is not None:
            operation.expect()
        return False

    def __call__(self, scope: Scope, receive: Receive) -> Awaitable[Response]:
        operation = self._operations.get(scope["method"])
        if operation is None:
            raise HTTPException(405, headers={"allow": self._allow})
        if not operation.is_open:
            _authorize(scope, operation.permission)
        return operation.run(Request(scope, receive))


class Paths:
    """Serves all operations."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        paths: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            paths.setdefault(operation.path, {})[operation.method] = operation
        names = {path: len(TEMPLATE.findall(path)) for path in paths}
        templates = sorted((path for path in paths if names[path]), key=lambda path: names[path])
        self._exact = {path: Methods(held) for path, held in paths.items() if not names[path]}
        self._templates = [(Route(path, _nobody), Methods(paths[path])) for path in templates]

    def is_full(self, scope: Scope) -> bool:
        """Return whether a request would be refused whatever it asks."""
        methods = self._exact.get(scope["path"])
        return methods is not None and methods.is_full(scope)

    def answer(self, scope: Scope, receive: Receive) -> Awaitable[Response]:
        """Return what will be the answer to a request. Not a coroutine: it would be one more to go through.

        Raises:
            HTTPException: 404, 405.
            Denied: who asks holds the operation's permission nowhere.
        """
        if (methods := self._exact.get(scope["path"])) is not None:
            return methods(scope, receive)
        for route, methods in self._templates:
            match, found = route.matches(scope)
            if match is not Match.NONE:
                scope.update(found)
                return methods(scope, receive)
        raise HTTPException(404)


def _authorize(scope: Scope, permission: str | None) -> None:
    principal: Principal | None = scope.get("opsrail.principal")
    if principal is None or permission is None or not principal.grants.may_somewhere(permission):
        raise Denied(f"this needs {permission or 'a permission that nobody has'}; ask an admin")


async def _nobody(request: Request) -> Response:
    """Stand for an endpoint: a route here only matches."""
    raise HTTPException(404)
