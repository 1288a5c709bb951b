"""What only PostgreSQL can do wrong: a server that goes away, a guest that holds a lock, a password in a message."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import psycopg
import pytest

from opsrail.clock import SystemClock
from opsrail.errors import ConfigInvalid, InvalidInput, StaleWrite, StoreUnavailable
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.store.postgres import DURABLE_SQL, PostgresStore
from opsrail.values.cases import InboxRow, KeyRow, OutboxRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import Append, Insert, Update
from tests.contract.store.cutter import Cutter, Moment
from tests.contract.store.opened import opened
from tests.support.postgres import Cluster, run, with_database

CLOCK = SystemClock()
pytestmark = pytest.mark.connected


def inbox(number: int) -> InboxRow:
    return InboxRow(f"i{number:05d}", "c", "t", "{}", number)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    async with opened(PostgresStore(database_url, chain=WriterChain(CLOCK), clock=CLOCK)) as store:
        yield store


async def test_a_restart_of_the_server_loses_and_doubles_nothing(postgres_server: Cluster) -> None:
    """Callers are told at once while it is away; afterwards the same store goes on."""
    async with opened(
        PostgresStore(postgres_server.url, chain=WriterChain(CLOCK), clock=CLOCK)
    ) as store:
        accepted: list[int] = []
        unknown: list[int] = []
        numbers = iter(range(1_000_000))
        is_over = asyncio.Event()

        async def write_on() -> None:
            while not is_over.is_set():
                number = next(numbers)
                try:
                    await store.commit(
                        [Insert(inbox(number)), Append("test.made", str(number), number, b"{}")]
                    )
                except StoreUnavailable:
                    unknown.append(number)
                    await CLOCK.sleep(0.01)
                else:
                    accepted.append(number)

        writers = [asyncio.create_task(write_on()) for _ in range(20)]
        await reached(accepted, 200)
        await asyncio.to_thread(postgres_server.stop, "immediate")
        before = len(unknown)
        await reached(unknown, before + 20)
        with pytest.raises(StoreUnavailable):
            await store.select(InboxRow)
        await asyncio.to_thread(postgres_server.start)
        await reached(accepted, len(accepted) + 200)
        is_over.set()
        await asyncio.gather(*writers)
        rows = [row.at_ms for row in await store.select(InboxRow, limit=1_000_000)]
        entries = await store.select(LedgerEntryRow, order=["writer", "seq"], limit=1_000_000)

    assert set(accepted) <= set(rows) <= set(accepted) | set(unknown)
    assert Counter(entry.subject_id for entry in entries) == Counter(map(str, rows))
    for writer in {entry.writer for entry in entries}:
        chain = [entry.seq for entry in entries if entry.writer == writer]
        assert chain == list(range(len(chain)))


async def reached(done: list[int], count: int) -> None:
    async with asyncio.timeout(60):
        while len(done) < count:
            await CLOCK.sleep(0.01)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_commit_whose_answer_is_lost_is_there_once_or_not_at_all(
    database_url: str, moment: Moment
) -> None:
    parts = urlsplit(database_url)
    async with Cutter(parts.hostname or "", parts.port or 0).running() as cutter:
        url = database_url.replace(f":{parts.port}/", f":{cutter.port}/")
        async with opened(PostgresStore(url, chain=WriterChain(CLOCK), clock=CLOCK)) as store:
            await store.commit([Insert(inbox(0)), Append("test.made", "0", 0, b"{}")])
            cutter.cut = (b"\x0bCOMMIT\0", moment)  # the statement itself, with its length
            with pytest.raises(StoreUnavailable, match="look whether it is there"):
                await store.commit([Insert(inbox(1)), Append("test.made", "1", 1, b"{}")])
            await asyncio.wait_for(written(store, inbox(2)), timeout=30)
            rows = [row.at_ms for row in await store.select(InboxRow)]
            entries = await store.select(LedgerEntryRow, order=["at_ms"])

    assert rows == ([0, 2] if moment == "before" else [0, 1, 2])
    assert [entry.at_ms for entry in entries] == rows
    assert entries[-1].seq == 0
    assert entries[-1].writer != entries[0].writer


async def written(store: Store, row: InboxRow) -> None:
    """Write a row as soon as the server can be reached again."""
    while True:
        try:
            return await store.commit([Insert(row), Append("test.made", row.id, row.at_ms, b"{}")])
        except StoreUnavailable:
            await CLOCK.sleep(0.01)


async def test_a_lost_connection_is_replaced_and_others_changes_are_suspected(
    store: Store, database_url: str
) -> None:
    await store.commit([Insert(inbox(1))])
    store.changed(OutboxRow).clear()
    run(
        database_url,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    await asyncio.wait_for(store.changed(OutboxRow).wait(), timeout=20)
    await store.commit([Insert(inbox(2))])

    assert await store.select(InboxRow) == [inbox(1), inbox(2)]


async def test_a_guest_that_freezes_inside_a_transaction_holds_a_row_for_seconds_only(
    database_url: str, store: Store
) -> None:
    """The session's own limit ends it: a frozen process of ours must not hold up those who take over."""
    await store.commit([Insert(inbox(1))])
    async with opened(PostgresStore(database_url, clock=CLOCK)):
        frozen = psycopg.connect(database_url)
        try:
            frozen.execute("SET idle_in_transaction_session_timeout = '200ms'")
            frozen.execute("UPDATE inbox SET topic = 'u'")
            async with asyncio.timeout(30):
                await store.commit([Update(InboxRow, ("i00001",), {"topic": "v"}, {"topic": "t"})])
        finally:
            frozen.close()

    assert (await store.select(InboxRow))[0].topic == "v"


