"""One server outside that an operator or author named, asked over HTTP: feature servers, model registries.

Its name is resolved once and the address is checked as those of remote models are (`remote_hosts`). Nothing is followed
elsewhere: no redirect, no proxy of the environment. Every answer has a size and a time that it may take.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import httpx
import orjson

from opsrail.connect.remote_hosts import is_loopback_name, may_be_asked
from opsrail.errors import InvalidInput, Unavailable

PORTS = {"http": 80, "https": 443}
CONNECTIONS = 16
LONGEST_TOLD = 300
LONGEST_S = 36_000.0


class Server(NamedTuple):
    """Where a server is.

    Attributes:
        path: What stands before every path, without `/` at its end; mostly empty.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        """Return `scheme://host:port`, which holds no secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Answer(NamedTuple):
    """What a server answered."""

    status: int
    content: bytes

    def json(self) -> Any:
        """Return the body as JSON values. Raises ValueError: it is none."""
        return orjson.loads(self.content)

    def told(self) -> str:
        """Return what the server says went wrong, shortened; never more than it said itself."""
        try:
            tree = self.json()
        except ValueError:
            return f"status {self.status}"
        if isinstance(tree, dict):
            tree = tree.get("message") or tree.get("error_code") or tree.get("detail") or tree
        return f"status {self.status}: {tree}"[:LONGEST_TOLD]


def server_of(url: str) -> Server:
    """Return where a URL leads.

    Raises:
        InvalidInput: it is no plain http(s) address of a server. Terminal; a password in it is not repeated.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as wrong:
        raise InvalidInput("the server's address is no URL; write http://HOST:PORT") from wrong
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            "the server's address holds a name or password; leave them out and name them by a reference (env:NAME)"
        )
    if parts.scheme not in PORTS or not parts.hostname or parts.query or parts.fragment:
        raise InvalidInput(
            f"{url[:LONGEST_TOLD]!r} is no address of a server; write http://HOST:PORT"
        )
    path = parts.path.rstrip("/")
    return Server(parts.scheme, parts.hostname.lower(), port or PORTS[parts.scheme], path)


def authorization(secret: str) -> str:
    """Return the header's value for a secret: `user:password` is basic authentication, anything else a bearer token."""
    if ":" in secret:
        return f"Basic {base64.b64encode(secret.encode()).decode()}"
    return f"Bearer {secret}"


class OutsideHttp:
    """A server, asked by several tasks of one event loop at once.

    Args:
        what: For messages, e.g. `the MLflow server`.
        secret: Sent to this server alone; empty: none. Never in a message or log.
    """

    def __init__(self, server: Server, what: str, secret: str = "") -> None:
        self.server = server
        self.name = f"{what} at {server.origin}"
        host = f"[{server.host}]" if ":" in server.host else server.host
        self._headers = {"host": f"{host}:{server.port}", "accept-encoding": "identity"}
        if secret:
            self._headers["authorization"] = authorization(secret)
        self._address: str | None = None
        self._client: httpx.AsyncClient | None = None

    async def ask(
        self,
        method: str,
        path: str,
        *,
        wait_s: float,
        most_bytes: int,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return what the server answers, whatever its status but for redirects.

        Args:
            path: From its root, quoted here.
            wait_s: For the whole of it.
            most_bytes: Of the body.
            headers: Beyond those that every request has.

        Raises:
            Unavailable: it cannot be reached, was too slow, sent too much or wanted to lead elsewhere.
        """
        try:
            async with asyncio.timeout(wait_s):
                return await self._exchanged(
                    method, path, wait_s, most_bytes, params, json, content, headers
                )
        except (TimeoutError, httpx.TimeoutException) as late:
            raise Unavailable(f"{self.name} gave no answer in {wait_s:g} s") from late
        except httpx.HTTPError as failed:
            self._address = None  # the name may lead elsewhere by now
            raise Unavailable(f"{self.name} cannot be asked: {type(failed).__name__}") from failed

    async def close(self) -> None:
        """Close its connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _exchanged(
        self,
        method: str,
        path: str,
        wait_s: float,
        most_bytes: int,
        params: Mapping[str, str] | None,
        json: Any,
        content: bytes | None,
        more: Mapping[str, str] | None,
    ) -> Answer:
        server = self.server
        address = self._address = self._address or await self._resolved()
        url = httpx.URL(
            scheme=server.scheme, host=address, port=server.port, path=server.path + quote(path)
        )
        headers = {**self._headers, **(more or {})}
        if json is not None:
            content, headers["content-type"] = orjson.dumps(json), "application/json"
        if self._client is None:
            self._client = httpx.AsyncClient(
                follow_redirects=False,
                trust_env=False,
                timeout=LONGEST_S,  # `wait_s` holds for the whole
                limits=httpx.Limits(max_connections=CONNECTIONS),
            )
        async with self._client.stream(
            method,
            url.copy_merge_params(dict(params or {})),
            headers=headers,
            content=content,
            extensions={"sni_hostname": server.host},
        ) as response:
            if response.is_redirect:
                raise Unavailable(
                    f"{self.name} wants to lead elsewhere, and nothing is followed; name the server itself"
                )
            return Answer(response.status_code, await self._content(response, most_bytes))

    async def _content(self, response: httpx.Response, most_bytes: int) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise Unavailable(f"{self.name} answered packed, though it was asked not to")
        parts, size = [], 0
        async for part in response.aiter_raw():
            size += len(part)
            if size > most_bytes:
                raise Unavailable(f"{self.name} answered more than {most_bytes:,} bytes")
            parts.append(part)
        return b"".join(parts)

    async def _resolved(self) -> str:
        """Return an address that is connected to."""
        host, port = self.server.host, self.server.port
        try:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as wrong:
            raise Unavailable(f"{self.name} has no address") from wrong
        for *_, where in found:
            address = ip_address(str(where[0]).partition("%")[0])
            if may_be_asked(address, is_loopback=is_loopback_name(host)):
                return str(address)
        raise Unavailable(f"{self.name} is led to an address that is not connected to")
