"""Streams end within seconds once who opened them may no longer have them: a key revoked, a session ended, a role taken."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import orjson
import pytest

from opsrail.access.roles import grants_of
from opsrail.app import App
from opsrail.review import ruled as ruled_module
from opsrail.web import standing
from opsrail.web.asgi import create_asgi
from opsrail.web.quality import reaches
from tests.unit.web.conftest import Caller, app_of, client_of
from tests.unit.web.signed import key, signed_in, user
from tests.unit.web.test_quality import ruled

EXPORT = "/v1/reviews/export"
LEDGER = "/v1/ledger/export"
BATCH = "/v1/decisions/fraud-risk:batch"
Deed = Callable[[], Awaitable[object]]


@pytest.fixture
async def app(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    """An installation in which six reviews are ruled; its streams send one line at a time, and look before each."""
    monkeypatch.setattr(standing, "CHECK_S", 0.0)
    monkeypatch.setattr(ruled_module, "PAGE_COUNT", 1)
    made = app_of()
    async with made.running():
        async with client_of(made) as client:
            await ruled(Caller(made, client), 6)
        yield made


async def streamed(
    app: App, method: str, path: str, headers: dict[str, str], deed: Deed, body: bytes = b""
) -> tuple[list[Any], bool]:
    """Ask, do something once the first piece is there, and return the pieces and whether the answer was whole.

    `httpx` gathers an answer before it hands it on; so this speaks ASGI.
    """
    pieces: list[Any] = []
    ended = []
    sent = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> Any:
        for message in sent:
            return message
        await asyncio.Event().wait()  # who asked stays

    async def send(message: Any) -> None:
        if message["type"] != "http.response.body":
            return
        if piece := message["body"]:
            is_json = path != LEDGER
            pieces.extend(map(orjson.loads, piece.splitlines()) if is_json else [piece])
            if len(pieces) == 1:
                await deed()
                app.access.directory.forget()  # as after a second
        ended.extend([True] if not message.get("more_body", False) else [])

    given = [(b"host", b"127.0.0.1:8321"), (b"content-type", b"application/jsonl")]
    given += [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": given, "http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1),
    }  # fmt: skip
    await create_asgi(app)(scope, receive, send)
    return pieces, bool(ended)


async def nothing() -> None:
    """Do nothing."""


async def test_an_export_ends_when_its_key_is_revoked_and_is_not_taken_for_whole(app: App) -> None:
    headers = await key(app, ("*", "operator"))
    whole = await streamed(app, "GET", EXPORT, headers, nothing)
    (made,) = await app.access.keys.list()

    async def revoke() -> object:
        return await app.access.keys.revoke(made.row.id, by="test")

    lines, is_whole = await streamed(app, "GET", EXPORT, headers, revoke)

    assert (len(whole[0]), whole[1]) == (6, True)
    assert (len(lines), is_whole) == (1, False)


async def test_an_export_ends_with_the_session_and_with_the_role(app: App) -> None:
    await user(app, "root", ("*", "admin"))
    await user(app, "otto", ("*", "operator"))
    found = []
    for deed in (
        lambda: app.access.users.revoke("otto", "*", "operator", by="root"),
        lambda: app.access.users.disable("otto", by="root"),
    ):
        async with signed_in(app, "otto") as browser:
            cookie = {"cookie": f"opsrail={browser.cookies['opsrail']}"}
            found.append(await streamed(app, "GET", EXPORT, cookie, deed))
        await app.access.users.grant("otto", "*", "operator", by="root")

    assert [(len(lines), is_whole) for lines, is_whole in found] == [(1, False)] * 2


async def test_a_ledger_that_is_being_sent_ends_with_its_key_and_cannot_be_unpacked(
    app: App,
) -> None:
    headers = await key(app, ("*", "viewer"))
    (made,) = await app.access.keys.list()
    whole = await streamed(app, "GET", LEDGER, headers, nothing)

    async def revoke() -> object:
        return await app.access.keys.revoke(made.row.id, by="test")

    pieces, is_whole = await streamed(app, "GET", LEDGER, headers, revoke)

    assert zipfile.is_zipfile(io.BytesIO(b"".join(whole[0])))
    assert whole[1]
    assert (len(pieces), is_whole) == (1, False)
    assert not zipfile.is_zipfile(io.BytesIO(pieces[0]))


async def test_no_further_row_is_decided_for_a_key_that_was_revoked(app: App) -> None:
    headers = await key(app, ("fraud-risk", "caller"))
    (made,) = await app.access.keys.list()
    rows = b"\n".join(orjson.dumps({"claim_id": f"c-{n}", "amount": 9}) for n in range(400))

    async def revoke() -> object:
        return await app.access.keys.revoke(made.row.id, by="test")

    lines, is_whole = await streamed(app, "POST", BATCH, headers, revoke, rows)

    assert is_whole
    assert len(lines) < 200
    assert (lines[-1]["status"], lines[-1]["code"]) == (403, "denied")
    assert lines[0]["verdict"] == "approve"


def test_what_is_sent_of_some_automations_is_sent_as_long_as_all_of_them_are_held() -> None:
    held = [
        grants_of([("*", "operator")]),
        grants_of([("claims", "operator"), ("loans", "operator")]),
        grants_of([("claims", "operator")]),
        grants_of([("claims", "viewer")]),
    ]
    both = frozenset({"claims", "loans"})

    assert [reaches(one, None) for one in held] == [True, False, False, False]
    assert [reaches(one, both) for one in held] == [True, True, False, False]
