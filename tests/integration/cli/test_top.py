"""`opsrail top` against a server that runs."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping

import pytest

from tests.integration.cli.conftest import LIMIT_S, Shell
from tests.integration.cli.test_decisions import AUTOMATION

KEY = "a-key-of-sixteen-or-more"
KEYED: Mapping[str, str] = {"OPSRAIL_WEB__API_KEY": KEY}
DECISIONS = 5


@pytest.fixture
def url(shell: Shell) -> Iterator[str]:
    """A server that decided something; it wants a key."""
    shell.write("automation.py", AUTOMATION)
    server = shell.begin("serve", "automation.py", "--port", "0", "--json", env=KEYED)
    assert server.stdout is not None
    url = json.loads("".join(iter(server.stdout.readline, "}\n")) + "}")["url"]
    for age in range(DECISIONS):
        request = urllib.request.Request(  # noqa: S310 - the server this fixture began
            f"{url}/v1/decisions/risk",
            data=json.dumps({"Make": "Mazda", "Age": age}).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
        )
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310 - as above
    yield url
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=LIMIT_S)


def test_one_frame_and_one_document_tell_what_was_decided(shell: Shell, url: str) -> None:
    frame = shell("top", "--url", url, "--once", env=KEYED)
    piped = shell("top", "--url", url, env=KEYED)
    told = shell("top", "--url", url, "--json", env=KEYED)

    assert (frame.status, piped.status, told.status) == (0, 0, 0)
    assert "review" in frame.out
    assert "degraded: model-unavailable" in frame.out
    assert "stage, ms" in piped.out
    assert max(map(len, frame.out.splitlines())) <= 80
    assert told.json["windows"]["300s"]["decisions"] == DECISIONS
    assert told.json["points"]["risk"]["300s"]["degraded"] == {"model-unavailable": DECISIONS}


def test_what_stands_in_the_way_is_said_with_what_to_do(shell: Shell, url: str) -> None:
    without_key = shell("top", "--url", url, "--json")
    nobody = shell("top", "--url", "http://127.0.0.1:1")
    nonsense = shell("top", "--url", "127.0.0.1:8321", "--json")
    any_port = shell("top", "--json", env={"OPSRAIL_WEB__PORT": "0"})

    assert (without_key.status, without_key.json["error"]["code"]) == (1, "denied")
    assert "web.api_key" in without_key.json["error"]["message"]
    assert (nobody.status, nobody.out) == (1, "")
    assert "nothing answers at http://127.0.0.1:1" in nobody.err
    assert "opsrail serve" in nobody.err
    assert (nonsense.status, nonsense.json["error"]["code"]) == (1, "invalid-input")
    assert (any_port.status, any_port.json["error"]["code"]) == (1, "config-invalid")


@pytest.mark.parametrize("end", [b"q", b"\x1b[Aq", b"\x03", signal.SIGTERM])
def test_on_a_terminal_it_is_live_until_a_key_or_signal_ends_it(
    shell: Shell, url: str, end: bytes | signal.Signals
) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "opsrail", "top", "--url", url, "--interval", "0.2"],
        cwd=shell.folder,
        env={**os.environ, **KEYED, "TERM": "xterm", "COLUMNS": "80", "LINES": "40"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(theirs)
    seen = b""
    while seen.count(b"decisions/s") < 2:  # it looked again
        seen += _read(ours)
    if isinstance(end, bytes):
        os.write(ours, end)
    else:
        process.send_signal(end)
    while more := _read(ours):
        seen += more
    os.close(ours)

    assert process.wait(timeout=LIMIT_S) == 0
    assert b"Traceback" not in seen
    assert seen.rstrip().endswith(b"\x1b[?1049l")  # the terminal is as it was


def _take_terminal() -> None:
    """Make the terminal the child's own, so that Ctrl-C typed into it is a signal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read(terminal: int) -> bytes:
    """Return what comes next; nothing once the other side has closed."""
    assert select.select([terminal], [], [], LIMIT_S)[0], "nothing came"
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""
