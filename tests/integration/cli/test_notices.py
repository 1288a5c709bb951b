"""Notices on the command line: a run tells a server outside, and what it did not take is sent again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from tests.integration.cli.conftest import AUTOMATION, Shell
from tests.support.notified import SECRET


class Taker(BaseHTTPRequestHandler):
    """Says that there is nobody any more to the first post, and takes the others."""

    taken: ClassVar[list[tuple[str, dict[str, object]]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.taken.append((self.headers["webhook-id"], body))
        self.send_response(410 if len(self.taken) == 1 else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_run_tells_of_its_reviews_and_a_dead_notice_is_sent_again(shell: Shell, url: str) -> None:
    shell.write("automation.py", AUTOMATION)
    shell.write("orders.csv", "order,amount\na,900\n")
    shell.write("opsrail.toml", f'[channels.ops]\nurl = "{url}"\nsecret = "{SECRET}"\n')
    run = ("run", "automation.py", "--input", "orders.csv", "--json")
    first = shell(*run)
    assert first.status == 0, first
    assert shell(*run).status == 0
    dead = shell("notices", "list", "--state", "dead", "--json").json["notices"]
    again = shell("notices", "retry", "--all", "--json").json["notices"]
    assert shell(*run).status == 0
    listed = shell("notices", "list")

    assert [(one["kind"], one["attempts"]) for one in dead] == [("review.opened", 1)]
    assert "410" in dead[0]["last_error"]
    assert [one["id"] for one in again] == [dead[0]["id"]]
    assert [message for message, _ in Taker.taken] == [dead[0]["id"]] * 2
    assert Taker.taken[0][1]["type"] == "review.opened"
    assert "sent" in listed.out
