"""Which bytes are one whole request beyond doubt."""

from __future__ import annotations

import pytest

from opsrail.web.unheard import Whole, whole

BODY = b'{"a":1}'


def request(*lines: bytes, first: bytes = b"POST /v1/decisions/risk HTTP/1.1") -> bytes:
    return b"\r\n".join([first, *lines]) + b"\r\n\r\n" + BODY


PLAIN = (b"host: a", b"content-length: 7")


def test_a_plain_request_is_whole() -> None:
    assert whole(request(*PLAIN)) == Whole(b"/v1/decisions/risk", None)


def test_names_are_read_in_any_case_and_a_class_is_told() -> None:
    named = request(b"Host: a", b"Content-Length:7", b"X-Opsrail-Criticality: Low")

    assert whole(named) == Whole(b"/v1/decisions/risk", b"low")


@pytest.mark.parametrize(
    "data",
    [
        request(*PLAIN)[:-1],
        request(*PLAIN) + b"x",
        request(*PLAIN) * 2,
        request(b"host: a"),
        request(*PLAIN, b"content-length: 7"),
        request(*PLAIN, b"content-length : 7"),
        request(*PLAIN, b"Content-Length: 9"),
        request(b"host: a", b"content-length: 7, 7"),
        request(b"host: a", b"content-length: +7"),
        request(*PLAIN, b"transfer-encoding: chunked"),
        request(*PLAIN, b"Transfer-Encoding : chunked"),
        request(*PLAIN, b"connection: close"),
        request(*PLAIN, b"Expect: 100-continue"),
        request(*PLAIN, b" folded: 1"),
        request(*PLAIN, b"x: \xff"),
        request(*PLAIN, b"x: \x00"),
        request(*PLAIN, b"x: 1\ntransfer-encoding: chunked"),
        request(*PLAIN, b"x-opsrail-criticality: low", b"x-opsrail-criticality: high"),
        request(*PLAIN, b"x-opsrail-criticality: l\xc3w"),
        request(*PLAIN, b"x-opsrail-criticality: low, high"),
        request(*PLAIN, first=b"GET /v1/decisions/risk HTTP/1.1"),
        request(*PLAIN, first=b"POST /v1/decisions/risk HTTP/1.0"),
        request(*PLAIN, first=b"POST  /v1/decisions/risk HTTP/1.1"),
        b"",
    ],
)
def test_what_leaves_a_doubt_is_read(data: bytes) -> None:
    assert whole(data) is None
