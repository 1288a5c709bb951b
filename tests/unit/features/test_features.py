"""Views folded from facts: as of now, and as of any fact."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from pydantic import BaseModel

from opsrail.errors import AuthorError, InvalidInput, KeyReused, UnknownName
from opsrail.features.features import PAGE, Features
from opsrail.features.importing import PastFact
from opsrail.features.request import request_read, request_row
from opsrail.features.view import FeatureView
from opsrail.values.decisions import AsOf
from opsrail.values.features import FactRow
from tests.support.decisions import Claim, Road, Settlement, counted, make_history

VIEW = make_history()


@pytest.fixture
async def road() -> AsyncIterator[Road]:
    road = Road(VIEW)
    await road.store.open()
    yield road
    road.decider.close()
    await road.store.close()


async def settle(road: Road, is_fraud: bool = True, make: str = "Honda") -> None:
    facts = road.features.facts_of(
        [VIEW], Claim(make=make), Settlement(is_fraud=is_fraud), case_id="case-1"
    )
    await road.store.commit(facts)
    road.clock.at_s += 1


def past(*makes: str) -> list[PastFact]:
    return [PastFact(make, {"fraud": 1}, 1_000 + number) for number, make in enumerate(makes)]


async def test_a_view_knows_what_settled_cases_taught(road: Road) -> None:
    for is_fraud in (True, False, True):
        await settle(road, is_fraud)
    await settle(road, make="Ford")

    read = await road.features.read("make-history@1", "Honda")

    assert read.values == {"make_claims": 3, "make_frauds": 2}
    assert isinstance(read.as_of, AsOf)
    assert read.as_of.fact_count == 3


async def test_an_entity_without_history_has_features_too(road: Road) -> None:
    read = await road.features.read("make-history@1", "Saab")

    assert (read.values, read.as_of) == ({"make_claims": 0, "make_frauds": 0}, None)


async def test_new_facts_are_seen_after_the_refresh_time_and_not_before(road: Road) -> None:
    counts = []
    for wait_s in (0.0, 0.1, 0.2):
        read = await road.features.read("make-history@1", "Honda")
        counts.append(read.values["make_claims"])
        await settle(road)
        road.clock.at_s += wait_s - 1

    assert counts == [0, 0, 0]
    assert (await road.features.read("make-history@1", "Honda")).values["make_claims"] == 3


async def test_a_past_read_is_read_again_exactly(road: Road) -> None:
    reads = []
    for _ in range(5):
        reads.append(await road.features.read("make-history@1", "Honda"))
        await settle(road)
        road.clock.at_s += 1

    again = await road.features.reread(reads)

    assert list(again) == reads
    assert len({read.digest for read in reads}) == 5


async def test_readers_at_once_fold_each_fact_once(road: Road) -> None:
    for _ in range(3):
        await settle(road)

    reads = await asyncio.gather(
        *(road.features.read("make-history@1", "Honda") for _ in range(20))
    )

    assert {read.values["make_claims"] for read in reads} == {3}


async def test_a_history_longer_than_a_page_is_folded_whole(road: Road) -> None:
    await road.features.import_facts(
        "make-history@1", past(*["Honda"] * (PAGE + 7)), source="old.csv"
    )

    read = await road.features.read("make-history@1", "Honda")

    assert read.values["make_claims"] == PAGE + 7


async def test_an_entity_that_fell_out_of_memory_is_folded_anew(road: Road) -> None:
    small = Features(road.store, [VIEW], road.clock, entities=1)
    await settle(road)
    await settle(road, make="Ford")

    counts = [
        (await small.read("make-history@1", make)).values["make_claims"]
        for make in ("Honda", "Ford", "Honda")
    ]

    assert counts == [1, 1, 1]


async def test_facts_too_young_for_several_processes_do_not_count_yet(road: Road) -> None:
    careful = Features(road.store, [VIEW], road.clock, visible_after_ms=2_000)
    await settle(road)

    young = await careful.read("make-history@1", "Honda")
    road.clock.at_s += 2
    old = await careful.read("make-history@1", "Honda")

    assert [read.values["make_claims"] for read in (young, old)] == [0, 1]


async def test_an_import_that_is_run_again_takes_nothing_twice(road: Road) -> None:
    facts = past("Honda", "Honda", "Ford")

    taken = [
        await road.features.import_facts("make-history@1", facts, source="old.csv")
        for _ in range(2)
    ]

    assert taken == [3, 0]
    assert await road.store.count(FactRow) == {(): 3}


async def test_other_facts_under_the_same_source_are_refused(road: Road) -> None:
    await road.features.import_facts("make-history@1", past("Honda"), source="old.csv")

    with pytest.raises(KeyReused, match=r"old\.csv"):
        await road.features.import_facts("make-history@1", past("Ford"), source="old.csv")


async def test_an_import_names_every_faulty_fact_and_takes_none(road: Road) -> None:
    facts = [*past("Honda"), PastFact("Ford", {}, 1), PastFact("Ford", {"fraud": float("nan")}, 1)]

    with pytest.raises(InvalidInput) as caught:
        await road.features.import_facts("make-history@1", facts, source="old.csv")

    assert [fault.place for fault in caught.value.faults] == ["facts[1]", "facts[2]"]
    assert await road.store.count(FactRow) == {(): 0}


async def test_a_view_without_a_fact_function_learns_nothing(road: Road) -> None:
    silent = view_with(fact=None)

    assert road.features.facts_of([silent], Claim(), Settlement(is_fraud=True), case_id="c") == []


async def test_a_fact_function_may_ask_for_the_rulings(road: Road) -> None:
    def fact(
        claim: Claim, settlement: Settlement, rulings: Sequence[str]
    ) -> tuple[str, dict[str, int]]:
        return claim.make, {"fraud": len(rulings)}

    [insert] = road.features.facts_of(
        [view_with(fact=fact)],
        Claim(),
        Settlement(is_fraud=True),
        ["decline", "decline"],
        case_id="c",
    )

    assert insert.row[4] == '{"fraud":2}'


async def test_a_fact_function_may_say_that_there_is_nothing_to_learn(road: Road) -> None:
    view = view_with(fact=lambda claim, settlement: None)

    assert road.features.facts_of([view], Claim(), Settlement(is_fraud=True), case_id="c") == []


@pytest.mark.parametrize(
    "fact",
    [
        lambda claim, outcome: 1 // 0,
        lambda claim, outcome: (1, {}),
        lambda claim, outcome: ("a", {"b": {1}}),
    ],
)
async def test_a_fact_function_that_fails_is_the_authors_error(road: Road, fact: Any) -> None:
    with pytest.raises(AuthorError, match=r"(?s)make-history@1.*opsrail cases retry c"):
        road.features.facts_of(
            [view_with(fact=fact)], Claim(), Settlement(is_fraud=True), case_id="c"
        )


async def test_a_fold_that_fails_leaves_no_half_folded_state_behind(road: Road) -> None:
    await settle(road)
    trap = {"is_set": True}

    def fold(state: dict[str, int], fact: dict[str, int]) -> dict[str, int]:
        state = counted(state, fact)
        if trap["is_set"]:
            raise RuntimeError("a bug")
        return state

    features = Features(road.store, [view_with(fold=fold)], road.clock)
    with pytest.raises(AuthorError, match="a bug"):
        await features.read("make-history@1", "Honda")
    trap["is_set"] = False

    read = await features.read("make-history@1", "Honda")

    assert read.values["make_claims"] == 1


@pytest.mark.parametrize(
    "values",
    [{"other": 1}, {"make_frauds": float("nan")}, {"make_frauds": 2**60}, {"make_frauds": None}],
)
async def test_a_read_that_gives_what_no_feature_may_be_is_the_authors_error(
    road: Road, values: Any
) -> None:
    await settle(road)
    view = view_with(read=lambda state: values if state["claims"] else {"make_frauds": 0})

    with pytest.raises(AuthorError, match="make-history@1"):
        await Features(road.store, [view], road.clock).read("make-history@1", "Honda")


def view_with(**changed: Any) -> FeatureView[dict[str, int]]:
    functions: dict[str, Any] = {
        "entity": lambda request: request.make,
        "initial": lambda: {"claims": 0, "frauds": 0},
        "fold": counted,
        "read": lambda state: {"make_frauds": state["frauds"], "make_claims": state["claims"]},
        **changed,
    }
    return FeatureView("make-history", version=1, **functions)


async def test_a_view_names_every_fault() -> None:
    async def late(state: object) -> dict[str, float]:
        return {}

    with pytest.raises(InvalidInput) as caught:
        FeatureView(
            "Make",
            version=0,
            entity=3,  # type: ignore[arg-type]
            initial=dict,
            fold=None,
            read=late,  # type: ignore[arg-type]
        )

    assert [fault.place for fault in caught.value.faults] == [
        "name",
        "version",
        "entity",
        "fold",
        "read",
    ]


def test_a_view_that_cannot_read_its_first_state_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"read\(initial\(\)\) failed: KeyError"):
        view_with(initial=dict)


async def test_two_views_of_one_name_and_version_are_refused(road: Road) -> None:
    with pytest.raises(InvalidInput, match="make-history@1"):
        Features(road.store, [VIEW, make_history()], road.clock)

    assert (
        Features(road.store, [VIEW, VIEW, make_history(version=2)], road.clock)
        .view("make-history@2")
        .version
        == 2
    )


async def test_an_unknown_view_is_named_with_those_that_are_known(road: Road) -> None:
    with pytest.raises(UnknownName, match=r"'other@1' \(known: make-history@1\)"):
        road.features.view("other@1")


def test_features_of_the_same_name_are_found_before_anything_runs(road: Road) -> None:
    class Clashing(BaseModel):
        make: str
        make_frauds: int

    features = Features(road.store, [VIEW, make_history(version=2)], road.clock)
    places = [
        fault.message
        for fault in features.check(Clashing, ["make-history@1", "make-history@2", "none@1"])
    ]

    assert places == [
        "'none@1' is not defined",
        "'make_frauds' comes from make-history@1 and from the request Clashing; rename one",
        "'make_claims' comes from make-history@2 and from make-history@1; rename one",
        "'make_frauds' comes from make-history@2 and from make-history@1; rename one",
    ]


class Colour(Enum):
    RED = "red"


class Wide(BaseModel):
    amount: Decimal = Decimal("0.1")
    colour: Colour = Colour.RED
    seen: date = date(2026, 1, 31)
    is_new: bool = True
    missing: float | None = None
    parts: list[int] = [1]


def test_a_request_is_kept_as_json_and_given_to_the_model_as_numbers_and_text() -> None:
    read = request_read(Wide(), "v")

    assert read.values == {
        "amount": "0.1", "colour": "red", "seen": "2026-01-31", "is_new": True, "missing": None, "parts": [1],
    }  # fmt: skip
    assert Wide.model_validate(read.values) == Wide()
    assert request_row(Wide()) == {
        "amount": 0.1, "colour": "red", "seen": "2026-01-31", "is_new": True, "missing": None,
    }  # fmt: skip


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300 * 1e300])
def test_a_request_that_has_no_json_is_refused(number: float) -> None:
    class Loose(BaseModel):
        number: float

    with pytest.raises(InvalidInput):
        request_read(Loose(number=number), "v")


async def test_readers_at_once_read_a_long_history_once(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    await road.features.import_facts(VIEW.ref, past(*["Honda"] * (PAGE + 1)), source="a")
    select, reads = road.store.select, []

    async def counted_select(table: type[Any], *where: Any, **rest: Any) -> list[Any]:
        reads.append(table)
        return await select(table, *where, **rest)

    monkeypatch.setattr(road.store, "select", counted_select)
    await asyncio.gather(*(road.features.read(VIEW.ref, "Honda") for _ in range(20)))

    assert reads == [FactRow, FactRow]
