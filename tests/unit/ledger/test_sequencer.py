"""The sequencer: places, tiles, checkpoints, and who may give them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from pathlib import Path

import pytest

from opsrail import faults
from opsrail.errors import LedgerBroken, StoreUnavailable
from opsrail.ledger import book, reading, sequencer
from opsrail.ledger.anchor import Anchor
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.notes import read_checkpoint
from opsrail.ledger.tiles import Edge
from opsrail.values.ledger import (
    CheckpointRow,
    LedgerEntryRow,
    LedgerLeaderRow,
    LedgerPendingRow,
    LedgerRunRow,
    LedgerTileRow,
    LedgerWriterRow,
)
from opsrail.values.rows import Delete, Insert, Update, Write
from tests.unit.ledger.desk import Desk, made


def run_to_its_end(tick: Coroutine[None, None, int]) -> None:
    """Run a tick that waits for nothing but its turn, inside another's."""
    with contextlib.suppress(StopIteration):
        while True:
            tick.send(None)


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    await desk.store.open()
    return desk


async def test_waiting_entries_get_adjoining_places_and_a_signed_root(desk: Desk) -> None:
    await desk.append(3)
    await desk.append(2)
    count = await desk.sequencer.tick()
    (run,) = await desk.store.select(LedgerRunRow)
    (checkpoint,) = await desk.store.select(CheckpointRow)
    leaves = [bytes.fromhex(row.leaf_hash) for row in await desk.store.select(LedgerEntryRow)]
    grown = Edge()
    for leaf in leaves:
        grown.append(leaf)

    assert count == 5
    assert run == (0, desk.chain.writer, 0, 5)
    assert await desk.store.select(LedgerPendingRow) == []
    assert read_checkpoint(checkpoint.note, desk.known) == ("test.example/ledger", 5, grown.root())
    assert (checkpoint.root, checkpoint.epoch) == (grown.root().hex(), 1)
    assert desk.anchor.read() == checkpoint.note
    assert desk.sequencer.last == checkpoint


async def test_a_tick_without_waiting_entries_writes_nothing(desk: Desk) -> None:
    assert await desk.sequencer.tick() == 0
    assert await desk.store.select(LedgerLeaderRow) == []


async def test_runs_of_several_writers_adjoin_and_their_cursors_move(desk: Desk) -> None:
    await desk.write(3)
    first = desk.chain.writer
    desk.chain.renew()
    await desk.append(2)
    await desk.write(1)
    writers = await desk.store.select(LedgerWriterRow)
    runs = await desk.store.select(LedgerRunRow)

    assert [(row.writer, row.sequenced) for row in writers] == [(first, 3), (desk.chain.writer, 3)]
    assert runs == [(0, first, 0, 3), (3, desk.chain.writer, 0, 3)]
    assert [await reading.index_of(desk.store, desk.chain.writer, seq) for seq in (0, 2, 3)] == [
        3,
        5,
        None,
    ]
    assert await reading.index_of(desk.store, "nobody", 0) is None


async def test_full_tiles_are_written_once_and_a_new_leader_goes_on_from_them(desk: Desk) -> None:
    await desk.write(200, 100, 300)
    await desk.sequencer.resign()
    other = desk.another("worker-2")
    await desk.append(7)
    count = await other.tick()
    tiles = await desk.store.select(LedgerTileRow)
    leaves = [bytes.fromhex(row.leaf_hash) for row in await desk.store.select(LedgerEntryRow)]

    assert count == 7
    assert tiles == [(0, number, b"".join(leaves[number * 256 :][:256])) for number in range(2)]
    assert other.last is not None
    assert bytes.fromhex(other.last.root) == await reading.root_at(desk.store, 607)
    assert other.last.epoch == 2


async def test_only_one_leads_while_its_lease_runs(desk: Desk) -> None:
    await desk.write(1)
    other = desk.another("worker-2")
    await desk.append(1)
    early = await other.tick()
    desk.clock.wall_ms += sequencer.LEASE_MS
    late = await other.tick()

    assert (early, late) == (0, 1)
    assert other.is_leader


