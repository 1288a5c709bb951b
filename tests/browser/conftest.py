"""A real browser on a real `opsrail serve`. How to write such a test: CONTRIBUTING.md.

All of it runs in one event loop, the session's, since a browser belongs to the loop that started it; one browser serves the
whole run, each test has a context of its own, and each module one served installation.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.support.chromium import WAIT_MS, ChromiumMissing, Watch, chromium, find_chromium
from tests.support.served import ROOT, Served, serving

Visit = Callable[..., Awaitable[Page]]
SignIn = Callable[..., Awaitable[Page]]
HERE = Path(__file__).parent
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
EXAMPLE = ROOT / "examples" / "claims" / "automation.py"


expect.set_options(timeout=WAIT_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run this folder's coroutines in the session's loop."""
    mark = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if HERE in item.path.parents and isinstance(item, pytest.Function):
            item.add_marker(mark, append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The one browser of the run; where none is installed, skip at home and fail in CI."""
    try:
        find_chromium()
    except ChromiumMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{missing}; CI must have one")
        pytest.skip(f"{missing}; install the package `chromium` to run this test")
    async with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def automation() -> Path:
    """The file that `served` serves; a module overrides this fixture to serve another."""
    return EXAMPLE


@pytest.fixture(scope="module")
def served(automation: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An installation of this module's own, served; its tests share it, so they must not count on being alone."""
    with serving(automation, tmp_path_factory.mktemp("served") / "installation") as started:
        yield started


@pytest.fixture
def origin(served: Served) -> str:
    """The only place that pages may ask; a test that serves by itself overrides this."""
    return served.url


@pytest_asyncio.fixture(loop_scope="session")
async def watch(origin: str) -> AsyncIterator[Watch]:
    """What watches every page of the test; what it saw and the test did not expect fails the test."""
    watching = Watch(origin)
    yield watching
    assert watching.unexpected == [], "\n".join(["pages did what none may:", *watching.unexpected])


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser, origin: str, watch: Watch) -> AsyncIterator[Visit]:
    """Return what opens a page in a context of its own: another person, another device.

    Its keywords are those of `Browser.new_context`, e.g. `color_scheme="dark"`.
    """
    async with AsyncExitStack() as opened:

        async def open_page(**how: Any) -> Page:
            context = await browser.new_context(**{"base_url": origin, "viewport": DESKTOP} | how)
            opened.push_async_callback(context.close)
            context.set_default_timeout(WAIT_MS)
            await watch.over(context)
            return await context.new_page()

        yield open_page


@pytest_asyncio.fixture(loop_scope="session")
async def page(visit: Visit) -> Page:
    """A page on a desktop. `await page.goto("/console")` goes to the served installation."""
    return await visit()


@pytest_asyncio.fixture(loop_scope="session")
async def phone(visit: Visit) -> Page:
    """A page on a telephone."""
    return await visit(viewport=PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)


@pytest_asyncio.fixture(loop_scope="session")
async def no_javascript(visit: Visit) -> Page:
    """A page in a browser that runs no scripts."""
    return await visit(java_script_enabled=False)


@pytest_asyncio.fixture(loop_scope="session")
async def signed_in(visit: Visit, served: Served) -> SignIn:
    """Return what opens a page of a person who is signed in: `await signed_in("reviewer", "anna", scope="claims-intake")`.

    The first of them ends the days in which this machine alone is trusted: from then on `page` is nobody there.
    """

    async def open_as(
        role: str, name: str | None = None, *, scope: str = "*", skills: str = "", **how: Any
    ) -> Page:
        page = await visit(**how)
        await sign_in(page, await served.link(name or role, role, scope, skills))
        return page

    return open_as


async def sign_in(page: Page, link: str) -> None:
    """Have a page use a link that signs somebody in."""
    await page.goto(link)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(lambda url: "/sign-in" not in url)
