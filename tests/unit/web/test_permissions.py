"""Each route names what it needs, and a route that names nothing is shut."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from opsrail.access.keys import Gate, Principal
from opsrail.access.roles import PERMISSIONS, grants_of
from opsrail.cases.office import Office
from opsrail.errors import Denied
from opsrail.web.asgi import operations_of
from opsrail.web.door import Door, Operation, answer, by_of, permit, scopes_of
from opsrail.web.routing import Paths
from tests.unit.web.conftest import app_of


def test_every_route_names_a_permission_that_exists_unless_it_is_open_to_strangers() -> None:
    app = app_of()
    door = Door(app, Office(app.store, app.clock), Gate("127.0.0.1", ""), lambda: False)
    wrong = [
        f"{operation.method} {operation.path}: {operation.permission}"
        for operation in operations_of(door)[1]
        if operation.is_open != (operation.permission is None)
        or not (operation.is_open or operation.permission in PERMISSIONS)
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("permission", "held", "is_let_in"),
    [
        ("cases.read", [("claims", "viewer")], True),
        ("cases.read", [("*", "viewer")], True),
        ("cases.change", [("*", "viewer")], False),
        ("cases.read", [], False),
        (None, [("*", "admin")], False),
    ],
)
def test_who_holds_a_permission_nowhere_is_refused_before_the_route_runs(
    permission: str | None, held: list[tuple[str, str]], is_let_in: bool
) -> None:
    reached: list[Request] = []

    async def run(request: Request) -> Any:
        reached.append(request)
        return answer({})

    paths = Paths([Operation("GET", "/x", "x", "X.", run, permission=permission)])
    scope = request_of(Principal("user:anna", grants=grants_of(held))).scope
    if not is_let_in:
        with pytest.raises(Denied):
            paths.answer(scope, nothing)
        return
    awaitable: Any = paths.answer(scope, nothing)
    with pytest.raises(StopIteration):
        awaitable.send(None)

    assert len(reached) == 1


def test_what_lies_in_another_scope_is_refused_and_left_out_of_lists() -> None:
    request = request_of(Principal("user:anna", grants=grants_of([("claims", "operator")])))

    permit(request, "cases.change", "claims")
    with pytest.raises(Denied):
        permit(request, "cases.change", "loans")
    assert scopes_of(request, "cases.change") == frozenset({"claims"})
    assert scopes_of(request, "users.manage") == frozenset()


def test_a_request_of_nobody_is_refused_everywhere() -> None:
    with pytest.raises(Denied):
        permit(request_of(None), "cases.read", "claims")


def test_who_is_somebody_acts_under_their_own_name_alone() -> None:
    anna = request_of(Principal("user:anna"))

    assert [by_of(anna, given) for given in (None, "anna", "user:anna")] == ["user:anna"] * 3
    for another in ("user:ben", "ben", "", "key:anna"):
        with pytest.raises(Denied):
            by_of(anna, another)


def test_where_nobody_is_signed_in_the_body_says_who_acts() -> None:
    local = request_of(Principal("http:local"))

    assert by_of(local, "anna") == "anna"
    assert by_of(local, None) == "http:local"


def request_of(principal: Principal | None) -> Request:
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
    return Request({**scope, "opsrail.principal": principal})


async def nothing() -> Any:
    raise AssertionError("nobody reads a body")
