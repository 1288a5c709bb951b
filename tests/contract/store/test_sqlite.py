"""What only SQLite can do wrong: its file, its lock, its disk."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest

from opsrail.clock import SystemClock
from opsrail.errors import DataDirInUse, InvalidInput, OpsrailError, StaleWrite, StoreUnavailable
from opsrail.ledger.chain import WriterChain, chain_hash
from opsrail.ports import Store
from opsrail.store import sqlite as sqlite_module
from opsrail.store import sqlite_check
from opsrail.store.sqlite import SqliteStore
from opsrail.values.cases import InboxRow, OutboxRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.registry import ArtifactRow
from opsrail.values.rows import Append, Insert, Where
from tests.contract.store.opened import opened

CLOCK = SystemClock()
NUMBERS = count(1)


def inbox(number: int, payload: str = "{}") -> InboxRow:
    return InboxRow(f"i{number:05d}", "c", "t", payload, number)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(SqliteStore(tmp_path / "cases.db", clock=CLOCK)) as store:
        yield store


async def test_a_second_runner_on_the_folder_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "cases.db"
    async with opened(SqliteStore(path, exclusive=True, clock=CLOCK)):
        with pytest.raises(DataDirInUse, match=f"process {os.getpid()};"):
            await SqliteStore(path, exclusive=True, clock=CLOCK).open()
        async with opened(SqliteStore(path, clock=CLOCK)) as reader:
            await reader.commit([Insert(inbox(1))])
    async with opened(SqliteStore(path, exclusive=True, clock=CLOCK)) as next_runner:
        rows = await next_runner.select(InboxRow)

    assert rows == [inbox(1)]


async def test_a_runner_that_is_killed_leaves_the_folder_free(tmp_path: Path) -> None:
    path = tmp_path / "cases.db"
    code = f"""
import asyncio, os, signal
from opsrail.clock import SystemClock
from opsrail.store.sqlite import SqliteStore
asyncio.run(SqliteStore({str(path)!r}, exclusive=True, clock=SystemClock()).open())
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    async with opened(SqliteStore(path, exclusive=True, clock=CLOCK)) as store:
        rows = await store.select(InboxRow)

    assert rows == []


async def test_an_entry_for_the_ledger_needs_a_chain(store: Store) -> None:
    with pytest.raises(TypeError, match="chain"):
        await store.commit([Append("test.made", "s", 0, b"{}")])


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        await SqliteStore(tmp_path / "nowhere" / "cases.db", clock=CLOCK).open()
    with pytest.raises(StoreUnavailable, match="nowhere"):
        await SqliteStore(tmp_path / "nowhere" / "cases.db", exclusive=True, clock=CLOCK).open()


@pytest.mark.slow
async def test_a_value_too_large_for_the_database_is_refused_alone(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(
            store.commit([Insert(ArtifactRow(str(n), b"x" * (1_000_000_001 if n == 2 else 9)))])
            for n in range(5)
        ),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        type(None),
        InvalidInput,
        type(None),
        type(None),
    ]


async def test_another_programs_transaction_is_waited_for(store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "cases.db", isolation_level=None)) as guest:
        guest.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(store.commit([Insert(inbox(1))]))
        rows_meanwhile = await store.count(InboxRow)
        guest.execute("COMMIT")
        await writing

    assert rows_meanwhile == {(): 0}
    assert await store.count(InboxRow) == {(): 1}


async def test_a_change_by_another_program_is_signalled_soon(store: Store, tmp_path: Path) -> None:
    await store.commit([Insert(inbox(1))])
    store.changed(InboxRow).clear()
    with closing(sqlite3.connect(tmp_path / "cases.db")) as guest:
        guest.execute("DELETE FROM inbox")
        guest.commit()
    await asyncio.wait_for(store.changed(InboxRow).wait(), timeout=20)

    assert await store.count(InboxRow) == {(): 0}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_nobody_waits_for_a_writer_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(driver: Any, touched: Any) -> Any:
        raise RuntimeError("a fault of ours")

    async with opened(SqliteStore(tmp_path / "cases.db", clock=CLOCK)) as store:
        monkeypatch.setattr("opsrail.store.sqlite._SqliteDriver.tick", broken)
        async with asyncio.timeout(20):
            outcome: object = []
            while not isinstance(outcome, StoreUnavailable):  # until it looks after other processes
                many = [store.commit([Insert(inbox(next(NUMBERS)))]) for _ in range(50)]
                outcome = (await asyncio.gather(*many, return_exceptions=True))[-1]
            assert "nothing was written" in str(outcome)
            with pytest.raises(StoreUnavailable, match="closed"):
                await store.commit([Insert(inbox(-1))])


