"""F5, F6, F13, F29: a disk that is full, a server that goes away, a network that swallows, settings that lose commits."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from opsrail.store.sqlite_check import file_system, free_space
from opsrail.values.cases import WorkerRow
from opsrail.values.rows import Insert
from opsrail.values.tables import TABLES
from tests.crash.conftest import Record, site_in
from tests.support.chaos import Site, refusals, until
from tests.support.postgres import Cluster, run
from tests.support.tcp_proxy import proxy

DOWN_S = 3.0
FULL_S = 2.5
SWALLOWED_S = 12.0
DEAD_S = 5.0
"""`cases.dead_s` as it is shipped."""
DISK_BYTES = 48_000_000
"""Room for the write-ahead log (16 MB before it is moved) and what is moved."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, in memory, that a test may fill."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux may mount the small disk that this test fills")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "opsrail-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(
            f"the small disk that this test fills cannot be mounted here: {done.stderr.strip()}"
        )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take every byte that is left; return the file that holds them."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for block in (1_000_000, 4096, 1):
            try:
                while file.write(bytes(block)) == block:
                    pass
            except OSError:
                continue
    return ballast


@pytest.mark.crash
async def test_a_full_disk_refuses_at_once_and_all_goes_on_by_itself_when_there_is_room_again(
    small_disk: Path, tmp_path: Path, record: Record
) -> None:
    site = site_in(tmp_path / "site")
    site.folder = small_disk / "installation"
    site.wanted |= {
        f"case-{n}": {"key": f"case-{n}", "count": 12, "span_s": 0.1} for n in range(40)
    }
    async with site.worker() as worker:
        await worker.said_one("ready")
        await worker.submit_all()
        await site.stepped(100)
        ballast = fill(small_disk)
        full_s = time.monotonic()
        number = 0
        while time.monotonic() - full_s < FULL_S:
            said = len(worker.said)
            worker.submit(f"late-{number}", kind="steps")
            await worker.answered(said + 1)
            number += 1
            await asyncio.sleep(0.1)
        refused = refusals(worker.said)
        ballast.unlink()
        freed_s = time.monotonic()
        await worker.submit_all()
        await worker.rest()
        rested_s = time.monotonic()
    record("refused_s", round(max(took_s for _, took_s in refused), 3))
    record("rested_after_s", round(rested_s - freed_s, 2))

    assert {code for code, _ in refused} <= {"store-unavailable", "overloaded"}
    assert max(took_s for _, took_s in refused) <= 1
    assert rested_s - freed_s <= 30
    assert await site.broken_promises() == []


@pytest.mark.crash
@pytest.mark.connected
@pytest.mark.parametrize("count", [1, 2])
async def test_a_server_that_crashes_and_comes_back_loses_nothing(
    count: int, postgres_server: Cluster, tmp_path: Path, record: Record
) -> None:
    """As many outages, at different moments of the work."""
    site = site_in(tmp_path / "site", postgres_server.url)
    site.wanted |= {
        f"case-{n}": {"key": f"case-{n}", "count": 30, "span_s": 0.1} for n in range(60)
    }
    stalls_s = []
    async with site.worker() as worker, site.worker() as other:
        await worker.said_one("ready")
        await other.said_one("ready")
        await worker.submit_all()
        for outage in range(count):
            await site.stepped(300 * (outage + 1))
            await asyncio.to_thread(postgres_server.stop, "immediate")
            stopped_s = time.monotonic()
            while time.monotonic() - stopped_s < DOWN_S:
                worker.submit(f"late-{outage}-{time.monotonic()}", kind="steps")
                await asyncio.sleep(0.25)
            await asyncio.to_thread(postgres_server.start)
            started_s = time.monotonic()
            stalls_s.append(await site.stepped_after(started_s))
        await worker.submit_all()
        await worker.rest()
    refused = refusals(worker.said)
    record("stall_beyond_downtime_s", round(max(stalls_s), 2))
    record("refused_s", round(max(took_s for _, took_s in refused), 3))

    assert {code for code, _ in refused} <= {"store-unavailable", "overloaded"}
    assert max(took_s for _, took_s in refused) <= 1
    assert max(stalls_s) <= 5
    assert await site.broken_promises() == []


