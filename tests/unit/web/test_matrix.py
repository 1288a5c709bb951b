"""Every route x every role x where it is held: generated from the routes, so that none is without its row.

What lies in `claims-intake` and at `fraud-risk` is asked for by keys that hold a role there, elsewhere, everywhere, and by
nobody. A role that lacks the route's permission is refused; one that holds it elsewhere sees and changes nothing of it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import orjson
import pytest

from opsrail.access.roles import PERMISSIONS, ROLES, SIGNED_IN
from opsrail.app import App
from opsrail.cases.office import Office
from opsrail.values.changes import ChangeRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import ReviewRow
from opsrail.values.rollouts import AlarmRow
from opsrail.values.rows import Insert
from opsrail.web.asgi import create_asgi, gate_of, operations_of
from opsrail.web.door import Door, Operation
from tests.unit.web.bodies import body_of
from tests.unit.web.conftest import app_of, client_of
from tests.unit.web.signed import key, send, signed_in, user

OWN = ("claims-intake", "fraud-risk", "slow", "broken")
ELSEWHERE = ("loans", "loan-risk")
MARK = "ZZMARKZZ"
ANSWER_S = 5.0
OF_NO_SCOPE = {"features.read", "features.write", "models.change"}
"""What belongs to no automation or point; a role within one does not reach it."""
ALSO_OF_NO_SCOPE = {
    "models", "model", "model_card", "processes", "stats", "disable_user", "enable_user", "link_user", "add_user",
    "console_disable", "console_enable", "console_link", "console_models", "console_model", "console_model_diff",
    "console_overview", "console_overview_live", "console_model_version",
    "training_set", "add_training_set",
    "controls", "add_controls", "remove_control", "export_ledger",
}  # fmt: skip


OF_NO_OBJECT = {"console_next_review", "console_rule_alike"}
"""Forms that name no object here: what they look among is filtered, what they tick is looked at one by one."""
NAMES_SEVERAL = {"rule_reviews"}
"""What names several objects in its body: those that there are not are told all at once, as 409."""
RULED_INSIDE = {"send_file"}
"""Where anything that a job may need will do: more than one permission, so the route looks itself."""
OF_THE_TREE = {"consistency"}
"""What tells hashes of the whole ledger, and nothing that stands in it."""


class Asked(NamedTuple):
    """What came back: the status and as much of the body as came at once."""

    status: int
    text: str


class House(NamedTuple):
    """An installation with one of everything in the scopes that are `OWN`."""

    app: App
    asgi: Any
    operations: list[Operation]
    ids: Mapping[str, str]
    keys: Mapping[tuple[str, str], Mapping[str, str]]


async def furnished(app: App) -> dict[str, str]:
    """Make one of everything; returns what each path parameter may name."""
    async with client_of(app) as client:
        claim = {"claim_id": MARK, "amount": 1500.0}
        case = (
            await client.post("/v1/cases/claims-intake", json=claim, headers={"prefer": "wait=9"})
        ).json()
        plan = {
            "point": "fraud-risk", "kind": "deadline", "content": {"deadline_ms": 321}, "by": "ann", "reason": MARK,
        }  # fmt: skip
        change = (await client.post("/v1/changes", json=plan)).json()
    review = (await app.store.select(ReviewRow))[0]
    decision = (await app.store.select(DecisionRow))[0]
    alarm = app.clock.new_id()
    await app.store.commit(
        [Insert(AlarmRow(alarm, "fraud-risk", "guard", MARK, MARK, "{}", 1, None, None))]
    )
    assert (await app.store.get(ChangeRow, change["id"])) is not None
    return {
        "case_id": case["id"], "decision_id": decision.id, "review_id": review.id, "change_id": change["id"],
        "alarm_id": alarm, "subject_id": case["id"], "point": "fraud-risk", "model": "fraud-risk",
        "version": "1", "name": "zoe", "number": "1", "view": "people", "automation": "claims-intake",
        "queue": "claims-desk",
    }  # fmt: skip


@pytest.fixture
async def house() -> AsyncIterator[House]:
    app = app_of()
    async with app.running():
        ids = await furnished(app)
        await user(app, "zoe", ("claims-intake", "viewer"))
        places = {"own": OWN, "elsewhere": ELSEWHERE, "everywhere": ("*",)}
        keys = {
            (role, place): await key(app, *((scope, role) for scope in scopes))
            for role in ROLES
            for place, scopes in places.items()
        }
        gate = gate_of(app, "127.0.0.1")
        door = Door(app, Office(app.store, app.clock), gate, lambda: False)
        yield House(app, create_asgi(app), operations_of(door)[1], ids, keys)


async def test_a_role_that_lacks_a_routes_permission_is_refused_and_nobody_else_is(
    house: House,
) -> None:
    wrong = []
    for operation in closed(house):
        for role in ROLES:
            for place in ("own", "everywhere"):
                answer = await asked(house, operation, house.keys[role, place])
                if problem := misjudged(operation, role, place, answer):
                    wrong.append(problem)

    assert not wrong, "\n".join(map(str, wrong))


async def test_what_lies_elsewhere_is_neither_seen_nor_touched(house: House) -> None:
    wrong = []
    for operation in closed(house):
        for role, held in ROLES.items():
            if operation.permission not in held - SIGNED_IN or operation.name in OF_THE_TREE:
                continue
            answer = await asked(house, operation, house.keys[role, "elsewhere"])
            is_list = answer.status == 200 and (
                operation.method == "GET" or operation.name == "next_review"
            )
            is_form = operation.name in OF_NO_OBJECT and answer.status in (303, 422)
            is_unknown = operation.name in NAMES_SEVERAL and answer.status == 409
            is_shut = answer.status in (403, 404, 405) or is_list or is_form or is_unknown
            leaked = [one for one in (MARK, *private(house)) if one in answer.text]
            if not is_shut or (leaked and (is_list or is_form or is_unknown)):
                wrong.append((operation.method, operation.path, role, answer.status, leaked))

    assert not wrong, "\n".join(map(str, wrong))


async def test_what_a_query_names_elsewhere_is_not_seen(house: House) -> None:
    wrong = []
    for operation in closed(house):
        for role, held in ROLES.items():
            if operation.method != "GET" or operation.permission not in held - SIGNED_IN:
                continue
            for name, value in named_in_queries(house):
                query = urlencode({**dict(parse_qsl(needed(operation).decode())), name: value})
                headers = house.keys[role, "elsewhere"]
                answer = await asked(house, operation, headers, query=query.encode())
                told = [MARK, *private(house), "decision.made", "case.submitted", "review.opened"]
                leaked = [one for one in told if one != value and one in answer.text]
                if answer.status == 200 and leaked:
                    wrong.append((operation.path, query, role, leaked))

    assert not wrong, "\n".join(map(str, wrong))


async def test_nobody_comes_in_without_a_key_or_a_session(house: House) -> None:
    wrong = []
    for operation in closed(house):
        answer = await asked(house, operation, {})
        right = (303, 401) if operation.path.startswith("/console") else (401,)
        if answer.status not in right:
            wrong.append((operation.method, operation.path, answer.status))

    assert not wrong, "\n".join(map(str, wrong))


async def test_no_unsafe_route_heeds_a_session_without_its_token_or_from_another_site(
    house: House,
) -> None:
    await user(house.app, "root", ("*", "admin"))
    wrong = []
    async with signed_in(house.app, "root") as browser:
        cookie = {"cookie": f"opsrail={browser.cookies['opsrail']}"}
        known = await house.app.access.directory.of_session(browser.cookies["opsrail"])
        assert known is not None
        for operation in closed(house):
            if operation.method == "GET":
                continue
            bare = await asked(house, operation, cookie)
            foreign = {**cookie, "x-csrf": known.csrf, "origin": "https://evil.example"}
            other = await asked(house, operation, foreign)
            if (bare.status, other.status) != (403, 403):
                wrong.append((operation.method, operation.path, bare.status, other.status))
        still = await browser.get("/console/account")
        right = await send(browser, "/console/account/sessions")
        with_token = await browser.post(
            "/v1/users", json={"name": "new"}, headers={"x-csrf": known.csrf}
        )

    assert not wrong, "\n".join(map(str, wrong))
    assert (still.status_code, right.status_code, with_token.status_code) == (200, 303, 201)


async def test_a_key_acts_under_its_own_name_alone(house: House) -> None:
    operation = next(one for one in house.operations if one.name == "approve_change")
    wish = orjson.dumps({"by": "somebody-else"})
    answer = await asked(house, operation, house.keys["approver", "everywhere"], wish)

    assert answer.status == 403
    assert "names another" in answer.text


async def test_who_is_to_judge_first_does_not_find_the_score_in_the_case(house: House) -> None:
    operation = next(one for one in house.operations if one.name == "case")
    reviewer = await asked(house, operation, house.keys["reviewer", "own"])
    viewer = await asked(house, operation, house.keys["viewer", "own"])

    assert orjson.loads(reviewer.text)["decisions"] == []
    assert orjson.loads(viewer.text)["decisions"][0]["verdict"] == "review"


def closed(house: House) -> list[Operation]:
    return [one for one in house.operations if not one.is_open]


def private(house: House) -> list[str]:
    return [house.ids[name] for name in ("case_id", "decision_id", "change_id", "alarm_id")]


def named_in_queries(house: House) -> list[tuple[str, str]]:
    """Return parameters by which a query may name what lies elsewhere."""
    ids = house.ids
    return [
        *(("subject", ids[name]) for name in ("case_id", "decision_id", "review_id", "change_id")),
        ("subject", "fraud-risk"), ("subject", "fraud-risk/1"), ("case", ids["case_id"]), ("q", ids["case_id"]),
        ("point", "fraud-risk"), ("automation", "claims-intake"), ("queue", "claims-desk"),
        ("model", "fraud-risk/1"), ("after", ids["review_id"]),
    ]  # fmt: skip


def misjudged(operation: Operation, role: str, place: str, answer: Asked) -> str | None:
    """Return what is wrong with an answer to a role; None: nothing."""
    assert operation.permission in PERMISSIONS
    may = operation.permission in ROLES[role] | SIGNED_IN
    unscoped = operation.permission in OF_NO_SCOPE or operation.name in ALSO_OF_NO_SCOPE
    if may and (operation.name in RULED_INSIDE or (place == "own" and unscoped)):
        return None
    is_refused = answer.status in (401, 403) and "only who signed in" not in answer.text
    is_refused = is_refused and "somebody else gave this key" not in answer.text
    if is_refused == may or answer.status in (500, 502):
        told = f"{operation.method} {operation.path} ({operation.permission}) by {role} {place}"
        return f"{told}: {answer.status} {answer.text[:200]}"
    return None


async def asked(
    house: House,
    operation: Operation,
    headers: Mapping[str, str],
    body: bytes | None = None,
    query: bytes | None = None,
) -> Asked:
    """Ask a route as a client would; a stream is left after its first part."""
    path = re.sub(
        r"\{([a-z_]+)\}",
        lambda name: house.ids.get(name[1], "01K8ZC2V7N3T9D4M6Q0RWXYABC"),
        operation.path,
    )
    content = body if body is not None else content_of(operation)
    kind = (
        "application/x-www-form-urlencoded"
        if operation.path.startswith("/console")
        else next(iter(operation.content), "application/json")
    )
    lines = {"host": "127.0.0.1:8321", **headers}
    if operation.method != "GET":
        lines |= {"content-type": kind, "content-length": str(len(content))}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": operation.method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "",
        "query_string": needed(operation) if query is None else query,
        "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
        "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8321),
    }  # fmt: skip
    return await _called(house.asgi, scope, content)


async def _called(asgi: Any, scope: dict[str, Any], content: bytes) -> Asked:
    begun, parts = asyncio.Event(), []
    status = 0
    is_sent = False

    async def receive() -> dict[str, Any]:
        nonlocal is_sent
        if is_sent:
            await asyncio.Event().wait()
        is_sent = True
        return {"type": "http.request", "body": content, "more_body": False}

    async def take(message: dict[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            parts.append(message.get("body", b""))
            begun.set()

    serving = asyncio.ensure_future(asgi(scope, receive, take))
    first = asyncio.ensure_future(begun.wait())
    await asyncio.wait((serving, first), timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, first):
        task.cancel()
    await asyncio.gather(serving, first, return_exceptions=True)
    return Asked(status, b"".join(parts).decode("utf-8", "replace"))


def needed(operation: Operation) -> bytes:
    """Return the parameters that a route cannot be asked without."""
    return urlencode(
        {
            each.name: "1"
            for each in operation.parameters
            if each.place == "query" and each.is_required
        }
    ).encode()


def content_of(operation: Operation) -> bytes:
    """Return a body that a route reads without complaint, as far as its description tells."""
    if operation.method == "GET":
        return b""
    if operation.path.startswith("/console"):
        return urlencode(
            {"csrf": "", "scope": "claims-intake", "role": "viewer", "title": "x"}
        ).encode()
    return body_of(operation)
