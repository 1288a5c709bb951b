"""Every page that there is, over PostgreSQL, on an installation that others filled: answered, in few queries."""

from __future__ import annotations

import asyncio
import re
import urllib.error
import urllib.parse
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from email.message import Message
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio

from bench.counted import HEADER, Counting, told
from bench.page_links import led
from opsrail.access.keys import Gate
from opsrail.app import App
from opsrail.app.building import KEY_FILE
from opsrail.cases.loader import load_file
from opsrail.cases.office import Office
from opsrail.clock import SystemClock
from opsrail.config import load
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import load_or_create_signer
from opsrail.store.postgres import PostgresStore
from opsrail.web.asgi import create_asgi
from opsrail.web.console.catalog import pages_of
from opsrail.web.console.files import FOLDER
from opsrail.web.door import Door
from opsrail.web.routing import TEMPLATE
from tests.browser.crawl import kind_of
from tests.support.hostile_installation import FILE, add_people, fill, prepare
from tests.support.postgres import fresh_database

pytestmark = [pytest.mark.connected, pytest.mark.asyncio(loop_scope="module")]
HOST = "http://127.0.0.1:8321"
MOST_QUERIES = 5
MOST_OF_A_KIND = 2
WAIT_S = 20
NOT_BY_LINKS = frozenset(("/console/reviews/{review_id}/documents/{seq}",))
"""Images of scans, of which this installation has none."""
BY_ITSELF = ("/console/sign-in", "/console/overview/part", "/console/overview/live")


class CountingStore(Counting, PostgresStore):
    """A store that notes what a request asks of it."""


class Told(NamedTuple):
    """How one address was answered; what a form's field leads to is no link, and its word may be refused."""

    status: int
    media: str
    queries: int
    body: str
    is_linked: bool = True


class Served:
    """An installation, asked without a network: `ask` as the support's, `get` as a browser that is signed in."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.asgi = told(create_asgi(app))
        self.cookie = ""
        self._loop = loop
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(self.asgi), base_url=HOST)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask from another thread; a problem raises `HTTPError`."""
        asked = self._client.request(method, path, json=body)
        answer = asyncio.run_coroutine_threadsafe(asked, self._loop).result(WAIT_S)
        if answer.status_code >= 400:
            raise urllib.error.HTTPError(path, answer.status_code, answer.text, Message(), None)
        return answer.json()

    async def sign_in(self, name: str) -> None:
        """Be somebody from now on."""
        token, _ = await self.app.access.users.link(name, by="tests")
        form = {"csrf": "", "link": token, "to": "/console"}
        answer = await self._client.post(
            "/console/sign-in", data=form, headers={"origin": HOST, "cookie": ""}
        )
        self.cookie = answer.headers["set-cookie"].partition(";")[0]

    async def get(self, address: str) -> Told:
        """Ask for an address; of a stream its beginning."""
        path, _, query = address.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": urllib.parse.unquote(path), "raw_path": path.encode(), "query_string": query.encode(),
            "root_path": "", "server": ("127.0.0.1", 8321), "client": ("127.0.0.1", 5),
            "headers": [(b"host", b"127.0.0.1:8321"), (b"accept", b"text/html"), (b"cookie", self.cookie.encode())],
        }  # fmt: skip
        sent: asyncio.Queue[Any] = asyncio.Queue()
        asking = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            return asking.pop() if asking else await asyncio.Event().wait()

        answering = asyncio.create_task(self.asgi(scope, receive, sent.put))
        try:
            async with asyncio.timeout(WAIT_S):
                start = await sent.get()
                held = {name.decode(): value.decode() for name, value in start["headers"]}
                body, media = b"", held.get("content-type", "")
                is_whole = False
                while not is_whole:
                    part = await sent.get()
                    body += part["body"]
                    is_begun = "event-stream" in media and b"data: " in body
                    is_whole = is_begun or not part.get("more_body")
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
        return Told(start["status"], media, int(held[HEADER]), body.decode())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("pages") / "installation"
    with fresh_database(postgres_url) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSRAIL_STORE__URL", url)
        patch.setenv("OPSRAIL_STORE__ALLOW_WEAK", "true")
        await prepare(folder)
        config, _ = load()
        clock = SystemClock()
        signer = load_or_create_signer(folder / KEY_FILE, clock, config.ledger.origin)
        store = CountingStore(url, chain=WriterChain(clock), clock=clock)
        app = App(config, load_file(FILE), store, signer, clock, anchor=None, alone=True)
        async with app.running():
            found = Served(app, asyncio.get_running_loop())
            assert await asyncio.to_thread(fill, found) > 20
            await app.settle_ledger()
            await add_people(folder)
            await app.access.users.add("admin", by="tests", grants=[("*", "admin")], shown="Admin")
            app.access.directory.forget()
            await found.sign_in("admin")
            yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(served: Served) -> Mapping[str, Told]:
    """Every kind of page that links and forms lead to, and what pages fetch by themselves."""
    found: dict[str, Told] = {}
    waiting, known, counts = deque[tuple[str, bool]](), set[str](), dict[str, int]()
    waiting += [(address, True) for address in ("/console", *BY_ITSELF)]
    while waiting:
        address, is_linked = waiting.popleft()
        kind = kind_of(address)
        if address in known or counts.get(kind, 0) >= (1 if "?" in kind else MOST_OF_A_KIND):
            continue
        known.add(address)
        counts[kind] = counts.get(kind, 0) + 1
        answer = (await served.get(address))._replace(is_linked=is_linked)
        found[address] = answer
        if "text/html" in answer.media:
            leads = led(answer.body, address)
            streams = re.findall(r'data-live="([^"]+)"', answer.body)
            waiting += [(to, True) for to in (*leads.links, *streams) if to.startswith("/console")]
            waiting += [(to, False) for to in leads.asks]
    return found


def templates(app: App) -> Iterator[str]:
    door = Door(app, Office(app.store, app.clock), Gate("127.0.0.1", ""), lambda: False)
    for operation in pages_of(door)[1]:
        if operation.method == "GET" and not operation.path.startswith(FOLDER):
            yield operation.path


async def test_every_page_was_asked_for(served: Served, seen: Mapping[str, Told]) -> None:
    paths = {address.partition("?")[0] for address in seen}
    lost = [
        path
        for path in templates(served.app)
        if path not in NOT_BY_LINKS
        and not any(re.fullmatch(TEMPLATE.sub("[^/]+", path), one) for one in paths)
    ]

    assert lost == []


async def test_every_page_is_answered(seen: Mapping[str, Told]) -> None:
    refused = {
        address: (answer.status, answer.body[-2000:])
        for address, answer in seen.items()
        if answer.status not in ((200, 303) if answer.is_linked else (200, 422))
    }

    assert refused == {}


async def test_no_page_asks_the_database_more_than_five_times(seen: Mapping[str, Told]) -> None:
    most = {address: one.queries for address, one in seen.items() if one.queries > MOST_QUERIES}

    assert most == {}
    assert max(one.queries for one in seen.values()) > 1
