"""The whole console, walked through over data that means to do harm in every field that others fill."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from opsrail.access.keys import Gate
from opsrail.app import build
from opsrail.cases.office import Office
from opsrail.config import load
from opsrail.web.console.catalog import pages_of
from opsrail.web.console.files import FOLDER
from opsrail.web.door import Door
from opsrail.web.routing import TEMPLATE
from tests.browser.conftest import sign_in
from tests.browser.crawl import Crawl, heading_faults
from tests.support.chromium import Watch
from tests.support.hostile import PAYLOADS, harm_in
from tests.support.hostile_installation import FILE, add_people, fill, prepare
from tests.support.served import Served, serving

NOT_BY_LINKS = frozenset(
    {
        "/console/sign-in",
        "/console/reviews/{review_id}/documents/{seq}",
        "/console/overview/part",
    }
)
"""Who is signed in is not led to the first; the second is an image, of reviews that have a document of their own; the third
is fetched when rows come or go, which may not be while one looks."""
BESIDE = 2
"""Tabs beside the first. Ours: while one waits for the server another is looked at."""
IN_FILTERS = ("script", "double quote", "attribute", "url", "template", "bidi", "long word")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hostile") / "installation"
    asyncio.run(prepare(folder))
    with serving(FILE, folder) as started:
        assert fill(started) > 20
        asyncio.run(add_people(folder))
        yield started


class Walked:
    """What one walk found.

    Attributes:
        asked: Paths that pages asked for, by links or by themselves.
    """

    def __init__(self, crawl: Crawl, watch: Watch, asked: set[str]) -> None:
        self.crawl, self.watch, self.asked = crawl, watch, asked


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def walked(
    browser: Browser, served: Served, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Walked]:
    context = await browser.new_context(
        base_url=served.url, color_scheme="light", reduced_motion="reduce"
    )
    watch, asked = Watch(served.url), set[str]()
    await watch.over(context)
    context.on("request", lambda one: asked.add(one.url.removeprefix(served.url).partition("?")[0]))
    page = await context.new_page()
    await sign_in(page, await served.link("admin", "admin"))
    crawl = Crawl(page, *[await context.new_page() for _ in range(BESIDE)])
    await crawl.walk()
    yield Walked(crawl, watch, asked)
    await context.close()


def pages(folder: Path) -> list[str]:
    """Return the path of every page and of all that pages ask for by themselves."""
    app = build(load()[0], folder)
    door = Door(app, Office(app.store, app.clock), Gate("127.0.0.1", ""), lambda: False)
    operations = pages_of(door)[1]
    told = [one.path for one in operations if one.method == "GET"]
    return [path for path in told if not path.startswith(FOLDER)]


async def test_every_page_is_reached_by_links_from_the_first(
    walked: Walked, tmp_path: Path
) -> None:
    ways = walked.asked | {each.partition("?")[0] for each in walked.crawl.files}

    lost = [
        path
        for path in pages(tmp_path)
        if path not in NOT_BY_LINKS
        and not any(re.fullmatch(TEMPLATE.sub("[^/]+", path), way) for way in ways)
    ]

    assert lost == []


async def test_every_link_leads_somewhere(walked: Walked) -> None:
    seen = walked.crawl.seen
    broken = {one.address: one.status for one in seen if one.is_linked and one.status >= 400}
    broken |= {address: status for address, status in walked.crawl.files.items() if status >= 400}

    assert broken == {}
    assert {one.address: one.status for one in seen if one.status >= 500} == {}


async def test_nothing_that_others_wrote_does_anything(walked: Walked) -> None:
    assert [(one.address, one.harm) for one in walked.crawl.seen if one.harm] == []
    assert walked.watch.faults == []


async def test_every_page_is_accessible_light_and_dark(walked: Walked) -> None:
    found = [f"{one.address}: {fault}" for one in walked.crawl.seen for fault in one.faults]

    assert found == [], "\n".join(found)


async def test_no_page_scrolls_sideways_at_400_percent(walked: Walked) -> None:
    assert {one.address: one.wide for one in walked.crawl.seen if one.wide} == {}


async def test_headings_are_in_order(walked: Walked) -> None:
    found = {one.address: heading_faults(one.led.headings) for one in walked.crawl.seen}

    assert {address: faults for address, faults in found.items() if faults} == {}


async def test_no_two_pages_have_one_title(walked: Walked) -> None:
    paths: dict[str, set[str]] = defaultdict(set)
    for one in (one for one in walked.crawl.seen if one.status < 400):
        paths[one.led.title].add(one.address.partition("?")[0])

    assert {title: held for title, held in paths.items() if len(held) > 1} == {}


async def test_what_is_asked_for_in_an_address_does_nothing(walked: Walked) -> None:
    asks = {ask.partition("=")[0] for one in walked.crawl.seen for ask in one.led.asks}
    harm = []
    for number, ask in enumerate(sorted(asks)):
        for name in (IN_FILTERS[number % len(IN_FILTERS)], "double quote"):
            seen = await walked.crawl.look(f"{ask}={quote(PAYLOADS[name])}", closely=False)
            harm += [(seen.address, each) for each in seen.harm]
            assert seen.status < 500, seen.address

    assert harm == []
    assert walked.watch.faults == []


async def test_a_page_that_is_not_there_shows_nothing_of_its_address(walked: Walked) -> None:
    for name in IN_FILTERS:
        address = f"/console/cases/{quote(PAYLOADS[name], safe='')}"
        seen = await walked.crawl.look(address, closely=False)

        assert seen.harm == []
        assert 400 <= seen.status < 500


async def test_the_search_for_harm_finds_it(page: Page) -> None:  # on the page to sign in
    await page.goto("/console")
    await page.evaluate(
        "() => { document.body.append(document.createElement('opsrailpwn'), '51317'); window.opsrailpwn = 1; }"
    )

    assert len(await harm_in(page)) == 3
