"""The fence holds: what tests/unit may not do fails, what the event loop needs passes."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time

import pytest


def test_a_network_socket_is_refused() -> None:
    with pytest.raises(pytest.fail.Exception, match="must not open a socket"):
        socket.create_connection(("127.0.0.1", 9))


def test_another_process_is_refused() -> None:
    with pytest.raises(pytest.fail.Exception, match="must not start a process"):
        subprocess.run([sys.executable, "-V"], check=True)


def test_waiting_for_real_is_refused() -> None:
    with pytest.raises(pytest.fail.Exception, match="must not sleep"):
        time.sleep(0)


async def test_the_event_loop_can_still_be_woken_by_a_thread() -> None:
    answer = await asyncio.to_thread(lambda: "awake")

    assert answer == "awake"
