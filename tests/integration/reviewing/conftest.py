"""The console over an installation in a folder: every part is the real one, asked without a socket."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from opsrail.app import App, build
from opsrail.cases.intake import Submission
from opsrail.cases.loader import load_file
from opsrail.cases.office import Office, at_rest
from opsrail.config import Config
from opsrail.values.reviews import ReviewRow
from opsrail.values.rows import equals
from opsrail.web.asgi import create_asgi

ROOT = Path(__file__).parents[3]
HOST = "http://127.0.0.1:8321"
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Console:
    """A person at the console; who they are is `http:local`, as nobody has signed in."""

    def __init__(self, app: App, client: httpx.AsyncClient) -> None:
        self.app = app
        self._client = client

    async def get(self, path: str) -> httpx.Response:
        return await self._client.get(path)

    async def send(self, path: str, *pairs: tuple[str, str], **fields: str) -> httpx.Response:
        """Send a form and follow to the page that it leads to."""
        body = urlencode([*pairs, *fields.items()])
        return await self._client.post(path, content=body, headers=FORM, follow_redirects=True)

    async def review(self, **claim: Any) -> str:
        """Let a claim in and return the id of its review."""
        submission = Submission("desk-claims", {"number": 1, **claim}, "test")
        row, is_new = await self.app.intake.accept(submission)
        office = Office(self.app.store, self.app.clock)
        await at_rest(office, self.app.runner, row, is_new=is_new, wait_s=20)
        (review,) = await self.app.store.select(ReviewRow, *equals(case_id=row.id))
        return review.id


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    app = build(Config(), tmp_path, load_file(ROOT / "tests" / "support" / "desks.py"), runs=True)
    async with app.running():
        transport = httpx.ASGITransport(create_asgi(app))
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            yield Console(app, client)


def text_of(page: httpx.Response) -> str:
    """Return what a person reads of a page."""
    body = page.text.partition("<main")[2]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())
