"""Stored decisions as columns, with what people and the world said of them; and their copy on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from opsrail.clock import ManualClock
from opsrail.errors import InvalidInput
from opsrail.lab import history as module
from opsrail.lab.copies import Copies
from opsrail.lab.history import history
from opsrail.lab.joins import with_outcomes, with_shadows
from opsrail.lab.records import parsed
from opsrail.store.memory import MemoryStore
from opsrail.values.decisions import DecisionRow, Reason
from opsrail.values.rows import Delete, Insert, Where
from opsrail.values.shadows import ShadowScoreRow
from tests.support.history import (
    EVERY_MS,
    FIRST_MS,
    decision,
    decision_id,
    outcome,
    review,
    row,
    stored,
)

LATER_MS = FIRST_MS + 30 * 86_400_000


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    store = MemoryStore(clock=ManualClock(lambda: 0.0, start_ms=LATER_MS))
    await store.open()
    yield store
    await store.close()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 20)
    monkeypatch.setattr(module, "PAGE_ROWS", 5)


async def test_a_decision_becomes_a_row_of_its_own_values(store: MemoryStore) -> None:
    await stored(store, [decision(7, facts={"make": "Honda", "receipt": {"total_usd": 12.5}})])
    (told,) = (await history(store, "fraud-risk")).to_pylist()

    assert told == {
        "id": decision_id(7), "at_ms": FIRST_MS + 7 * EVERY_MS, "case_id": None,
        "model_name": "fraud", "model_number": 1, "score": 0.59, "confidence": 0.9, "unknown": [],
        "unknown_count": 0,
        "verdict": "review", "proposed": None, "autonomy": "automate", "degraded": False,
        "degraded_why": None, "reason_source": "band", "policy_source": "band",
        "policy_code": "score-in-band", "policy_version": "0" * 16, "latency_us": 2500,
        "cost_usd": 0.25, "request_version": "v1",
        "facts": {"make": "Honda", "receipt.total_usd": 12.5}, "views": {"frauds": 2},
        "ruling": None, "ruling_is_override": None, "reviewed_s": None,
    }  # fmt: skip


async def test_a_decision_without_model_and_score_is_a_row_with_nothing_there(
    store: MemoryStore,
) -> None:
    silent = (Reason("model-unavailable", "None.", "policy"),)
    await stored(
        store, [decision(1, model=None, score=None, confidence=None, reasons=silent, degraded=True)]
    )
    (told,) = (await history(store, "fraud-risk")).to_pylist()

    assert (told["model_name"], told["model_number"], told["score"]) == (None, None, None)
    assert (told["reason_source"], told["policy_code"]) == ("policy", "model-unavailable")


def test_where_a_person_was_to_decide_the_policys_own_reason_is_told_beside() -> None:
    reasons = (
        Reason("autonomy-assist", "A person.", "autonomy"),
        Reason("large", "Large.", "rule"),
    )
    made = decision(1, reasons=reasons, autonomy="assist", proposed="approve", verdict="review")
    (told,) = parsed([made.written().decode()], [made.id]).to_pylist()

    assert [told[f"{whose}_source"] for whose in ("reason", "policy")] == ["autonomy", "rule"]
    assert (told["policy_code"], row(made).reason) == ("large", "large")
    assert (told["autonomy"], told["proposed"]) == ("assist", "approve")


async def test_only_the_span_and_the_point_asked_for_are_in_it(store: MemoryStore) -> None:
    await stored(
        store, [decision(n, point="other" if n % 10 == 9 else "fraud-risk") for n in range(60)]
    )
    since_ms, until_ms = FIRST_MS + 10 * EVERY_MS, FIRST_MS + 50 * EVERY_MS
    table = await history(store, "fraud-risk", since_ms=since_ms, until_ms=until_ms)

    assert table["id"].to_pylist() == [decision_id(n) for n in range(10, 50) if n % 10 != 9]
    assert (await history(store, "fraud-risk", until_ms=FIRST_MS)).num_rows == 0
    assert (await history(store, "nobody")).num_rows == 0


async def test_fields_of_every_kind_keep_their_values(store: MemoryStore) -> None:
    facts: list[dict[str, Any]] = [
        {"whole": 1, "number": 1, "truth": True, "word": "a", "list": [1, 2], "mixed": 1},
        {"whole": None, "number": 2.5, "truth": None, "word": None, "list": [], "mixed": "x"},
        {"whole": 3, "number": 1e17, "truth": False, "word": "b", "added": 4},
    ] * 10
    await stored(store, [decision(n, facts=one) for n, one in enumerate(facts)])
    table = await history(store, "fraud-risk")
    told = table["facts"].to_pylist()[:3]

    assert [one["whole"] for one in told] == [1, None, 3]
    assert [one["number"] for one in told] == [1.0, 2.5, 1e17]
    assert [one["truth"] for one in told] == [True, None, False]
    assert [one["list"] for one in told] == ["[1,2]", "[]", None]
    assert [one["mixed"] for one in told] == ["1", "x", None]
    assert [one["added"] for one in told] == [None, None, 4]


async def test_a_field_whose_kind_changed_on_the_way_is_of_one_kind(store: MemoryStore) -> None:
    made = [
        decision(n, facts={"x": n if n < 30 else n / 4, "y": n if n < 30 else "n"})
        for n in range(60)
    ]
    await stored(store, made)
    facts = (await history(store, "fraud-risk"))["facts"].to_pylist()

    assert [one["x"] for one in facts] == [n if n < 30 else n / 4 for n in range(60)]
    assert [one["y"] for one in facts] == [str(n) if n < 30 else "n" for n in range(60)]


async def test_fields_that_are_not_wanted_are_left_out(store: MemoryStore, tmp_path: Path) -> None:
    await stored(store, [decision(n) for n in range(50)])
    for _ in range(2):
        table = await history(store, "fraud-risk", fields=["make"], folder=tmp_path)

        assert table["facts"].to_pylist() == [{"make": f"m{n % 3}"} for n in range(50)]
        assert table["views"].to_pylist() == [{"frauds": n % 5} for n in range(50)]
    assert (await history(store, "fraud-risk", fields=[]))["facts"].to_pylist() == [{}] * 50


@pytest.mark.parametrize("record", ['{"id":"01X"}', '{"broken', "[]", "null"])
def test_a_record_that_is_none_is_named(record: str) -> None:
    with pytest.raises(InvalidInput, match="decision 01X: a decision's record cannot be read"):
        parsed([decision(1).written().decode(), record], ["01W", "01X"])


# -- what became of them -------------------------------------------------------------------------------------------------


async def test_rulings_stand_beside_what_they_were_about(store: MemoryStore) -> None:
    await stored(store, [decision(n) for n in range(6)])
    agreed = review(1, verdict="approve")
    overruled = review(2, verdict="approve", ruling="decline", claimed_at_ms=None)
    waiting = review(3, state="open", ruling=None, ruled_at_ms=None)
    reviews = [review(0), agreed, overruled, waiting, review(99, decision_id=None)]
    await store.commit([Insert(one) for one in reviews])
    table = await history(store, "fraud-risk")

    assert table["ruling"].to_pylist() == ["approve", "approve", "decline", None, None, None]
    assert table["ruling_is_override"].to_pylist() == [False, False, True, None, None, None]
    assert table["reviewed_s"].to_pylist() == [60.5, 60.5, None, None, None, None]


async def test_of_several_outcomes_of_a_name_the_last_holds(store: MemoryStore) -> None:
    await stored(store, [decision(n) for n in range(4)])
    told = [
        outcome(0, 1.0), outcome(0, 0.0, at=1, source="late"), outcome(1, 1.0, ratio=0.1),
        outcome(1, 9.0, at=2, name="hours"), outcome(77, 1.0),
    ]  # fmt: skip
    await store.commit([Insert(one) for one in reversed(told)])
    table = await with_outcomes(store, await history(store, "fraud-risk"), "fraud")

    assert table["outcome"].to_pylist() == [0.0, 1.0, None, None]
    assert table["ratio"].to_pylist() == [1.0, 0.1, None, None]
    assert table["outcome_source"].to_pylist() == ["late", "audit", None, None]


async def test_a_challengers_scores_stand_beside_the_champions(store: MemoryStore) -> None:
    await stored(store, [decision(n) for n in range(3)])
    scores = [
        ShadowScoreRow(decision_id(0), "fraud", 2, "fraud-risk", 0.2, 0.9, "approve", None, 5, 0.1, 1),
        ShadowScoreRow(decision_id(0), "fraud", 3, "fraud-risk", 0.7, 0.9, "review", None, 5, 0.1, 1),
        ShadowScoreRow(decision_id(2), "fraud", 2, "fraud-risk", None, None, None, "late", 9, 0.0, 1),
    ]  # fmt: skip
    await store.commit([Insert(one) for one in scores])
    table = await with_shadows(store, await history(store, "fraud-risk"), "fraud", 2)

    assert table["shadow_score"].to_pylist() == [0.2, None, None]
    assert table["shadow_code"].to_pylist() == [None, None, "late"]
    assert table["shadow_latency_us"].to_pylist() == [5, None, 9]
    again = await with_shadows(store, table, "fraud", 3)
    assert again["shadow_score"].to_pylist() == [0.7, None, None]


# -- the copy ------------------------------------------------------------------------------------------------------------


class Watched(MemoryStore):
    """Counts the decisions whose records are read."""

    read = 0

    async def columns(
        self, table: Any, names: Any, *where: Where, **options: Any
    ) -> list[list[Any]]:
        found = await super().columns(table, names, *where, **options)
        if "record" in names:
            self.read += len(found[0])
        return found


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    store = Watched(clock=ManualClock(lambda: 0.0, start_ms=LATER_MS))
    await store.open()
    await stored(store, [decision(n) for n in range(50)])
    yield store
    await store.close()


async def asked(store: Watched, folder: Path, **options: Any) -> tuple[pyarrow.Table, int]:
    """Return a history, and how many records had to be read for it."""
    before = store.read
    table = await history(store, "fraud-risk", folder=folder, **options)
    return table, store.read - before


async def test_the_second_question_reads_only_what_is_not_copied(
    watched: Watched, tmp_path: Path
) -> None:
    first, first_read = await asked(watched, tmp_path)
    second, second_read = await asked(watched, tmp_path)

    assert (first_read, second_read) == (50, 10)
    assert second.equals(first)
    assert second["id"].to_pylist() == [decision_id(n) for n in range(50)]


async def test_a_span_that_begins_earlier_fills_the_gap_once(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLACK_MS", 0)
    await asked(watched, tmp_path, since_ms=FIRST_MS + 15 * EVERY_MS)
    table, read = await asked(watched, tmp_path)
    again, again_read = await asked(watched, tmp_path)
    middle, _ = await asked(watched, tmp_path, since_ms=FIRST_MS + 25 * EVERY_MS)

    assert (read, again_read) == (30, 15)
    assert table.equals(again)
    assert table["id"].to_pylist() == [decision_id(n) for n in range(50)]
    assert middle["id"].to_pylist() == [decision_id(n) for n in range(25, 50)]


async def test_a_decision_that_is_committed_late_is_seen(watched: Watched, tmp_path: Path) -> None:
    await asked(watched, tmp_path)
    late = decision(5, id=decision_id(5)[:-1] + "Z", score=0.123)
    await stored(watched, [late])
    table, read = await asked(watched, tmp_path)

    assert table.num_rows == 51
    assert late.id in table["id"].to_pylist()
    assert read == 50 + 1 - 20
    assert (await asked(watched, tmp_path))[0].equals(table)


async def test_a_decision_that_was_removed_is_gone(watched: Watched, tmp_path: Path) -> None:
    await asked(watched, tmp_path)
    await watched.commit([Delete(DecisionRow, {"id": decision_id(25)})])
    table, _ = await asked(watched, tmp_path)

    assert table["id"].to_pylist() == [decision_id(n) for n in range(50) if n != 25]


async def test_a_decision_of_another_point_in_the_range_changes_nothing(
    watched: Watched, tmp_path: Path
) -> None:
    first, _ = await asked(watched, tmp_path)
    await stored(watched, [decision(3, id=decision_id(3)[:-1] + "Z", point="other")])

    assert (await asked(watched, tmp_path))[0].equals(first)


async def test_a_damaged_part_is_read_again(watched: Watched, tmp_path: Path) -> None:
    first, _ = await asked(watched, tmp_path)
    copies = Copies(tmp_path, "fraud-risk")
    damaged, gone = copies.parts()
    content = bytearray(damaged.path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.path.write_bytes(content)
    gone.path.unlink()
    table, read = await asked(watched, tmp_path)

    assert table.equals(first)
    assert read == 50
    assert [part.digest for part in copies.parts()] == [damaged.digest, gone.digest]


async def test_the_newest_decisions_are_never_copied(tmp_path: Path) -> None:
    store = Watched(clock=ManualClock(lambda: 0.0, start_ms=FIRST_MS + 50 * EVERY_MS))
    await store.open()
    await stored(store, [decision(n) for n in range(50)])
    await asked(store, tmp_path)

    assert Copies(tmp_path, "fraud-risk").parts() == []


async def test_a_decision_that_comes_while_a_part_is_read_keeps_it_from_being_copied(
    watched: Watched, tmp_path: Path
) -> None:
    late = decision(5, id=decision_id(5)[:-1] + "Z")

    class Joined(Watched):
        async def count(self, table: Any, *where: Where, **options: Any) -> Any:
            if await self.get(DecisionRow, late.id) is None:
                await stored(self, [late])
            return await super().count(table, *where, **options)

    store = Joined(clock=ManualClock(lambda: 0.0, start_ms=LATER_MS))
    await store.open()
    await stored(store, [decision(n) for n in range(50)])
    await asked(store, tmp_path)
    table, _ = await asked(store, tmp_path)

    assert table.num_rows == 51
    assert late.id in table["id"].to_pylist()


async def test_what_else_lies_in_the_folder_is_left_alone(watched: Watched, tmp_path: Path) -> None:
    other = tmp_path / "1" / "fraud-risk" / "notes.txt"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    await asked(watched, tmp_path)
    await asked(watched, tmp_path)

    assert other.read_text() == "mine"


def test_the_row_of_a_decision_repeats_what_its_record_says() -> None:
    made = decision(3, unknown=("make",))
    kept, (told,) = row(made), parsed([made.written().decode()], [made.id]).to_pylist()

    for name in (
        "id",
        "at_ms",
        "model_name",
        "model_number",
        "score",
        "verdict",
        "degraded",
        "latency_us",
    ):
        assert getattr(kept, name) == told[name]
    assert (kept.source, kept.reason) == (told["policy_source"], told["policy_code"])
    assert kept.unknown_count == told["unknown_count"] == 1
