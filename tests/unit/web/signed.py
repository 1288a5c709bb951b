"""People and programs at the door: users with roles, their browsers, keys."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx

from opsrail.app import App
from opsrail.web.asgi import create_asgi

HOST = "http://127.0.0.1:8321"
CSRF = re.compile(r'name="csrf" value="([^"]*)"')
PASSWORD = "seven quiet herons"


async def user(app: App, name: str, *grants: tuple[str, str], password: str | None = None) -> None:
    """Make a user."""
    await app.access.users.add(name, by="test", grants=grants, password=password)
    await app.access.directory.look()


async def key(app: App, *grants: tuple[str, str]) -> dict[str, str]:
    """Make a key and return the header that carries it."""
    secret, _ = await app.access.keys.add("a test", grants, by="test")
    return {"authorization": f"Bearer {secret}"}


@asynccontextmanager
async def browser(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that nobody has signed in with."""
    transport = httpx.ASGITransport(create_asgi(app))
    async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
        yield client


@asynccontextmanager
async def signed_in(app: App, name: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which a user signed in by a one-time link."""
    async with browser(app) as client:
        token, _ = await app.access.users.link(name, by="test")
        answer = await client.post("/console/sign-in", data={"link": token, "csrf": ""})
        assert answer.status_code == 303, answer.text
        yield client


async def token_of(client: httpx.AsyncClient, path: str = "/console/account") -> str:
    """Return what the forms of a page carry."""
    page = await client.get(path)
    assert page.status_code == 200, page.text
    return str(CSRF.findall(page.text)[0])


async def send(
    client: httpx.AsyncClient, path: str, fields: Sequence[tuple[str, str]] = ()
) -> httpx.Response:
    """Send a form of ours, with its token."""
    return await client.post(path, data={**dict(fields), "csrf": await token_of(client)})