async def test_a_leader_that_was_replaced_while_it_slept_writes_nothing(desk: Desk) -> None:
    await desk.write(1)
    desk.clock.wall_ms += sequencer.LEASE_MS
    other = desk.another("worker-2")
    await desk.append(1)
    await other.tick()
    await desk.append(1)
    before = await desk.store.select(CheckpointRow)
    count = await desk.sequencer.tick()
    again = await desk.sequencer.tick()

    assert (count, again) == (0, 0)
    assert not desk.sequencer.is_leader
    assert await desk.store.select(CheckpointRow) == before
    assert await other.tick() == 1


def test_the_next_leader_goes_on_within_five_seconds() -> None:
    assert sequencer.LEASE_MS / 1000 + 2 * sequencer.INTERVAL_S <= 5


async def test_a_leader_replaced_in_the_midst_of_a_tick_does_not_call_the_book_broken(
    desk: Desk,
) -> None:
    await desk.append(3)
    other = sequencer.Sequencer(desk.store, desk.signer, desk.clock, "worker-2")

    def lead_meanwhile() -> None:
        desk.clock.wall_ms += sequencer.LEASE_MS
        run_to_its_end(other.tick())

    await desk.sequencer.tick()
    await desk.append(3)
    with faults.armed("ledger.sequenced", lead_meanwhile):
        count = await desk.sequencer.tick()

    assert count == 0
    assert (await book.verify(desk.store, desk.known)).is_intact


async def test_of_two_that_want_the_lead_at_once_one_gets_it(desk: Desk) -> None:
    await desk.append(4)
    counts = await asyncio.gather(*(desk.another(f"worker-{number}").tick() for number in range(5)))

    assert sorted(counts) == [0, 0, 0, 0, 4]


async def test_after_a_failed_commit_the_edge_is_read_again(desk: Desk) -> None:
    await desk.write(5)
    await desk.append(3)

    def lose() -> None:
        raise StoreUnavailable("the server went away")

    with faults.armed("commit.begun", lose), pytest.raises(StoreUnavailable):
        await desk.sequencer.tick()
    count = await desk.sequencer.tick()

    assert count == 3
    assert desk.sequencer.last is not None
    assert bytes.fromhex(desk.sequencer.last.root) == await reading.root_at(desk.store, 8)


async def test_many_waiting_entries_are_taken_in_several_ticks(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "TICK_COUNT", 10)
    for _ in range(5):
        await desk.append(4)
        desk.chain.renew()
    counts = [await desk.sequencer.tick() for _ in range(3)]

    assert counts == [12, 8, 0]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ({"body": "{}"}, "was changed before it had its place"),
        ({"leaf_hash": "0" * 64}, "was changed before it had its place"),
        ({"prev_hash": "0" * 64}, "was changed before it had its place"),
    ],
)
async def test_an_entry_changed_while_it_waits_gets_no_place(
    desk: Desk, damage: dict[str, str], reason: str
) -> None:
    await desk.write(2)
    await desk.append(3)
    await desk.store.commit([Update(LedgerEntryRow, (desk.chain.writer, 3), damage)])

    with pytest.raises(LedgerBroken, match=reason):
        await desk.sequencer.tick()
    assert await reading.sequenced_size(desk.store) == 2


@pytest.mark.parametrize("seqs", [(2,), (4,), (2, 3, 4)])
async def test_an_entry_removed_while_it_waits_is_noticed(desk: Desk, seqs: Sequence[int]) -> None:
    await desk.write(2)
    await desk.append(3)
    for seq in seqs:
        await desk.store.commit([Delete(LedgerEntryRow, {"writer": desk.chain.writer, "seq": seq})])

    with pytest.raises(LedgerBroken):
        await desk.sequencer.tick()


