"""The overview's events on a real socket: many who read, one who does not, and a server that is stopped under them."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from opsrail.web.console.streams import MOST
from tests.support.served import ROOT, Served, serving

EXAMPLE = ROOT / "examples" / "claims" / "automation.py"
LIVE = "/console/overview/live"
WAIT_S = 20


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(EXAMPLE, tmp_path_factory.mktemp("live") / "installation") as started:
        yield started


def connected(served: Served) -> socket.socket:
    """Return a socket that asked for the events."""
    host, port = served.url.removeprefix("http://").rsplit(":", 1)
    reader = socket.create_connection((host, int(port)), timeout=WAIT_S)
    reader.sendall(f"GET {LIVE} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    return reader


def asked(served: Served, path: str) -> int:
    """Return the status of an answer that ends."""
    request = urllib.request.Request(served.url + path)  # noqa: S310 - always our own server
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:  # noqa: S310 - as above
            return int(answer.status)
    except HTTPError as refused:
        with refused:
            return refused.code


def first_event(reader: socket.socket) -> str:
    """Read until the first event is whole."""
    got = b""
    while b"event: figures" not in got or not got.endswith(b"\n\n\r\n"):
        piece = reader.recv(65_536)
        assert piece, got
        got += piece
    return got.decode()


def test_many_readers_each_get_the_figures_and_one_too_many_is_told_to_come_again(
    served: Served,
) -> None:
    readers = [connected(served) for _ in range(MOST)]
    told = [first_event(reader) for reader in readers]
    refused, page = asked(served, LIVE), asked(served, "/console")
    for reader in readers:
        reader.close()

    assert all("HTTP/1.1 200" in one and '"cases":"0"' in one for one in told)
    assert (refused, page) == (503, 200)


def test_places_are_free_again_when_readers_left(served: Served) -> None:
    until_s = time.monotonic() + WAIT_S
    while True:  # the server notices within a second or two
        reader = connected(served)
        head = reader.recv(64)
        reader.close()
        if b" 200 " in head:
            break
        assert time.monotonic() < until_s, head
        time.sleep(0.2)


def test_a_reader_that_takes_nothing_does_not_hold_up_the_rest(served: Served) -> None:
    stuck = connected(served)
    answers = []
    for _ in range(5):
        begun_s = time.monotonic()
        answers.append(asked(served, "/healthz"))
        assert time.monotonic() - begun_s < 5
    stuck.close()

    assert answers == [200] * 5


def test_a_server_that_is_stopped_ends_its_streams_and_then_itself(tmp_path: Path) -> None:
    with serving(EXAMPLE, tmp_path / "installation") as stopped:
        readers = [connected(stopped) for _ in range(5)]
        for reader in readers:
            first_event(reader)
        ends: list[bytes] = []

        def read_on(reader: socket.socket) -> None:
            last = b""
            while piece := reader.recv(65_536):
                last = piece
            ends.append(last)

        threads = [threading.Thread(target=read_on, args=(reader,)) for reader in readers]
        for thread in threads:
            thread.start()
        begun_s = time.monotonic()
        status = stopped.stop()
        for thread in threads:
            thread.join(WAIT_S)
        for reader in readers:
            reader.close()

    assert time.monotonic() - begun_s < 9
    assert status == 0
    assert [end[-5:] for end in ends] == [b"0\r\n\r\n"] * 5