@pytest.mark.crash
@pytest.mark.connected
async def test_a_worker_behind_a_network_that_swallows_stops_acting_and_another_finishes(
    postgres_site: Site, record: Record
) -> None:
    site = postgres_site
    del site.settings["OPSRAIL_CASES__DEAD_S"]
    site.wanted |= {
        f"case-{n}": {"key": f"case-{n}", "count": 12, "span_s": 0.1} for n in range(12)
    }
    async with proxy(urlsplit(site.url).port or 0) as network:
        behind = site.url.replace(f":{urlsplit(site.url).port}/", f":{network.port}/")
        async with site.worker(url=behind) as cut_off, site.worker() as other:
            await cut_off.said_one("ready")
            await other.said_one("ready")
            await cut_off.submit_all()
            await site.stepped(24)
            network.swallow()
            swallowed_s = time.monotonic()
            site.kills += 1
            await asyncio.sleep(SWALLOWED_S)
            healed_s = time.monotonic()
            network.heal()
            await other.rest()
            await cut_off.rest()
    deeds = [one for one in site.trace("steps") + site.trace("sent") if one["pid"] == cut_off.pid]
    while_cut_off = [
        one["at_s"] - swallowed_s for one in deeds if swallowed_s < one["at_s"] < healed_s
    ]
    taken_over = [
        one["at_s"] - swallowed_s for one in site.trace("steps") if one["pid"] == other.pid
    ]
    record("last_effect_s", round(max(while_cut_off, default=0), 2))
    record("taken_over_s", round(min(taken_over, default=-1), 2))

    assert max(while_cut_off, default=0) <= DEAD_S
    assert taken_over
    assert await site.broken_promises() == []


@pytest.mark.connected
async def test_rows_that_a_frozen_process_locks_in_the_middle_of_sending_come_free(
    postgres_site: Site, record: Record
) -> None:
    """The server heard half of a group, and nothing more: neither its end nor the end of the connection."""
    table = TABLES[WorkerRow].name
    async with postgres_site.store() as store:
        row = WorkerRow("frozen", "host", 1, "alive", 0, 0)
        await store.commit([Insert(row)])
        with psycopg.connect(postgres_site.url, application_name="opsrail") as frozen:
            frozen.pgconn.enter_pipeline_mode()
            frozen.pgconn.send_query_params(b"BEGIN", None)
            frozen.pgconn.send_query_params(f"TABLE {table} FOR SHARE".encode(), None)
            frozen.pgconn.flush()
            free = f"TABLE {table} FOR UPDATE SKIP LOCKED"
            await until(lambda: run(postgres_site.url, free) == [], "the row is locked")
            begun_s = time.monotonic()
            taken: list[WorkerRow] = []
            while not taken and time.monotonic() - begun_s < DEAD_S:
                taken = await store.take(WorkerRow, set={"state": "dead"})
                await asyncio.sleep(0.1)
            record("freed_s", round(time.monotonic() - begun_s, 2))
            frozen.pgconn.finish()

    assert taken == [row._replace(state="dead")]


async def test_a_disk_in_memory_or_with_little_room_is_named(tmp_path: Path) -> None:
    mounts = "d / ext4 rw\nd /shared nfs4 rw\nd /shared/own ext4 rw\nd /quick tmpfs rw\n"
    kinds = {
        place: file_system(Path(place), mounts).level
        for place in ("/here", "/shared/x", "/shared/own/x", "/quick/x", "relative")
    }
    room = [free_space(size, tmp_path).level for size in (2_000_000_000, 500_000_000, 1_000_000)]

    assert kinds == {
        "/here": "ok",
        "/shared/x": "fail",
        "/shared/own/x": "ok",
        "/quick/x": "warn",
        "relative": "warn",
    }
    assert room == ["ok", "warn", "fail"]


async def test_sqlite_is_opened_with_the_settings_that_keep_commits(sqlite_site: Site) -> None:
    async with sqlite_site.store() as store:
        levels = {finding.name: finding.level for finding in await store.check()}

    assert (
        levels["sqlite.journal_mode"]
        == levels["sqlite.synchronous"]
        == levels["sqlite.version"]
        == "ok"
    )


@pytest.mark.connected
async def test_a_server_set_to_lose_commits_is_named(postgres_site: Site) -> None:
    """The server of fast tests does not wait for the disk; this database is set to lose commits, too."""
    name = postgres_site.url.rpartition("/")[2]
    run(postgres_site.url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    async with postgres_site.store() as store:
        levels = {finding.name: finding.level for finding in await store.check()}

    assert levels["postgres.fsync"] == levels["postgres.full_page_writes"] == "fail"
    assert levels["postgres.synchronous_commit"] == "warn"


@pytest.mark.crash
@pytest.mark.connected
async def test_a_server_that_keeps_commits_is_found_sound(
    postgres_server: Cluster, tmp_path: Path
) -> None:
    async with site_in(tmp_path / "site", postgres_server.url).store() as store:
        levels = {finding.level for finding in await store.check()}

    assert levels == {"ok"}
