"""What people ruled as a training set: every ruling once, with its provenance, whoever it is written for."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from opsrail.clock import ManualClock
from opsrail.errors import Conflict, InvalidInput, NotFound
from opsrail.lab.ruling_file import export
from opsrail.ledger.chain import WriterChain
from opsrail.review import ruled as ruled_module
from opsrail.review.exporting import Wanted, exported
from opsrail.store.memory import MemoryStore
from opsrail.values.reviews import Purpose, ReviewState, RulingRow
from tests.support.sampled import asked, decided, put

START_MS = 1_767_258_000_000
END_MS = START_MS + 10_000_000
CLOCK = ManualClock(lambda: 0.0)


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    store = MemoryStore(WriterChain(CLOCK), clock=CLOCK)
    await store.open()
    yield store
    await store.close()


async def fill(store: MemoryStore, count: int = 7) -> None:
    """Rulings on decisions; four of each ten in one millisecond, as when people rule on many at once."""
    rows: list[Any] = []
    for n in range(count):
        about = decided(START_MS, n, score=0.1 + n / 1000)
        form = json.dumps({"schema": {}, "values": {"amount": n}})
        rows += [
            about,
            asked(
                START_MS, n, decision_id=about.id, state=ReviewState.RULED, ruling="approve", ruled_by=f"user:p{n % 2}",
                ruled_at_ms=START_MS + 1_000 * (n // 4), claimed_at_ms=START_MS, form=form, fields='{"amount": 5}',
                labels='{"labels": {}, "sampled": 0.1}' if n % 3 == 0 else None,
            ),
        ]  # fmt: skip
    common = {
        "state": ReviewState.RULED,
        "ruling": "approve",
        "ruled_at_ms": START_MS,
        "ruled_by": "user:p0",
    }
    rows.append(asked(START_MS, 900, purpose=Purpose.CONTROL, truth="approve", **common))
    rows.append(asked(START_MS, 901, **{**common, "ruled_by": "expiry"}))
    rows.append(asked(START_MS, 902))
    await put(store, rows)


async def lines(store: MemoryStore, **how: Any) -> list[dict[str, Any]]:
    after = how.pop("after", None)
    wanted = Wanted(**{"since_ms": 0, "until_ms": END_MS, **how})
    return [line async for page in exported(store, CLOCK, wanted, after=after) for line in page]


async def test_a_line_tells_what_was_ruled_by_whom_and_on_what(store: MemoryStore) -> None:
    await fill(store)
    first_review = (await lines(store))[0]["review_id"]
    said = RulingRow(
        first_review, "user:p0", "approve", "", '{"amount": 5}', "decline", True, 4.0, 5
    )
    await put(store, [said])
    one = (await lines(store, is_named=True))[0]

    assert one["features"] == {"amount": 0}
    assert (one["model"], one["verdict"], one["ruling"]) == ("fraud/1", "approve", "approve")
    assert (one["fields_before"], one["fields_after"]) == ({"amount": 0}, {"amount": 5})
    assert (one["sampling_probability"], one["purpose"], one["by"]) == (0.1, "case", "user:p0")
    assert one["rulings"][0]["first"] == "decline"
    assert one["ruled_at"] == "2026-01-01T09:00:00.000Z"
    assert "salt" not in json.dumps(one)


async def test_control_cases_and_rulings_that_nobody_gave_are_left_out_and_every_other_is_there_once(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ruled_module, "PAGE_COUNT", 3)
    await fill(store, 50)
    whole = await lines(store)
    ids = [one["review_id"] for one in whole]

    assert len(ids) == len(set(ids)) == 50
    for cut in (1, 3, 4, 29, 50):
        rest = await lines(store, after=ids[cut - 1])
        assert [one["review_id"] for one in rest] == ids[cut:]


async def test_people_have_the_same_pseudonym_in_every_export_unless_names_are_asked_for(
    store: MemoryStore,
) -> None:
    await fill(store)
    first, again = await lines(store), await lines(store)
    named = await lines(store, is_named=True)

    assert [one["by"] for one in first] == [one["by"] for one in again]
    assert len({one["by"] for one in first}) == 2
    assert "user:" not in json.dumps(first)
    assert {one["by"] for one in named} == {"user:p0", "user:p1"}


async def test_only_what_is_asked_for_is_exported(store: MemoryStore) -> None:
    await fill(store)

    assert await lines(store, queue="other") == []
    assert await lines(store, point="other") == []
    assert await lines(store, automations=()) == []
    assert len(await lines(store, since_ms=START_MS + 1_000)) == 3
    assert len(await lines(store, until_ms=START_MS + 1_000)) == 4
    with pytest.raises(NotFound):
        await lines(store, after="01ARZ3NDEKTSV4RRFFQ69G5FAV-1")


async def test_three_kinds_of_file_hold_the_same_and_a_manifest_vouches_for_each(
    store: MemoryStore, tmp_path: Path
) -> None:
    await fill(store)
    wanted = Wanted(0, END_MS)
    for ending in ("jsonl", "csv", "parquet"):
        path = tmp_path / f"rulings.{ending}"
        manifest = await export(store, CLOCK, wanted, path)
        assert manifest["rows"] == 7
        assert manifest["digest"] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        assert json.loads((tmp_path / f"rulings.{ending}.manifest.json").read_text()) == manifest
    plain = [json.loads(line) for line in (tmp_path / "rulings.jsonl").read_text().splitlines()]
    with (tmp_path / "rulings.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    table = pyarrow.parquet.read_table(tmp_path / "rulings.parquet")

    assert [one["review_id"] for one in cells] == [one["review_id"] for one in plain]
    assert table["review_id"].to_pylist() == [one["review_id"] for one in plain]
    assert table["features.amount"].to_pylist() == [float(n) for n in range(7)]
    assert json.loads(cells[3]["fields_after"]) == {"amount": 5}
    assert [float(one["score"]) for one in cells] == table["score"].to_pylist()
    assert [
        path.name for path in tmp_path.iterdir() if ".part" in path.name.replace(".parquet", "")
    ] == []


async def test_an_export_that_was_stopped_goes_on_and_is_the_same_file(
    store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ruled_module, "PAGE_COUNT", 3)
    await fill(store, 20)
    whole = await export(store, CLOCK, Wanted(0, END_MS), tmp_path / "whole.jsonl")

    def stop(done: int) -> None:
        if done >= 9:
            raise KeyboardInterrupt

    path = tmp_path / "cut.jsonl"
    with pytest.raises(KeyboardInterrupt):
        await export(store, CLOCK, Wanted(0, END_MS), path, progress=stop)
    assert not path.exists()
    with (tmp_path / "cut.jsonl.part").open("ab") as part:
        part.write(b'{"review_id": "cut off in the midd')
    with pytest.raises(Conflict, match="something else"):
        await export(store, CLOCK, Wanted(0, END_MS, queue="other"), path)
    again = await export(store, CLOCK, Wanted(0, END_MS + 5), path)

    assert (again["rows"], again["digest"]) == (20, whole["digest"])
    assert again["filter"] == whole["filter"]


async def test_a_file_of_no_known_kind_is_refused(store: MemoryStore, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nothing was exported"):
        await export(store, CLOCK, Wanted(0, END_MS), tmp_path / "rulings.xlsx")
    assert list(tmp_path.iterdir()) == []
