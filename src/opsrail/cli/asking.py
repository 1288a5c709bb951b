"""Asks a running server over HTTP, for commands that look at one."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from opsrail.config import WebConfig
from opsrail.errors import ConfigInvalid, Denied, InvalidInput, NotFound, Unavailable

ANSWER_S = 5.0
"""Ours: what is looked at live and takes longer is as good as gone."""
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - nothing listens here
LARGEST_BYTES = 10_000_000


def address(web: WebConfig) -> str:
    """Return where the server of these settings answers on this machine.

    Raises:
        ConfigInvalid: its port is chosen when it starts. Terminal: name the address.
    """
    if not web.port:
        raise ConfigInvalid("web.port is 0, any free port; name the server with --url")
    host = ANYWHERE.get(web.host, web.host)
    return f"http://[{host}]:{web.port}" if ":" in host else f"http://{host}:{web.port}"


class Server:
    """One server.

    Args:
        url: `http://` or `https://`, host and port; a path before that of each question.
        api_key: Sent along unless empty.

    Raises:
        InvalidInput: the address is none. Terminal.
    """

    def __init__(self, url: str, api_key: str = "") -> None:
        self.url = url.rstrip("/")
        try:
            self._parts = urlsplit(self.url)
            is_whole = bool(self._parts.hostname) and (self._parts.port or 0) >= 0
        except ValueError:
            is_whole = False
        if not is_whole or self._parts.scheme not in ("http", "https"):
            raise InvalidInput(
                f"{url!r} is no address of a server; write e.g. http://127.0.0.1:8321"
            )
        self._headers = {"accept": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON object at a path. Blocking.

        Raises:
            Unavailable: nobody answers, or nobody that is opsrail. Start it, or name another address.
            Denied: the key is missing or wrong.
            NotFound: it has no such path: it is another version.
        """
        try:
            status, body = self._asked(path)
        except (OSError, http.client.HTTPException) as fault:
            why = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
            raise Unavailable(
                f"nothing answers at {self.url} ({why}); start it with "
                "`opsrail serve FILE.py`, or name its address with --url"
            ) from fault
        if status in (401, 403):
            raise Denied(f"{self.url} refuses the API key; set web.api_key to the server's own")
        if status == 404:
            raise NotFound(f"{self.url} has no {path}; it is no opsrail, or an older one")
        try:
            document = json.loads(body) if status == 200 else None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Unavailable(
                f"{self.url}{path} answers {status} and no JSON object; is it opsrail?"
            )
        return document

    def _asked(self, path: str) -> tuple[int, bytes]:
        is_secret = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if is_secret else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=ANSWER_S)
        try:
            connection.request("GET", self._parts.path + path, headers=self._headers)
            response = connection.getresponse()
            return response.status, response.read(LARGEST_BYTES)
        finally:
            connection.close()