async def test_a_close_right_after_a_commit_was_asked_for_keeps_it(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "cases.db", clock=CLOCK)
    await store.open()
    writing = asyncio.create_task(store.commit([Insert(inbox(1))]))
    await asyncio.sleep(0)  # it stands in this turn's queue, not yet in the writer's
    await store.close()
    await writing

    async with opened(SqliteStore(tmp_path / "cases.db", clock=CLOCK)) as again:
        assert await again.count(InboxRow) == {(): 1}


async def test_what_is_written_survives_a_close_that_never_came(tmp_path: Path) -> None:
    path = tmp_path / "cases.db"
    async with opened(SqliteStore(path, clock=CLOCK)) as first:
        await first.commit([Insert(inbox(1))])
        copy = tmp_path / "copy.db"
        copy.write_bytes(path.read_bytes())
        (tmp_path / "copy.db-wal").write_bytes((tmp_path / "cases.db-wal").read_bytes())
    async with opened(SqliteStore(copy, clock=CLOCK)) as second:
        rows = await second.select(InboxRow)

    assert rows == [inbox(1)]


async def in_the_file(path: Path, folder: Path) -> int:
    """Return how many rows the file holds without its log."""
    copy = folder / f"copy-{next(NUMBERS)}.db"
    copy.write_bytes(await asyncio.to_thread(path.read_bytes))
    try:
        with closing(sqlite3.connect(copy)) as alone:
            found: int = alone.execute("SELECT count(*) FROM inbox").fetchone()[0]
            return found
    except sqlite3.DatabaseError:  # copied while it was being written
        return 0


async def test_the_log_is_moved_into_the_file_beside_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsrail.store.sqlite.CHECKPOINT_PAGES", 1_000_000)
    path = tmp_path / "cases.db"
    async with opened(SqliteStore(path, clock=CLOCK)) as store:
        async with asyncio.timeout(60):
            while await in_the_file(path, tmp_path) < 100:
                for _ in range(50):
                    await store.commit([Insert(inbox(next(NUMBERS)))])
        written = (await store.count(InboxRow))[()]
    names = [thread.name for thread in threading.enumerate()]

    assert not (tmp_path / "cases.db-wal").exists()  # nobody holds the file any more
    assert "opsrail-store-checkpointer" not in names
    assert await in_the_file(path, tmp_path) == written


async def test_commits_go_on_when_nobody_can_move_the_log_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connect = sqlite_module._connect

    def refused(path: Path) -> sqlite3.Connection:
        if threading.current_thread().name == "opsrail-store-checkpointer":
            raise StoreUnavailable("no more files may be open")
        return connect(path)

    monkeypatch.setattr("opsrail.store.sqlite._connect", refused)
    async with opened(SqliteStore(tmp_path / "cases.db", clock=CLOCK)) as store:
        async with asyncio.timeout(60):
            while not caplog.records:
                for _ in range(50):
                    await store.commit([Insert(inbox(next(NUMBERS)))])
        for _ in range(200):
            await store.commit([Insert(inbox(next(NUMBERS)))])

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no more files may be open" in caplog.text


