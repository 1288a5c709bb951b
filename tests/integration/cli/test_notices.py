"""Notices on the command line: a run tells a server outside, and what it did not take is sent again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from tests.integration.cli.conftest import AUTOMATION, Shell
from tests.support.notified import SECRET

SOON = "[notify]\ntimeout_s = 0.5\n"
"""What a run that ends does not finish is tried again after six times that."""


class Taker(BaseHTTPRequestHandler):
    """Says that there is nobody any more, until there is."""

    taken: ClassVar[list[tuple[str, dict[str, object]]]] = []
    status: ClassVar[int] = 410

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.taken.append((self.headers["webhook-id"], body))
        self.send_response(self.status)
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


def until_there(shell: Shell, state: str) -> list[dict[str, Any]]:
    """Run until a notice is in that state; a run has no more to do, and may end before it has sent one."""
    for _ in range(100):
        ended = shell("run", "automation.py", "--input", "orders.csv", "--json")
        assert ended.status == 0, ended
        told: list[dict[str, Any]] = shell("notices", "list", "--state", state, "--json").json[
            "notices"
        ]
        if told:
            return told
    pytest.fail(f"no notice is {state}")


def test_a_run_tells_of_its_reviews_and_a_dead_notice_is_sent_again(shell: Shell, url: str) -> None:
    shell.write("automation.py", AUTOMATION)
    shell.write("orders.csv", "order,amount\na,900\n")
    shell.write("opsrail.toml", f'[channels.ops]\nurl = "{url}"\nsecret = "{SECRET}"\n{SOON}')
    dead = until_there(shell, "dead")
    Taker.status = 204
    again = shell("notices", "retry", "--all", "--json").json["notices"]
    sent = until_there(shell, "sent")

    assert [(one["kind"], one["attempts"]) for one in dead] == [("review.opened", 1)]
    assert "410" in dead[0]["last_error"]
    assert [one["id"] for one in again] == [dead[0]["id"]]
    assert [one["id"] for one in sent] == [dead[0]["id"]]
    assert len(Taker.taken) > 1
    assert {message for message, _ in Taker.taken} == {dead[0]["id"]}
    assert Taker.taken[0][1]["type"] == "review.opened"
    assert "sent" in shell("notices", "list").out
