"""Views whose values another system keeps: what is read, what is said of it, and what happens when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from opsrail import FeastSource, FeatureView
from opsrail.decide.breaker import Limits
from opsrail.decide.explain import explain
from opsrail.decide.guarded_source import GuardedSource
from opsrail.errors import FeaturesUnavailable, InvalidInput
from opsrail.features.definitions import definition_of
from opsrail.features.source import source_of
from opsrail.ports import FeatureSource
from opsrail.values.decisions import Decision, OutsideAsOf
from opsrail.values.features import OutsideValue
from tests.support.decisions import Road, StillClock, fraud_point, linear, request

DAY_MS = 86_400_000


class Told:
    """A source that says what a test tells it to."""

    name = "feast"

    def __init__(self) -> None:
        self.values: dict[str, OutsideValue] = {}
        self.asked: list[str] = []
        self.before: Callable[[], None] = lambda: None
        self.hangs: asyncio.Event | None = None

    async def read(self, entity: str) -> Mapping[str, OutsideValue]:
        self.asked.append(entity)
        self.before()
        if self.hangs is not None:
            await self.hangs.wait()
        return dict(self.values)

    async def close(self) -> None:
        """Nothing is open."""


def view(**options: Any) -> FeatureView[Any]:
    settings: dict[str, Any] = {
        "features": {"rate": float, "trips": int},
        "missing": {"trips": -1},
        "source": FeastSource("http://127.0.0.1:1", {"rate": "s:r", "trips": "s:t"}, "id"),
        **options,
    }
    return FeatureView("stats", version=1, entity="make", **settings)


async def road_of(told: Told, one: FeatureView[Any] | None = None, **limits: Any) -> Road:
    """Return a road on which that view is asked of `told`."""
    made = view() if one is None else one

    def sources(road: Road) -> Mapping[str, FeatureSource]:
        found = Limits(**limits) if limits else None
        return {made.ref: GuardedSource(told, made.ref, 1.0, road.clock, found)}

    road = Road(made, sources=sources)
    await road.store.open()
    return road


def present(road: Road, value: object, *, days_ago: float = 0) -> OutsideValue:
    return OutsideValue(value, "present", road.clock.now_ms() - round(days_ago * DAY_MS))


async def test_values_are_read_with_each_ones_event_time_and_kept_in_the_record_alone() -> None:
    told = Told()
    road = await road_of(told)
    told.values = {"rate": present(road, 1), "trips": present(road, 3, days_ago=2)}
    await road.live(linear(rate=1.0))

    decision = await road.decider.decide(request(fraud_point(features=["stats@1"])))
    read = decision.features[1]

    assert read.values == {"rate": 1.0, "trips": 3}
    assert isinstance(past := read.as_of, OutsideAsOf)
    assert past.event_at_ms["trips"] == road.clock.now_ms() - 2 * DAY_MS
    assert Decision.from_record(decision.record()) == decision
    told.values = {"rate": present(road, 9), "trips": present(road, 9)}
    assert await road.features.reread(decision.features) == (read,)
    assert "as recorded then" in " ".join(explain(decision))


async def test_what_was_read_is_asked_for_once_in_200_ms_by_any_number_of_callers() -> None:
    told = Told()
    road = await road_of(told)
    told.values = {"rate": present(road, 1.0), "trips": present(road, 3)}

    await asyncio.gather(*(road.features.read("stats@1", "Honda") for _ in range(100)))
    road.clock.at_s += 0.19
    await road.features.read("stats@1", "Honda")
    asked_before = len(told.asked)
    road.clock.at_s += 0.02
    await road.features.read("stats@1", "Honda")

    assert (asked_before, len(told.asked)) == (1, 2)


@pytest.mark.parametrize(
    ("given", "value", "status"),
    [
        (OutsideValue(None, "not-found", None), -1, "not-found"),
        (OutsideValue(4, "expired", 5), -1, "expired"),
        (OutsideValue(None, "present", 5), None, "present"),
        (OutsideValue(4, "present", None), 4, "present"),
    ],
)
async def test_what_that_system_says_of_a_value_decides(
    given: OutsideValue, value: object, status: str
) -> None:
    told = Told()
    road = await road_of(told)
    told.values = {"rate": present(road, 1.0), "trips": given}

    read = await road.features.read("stats@1", "Honda")

    assert read.values["trips"] == value
    assert isinstance(past := read.as_of, OutsideAsOf)
    assert past.statuses == {"rate": "present", "trips": status}


async def test_the_views_time_to_live_ends_a_value_to_the_millisecond_also_while_it_is_held() -> (
    None
):
    told = Told()
    road = await road_of(told, view(ttl="1s"))
    told.values = {"rate": present(road, 1.0, days_ago=0.9 / 86_400), "trips": present(road, 3)}

    fresh = await road.features.read("stats@1", "Honda")
    road.clock.at_s += 0.102
    later = await road.features.read("stats@1", "Honda")

    assert (fresh.values["rate"], later.values["rate"]) == (1.0, None)
    assert isinstance(past := later.as_of, OutsideAsOf)
    assert past.statuses == {"rate": "expired", "trips": "present"}


async def test_a_value_of_another_type_is_not_guessed_at() -> None:
    told = Told()
    road = await road_of(told)
    told.values = {"rate": present(road, "half"), "trips": present(road, 3)}

    with pytest.raises(FeaturesUnavailable, match="must be a finite number"):
        await road.features.read("stats@1", "Honda")


async def test_a_source_that_fails_makes_decisions_fall_back_and_say_why() -> None:
    told = Told()
    road = await road_of(told)
    await road.live()

    def fail() -> None:
        raise FeaturesUnavailable("the Feast server at http://f gave no answer in 1 s")

    told.before = fail
    decision = await road.decider.decide(request(fraud_point(features=["stats@1"])))

    assert (decision.degraded_why, decision.verdict) == ("features-unavailable", "review")
    assert any("gave no answer" in reason.text for reason in decision.reasons)
    assert [read.view for read in decision.features] == ["request"]


async def test_a_source_that_keeps_failing_is_left_alone_and_tried_again_later() -> None:
    told = Told()
    road = await road_of(told, None, least_count=4, window_count=4, open_s=5.0, probe_count=1)
    told.values = {"rate": present(road, 1.0), "trips": present(road, 3)}

    def fail() -> None:
        raise FeaturesUnavailable("down")

    told.before = fail
    for _ in range(4):
        with pytest.raises(FeaturesUnavailable, match="down"):
            await road.features.read("stats@1", "Honda")
    for _ in range(10):
        with pytest.raises(FeaturesUnavailable, match=r"left alone for 5\.0 s more"):
            await road.features.read("stats@1", "Honda")
    asked_before = len(told.asked)
    told.before = lambda: None
    road.clock.at_s += 5
    read = await road.features.read("stats@1", "Honda")

    assert (asked_before, len(told.asked), read.values["trips"]) == (4, 5, 3)


@pytest.mark.parametrize(("waited_s", "is_blamed"), [(0.05, False), (0.2, True)])
async def test_a_call_that_a_deadline_ended_counts_only_when_it_had_time(
    waited_s: float, is_blamed: bool
) -> None:
    told, clock = Told(), StillClock()
    told.hangs = asyncio.Event()
    guarded = GuardedSource(told, "stats@1", 1.0, clock, Limits(least_count=1, window_count=1))
    task = asyncio.create_task(guarded.read("Honda"))
    await asyncio.sleep(0)
    clock.at_s += waited_s
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    told.hangs.set()

    if is_blamed:
        with pytest.raises(FeaturesUnavailable, match="left alone"):
            await guarded.read("Honda")
    else:
        assert await guarded.read("Honda") == {}


async def test_without_the_code_nobody_knows_where_to_ask_and_that_is_said() -> None:
    made = view()
    road = Road(made)

    with pytest.raises(InvalidInput, match="is asked of Feast"):
        await road.features.read("stats@1", "Honda")


def test_all_that_contradicts_itself_in_a_source_is_told_at_once() -> None:
    source = FeastSource(
        "http://f", {"rate": "rate", "other": "s:o"}, " ", timeout_ms=0, secret="plain"
    )

    with pytest.raises(InvalidInput) as fault:
        view(source=source)

    assert {one.place for one in fault.value.faults} == {
        "source.features",
        "source.entity_key",
        "source.timeout_ms",
        "source.secret",
    }
    assert len(fault.value.faults) == 6
    assert "plain" not in repr(source)


def test_names_behind_the_colon_serve_and_one_twice_is_told() -> None:
    assert FeastSource("", ["a:rate", "b:trips"], "id").references == {
        "rate": "a:rate",
        "trips": "b:trips",
    }
    with pytest.raises(InvalidInput, match="one name twice"):
        view(source=FeastSource("", ["a:rate", "b:rate", "b:trips"], "id"))


def test_where_a_server_lies_is_no_part_of_the_definition() -> None:
    here = definition_of(view())
    there = definition_of(view(source=FeastSource("env:F", {"rate": "s:r", "trips": "s:t"}, "id")))

    assert here == there
    assert definition_of(view(source=source_of(here["source"]))) == here
