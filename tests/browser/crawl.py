"""Walks the console as a person with all rights would: every link and every form that only asks, and looks at each page."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from playwright.async_api import Error, Page, ViewportSize

from bench.page_links import Led, led
from tests.support.chromium import page_faults
from tests.support.hostile import harm_in

START = "/console"
NARROW: ViewportSize = {"width": 320, "height": 700}
"""WCAG 2.2, 1.4.10 Reflow: 320 CSS pixels, what 1280 are at 400 %."""
PLAIN = re.compile(r"[a-z][a-z-]*")
WIDE = """() => {
  const most = document.documentElement.clientWidth + 1;
  if (document.documentElement.scrollWidth <= most) return [];
  const wide = [...document.querySelectorAll('body *')].filter(each => {
    for (let at = each; at; at = at.parentElement) {
      if (at !== document.documentElement && at !== document.body && /auto|scroll|hidden|clip/.test(getComputedStyle(at).overflowX)) return false;
    }
    return each.getBoundingClientRect().right > most;
  });
  return wide.slice(-3).map(each => each.outerHTML.slice(0, 120));
}"""  # noqa: E501 - a condition that stands together


@dataclass
class Seen:
    """One page as it was seen.

    Attributes:
        kind: Its path without ids and names, with the names of what its query asks.
        harm: What payloads did to it.
        is_linked: Whether a link led there; else a field of a form was filled.
        faults: What axe-core finds, light and dark; looked for on the first page of each path.
        wide: What sticks out of a window of 320 pixels; as `faults`.
    """

    address: str
    kind: str
    status: int
    led: Led
    harm: list[str]
    is_linked: bool = True
    faults: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)


def kind_of(address: str) -> str:
    """Return what tells a kind of page from others: its path with `*` for what is not a plain word, and query names."""
    path, _, query = address.partition("?")
    parts = [part if PLAIN.fullmatch(part) else "*" for part in path.strip("/").split("/")]
    names = sorted({pair.partition("=")[0] for pair in query.split("&") if pair})
    return "/" + "/".join(parts) + ("?" + "&".join(names) if names else "")


class Crawl:
    """A walk through the console.

    Args:
        pages: Tabs of one browser, which walk beside each other.
        most: Pages of one kind that are looked at; of what a query asks for, one.
        closely: Whether the first of each kind is looked at by axe-core and in a narrow window.

    Attributes:
        seen: Pages, in the order of the walk.
        files: Links that lead to something else than a page, with their status.
    """

    def __init__(self, *pages: Page, most: int = 2, closely: bool = True) -> None:
        self._pages = pages
        self._closely = closely
        self._most = most
        self.seen: list[Seen] = []
        self.files: dict[str, int] = {}
        self._counts: dict[str, int] = {}
        self._begun: set[str] = set()
        self._known: dict[str, bool] = {}
        self._waiting: deque[str] = deque()

    async def walk(self, start: str = START) -> None:
        """Follow links until nothing new of a kind is left."""
        self._meet([start])
        under_way: dict[asyncio.Task[None], Page] = {}
        idle = list(self._pages)
        while self._waiting or under_way:
            while self._waiting and idle:
                if self._is_wanted(address := self._waiting.popleft()):
                    page = idle.pop()
                    under_way[asyncio.create_task(self._step(page, address))] = page
            if under_way:
                done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    idle.append(under_way.pop(task))
                    task.result()

    def _is_wanted(self, address: str) -> bool:
        kind = kind_of(address)
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        return count <= (1 if "?" in kind else self._most)

    async def _step(self, page: Page, address: str) -> None:
        try:
            found = await self.look(address, page, closely=self._closely)
        except Error as refused:
            if "Download is starting" not in refused.message:
                raise
            answer = await page.request.head(address, max_redirects=0)
            self.files[address] = answer.status
            return
        self._meet(found.led.links)
        self._meet(found.led.asks, are_links=False)

    def _meet(self, addresses: Sequence[str], *, are_links: bool = True) -> None:
        for address in addresses:
            if address.startswith(START) and address not in self._known:
                self._known[address] = are_links
                self._waiting.append(address)

    async def look(self, address: str, page: Page | None = None, *, closely: bool = True) -> Seen:
        """Open a page and look at it.

        Args:
            page: A tab; None: the first.
            closely: Whether the first of its kind is looked at by axe-core and in a narrow window.
        """
        page = page or self._pages[0]
        kind = kind_of(address)
        is_new = kind not in self._begun
        self._begun.add(kind)
        answer = await page.goto(address)
        assert answer is not None
        content = led(await page.content(), address)
        found = Seen(address, kind, answer.status, content, await harm_in(page))
        found.is_linked = self._known.get(address, False)
        # What a query asks for is another choice of the same parts.
        if closely and is_new and "?" not in kind:
            found.faults = await _accessible(page)
            await page.set_viewport_size(NARROW)
            found.wide = await page.evaluate(WIDE)
            await page.set_viewport_size({"width": 1280, "height": 800})
        if "text/html" in answer.headers.get("content-type", ""):
            self.seen.append(found)
        else:
            self.files[address] = answer.status
        return found


async def _accessible(page: Page) -> list[str]:
    faults = await page_faults(page)
    await page.emulate_media(color_scheme="dark")
    dark = await page_faults(page, only=("color-contrast", "link-in-text-block"))
    await page.emulate_media(color_scheme="light")
    return [*faults, *(f"dark: {line}" for line in dark)]


def heading_faults(levels: Sequence[int]) -> list[str]:
    """Return what is wrong with the order of a page's headings."""
    faults = [] if levels.count(1) == 1 else [f"{levels.count(1)} headings of level 1"]
    for before, level in zip((0, *levels), levels, strict=False):
        if level > before + 1:
            faults.append(f"level {level} follows level {before}")
    return faults
