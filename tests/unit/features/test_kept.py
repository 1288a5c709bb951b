"""Views that keep values: what is read, what may be brought, and what a decision can tell of it years later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from opsrail import Band, DecisionPoint, FeatureView, Policy
from opsrail.decide.code import code_digest
from opsrail.decide.explain import explain
from opsrail.errors import InvalidInput, KeyReused, NotFound
from opsrail.features.features import Features
from opsrail.features.keeping import MOST_PUSHED, NewValue
from opsrail.features.moments import moment_ms
from opsrail.features.source import FileSource, SqlSource
from opsrail.ledger.book import entries_about
from opsrail.values.decisions import Decision, ValueAsOf
from opsrail.values.features import FeatureValueRow, ViewRow
from tests.support.decisions import Road, linear, make_history, request
from tests.support.views import Facts, policyholder, told

VIEW = policyholder(ttl="90d")
REF = VIEW.ref
DAY_MS = 86_400_000


@pytest.fixture
async def road() -> AsyncIterator[Road]:
    road = Road(VIEW)
    await road.store.open()
    yield road
    road.decider.close()
    await road.store.close()


async def push(road: Road, claims: int, *, days_ago: float = 0, entity: str = "p") -> None:
    event_at_ms = road.clock.now_ms() - round(days_ago * DAY_MS)
    await road.features.push(REF, [NewValue(entity, event_at_ms, told(claims))])


async def claims_of(road: Road, entity: str = "p") -> object:
    road.clock.at_s += 1
    return (await road.features.read(REF, entity)).values["claims"]


async def test_the_newest_value_is_read_with_where_it_came_from(road: Road) -> None:
    await push(road, 2)

    read = await road.features.read(REF, "p")

    [row] = await road.store.select(FeatureValueRow)
    assert read.values == told(2)
    assert read.as_of == ValueAsOf(row.id, row.event_at_ms, row.written_at_ms, is_expired=False)


async def test_an_entity_without_a_value_has_what_the_view_names_for_it(road: Road) -> None:
    read = await road.features.read(REF, "nobody")

    assert read.values == {"claims": 0, "premium": None, "region": None}
    assert read.as_of is None


async def test_an_older_value_that_arrives_late_replaces_nothing(road: Road) -> None:
    await push(road, 2, days_ago=1)
    await push(road, 1, days_ago=5)

    assert await claims_of(road) == 2


async def test_a_correction_holds_from_when_it_was_written(road: Road) -> None:
    await push(road, 2, days_ago=1)
    before_ms = road.clock.now_ms()
    road.clock.at_s += 60
    await push(road, 3, days_ago=1 + 60 / 86_400)

    assert await road.store.count(FeatureValueRow) == {(): 2}
    assert await claims_of(road) == 3
    assert (await road.features.at(REF, "p", before_ms)).values["claims"] == 2
    assert (await road.features.at(REF, "p", before_ms + 60_000)).values["claims"] == 3


async def test_a_value_of_the_future_counts_once_it_is_true(road: Road) -> None:
    await push(road, 2, days_ago=-1)

    assert await claims_of(road) == 0
    road.clock.at_s += 86_400
    assert await claims_of(road) == 2


async def test_a_value_counts_to_the_last_millisecond_of_its_time_to_live_and_says_so_after(
    road: Road,
) -> None:
    await push(road, 2)
    road.clock.at_s += 90 * 86_400
    last = await road.features.read(REF, "p")
    road.clock.at_s += 0.001  # sooner than the refresh time
    after = await road.features.read(REF, "p")

    assert last.values["claims"] == 2
    assert after.values["claims"] == 0
    assert isinstance(last.as_of, ValueAsOf)
    assert after.as_of == last.as_of._replace(is_expired=True)
    assert list(await road.features.reread([last, after])) == [last, after]


async def test_values_are_read_at_most_once_in_the_refresh_time(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    select, reads = road.store.select, []

    async def counted(table: type[Any], *where: Any, **rest: Any) -> list[Any]:
        reads.append(table)
        return await select(table, *where, **rest)

    await push(road, 2)
    monkeypatch.setattr(road.store, "select", counted)
    seen = []
    for _ in range(4):
        seen.append(await road.features.read(REF, "p"))
        road.clock.at_s += 0.1

    assert len(reads) == 2
    assert seen[0] is seen[-1], "the same row again is not written down again"


async def test_a_decision_rests_on_kept_values_and_can_read_them_again(road: Road) -> None:
    point: DecisionPoint[Facts] = DecisionPoint(
        "fraud-risk",
        request=Facts,
        features=[REF],
        policy=Policy([Band("a", below=1.01)]),
        deadline_ms=5_000,
    )
    await road.live(linear(claims=0.5))
    await push(road, 2)
    decision = await road.decider.decide(request(point, Facts()))  # type: ignore[arg-type]
    await push(road, 9)
    road.clock.at_s += 86_400 * 4_000

    again = Decision.from_record(orjson.loads(decision.written()))

    assert again == decision
    assert again.features[1].values == told(2)
    assert list(await road.features.reread(again.features)) == [again.features[1]]
    assert "policyholder@1 knew of 'p', by its value of 2026-01-01T" in " ".join(explain(again))


async def test_a_row_that_was_removed_is_named(road: Road) -> None:
    await push(road, 2)
    read = await road.features.read(REF, "p")
    other = Road(VIEW)
    await other.store.open()

    with pytest.raises(NotFound, match=r"value .* of policyholder@1 for 'p' is not kept any more"):
        await other.features.reread([read])


async def test_a_push_names_every_fault_and_keeps_nothing(road: Road) -> None:
    good = NewValue("p", 1, told(1))
    bad = [
        NewValue("", 1, told(1)),
        NewValue("p", "yesterday", told(1)),
        NewValue("p", 1, {"claims": 1.5, "premium": float("nan"), "colour": "red"}),
        NewValue("p", 1, told(1), written_at=1),
        NewValue("p", 1, told(2**60, region="x" * 10_001)),
        NewValue("p", 1, told(1, region="\ud800")),
    ]

    with pytest.raises(InvalidInput) as caught:
        await road.features.push(REF, [good, *bad])

    assert sorted(fault.place for fault in caught.value.faults) == [
        "values[1].entity",
        "values[2].event_at",
        "values[3].values.claims",
        "values[3].values.colour",
        "values[3].values.premium",
        "values[3].values.region",
        "values[4].written_at",
        "values[5].values.claims",
        "values[5].values.region",
        "values[6].values.region",
    ]
    assert await road.store.count(FeatureValueRow) == {(): 0}


@pytest.mark.parametrize("count", [0, MOST_PUSHED + 1])
async def test_a_push_of_none_or_too_many_is_refused(road: Road, count: int) -> None:
    with pytest.raises(InvalidInput, match="10,000"):
        await road.features.push(REF, [NewValue("p", 1, told(1))] * count)


async def test_nothing_can_be_pushed_into_a_folded_view() -> None:
    road = Road(make_history())
    await road.store.open()

    with pytest.raises(InvalidInput, match="folded from facts"):
        await road.features.push("make-history@1", [NewValue("Honda", 1, {})])


async def test_a_push_that_is_repeated_keeps_nothing_twice(road: Road) -> None:
    values = [NewValue("p", 1, told(1)), NewValue("q", 1, told(1)), NewValue("p", 1, told(1))]

    taken = [await road.features.push(REF, values) for _ in range(2)]

    assert taken == [(2, 1), (0, 3)]


async def test_a_push_under_a_key_is_taken_once_whatever_came_since(road: Road) -> None:
    event_at_ms = road.clock.now_ms()
    first, correction = ([NewValue("p", event_at_ms, told(claims))] for claims in (1, 2))
    await road.features.push(REF, first, key="k")
    road.clock.at_s += 1
    await road.features.push(REF, correction)

    again = await road.features.push(REF, first, key="k")
    assert again == (0, 1)
    assert (await road.features.at(REF, "p", road.clock.now_ms())).values["claims"] == 2
    with pytest.raises(KeyReused, match="'k'"):
        await road.features.push(REF, correction, key="k")


async def test_definitions_are_kept_once_and_entered_in_the_ledger(road: Road) -> None:
    for _ in range(2):
        await road.features.keep_definitions(code_digest)

    [row] = await road.store.select(ViewRow)
    assert (row.name, row.number) == ("policyholder", 1)
    assert orjson.loads(row.definition)["ttl_ms"] == 90 * DAY_MS
    assert len(await entries_about(road.store, "policyholder")) == 1


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (policyholder(), "ttl_ms"),
        (policyholder(ttl="90d", claims=int), "features, missing"),
        (policyholder(ttl="90d", entity="make"), "entity"),
        (policyholder(ttl="90d", source=FileSource("a.csv")), "source"),
        (policyholder(ttl="90d", source=SqlSource("sqlite:///a", "SELECT 1")), "source"),
    ],
)
async def test_another_definition_under_a_version_is_refused(
    road: Road, changed: FeatureView[Any], what: str
) -> None:
    await road.features.keep_definitions(code_digest)

    with pytest.raises(InvalidInput) as caught:
        await Features(road.store, [changed], road.clock).keep_definitions(code_digest)

    [fault] = caught.value.faults
    assert fault.place == "policyholder@1"
    assert fault.message.startswith(f"{what} changed")
    assert "give it version 2" in fault.message


async def test_other_code_under_a_version_is_refused_and_the_next_version_is_served_beside(
    road: Road,
) -> None:
    before = make_history(entity=lambda request: request.make)
    after = make_history(entity=lambda request: request.make.lower())
    await Features(road.store, [before], road.clock).keep_definitions(code_digest)

    with pytest.raises(InvalidInput, match="its code changed"):
        await Features(road.store, [after], road.clock).keep_definitions(code_digest)
    both = [before, make_history(2, entity=lambda request: request.make.lower())]
    await Features(road.store, both, road.clock).keep_definitions(code_digest)

    assert await road.store.count(ViewRow) == {(): 2}


@pytest.mark.parametrize("source", [None, FileSource("a.csv", entity="id"), SqlSource("u", "q")])
async def test_a_served_view_is_known_without_its_code(road: Road, source: Any) -> None:
    view = policyholder(3, ttl="5m", source=source)
    await Features(road.store, [view], road.clock).keep_definitions(code_digest)

    known = await Features(road.store, [], road.clock).known_view("policyholder@3")

    assert known.kept is not None
    assert view.kept is not None
    assert known.kept[:3] == view.kept[:3]
    assert known.kept.source.described() == view.kept.source.described()


@pytest.mark.parametrize("ref", ["policyholder@9", "policyholder", "policyholder@x", "@", "x@1"])
async def test_a_view_that_was_never_served_is_named_with_those_that_were(
    road: Road, ref: str
) -> None:
    await road.features.keep_definitions(code_digest)

    with pytest.raises(NotFound, match="known: policyholder@1"):
        await road.features.read(ref, "p")


async def test_a_folded_view_is_unknown_without_its_code(road: Road) -> None:
    await Features(road.store, [make_history()], road.clock).keep_definitions(code_digest)

    with pytest.raises(InvalidInput, match="name the automation's file"):
        await road.features.read("make-history@1", "Honda")


def test_a_view_that_keeps_values_names_every_fault() -> None:
    with pytest.raises(InvalidInput) as caught:
        FeatureView(
            "x",
            version=1,
            entity="not a name",
            fold=lambda state, fact: state,
            features={"a": bool, "b": int},
            missing={"b": "two", "c": 1},
            ttl="soon",
        )

    assert [fault.place for fault in caught.value.faults] == [
        "entity",
        "fold",
        "features.a",
        "missing.b",
        "missing.c",
        "ttl",
    ]


def test_what_belongs_to_kept_values_is_refused_of_a_fold() -> None:
    with pytest.raises(InvalidInput, match="ttl: is for a view that keeps values"):
        FeatureView("x", version=1, entity="a", initial=dict, fold=max, read=dict, ttl="1d")


def test_an_entity_may_be_a_field_of_text_or_whole_numbers() -> None:
    class Asked(BaseModel):
        policy_id: int

    assert VIEW.entity(Asked(policy_id=7)) == "7"
    assert Features.check(Road(VIEW).features, Facts, [REF]) == []
    [fault] = Road(policyholder(entity="make")).features.check(Facts, [REF])
    assert fault.message == "policyholder@1 is read by 'make', which Facts has not"


@pytest.mark.parametrize(
    ("given", "down", "up"),
    [
        ("2026-01-31T09:00:00Z", 0, 0),
        ("2026-01-31T10:00:00.0001+01:00", 0, 1),
        ("2026-01-31 09:00", 0, 0),
        (datetime(2026, 1, 31, 9, 0, 0, 1_001, UTC), 1, 2),
        (1_769_850_000_000, 0, 0),
        ("1769850000000", 0, 0),
    ],
)
def test_moments_are_read_as_people_write_them(given: object, down: int, up: int) -> None:
    nine_ms = 1_769_850_000_000

    assert moment_ms(given) - nine_ms == down
    assert moment_ms(given, rounds_up=True) - nine_ms == up


@pytest.mark.parametrize("given", ["", "soon", None, True, 1.5, 10**18, "2026-13-01"])
def test_what_is_no_moment_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="is no moment"):
        moment_ms(given)