async def test_our_own_sessions_may_not_idle_inside_a_transaction(
    store: Store, database_url: str
) -> None:
    await store.commit([Insert(inbox(1))])
    with psycopg.connect(database_url) as guest:
        guest.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            await store.commit([Insert(inbox(2))])
    await store.commit([Insert(inbox(2))])

    assert await store.count(InboxRow) == {(): 2}


async def test_two_stores_that_lock_each_other_both_get_through(
    store: Store, database_url: str
) -> None:
    await store.commit([Insert(inbox(n)) for n in range(20)])
    async with opened(PostgresStore(database_url, clock=CLOCK)) as other:

        async def change(hand: Store, numbers: list[int], name: str) -> None:
            await hand.commit([Update(InboxRow, (f"i{n:05d}",), {"topic": name}) for n in numbers])

        for _ in range(10):
            await asyncio.gather(
                change(store, list(range(20)), "up"), change(other, list(range(20))[::-1], "down")
            )
        topics = await store.count(InboxRow, by=["topic"])

    assert list(topics.values()) == [20]


async def test_a_key_too_long_for_an_index_is_refused_alone(store: Store) -> None:
    long = "".join(map(chr, range(0x4E00, 0x4E00 + 9_000)))
    outcomes = await asyncio.gather(
        *(
            store.commit([Insert(KeyRow("s", long if n == 2 else str(n), "d", "x", 0))])
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


async def test_refusals_leave_no_noise_in_the_log(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="psycopg"):
        await store.commit([Insert(inbox(1))])
        for _ in range(3):
            twins = [
                store.commit([Insert(inbox(n)), Insert(KeyRow("s", str(n), "d", "x", 0))])
                for n in (1, 1, 2)
            ]
            outcomes = await asyncio.gather(*twins, return_exceptions=True)

    assert isinstance(outcomes[0], StaleWrite)
    assert [record.message for record in caplog.records] == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cret@127.0.0.1:1/cases",
        "postgresql://ann:s3cret@127.0.0.1:port/cases",
        "host=127.0.0.1 port=1 password='s3cret",
    ],
)
async def test_the_password_stands_in_no_message(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises((StoreUnavailable, ConfigInvalid)) as caught:
        await PostgresStore(url, clock=CLOCK).open()

    chain: BaseException | None = caught.value
    while chain is not None:
        assert "s3cret" not in f"{chain} {chain!r}"
        chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
    assert "s3cret" not in caplog.text


async def test_a_database_that_is_not_there_is_named(postgres_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="nowhere"):
        await PostgresStore(with_database(postgres_url, "nowhere"), clock=CLOCK).open()


async def test_the_self_check_names_settings_that_lose_work(
    store: Store, database_url: str
) -> None:
    found = {finding.name: finding.level for finding in await store.check()}

    assert found["postgres.fsync"] == found["postgres.full_page_writes"] == "fail"
    assert (
        found["postgres.version"] == found["postgres.encoding"] == found["postgres.primary"] == "ok"
    )


async def test_a_server_set_to_lose_commits_is_overruled(database_url: str) -> None:
    name = database_url.rsplit("/", 1)[1]
    run(database_url, f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    async with opened(PostgresStore(database_url, clock=CLOCK)) as store:
        levels = {finding.name: finding.level for finding in await store.check()}
    with psycopg.connect(database_url) as connection:
        before = connection.execute("SHOW synchronous_commit").fetchone()
        connection.execute(DURABLE_SQL)
        after = connection.execute("SHOW synchronous_commit").fetchone()

    assert levels["postgres.synchronous_commit"] == "warn"
    assert (before, after) == (("off",), ("on",))