async def test_a_gap_in_the_waiting_list_is_noticed(desk: Desk) -> None:
    await desk.append(3)
    await desk.append(3)
    await desk.store.commit([Delete(LedgerPendingRow, {"first_seq": 0})])

    with pytest.raises(LedgerBroken, match=r"Entry 3 of writer .* but 0 is next"):
        await desk.sequencer.tick()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ([Update(CheckpointRow, (4,), {"root": "0" * 64})], "newest checkpoint speaks of"),
        ([Update(CheckpointRow, (4,), {"note": "none"})], "not a signed note"),
        ([Delete(CheckpointRow, {"size": 4})], "newest checkpoint speaks of 3"),
        (
            [Delete(CheckpointRow, {"size": 4}), Delete(CheckpointRow, {"size": 3})],
            "checkpoints are gone",
        ),
        ([Delete(LedgerEntryRow, {"seq": 1})], "Entry 1 of the ledger is missing"),
        ([Delete(LedgerRunRow, {"first_index": 0})], "No run of the ledger holds entry 0"),
        ([Update(LedgerLeaderRow, ("sequencer",), {"size": 3})], "newest checkpoint speaks of 4"),
    ],
)
async def test_a_new_leader_does_not_go_on_with_a_damaged_book(
    desk: Desk, damage: list[Write], reason: str
) -> None:
    await desk.write(3, 1)
    await desk.sequencer.resign()
    await desk.store.commit(damage)
    await desk.append(1)

    with pytest.raises(LedgerBroken, match=reason):
        await desk.another("worker-2").tick()


async def test_a_new_leader_compares_the_root_that_was_signed(desk: Desk) -> None:
    await desk.write(3)
    await desk.sequencer.resign()
    other = WriterChain(desk.clock).link([made(99)])[0]
    assert isinstance(other, LedgerEntryRow)
    await desk.store.commit(
        [Update(LedgerEntryRow, (desk.chain.writer, 0), {"leaf_hash": other.leaf_hash})]
    )
    await desk.append(1)

    with pytest.raises(LedgerBroken, match="do not have the root that was signed"):
        await desk.another("worker-2").tick()


async def test_rows_that_stand_where_the_leader_writes_are_noticed(desk: Desk) -> None:
    await desk.write(3)
    await desk.store.commit([Insert(LedgerRunRow(3, "forged", 0, 1))])
    await desk.append(1)

    with pytest.raises(LedgerBroken, match="not as its leader left them"):
        await desk.sequencer.tick()


async def test_an_external_checkpoint_that_cannot_be_written_does_not_stop_the_book(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = sequencer.Sequencer(
        desk.store, desk.signer, desk.clock, "worker-1", anchor=Anchor(tmp_path / "gone" / "note")
    )
    await desk.append(2)
    count = await other.tick()

    assert count == 2
    assert "cannot be written" in caplog.text


async def test_a_writer_whose_last_entry_is_gone_is_not_gone_on_with(desk: Desk) -> None:
    await desk.write(300)
    await desk.sequencer.resign()
    other = desk.another("worker-2")
    await desk.append(1)
    await desk.store.commit([Update(LedgerWriterRow, (desk.chain.writer,), {"sequenced": 400})])

    with pytest.raises(LedgerBroken, match=r"Entry 399 of writer .* is gone"):
        await other.tick()


async def test_running_it_sequences_what_comes_and_lets_others_lead_when_it_ends(
    desk: Desk,
) -> None:
    await desk.append(2)
    leads = asyncio.Event()
    with faults.armed("ledger.checkpointed", leads.set):
        task = asyncio.create_task(desk.sequencer.run())
        await leads.wait()
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    leader = await desk.store.get(LedgerLeaderRow, "sequencer")

    assert leader is not None
    assert (leader.size, leader.lease_until_ms) == (2, 0)


async def test_running_it_waits_for_a_store_that_is_down_and_stops_at_a_broken_book(
    desk: Desk,
) -> None:
    await desk.write(1)
    await desk.store.close()
    other = sequencer.Sequencer(desk.store, desk.signer, desk.clock, "worker-1", interval_s=0.001)
    task = asyncio.create_task(other.run())
    await asyncio.sleep(0)
    await desk.store.open()
    await desk.append(1)
    signed = desk.store.changed(CheckpointRow)
    signed.clear()
    await signed.wait()
    await desk.append(1)
    await desk.store.commit([Update(LedgerEntryRow, (desk.chain.writer, 2), {"body": "{}"})])

    with pytest.raises(LedgerBroken):
        await task