async def test_what_is_committed_stands_when_the_system_gives_no_more_threads(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "opsrail-store-checkpointer":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    for _ in range(100):
        await store.commit([Insert(inbox(next(NUMBERS)))])

    assert await store.count(InboxRow) == {(): 100}
    assert "can't start new thread" in caplog.text


async def test_the_self_check_passes_on_a_local_disk(store: Store) -> None:
    levels = {finding.name: finding.level for finding in await store.check()}

    assert (
        levels["sqlite.journal_mode"]
        == levels["sqlite.synchronous"]
        == levels["sqlite.version"]
        == "ok"
    )


def test_the_self_check_names_settings_that_lose_work(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("PRAGMA synchronous = NORMAL")
        found = {
            finding.name: finding
            for finding in sqlite_check.findings(connection, tmp_path / "other.db")
        }

    assert found["sqlite.synchronous"].level == "fail"
    assert found["sqlite.journal_mode"].level == "fail"


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("nfs4", "fail"),
        ("cifs", "fail"),
        ("fuse.sshfs", "fail"),
        ("9p", "fail"),
        ("tmpfs", "warn"),
        ("ext4", "ok"),
        ("xfs", "ok"),
    ],
)
def test_the_file_system_under_the_file_decides(kind: str, level: str) -> None:
    mounts = f"/dev/a / ext4 rw 0 0\nserver:/x /srv/my\\040files {kind} rw 0 0\n/dev/b /srv/my\\040files/other ext4 rw 0 0\n"
    finding = sqlite_check.file_system(Path("/srv/my files/opsrail/cases.db"), mounts)

    assert finding.level == level
    assert kind in finding.message


def test_without_a_list_of_mounts_the_file_system_is_not_known() -> None:
    assert sqlite_check.file_system(Path("/srv/cases.db"), "").level == "warn"


@pytest.mark.parametrize(
    ("free_bytes", "level"), [(10**6, "fail"), (10**8, "warn"), (10**10, "ok")]
)
def test_little_room_is_told_before_it_is_none(free_bytes: int, level: str) -> None:
    assert sqlite_check.free_space(free_bytes, Path("cases.db")).level == level


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB with 1 MB of it taken by a file `ballast`."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if (
        os.geteuid() != 0
        or subprocess.run(command, check=False, capture_output=True).returncode != 0
    ):
        pytest.skip("only root can mount a small disk")
    try:
        (folder / "ballast").write_bytes(b"x" * 1_000_000)
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_refuses_in_words_and_works_again_once_there_is_room(
    small_disk: Path,
) -> None:
    async with opened(
        SqliteStore(small_disk / "cases.db", chain=WriterChain(CLOCK), exclusive=True, clock=CLOCK)
    ) as store:
        written, lost = await fill(store, 0)
        while_full = await store.select(InboxRow, limit=10_000)
        takes = [
            store.take(InboxRow, Where("id", "=", "none"), set={"topic": "u"}) for _ in range(3)
        ]
        taken = await asyncio.gather(*takes)
        (small_disk / "ballast").unlink()
        await store.commit([Insert(inbox(99_999))])
        rows = await store.select(InboxRow, limit=10_000)
        entries = await store.select(LedgerEntryRow, order=["writer", "seq"], limit=10_000)
        levels = {finding.name: finding.level for finding in await store.check()}

    assert lost
    assert all(str(small_disk / "cases.db") in str(error) for error in lost)
    assert sorted(int(entry.subject_id) for entry in entries) == [int(name[1:]) for name in written]
    for before, after in pairwise(entries):
        assert before.writer != after.writer or after.prev_hash == chain_hash(
            before.prev_hash, before.leaf_hash
        )
    assert [row.id for row in while_full] == written
    assert taken == [[], [], []]
    assert [row.id for row in rows] == [*written, "i99999"]
    assert levels["sqlite.free_space"] == "fail"
    assert levels["sqlite.filesystem"] == "warn"


async def fill(store: Store, start: int) -> tuple[list[str], list[OpsrailError]]:
    """Write until the disk is full; return what was accepted and what was refused."""
    written: list[str] = []
    lost: list[OpsrailError] = []

    async def write(number: int) -> None:
        try:
            await store.commit(
                [
                    Insert(inbox(number, "x" * 2_000)),
                    Insert(outbox(number)),
                    Append("test.made", str(number), 0, b"{}"),
                ]
            )
        except StoreUnavailable as error:
            lost.append(error)
        else:
            written.append(f"i{number:05d}")

    for first in range(start, 10_000, 20):
        await asyncio.gather(*(write(number) for number in range(first, first + 20)))
        if len(lost) >= 40:
            break
    return sorted(written), lost


def outbox(number: int) -> OutboxRow:
    return OutboxRow(f"o{number}", "c", "a", "pay", "{}", "due", None, 0, 0, None, None, 0, None)


async def test_a_refused_twin_is_not_mistaken_for_a_full_disk(store: Store) -> None:
    await store.commit([Insert(inbox(1))])
    with pytest.raises(StaleWrite):
        await store.commit([Insert(inbox(1))])
