"""Requests that a proxy before the server might read otherwise than the server does: refused, or read the safe way."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.integration.web.conftest import Served

HOST = b"Host: localhost\r\n"
ASK = b"POST /v1/decisions/fraud-risk HTTP/1.1\r\n" + HOST
TYPE = b"Content-Type: application/json\r\n"
BODY = b'{"claim_id":"c","amount":1}'
LENGTH = b"Content-Length: 27\r\n"
CHUNK = b"1b\r\n" + BODY + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"\r\n"


def get(path: bytes, *headers: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"".join(headers) + END


REQUESTS: dict[str, tuple[bytes, int]] = {
    "as it should be": (ASK + TYPE + LENGTH + END + BODY, 200),
    "in chunks": (ASK + TYPE + CHUNKED + END + CHUNK + b"0\r\n\r\n", 200),
    "two hosts": (get(b"/healthz", b"Host: evil.example\r\n"), 400),
    "two lengths": (ASK + TYPE + LENGTH + b"Content-Length: 3\r\n" + END + BODY, 400),
    "one length twice": (ASK + TYPE + LENGTH + LENGTH + END + BODY, 400),
    "length and chunks": (ASK + TYPE + LENGTH + CHUNKED + END + CHUNK + b"0\r\n\r\n", 400),
    "a length with a sign": (ASK + TYPE + b"Content-Length: +27\r\n" + END + BODY, 400),
    "a length in hex": (ASK + TYPE + b"Content-Length: 0x1b\r\n" + END + BODY, 400),
    "a space before the colon": (ASK + TYPE + b"Content-Length : 27\r\n" + END + BODY, 400),
    "a folded header": (ASK + TYPE + LENGTH + b"X: a\r\n b\r\n" + END + BODY, 400),
    "line feeds alone": (b"GET /healthz HTTP/1.1\nHost: localhost\n\n", 400),
    "another coding": (
        ASK + TYPE + b"Transfer-Encoding: gzip, chunked\r\n" + END + CHUNK + b"0\r\n\r\n",
        415,
    ),
    "a coding that is none": (ASK + TYPE + b"Transfer-Encoding: xchunked\r\n" + END + BODY, 400),
    "two types": (ASK + TYPE + b"Content-Type: text/plain\r\n" + LENGTH + END + BODY, 400),
    "two authorizations": (get(b"/healthz", b"Authorization: a\r\n", b"Authorization: b\r\n"), 400),
    "two origins": (get(b"/healthz", b"Origin: a\r\n", b"Origin: b\r\n"), 400),
    "a key in a trailer": (
        ASK
        + TYPE
        + CHUNKED
        + END
        + CHUNK
        + b"0\r\nIdempotency-Key: a b\r\nHost: evil.example\r\n\r\n",
        200,
    ),
    "an origin in a trailer": (
        ASK + TYPE + CHUNKED + END + CHUNK + b"0\r\nSec-Fetch-Site: cross-site\r\n\r\n",
        200,
    ),
    "a slash that is hidden": (get(b"/v1%2Fcases"), 404),
    "a slash that is hidden, small": (get(b"/v1/cases%2fx%2fcancel"), 404),
    "a letter that is hidden": (get(b"/v1/c%61ses"), 200),
    "dots": (get(b"/v1/../healthz"), 404),
    "NUL, hidden": (get(b"/v1/cases/%00"), 404),
    "NUL in a path": (get(b"/v1/cases/\0"), 400),
    "NUL in a header": (get(b"/healthz", b"X: a\0b\r\n"), 400),
    "no UTF-8 in a path": (get(b"/v1/cases/%ff%zz"), 404),
    "another server's url": (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + END, 400),
    "a name before the host": (b"GET /v1/cases HTTP/1.1\r\nHost: localhost@evil\r\n\r\n", 403),
    "no host": (b"GET /v1/cases HTTP/1.1\r\n\r\n", 403),
    "an upgrade": (get(b"/healthz", b"Connection: Upgrade\r\n", b"Upgrade: h2c\r\n"), 200),
    "no method": (b"get /healthz HTTP/1.1\r\n" + HOST + END, 400),
    "of everything": (b"OPTIONS * HTTP/1.1\r\n" + HOST + END, 404),
    "a number with a sign": (get(b"/v1/cases?limit=%2B5"), 400),
    "a number with a line": (get(b"/v1/cases?limit=1_0"), 400),
    "a number and a line break": (get(b"/v1/cases?limit=5%0A"), 400),
    "a number in other digits": (get(b"/v1/cases?limit=%D9%A3"), 400),
    "two in one": (get(b"/v1/cases?limit=5;limit=6"), 400),
    "too long a chunk": (ASK + TYPE + CHUNKED + END + b"f" * 18 + b"\r\n" + BODY, 400),
    "a deadline with a sign": (
        ASK + TYPE + LENGTH + b"X-Opsrail-Deadline-Ms: +5\r\n" + END + BODY,
        400,
    ),
}


def status_of(port: int, request: bytes) -> int:
    """Return the status that a request is answered with."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        said = connection.recv(65_536)
    return int(said.split(b" ", 2)[1])


def test_what_may_be_read_in_two_ways_is_refused(serving: Callable[..., Served]) -> None:
    served = serving()
    port = int(served.url.rpartition(":")[2])
    found = {name: status_of(port, request) for name, (request, _) in REQUESTS.items()}
    status, said = served.stop()

    assert found == {name: status for name, (_, status) in REQUESTS.items()}
    assert (status, "Traceback" in said) == (0, False)
