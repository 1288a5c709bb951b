"""One model that is asked over HTTP; loaded by `opsrail.connect.remote_runtimes`."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence

import httpcore
import orjson

from opsrail.connect.remote import (
    LARGEST_ANSWER_BYTES,
    Remote,
    refused,
    request_of,
    scores_of,
    unavailable,
)
from opsrail.connect.remote_hosts import address_of
from opsrail.connect.timed_line import TimedBackend
from opsrail.errors import InvalidInput
from opsrail.values.inference import LENGTH_HEADER, Body, read_response, write_request
from opsrail.values.models import Score

CONNECTIONS = 16
"""At least; of a model that takes more calls at once, two for each, since second asks are made beside the first."""
KEPT_S = 5.0
"""How long a connection without work is kept. Source: httpx's default."""
ROWS_AT_FAULT = frozenset({400, 422})
"""Statuses that blame the request: the row is refused, the server is none the worse."""


class HttpModel:
    """A remote model. `score` may be called from several threads at once."""

    is_remote = True

    def __init__(self, remote: Remote, key: str | None) -> None:
        self.digest = remote.digest
        self.at_once = remote.described.at_once
        self._remote = remote
        self._timeout_s = remote.described.timeout_ms / 1000
        self._address: str | None = None
        self._backend = TimedBackend()
        self._pool = httpcore.ConnectionPool(
            max_connections=max(CONNECTIONS, 2 * self.at_once),
            keepalive_expiry=KEPT_S,
            network_backend=self._backend,
        )
        weakref.finalize(self, self._pool.close)
        place, described = remote.place, remote.described
        host = f"[{place.host}]" if ":" in place.host else place.host
        self._headers = {"host": f"{host}:{place.port}", "accept-encoding": "identity"}
        if key is not None:
            self._headers["authorization"] = f"Bearer {key}"
        version = f"/versions/{described.version}" if described.version else ""
        self._path = f"/v2/models/{described.model}{version}/infer"

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        """Return one score a row of named features, in order. Blocking, for `timeout_ms` at most.

        Raises:
            InvalidInput: a feature is absent or of the wrong type, or the server refuses the rows. Terminal.
            ModelUnavailable: the server did not answer, or not with scores. The decision falls back.
        """
        if not rows:
            return []
        asked = request_of(self._remote, rows)
        names = [tensor.name for tensor in asked.inputs]
        body = write_request(asked, raw=names if self._remote.described.raw else ())
        status, answer = self._exchanged(body)
        if status in ROWS_AT_FAULT:
            raise refused(self._remote, _told(answer.content))
        if status != 200:
            raise unavailable(self._remote, f"answered {status}: {_told(answer.content)}")
        try:
            response = read_response(answer)
        except InvalidInput as wrong:
            raise unavailable(self._remote, f"answered what cannot be read: {wrong}") from wrong
        return scores_of(self._remote, rows, response)

    def _exchanged(self, body: Body) -> tuple[int, Body]:
        """Return the status and body that a request is answered with."""
        media = "application/json" if body.header_bytes is None else "application/octet-stream"
        headers = {**self._headers, "content-type": media}
        if body.header_bytes is not None:
            headers[LENGTH_HEADER] = str(body.header_bytes)
        place = self._remote.place
        address = self._address = self._address or address_of(self._remote)
        url = httpcore.URL(scheme=place.scheme, host=address, port=place.port, target=self._path)
        timed = {"timeout": {"pool": self._timeout_s}, "sni_hostname": place.host}
        self._backend.begin(self._timeout_s)
        try:
            with self._pool.stream(
                "POST", url, headers=list(headers.items()), content=body.content, extensions=timed
            ) as response:
                answered = {
                    name.lower().decode("latin-1"): value.decode("latin-1")
                    for name, value in response.headers
                }
                content = self._content(response, answered)
        except httpcore.TimeoutException as late:
            raise unavailable(self._remote, f"gave no answer in {self._timeout_s:g} s") from late
        except (httpcore.NetworkError, httpcore.ProtocolError) as failed:
            self._address = None  # the name may lead elsewhere by now
            raise unavailable(self._remote, f"cannot be asked: {type(failed).__name__}") from failed
        size = answered.get(LENGTH_HEADER.lower())
        is_length = size is not None and size.isdecimal() and len(size) < 13
        return response.status, Body(content, int(size) if size and is_length else None)

    def _content(self, response: httpcore.Response, answered: Mapping[str, str]) -> bytes:
        """Return a body that is not too large."""
        if answered.get("content-encoding", "identity").lower() != "identity":
            raise unavailable(self._remote, "answered packed, though it was asked not to")
        parts, size = [], 0
        for part in response.iter_stream():
            size += len(part)
            if size > LARGEST_ANSWER_BYTES:
                raise unavailable(
                    self._remote, f"answered more than {LARGEST_ANSWER_BYTES:,} bytes"
                )
            parts.append(part)
        return b"".join(parts)


def _told(content: bytes) -> str:
    """Return what a server says went wrong."""
    try:
        tree = orjson.loads(content)
    except orjson.JSONDecodeError:
        return "no reason that can be read"
    told = tree.get("error", tree.get("detail")) if isinstance(tree, dict) else None
    return told if isinstance(told, str) else "no reason that can be read"
