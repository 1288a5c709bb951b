"""Verify, prove, export: on a small book in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from opsrail.errors import InvalidInput, LedgerBroken, NotFound, Unavailable
from opsrail.ledger import book, exporting, reading, tree, verifier
from opsrail.ledger.keys import rotate_key
from opsrail.ledger.notes import read_checkpoint
from opsrail.values.ledger import (
    CheckpointRow,
    LedgerEntryRow,
    LedgerLeaderRow,
    LedgerPendingRow,
    LedgerRunRow,
    LedgerTileRow,
    LedgerWriterRow,
)
from opsrail.values.rows import Append, Delete, Insert, Update, Write
from tests.unit.ledger.desk import Desk, made

SIZES = (100, 200, 1, 299)
"""Entries at each checkpoint; 600 in all, so that two tiles are full."""


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    """A book of 600 entries by two writers."""
    desk = Desk(tmp_path)
    await desk.store.open()
    await desk.write(*SIZES[:2])
    desk.chain.renew()
    await desk.write(*SIZES[2:])
    return desk


def known(desk: Desk) -> dict[tuple[str, bytes], bytes]:
    return dict(verifier.parse_key(str(key)) for key in desk.known)


async def test_an_untouched_book_is_intact(desk: Desk) -> None:
    await desk.append(4)
    seen: list[tuple[int, int]] = []
    report = await book.verify(
        desk.store, desk.known, [desk.anchor.read() or ""], lambda *at: seen.append(at)
    )

    assert report.is_intact
    assert (report.entries, report.waiting, report.unbound, report.first_bad_index) == (
        600,
        4,
        0,
        None,
    )
    assert report.checkpoint is not None
    assert report.checkpoint.size == 600
    assert seen[-1] == (600, 600)


async def test_an_empty_book_is_intact(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.store.open()
    report = await book.verify(desk.store, desk.known)

    assert report.is_intact
    assert (report.entries, report.checkpoint) == (0, None)


async def test_entries_that_do_not_repeat_their_columns_are_counted(desk: Desk) -> None:
    await desk.store.commit([Append("a.b", "x", 1, b'{"n":1}'), Append("a.b", "x", 1, b"no json")])
    await desk.sequencer.tick()
    report = await book.verify(desk.store, desk.known)

    assert report.is_intact
    assert report.unbound == 2


DAMAGES: list[tuple[str, list[Write], int | None, str]] = [
    ("body", [Update(LedgerEntryRow, ("W", 7), {"body": "{}"})], 307, "not what was hashed"),
    ("leaf hash", [Update(LedgerEntryRow, ("W", 7), {"leaf_hash": "0" * 64})], 307, "not what was hashed"),
    ("prev hash", [Update(LedgerEntryRow, ("W", 7), {"prev_hash": "0" * 64})], 307, "does not follow"),
    ("kind", [Update(LedgerEntryRow, ("W", 7), {"kind": "x.y"})], 307, "kind are not those of its body"),
    ("moment", [Update(LedgerEntryRow, ("W", 7), {"at_ms": 1})], 307, "at_ms are not those"),
    ("removed", [Delete(LedgerEntryRow, {"writer": "W", "seq": 7})], 307, "is missing"),
    ("last removed", [Delete(LedgerEntryRow, {"writer": "W", "seq": 299})], 599, "is missing"),
    ("run removed", [Delete(LedgerRunRow, {"first_index": 100})], 100, "leave or share places"),
    ("last run removed", [Delete(LedgerRunRow, {"first_index": 301})], 301, "runs hold 301"),
    ("run moved", [Update(LedgerRunRow, (301,), {"first_seq": 2})], 301, "goes on with its entry 2, not 1"),
    ("run grown", [Update(LedgerRunRow, (300,), {"entry_count": 2})], 301, "leave or share places"),
    ("tile", [Update(LedgerTileRow, (0, 1), {"hashes": bytes(32 * 256)})], 256, "tile 1 of level 0"),
    ("tile removed", [Delete(LedgerTileRow, {"level": 0, "number": 1})], 256, "tile 1 of level 0"),
    ("tile cut", [Update(LedgerTileRow, (0, 1), {"hashes": b""})], 256, "tile 1 of level 0"),
    ("root", [Update(CheckpointRow, (301,), {"root": "0" * 64})], 300, "not what its note says"),
    ("note", [Update(CheckpointRow, (301,), {"note": "x"})], 300, "not a signed note"),
    ("last checkpoint removed", [Delete(CheckpointRow, {"size": 600})], 301, "no checkpoint covers"),
    ("all checkpoints removed", [Delete(CheckpointRow, {"epoch": 1})], 0, "no checkpoint covers"),
    ("leader's size", [Update(LedgerLeaderRow, ("sequencer",), {"size": 301})], 301, "the tail is cut"),
    ("leader removed", [Delete(LedgerLeaderRow, {"epoch": 1})], 0, "the tail is cut"),
    ("cursor", [Update(LedgerWriterRow, ("W",), {"sequenced": 1})], None, "it has more"),
    ("cursor ahead", [Update(LedgerWriterRow, ("W",), {"sequenced": 301})], None, "waiting list say 305"),
    ("waiting list", [Delete(LedgerPendingRow, {"writer": "W"})], None, "waiting list say 300"),
    ("waiting entry removed", [Delete(LedgerEntryRow, {"writer": "W", "seq": 303})], None, "waiting list say 304"),
    ("waiting entry", [Update(LedgerEntryRow, ("W", 302), {"body": "{}"})], None, "not what was hashed"),
    ("waiting gap", [Delete(LedgerEntryRow, {"writer": "W", "seq": 301})], None, "entry 301 of writer .* is missing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("writes", "index", "message"),
    [case[1:] for case in DAMAGES],
    ids=[case[0] for case in DAMAGES],
)
async def test_damage_is_found_and_its_first_place_named(
    desk: Desk, writes: Sequence[Write], index: int | None, message: str
) -> None:
    await desk.append(4)
    await desk.store.commit([named(write, desk.chain.writer) for write in writes])
    report = await book.verify(desk.store, desk.known)

    assert report.first_bad_index == index
    assert re.search(message, "\n".join(map(str, report.faults)))


def named(write: Write, writer: str) -> Write:
    """Return the write with `W` replaced by the id of the writer."""
    if isinstance(write, Update):
        return write._replace(key=tuple(writer if part == "W" else part for part in write.key))
    if isinstance(write, Delete):
        return write._replace(
            where={name: writer if part == "W" else part for name, part in write.where.items()}
        )
    return write


async def test_an_entry_slipped_in_behind_the_chain_is_found(desk: Desk) -> None:
    row = desk.chain.link([made(1)])[0]
    await desk.store.commit([Insert(row)])
    report = await book.verify(desk.store, desk.known)

    assert [str(fault) for fault in report.faults] == [
        f"writer {desk.chain.writer} has 301 entries; its places and the waiting list say 300"
    ]


async def test_a_long_list_of_faults_is_cut_but_counted(desk: Desk) -> None:
    await desk.store.commit([Delete(LedgerEntryRow, {"writer": desk.chain.writer})])
    report = await book.verify(desk.store, desk.known)

    assert (len(report.faults), report.fault_count) == (100, 301)
    assert report.first_bad_index == 300


async def test_an_external_checkpoint_shows_a_book_that_is_too_short_or_another(
    desk: Desk, tmp_path: Path
) -> None:
    note = desk.anchor.read() or ""
    other = Desk(tmp_path / "other")
    other.signer = desk.signer
    other.sequencer = other.another("worker-1")
    await other.store.open()
    await other.store.commit([made(0, "another")])
    await other.write(9)
    short = await book.verify(other.store, desk.known, [note])
    await other.write(600)
    long = await book.verify(other.store, desk.known, ["forged", note])

    assert [str(fault) for fault in short.faults] == [
        "entries 10..599: an external checkpoint of 600 knows them: rolled back"
    ]
    assert short.first_bad_index == 10
    assert [str(fault)[:60] for fault in long.faults] == [
        "entries 0..599: they are not those that an external checkpoi",
        "external checkpoint: A checkpoint is not a signed note: the ",
    ]


@pytest.mark.parametrize(
    "damage",
    [Delete(LedgerTileRow, {"number": 0}), Update(LedgerTileRow, (0, 0), {"hashes": b"cut"})],
)
async def test_no_proof_is_made_from_a_missing_or_cut_tile(desk: Desk, damage: Write) -> None:
    await desk.store.commit([damage])

    with pytest.raises(LedgerBroken, match="Tile 0 of level 0"):
        await book.prove(desk.store, desk.chain.writer, 5, desk.known)


@pytest.mark.parametrize("index", [0, 1, 255, 256, 299, 300, 511, 512, 599])
async def test_a_proof_holds_in_the_verifier_that_shares_no_code(desk: Desk, index: int) -> None:
    run = await reading.run_at(desk.store, index)
    assert run is not None
    proof = await book.prove(
        desk.store, run.writer, run.first_seq + index - run.first_index, desk.known
    )

    assert proof["index"] == index
    assert verifier.check_proof(json.loads(json.dumps(proof)), known(desk)) == []


async def test_a_changed_proof_does_not_hold(desk: Desk) -> None:
    proof = await book.prove(desk.store, desk.chain.writer, 5, desk.known)
    signed: dict[str, Any] = proof["entry"]
    changes: list[dict[str, Any]] = [
        {"index": 304},
        {"path": proof["path"][:-1]},
        {"path": ["00", *proof["path"][1:]]},
        {"path": ["xx"]},
        {"checkpoint": proof["checkpoint"].replace("\n600\n", "\n601\n")},
        {"checkpoint": "none"},
        {"entry": {**signed, "body": signed["body"].replace("approve", "decline")}},
        {"entry": {**signed, "subject_id": "another"}},
        {"entry": {**signed, "leaf_hash": "00" * 32}},
    ]
    found = [verifier.check_proof({**proof, **change}, known(desk)) for change in changes]

    assert [len(faults) for faults in found] == [1] * len(changes)


async def test_what_has_no_place_yet_cannot_be_proven_yet(desk: Desk) -> None:
    await desk.append(1)

    with pytest.raises(Unavailable) as later:
        await book.prove(desk.store, desk.chain.writer, 300, desk.known)
    assert later.value.after_s == 2.0
    with pytest.raises(NotFound):
        await book.prove(desk.store, desk.chain.writer, 301, desk.known)


async def test_a_proof_that_does_not_fit_is_not_handed_out(desk: Desk) -> None:
    await desk.store.commit(
        [Update(LedgerEntryRow, (desk.chain.writer, 7), {"leaf_hash": "0" * 64})]
    )

    with pytest.raises(LedgerBroken, match="Entry 307 of the ledger does not fit"):
        await book.prove(desk.store, desk.chain.writer, 7, desk.known)


async def test_entries_about_a_subject_are_found_oldest_first(desk: Desk) -> None:
    await desk.store.commit([made(1000, "case-1"), made(999, "case-1")])
    rows = await book.entries_about(desk.store, "case-1")

    assert [json.loads(row.body)["number"] for row in rows] == [999, 1000]


async def test_todays_book_is_proven_to_begin_with_an_earlier_checkpoint(desk: Desk) -> None:
    rows = await desk.store.select(CheckpointRow)
    newest = read_checkpoint(rows[-1].note, desk.known)
    for row in rows:
        old = read_checkpoint(row.note, desk.known)
        proof = await book.prove_consistency(desk.store, row.note, desk.known)
        path = [bytes.fromhex(part) for part in proof["path"]]

        assert tree.is_consistent(old.size, newest.size, path, old.root, newest.root)
        assert proof["checkpoint"] == rows[-1].note


async def test_a_book_that_does_not_begin_so_is_not_proven_to(desk: Desk, tmp_path: Path) -> None:
    other = Desk(tmp_path / "other")
    other.signer = desk.signer
    other.sequencer = other.another("worker-1")
    await other.store.open()
    with pytest.raises(LedgerBroken, match="a checkpoint of 0 entries, older"):
        await book.prove_consistency(other.store, desk.anchor.read() or "", desk.known)
    await other.store.commit([made(0, "another")])
    await other.write(600)

    with pytest.raises(LedgerBroken, match="first 600 entries are not those"):
        await book.prove_consistency(other.store, desk.anchor.read() or "", desk.known)


async def test_checkpoints_of_a_replaced_key_stay_good(desk: Desk, tmp_path: Path) -> None:
    desk.signer = rotate_key(tmp_path / "ledger.key", desk.clock)
    desk.sequencer = desk.another("worker-1")
    await desk.write(3)
    report = await book.verify(desk.store, desk.signer.verifiers, [desk.anchor.read() or ""])
    by_old_key = await book.verify(desk.store, desk.known)

    assert report.is_intact
    assert by_old_key.is_intact


async def test_an_export_is_whole_and_checked_alone(desk: Desk, tmp_path: Path) -> None:
    await desk.append(4)
    folder = tmp_path / "export"
    seen: list[tuple[int, int]] = []
    written = await exporting.export(
        desk.store, folder, desk.known, lambda done, total: seen.append((done, total))
    )
    count, faults = verifier.check_folder(folder, known(desk), [("mine", desk.anchor.read() or "")])

    assert (written.entries, written.checkpoint.size) == (600, 600)
    assert (count, faults) == (600, [])
    assert seen == [(500, 600), (600, 600)]
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.txt",
        "checkpoints.jsonl",
        "entries.jsonl",
        "verifier.py",
    ]


async def test_an_export_does_not_mix_with_other_files(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not empty"):
        await exporting.export(desk.store, tmp_path, desk.known)


async def test_an_empty_or_broken_book_is_not_exported(desk: Desk, tmp_path: Path) -> None:
    other = Desk(tmp_path / "other")
    await other.store.open()
    with pytest.raises(NotFound, match="no checkpoint yet"):
        await exporting.export(other.store, tmp_path / "export", other.known)
    await desk.store.commit([Delete(LedgerEntryRow, {"writer": desk.chain.writer, "seq": 7})])

    with pytest.raises(LedgerBroken, match="Entry 307 of the ledger is missing"):
        await exporting.export(desk.store, tmp_path / "export", desk.known)
