"""The harness sees what it is there to see: pages of a server of our own do each thing that none may."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.async_api import Page

from tests.browser.conftest import Visit
from tests.support.chromium import Watch, page_faults

POLICY = (
    "default-src 'none'; script-src 'nonce-n'; connect-src 'self'; img-src 'self' data:; "
    "require-trusted-types-for 'script'; base-uri 'none'"
)
HEAD = "<!doctype html><html lang=en><title>T</title><link rel=icon href=data:,><main><h1>T</h1>"
PAGES = {
    "/good": HEAD + "<p>Fine.",
    "/console": HEAD + "<script nonce=n>console.error('oh')</script>",
    "/thrown": HEAD + "<script nonce=n>throw new Error('oh')</script>",
    "/handler": HEAD + "<p onclick='oh()'>x",
    "/sink": HEAD + "<script nonce=n>document.body.innerHTML = 'oh'</script>",
    "/elsewhere": HEAD + "<img src=https://elsewhere.example/oh.png>",
    "/fetched": HEAD + "<script nonce=n>fetch('/gone')</script>",
    "/image": HEAD + "<input><img src=data:,>",
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = PAGES.get(self.path)
        self.send_response(404 if text is None else 200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-security-policy", POLICY)
        self.end_headers()
        self.wfile.write((text or HEAD).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def naughty() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def origin(naughty: str) -> str:
    return naughty


async def test_a_page_that_does_nothing_wrong_leaves_no_fault(page: Page, watch: Watch) -> None:
    await page.goto("/good")

    assert watch.faults == []


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/console", "console error: oh"),
        ("/thrown", "thrown: oh"),
        ("/handler", "content security policy: script-src-attr"),
        ("/sink", "content security policy: require-trusted-types-for"),
        ("/elsewhere", "request to another place: GET https://elsewhere.example/oh.png"),
        ("/fetched", "status of 404"),
    ],
)
async def test_what_no_page_may_do_is_seen(page: Page, watch: Watch, path: str, fault: str) -> None:
    watch.expect(".")
    await page.goto(path)
    for _ in range(100):  # a loaded machine takes its time
        if any(fault in line for line in watch.faults):
            break
        await page.wait_for_timeout(50)

    assert any(fault in line for line in watch.faults), watch.faults


async def test_a_page_that_is_not_there_is_for_the_test_to_look_at(page: Page) -> None:
    answer = await page.goto("/gone")

    assert answer is not None
    assert answer.status == 404


async def test_axe_works_under_a_strict_policy_and_finds_what_is_wrong(page: Page) -> None:
    await page.goto("/image")

    found = await page_faults(page)

    assert [line.split()[0] for line in found] == ["image-alt", "label"]


async def test_without_scripts_none_runs(no_javascript: Page, watch: Watch) -> None:
    await no_javascript.goto("/console")

    assert watch.faults == []


async def test_two_visits_share_nothing(visit: Visit) -> None:
    one, other = await visit(), await visit()
    await one.goto("/good")
    await one.context.add_cookies([{"name": "a", "value": "b", "url": one.url}])
    await other.goto("/good")

    assert await other.context.cookies() == []
