"""What every page of the console has around its own part, and what its forms must carry."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.requests import Request

from opsrail.clock import SystemClock
from opsrail.errors import Denied
from opsrail.web.console import words
from opsrail.web.console.files import contents
from opsrail.web.console.forms import CSRF, form_of
from opsrail.web.console.pages import Pages
from opsrail.web.console.words import ABSENT
from opsrail.web.door import Door
from opsrail.web.headers import PLACE, Headers
from opsrail.web.problems import Malformed, NotJson
from tests.unit.web.conftest import app_of, client_of

NONCE = re.compile(r"'nonce-([\w-]{20,})'")


async def test_a_page_that_is_not_there_is_told_as_a_page() -> None:
    async with client_of(app_of()) as client:
        answer = await client.get("/console/nothing")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>Not found</h1>" in answer.text


async def test_only_what_carries_the_nonce_of_its_page_runs_and_no_two_pages_share_one() -> None:
    async with client_of(app_of()) as client:
        pages = [await client.get("/console/nothing") for _ in range(2)]

    found = [set(NONCE.findall(page.headers["content-security-policy"])) for page in pages]
    assert all(len(nonces) == 1 for nonces in found)
    assert found[0] != found[1]
    for page, nonces in zip(pages, found, strict=True):
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        tags = re.findall(r"<(?:script|link rel=\"stylesheet\")[^>]*>", page.text)
        assert len(tags) >= 3
        assert all(f'nonce="{next(iter(nonces))}"' in tag for tag in tags)
        assert not re.search(r"\son\w+=|\sstyle=|javascript:", page.text)


async def test_files_are_kept_by_the_address_that_names_their_content_alone() -> None:
    async with client_of(app_of()) as client:
        page = await client.get("/console/nothing")
        named = re.findall(r'(?:href|src)="(/console/static/[^"]+)"', page.text)
        files = [await client.get(path) for path in named]
        bare = await client.get("/console/static/style.css")
        absent = await client.get("/console/static/..%2fpages.py")

    assert len(files) >= 3
    assert all(file.headers["cache-control"].endswith("immutable") for file in files)
    assert bare.headers["cache-control"] == "no-cache"
    assert all(file.headers["x-content-type-options"] == "nosniff" for file in files)
    assert absent.status_code == 404


def test_no_file_of_the_console_names_another_host() -> None:
    for name, content in contents().items():
        assert not re.search(rb"https?://|@import|\binnerHTML\b|\beval\b", content), name


async def test_an_error_is_told_as_text_never_as_markup() -> None:
    request = Request({"type": "http", "path": "/console/x", "headers": [], "query_string": b""})

    page = Pages(SystemClock()).problem(request, Denied("<script>alert(1)</script>"))

    assert page.status_code == 403
    assert b"<script>alert" not in page.body
    assert b"&lt;script&gt;alert(1)" in page.body


def posted(body: bytes, *, media: str = "application/x-www-form-urlencoded") -> Request:
    sent = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, object]:
        return next(sent)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/console/x",
        "headers": [(b"content-type", media.encode()), (b"content-length", b"%d" % len(body))],
        CSRF: "token",
    }
    scope[PLACE] = Headers(scope)
    return Request(scope, receive)


@pytest.fixture
def door() -> Door:
    app = app_of()
    return Door(app, None, None, lambda: False)  # type: ignore[arg-type]


async def test_a_form_is_read_when_it_carries_its_sessions_token(door: Door) -> None:
    form = await form_of(posted(b"csrf=token&each=1&each=2&note=caf%C3%A9+noir&none="), door)

    assert form.getlist("each") == ["1", "2"]
    assert (form["note"], form["none"]) == ("café noir", "")


@pytest.mark.parametrize("body", [b"note=x", b"csrf=&note=x", b"csrf=other", b"csrf=tok%C3%A9"])
async def test_a_form_of_another_session_does_nothing(door: Door, body: bytes) -> None:
    with pytest.raises(Denied, match="earlier session"):
        await form_of(posted(body), door)


@pytest.mark.parametrize("body", [b"csrf=token&a=%FF", b"csrf=token&a=\xe9", b"a=1&" * 2_001])
async def test_a_form_that_cannot_be_read_is_refused(door: Door, body: bytes) -> None:
    with pytest.raises(Malformed, match="form"):
        await form_of(posted(body), door)


async def test_a_form_is_nothing_else_than_urlencoded(door: Door) -> None:
    with pytest.raises(NotJson, match="form"):
        await form_of(posted(b"{}", media="application/json"), door)


@pytest.mark.parametrize(
    ("length_ms", "told"),
    [(None, ABSENT), (0, "0 ms"), (9.25, "9.2 ms"), (250, "250 ms"), (1_000, "1 s"), (95_000, "1.6 min"),
     (11_520_000, "3.2 h"), (-2_000, "-2 s"), (86_400_000 * 40, "40 d")],
)  # fmt: skip
def test_a_span_is_told_in_the_largest_unit_that_fits(length_ms: float | None, told: str) -> None:
    assert words.span(length_ms) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, ABSENT), (True, "yes"), ("plain", "plain"), (1234567, "1234567"), ({"a": [1]}, '{"a": [1]}')],
)  # fmt: skip
def test_any_plain_value_is_told(value: object, told: str) -> None:
    assert words.text(value) == told


def test_moments_shares_numbers_and_money_are_told() -> None:
    assert words.utc(1_796_000_587_000) == "2026-11-30 01:03:07 UTC"
    assert (words.share(0.62), words.share(None)) == ("62.0%", ABSENT)
    assert [words.number(each) for each in (1_234_567, 0.03125, 23_951.4)] == [
        "1,234,567",
        "0.03125",
        "23,951",
    ]
    assert (words.usd(0), words.usd(12.5), words.usd(0.000123)) == ("$0.00", "$12.50", "$0.000123")
