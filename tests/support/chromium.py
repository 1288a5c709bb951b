"""Debian's Chromium, driven by Playwright: found, started, and every page watched for what a page must never do.

Nothing that is not on this machine can be reached from it: names other than loopback do not resolve.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    WebError,
    async_playwright,
)

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = (
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--disable-dev-shm-usage",  # containers have 64 MB there
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--no-first-run",
)
AXE = files("axe_playwright_python") / "axe.min.js"
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
WAIT_MS = 30_000
"""How long a page may take to do what a test waits for. Ours: a loaded machine with two cores."""
ON_VIOLATION = """document.addEventListener('securitypolicyviolation', told => window.opsrailViolation(
    `${told.effectiveDirective} blocked ${told.blockedURI} at ${told.sourceFile}:${told.lineNumber} ${told.sample}`));"""
STATUS = re.compile(r"Failed to load resource: the server responded with a status of \d+")


class ChromiumMissing(RuntimeError):
    """No Chromium is installed here."""


def find_chromium() -> Path:
    """Return the browser's program.

    Raises:
        ChromiumMissing: there is none. Install the package `chromium`.
    """
    for name in NAMES:
        if found := shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/bin"):
            return Path(found)
    raise ChromiumMissing(f"no Chromium is installed (looked for {', '.join(NAMES)})")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Run one browser for as long as the block lasts.

    Raises:
        ChromiumMissing: none is installed.
    """
    program = find_chromium()
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=program, args=[*SWITCHES, *as_root], headless=True
        )
        try:
            yield browser
        finally:
            await browser.close()


class Watch:
    """What pages of one test did that no page may do.

    Attributes:
        faults: Errors on the console or thrown, breaches of the content security policy, requests to other places, each as
            a line that names the page.
    """

    def __init__(self, origin: str) -> None:
        self.faults: list[str] = []
        self._origin = origin
        self._opened: set[str] = set()
        self._expected: list[re.Pattern[str]] = []

    def expect(self, pattern: str) -> None:
        """Forgive, in this test, faults in whose line a regular expression is found."""
        self._expected.append(re.compile(pattern))

    @property
    def unexpected(self) -> list[str]:
        """The faults that the test did not expect."""
        return [line for line in self.faults if not any(one.search(line) for one in self._expected)]

    async def over(self, context: BrowserContext) -> None:
        """Watch every page that the context opens from now on."""
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        await context.expose_binding("opsrailViolation", self._on_violation)
        await context.add_init_script(ON_VIOLATION)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        place = message.location.get("url", "")
        if STATUS.match(message.text) and place in self._opened:
            return  # the page itself answered 403 or 404: the test that opened it looks at that
        self._add(message.page, f"console {message.type}: {message.text} ({place})")

    def _on_error(self, error: WebError) -> None:
        self._add(error.page, f"thrown: {error.error}")

    def _on_request(self, request: Request) -> None:
        if request.is_navigation_request():
            self._opened.add(request.url)
        parts = urlsplit(request.url)
        if (
            parts.scheme not in ("data", "blob")
            and f"{parts.scheme}://{parts.netloc}" != self._origin
        ):
            self._add(None, f"request to another place: {request.method} {request.url}")

    def _on_violation(self, source: Any, line: str) -> None:
        self._add(source["page"], f"content security policy: {line}")

    def _add(self, page: Page | None, line: str) -> None:
        self.faults.append(f"{page.url if page else '-'}: {line}")


async def assert_accessible(page: Page, *, but: tuple[str, ...] = ()) -> None:
    """Fail where axe-core finds that a page breaks WCAG 2.2 AA or what axe calls best practice.

    Args:
        but: Ids of axe's rules that are left out; say why where you do.
    """
    found = await page_faults(page, but)
    assert found == [], f"{page.url} is not accessible:\n" + "\n".join(found)


async def page_faults(
    page: Page, but: tuple[str, ...] = (), *, only: tuple[str, ...] = ()
) -> list[str]:
    """Return what axe-core finds, a line a rule and place.

    Args:
        but: Ids of rules that are left out.
        only: Ids of the only rules that are looked at; empty: all of `AXE_TAGS`.
    """
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.read_text(encoding="utf-8") + "\n;0")
    which = {"type": "rule", "values": list(only)}
    options = {
        "runOnly": which if only else {"type": "tag", "values": list(AXE_TAGS)},
        "rules": {name: {"enabled": False} for name in but},
        "resultTypes": ["violations"],
    }
    result = await page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{rule['id']} ({rule['impact']}): {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in result["violations"]
        for node in rule["nodes"]
    ]
