"""The past read in: files into kept views, settled cases into folded ones; interrupted, it goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from pydantic_core import to_json

from opsrail.errors import AuthorError, InvalidInput, StoreUnavailable
from opsrail.features.backfill import CASES, CHUNK, Backfill, CaseHistory, SourceRow, SourceRows
from opsrail.features.keeping import NewValue
from opsrail.features.source import FileSource
from opsrail.features.view import FeatureView
from opsrail.values.cases import CaseRow, CaseState, JournalRow
from opsrail.values.features import FactRow, FeatureValueRow
from opsrail.values.reviews import Ruling
from opsrail.values.rows import Insert
from tests.support.decisions import Claim, Road, Settlement, counted
from tests.support.views import policyholder

SOURCE = FileSource("a.csv", entity="id", event_at="at", columns={"claims": "n"})
VIEW = policyholder(source=SOURCE, claims=int)
HISTORIES = [
    CaseHistory("claims", Claim.model_validate_json, Settlement.model_validate_json),
]


@pytest.fixture
async def road() -> AsyncIterator[Road]:
    road = Road(VIEW)
    await road.store.open()
    yield road
    road.decider.close()
    await road.store.close()


def rows(*cells: tuple[object, object, object]) -> SourceRows:
    read = [SourceRow(line, {"id": a, "at": b, "n": c}) for line, (a, b, c) in enumerate(cells, 2)]
    return SourceRows("file:a.csv@sha256:0", read, lambda: 1.0, is_text=True, is_file=True)


def many(count: int) -> SourceRows:
    return rows(*((f"p{number}", str(number + 1), str(number)) for number in range(count)))


def quiet(done: float, total: float) -> None:
    """Tell nobody."""


class Failing(Backfill):
    """Loses the database after some commits."""

    def __init__(self, road: Road, commits: int, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(road.store, road.clock)
        commit, left = road.store.commit, [commits]

        async def failing(writes: Any) -> None:
            if not left[0]:
                raise StoreUnavailable("the disk is full")
            left[0] -= 1
            await commit(writes)

        monkeypatch.setattr(road.store, "commit", failing)


async def test_a_file_is_read_in_once(road: Road) -> None:
    ticks: list[tuple[float, float]] = []
    backfill = road.features.backfill

    first = await backfill.values(
        VIEW, many(CHUNK + 3), SOURCE, told=lambda *tick: ticks.append(tick)
    )
    again = await backfill.values(VIEW, many(CHUNK + 3), SOURCE, told=quiet)

    assert first[:4] == (CHUNK + 3, CHUNK + 3, 0, 0)
    assert again[:4] == (CHUNK + 3, 0, CHUNK + 3, 0)
    assert len(ticks) == 2


async def test_a_backfill_that_broke_off_goes_on(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        broken = Failing(road, 2, patched)
        with pytest.raises(StoreUnavailable):
            await broken.values(VIEW, many(3 * CHUNK), SOURCE, told=quiet)

    rest = await road.features.backfill.values(VIEW, many(3 * CHUNK), SOURCE, told=quiet)

    assert broken.done[:3] == (2 * CHUNK, 2 * CHUNK, 0)
    assert rest[:3] == (3 * CHUNK, CHUNK, 2 * CHUNK)
    assert await road.store.count(FeatureValueRow) == {(): 3 * CHUNK}


async def test_a_file_that_is_read_in_again_undoes_no_correction(road: Road) -> None:
    await road.features.backfill.values(VIEW, rows(("p", "5", "1")), SOURCE, told=quiet)
    road.clock.at_s += 1
    await road.features.push(VIEW.ref, [NewValue("p", 5, {"claims": 2})])
    road.clock.at_s += 1

    again = await road.features.backfill.values(VIEW, rows(("p", "5", "1")), SOURCE, told=quiet)

    assert again.kept == 0
    assert (await road.features.read(VIEW.ref, "p")).values == {"claims": 2}


async def test_faulty_rows_are_told_by_line_and_the_others_kept(road: Road) -> None:
    source = rows(("p", "5", "1"), ("", "5", "x"), ("q", "never", ""), ("r", "5", ""))

    done = await road.features.backfill.values(VIEW, source, SOURCE, told=quiet)

    assert done[:4] == (4, 2, 0, 2)
    assert [fault.place for fault in done.faults] == [
        "line 3.entity",
        "line 3.values.claims",
        "line 4.event_at",
    ]
    assert (await road.features.read(VIEW.ref, "r")).values == {"claims": None}


async def test_values_are_known_from_now_unless_the_file_says_since_when(road: Road) -> None:
    says = FileSource("a.csv", entity="id", event_at="at", written_at="at", columns={"claims": "n"})
    await road.features.backfill.values(VIEW, rows(("p", "5", "1")), SOURCE, told=quiet)
    await road.features.backfill.values(VIEW, rows(("q", "5", "1")), says, told=quiet)

    assert (await road.features.at(VIEW.ref, "p", 5)).as_of is None
    assert (await road.features.at(VIEW.ref, "q", 5)).values == {"claims": 1}
    assert (await road.features.at(VIEW.ref, "q", 4)).as_of is None


def history(**changed: Any) -> FeatureView[Any]:
    functions: dict[str, Any] = {
        "initial": lambda: {"claims": 0, "frauds": 0},
        "fold": counted,
        "read": lambda state: {"make_claims": state["claims"]},
        "fact": lambda claim, outcome: (claim.make, {"fraud": int(outcome.is_fraud)}),
        **changed,
    }
    return FeatureView("make-history", version=2, entity="make", **functions)


async def settled(road: Road, count: int, *, at_ms: int = 1_000, step_ms: int = 1) -> None:
    """Keep settled cases, the later accepted first, and one that is still waiting."""
    made = []
    for number in range(count):
        made.append(
            CaseRow(
                f"c{count - number:05d}", "claims", "d", CaseState.SETTLED, "test",
                Claim(make="Honda").model_dump_json(), '{"is_fraud":true}', None, None, None, 0, 0, 0, 5,
                None, "0", "0", 1, 1, at_ms + number * step_ms,
            )
        )  # fmt: skip
    made.append(made[0]._replace(id="waiting", state=CaseState.WAITING, settled_at_ms=None))
    await road.store.commit([Insert(row) for row in made])


@pytest.mark.parametrize("step_ms", [0, 1])
async def test_settled_cases_teach_a_new_version_in_the_order_they_settled(
    road: Road, step_ms: int
) -> None:
    count = 2 * CASES + 7
    await settled(road, count, step_ms=step_ms)
    ticks: list[tuple[float, float]] = []

    done = await road.features.backfill.facts(
        history(), HISTORIES, told=lambda *tick: ticks.append(tick)
    )
    again = await road.features.backfill.facts(history(), HISTORIES, told=quiet)

    facts = await road.store.select(FactRow, order=("id",), limit=10_000)
    assert done[:3] == (count, count, 0)
    assert again[:3] == (count, 0, count)
    assert [fact.at_ms for fact in facts] == sorted(fact.at_ms for fact in facts)
    assert len({fact.case_id for fact in facts}) == len(facts) == count
    assert ticks[-1] == (count, count)


async def test_a_backfill_of_facts_that_broke_off_goes_on(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    await settled(road, 3 * CASES)
    with monkeypatch.context() as patched, pytest.raises(StoreUnavailable):
        await Failing(road, 1, patched).facts(history(), HISTORIES, told=quiet)

    rest = await road.features.backfill.facts(history(), HISTORIES, told=quiet)

    assert rest[:3] == (3 * CASES, 2 * CASES, CASES)
    assert await road.store.count(FactRow) == {(): 3 * CASES}


async def test_rulings_are_told_to_a_fact_that_asks_for_them(road: Road) -> None:
    def fact(claim: Claim, outcome: Settlement, rulings: Sequence[Any]) -> Any:
        return claim.make, {"fraud": sum(ruling.verdict == "decline" for ruling in rulings)}

    await settled(road, 2)
    journal = [
        JournalRow("c00001", seq, "review", "desk", "", ruling_of(verdict), 1, 1)
        for seq, verdict in enumerate(["decline", "approve", "decline"])
    ]
    await road.store.commit([Insert(row) for row in journal])

    await road.features.backfill.facts(history(fact=fact), HISTORIES, told=quiet)

    facts = await road.store.select(FactRow)
    assert {row.case_id: row.fact for row in facts} == {
        "c00001": '{"fraud":2}',
        "c00002": '{"fraud":0}',
    }


def ruling_of(verdict: str) -> str:
    return to_json(Ruling(verdict, "", "ana", is_override=True, ruled_at_ms=1)).decode()


async def test_a_fact_that_fails_names_its_case_and_what_was_taken_stays(road: Road) -> None:
    await settled(road, CASES + 1)
    broken = history(fact=lambda claim, outcome: 1 // 0)

    with pytest.raises(AuthorError, match="case c00501"):
        await road.features.backfill.facts(broken, HISTORIES, told=quiet)


async def test_what_cannot_be_backfilled_is_refused(road: Road) -> None:
    with pytest.raises(InvalidInput, match="has no `fact`"):
        await road.features.backfill.facts(VIEW, HISTORIES, told=quiet)
    with pytest.raises(InvalidInput, match="folded from facts"):
        await road.features.backfill.values(history(), many(1), SOURCE, told=quiet)
