"""Challengers score along: what is kept of them, what they can disturb (nothing), and what they may take."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn, cast, get_args, get_type_hints

import pytest

from opsrail.decide import shadow
from opsrail.decide.backlog import Limits
from opsrail.decide.decider import Decider
from opsrail.decide.policy import Policy, Rule
from opsrail.decide.shadow_store import ShadowStore
from opsrail.errors import ArtifactRefused, Denied, InvalidInput, StaleWrite, StoreUnavailable
from opsrail.registry.rollout import Stage
from opsrail.values.canonical import canonical
from opsrail.values.changes import SettingsRow
from opsrail.values.decisions import Decision
from opsrail.values.registry import ArtifactRow
from opsrail.values.rows import Insert
from opsrail.values.shadows import ShadowScoreRow
from opsrail.values.tables import TABLES
from tests.support.decisions import Claim, Road, fraud_point, fraud_policy, linear, request


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Road]:
    road = Road(**options)
    await road.store.open()
    try:
        yield road
    finally:
        for gate in road.challenging.hanging.values():
            gate.set()
        await road.decider.drain()
        road.decider.close()
        await road.shadows.close()
        await road.registry.close()
        await road.store.close()


@pytest.fixture
async def road() -> AsyncIterator[Road]:
    async with opened() as road:
        yield road


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is moved by hand; that does not mean that the event loop is full."""
    monkeypatch.setattr(shadow, "LATE_S", math.inf)


async def decided(road: Road, claim: Claim | None = None, **options: Any) -> Decision:
    return await road.decider.decide(request(fraud_point(**options), claim))


async def said(road: Road) -> list[ShadowScoreRow]:
    """Let challengers say what they have to, and return all that is kept of it."""
    await road.shadows.drain()
    return await road.store.select(ShadowScoreRow)


async def dump(road: Road) -> dict[str, list[Any]]:
    """Return every table but that of the shadow scores."""
    return {
        row.__name__: sorted(await road.store.select(row, limit=10_000))
        for row in TABLES
        if row is not ShadowScoreRow
    }


async def test_every_challenger_scores_every_decision_along(road: Road) -> None:
    await road.live(cost_usd=0.25)
    for bias in (3.0, -3.0):
        await road.challenged(linear(bias), cost_usd=0.5)

    decisions = [await decided(road) for _ in range(3)]
    rows = await said(road)

    assert {(row.decision_id, row.model_number, row.verdict) for row in rows} == {
        (decision.id, number, verdict)
        for decision in decisions
        for number, verdict in ((2, "review"), (3, "approve"))
    }
    first = rows[0]
    assert (first.point, first.model_name, first.code, first.at_ms) == (
        "fraud-risk",
        "fraud",
        None,
        decisions[0].at_ms,
    )
    assert first.score == pytest.approx(0.9525741)
    assert (first.confidence, first.cost_usd) == (0.9, 0.5)
    assert {decision.verdict for decision in decisions} == {"approve"}


async def test_a_canary_scores_along_what_the_live_version_answers_where_its_rollout_asks(
    road: Road,
) -> None:
    await road.live()
    canary = await road.registered(linear(bias=3.0))
    await road.promoted(canary, Stage.CANARY, share=0.5)

    async def both() -> list[Decision]:
        point = fraud_point()
        return [
            await road.decider.decide(request(point, correlation_id=f"{number:032x}"))
            for number in range(40)
        ]

    await both()
    assert await said(road) == []

    road.registry.keep_retired(["fraud-risk"], along=["fraud-risk"])
    decisions = await both()
    rows = await said(road)
    by_live = {one.id for one in decisions if one.model is not None and one.model.number == 1}

    assert 0 < len(by_live) < 40
    assert {row.decision_id for row in rows} == by_live
    assert {row.model_number for row in rows} == {2}

    road.registry.keep_retired([])
    await both()
    assert len(await said(road)) == len(by_live)


async def test_the_answer_is_there_before_a_challenger_is_asked(road: Road) -> None:
    await road.live()
    await road.challenged()

    decision = await decided(road)

    assert road.challenging.batches == []
    assert [row.decision_id for row in await said(road)] == [decision.id]


async def test_decisions_are_scored_in_batches(road: Road) -> None:
    await road.live()
    await road.challenged()
    road.is_full = True  # so that they gather

    for _ in range(150):
        await decided(road)
    await said(road)

    assert road.challenging.batches == [1, 64, 64, 21]


async def test_what_a_rule_ruled_stands_for_a_challengers_score_too(road: Road) -> None:
    await road.live(linear(3.0))
    await road.challenged(linear(-3.0))

    await decided(road, Claim(amount=Decimal(20_000)))
    await decided(road, Claim(amount=Decimal(1)))

    assert [row.verdict for row in await said(road)] == ["review", "approve"]


async def test_a_rule_runs_once_however_many_challengers_there_are(road: Road) -> None:
    asked: list[Claim] = []
    policy = fraud_policy()

    def matches(facts: Claim) -> bool:
        asked.append(facts)
        return False

    counting = Rule("counting", matches, "review", "Counts.")
    counted: Policy[Claim] = Policy(policy.bands, [counting])
    await road.live()
    await road.challenged()
    await road.challenged(linear(1.0))

    await decided(road, policy=counted)
    await said(road)

    assert len(asked) == 1


async def test_values_a_challenger_was_never_trained_on_count_for_its_verdict(road: Road) -> None:
    await road.live()
    await road.challenged(linear(-3.0, horsepower=1.0))

    await decided(road, policy=fraud_policy(on_unknown="review"))

    assert [row.verdict for row in await said(road)] == ["review"]


async def test_who_asks_again_with_a_key_is_not_scored_along_again(road: Road) -> None:
    await road.live()
    await road.challenged()
    asked = request(fraud_point(), idempotency_key="k")

    first = await road.decider.decide(asked)
    again = await road.decider.decide(asked)

    assert again.id == first.id
    assert len(await said(road)) == 1


async def test_a_decision_without_a_score_is_scored_along_and_compared_with_nothing(
    road: Road,
) -> None:
    version = await road.live()
    await road.challenged()
    road.runtime.failing.add(version.digest)

    decision = await decided(road)
    rows = await said(road)

    assert decision.score is None
    assert rows[0].score is not None
    (stats,) = road.shadows.stats()
    assert (stats.scored, stats.agreed, stats.disagreed) == (1, 0, 0)


async def test_where_people_decide_a_challenger_is_held_against_what_policy_proposed(
    road: Road,
) -> None:
    await road.live()
    await road.challenged(linear(-1.0))
    content = canonical({"autonomy": [{"where": {}, "level": "observe"}]}).decode()
    await road.store.commit([Insert(SettingsRow("fraud-risk", 1, content, road.clock.now_ms()))])

    decision = await decided(road)

    assert (decision.verdict, decision.proposed) == ("review", "approve")
    assert [row.verdict for row in await said(road)] == ["approve"]
    assert road.shadows.stats()[0].agreed == 1


# -- nothing that a challenger does changes an answer ----------------------------------------------------------------


class Told(NamedTuple):
    """What a caller learns."""

    verdict: str
    score: float | None
    degraded: bool


async def told(road: Road, count: int = 5) -> list[Told]:
    found = [await decided(road) for _ in range(count)]
    return [Told(one.verdict, one.score, one.degraded) for one in found]


async def test_a_failing_challenger_changes_no_answer(road: Road) -> None:
    await road.live()
    alone = await told(road)
    version = await road.challenged()
    road.challenging.failing.add(version.digest)

    beside = await told(road)

    assert beside == alone
    assert {(row.score, row.verdict, row.code) for row in await said(road)} == {
        (None, None, "model-unavailable")
    }
    (stats,) = road.shadows.stats()
    assert stats.failed == {"model-unavailable": 5}


async def test_a_hanging_challenger_is_given_up_and_holds_up_neither_answers_nor_others(
    jumping: None,
) -> None:
    async with opened(shadow=Limits(call_s=5.0, at_once=1)) as road:
        await road.live()
        alone = await told(road)
        hanging = await road.challenged()
        await road.challenged(linear(1.0))
        road.challenging.hanging[hanging.digest] = threading.Event()

        beside = await told(road)
        await looked_at(road)  # the first call hangs
        assert [stats.scored for stats in road.shadows.stats()] == [0, 0]
        beside_it = await told(road)
        road.clock.at_s += 6.0
        await looked_at(road)
        states = {stats.model: stats.state for stats in road.shadows.stats()}
        rows = await said_within(road, 0.02)

        assert beside == beside_it == alone
        given_up = [row for row in rows if row.model_number == hanging.number]
        assert {(row.code, row.latency_us) for row in given_up} == {("deadline-passed", 5_000_000)}
        assert [row.model_number for row in rows if row.code is None] == [3] * 10
        assert states == {"fraud/2": "hung", "fraud/3": "scoring"}


async def looked_at(road: Road, times: int = 6) -> None:
    """Let time pass for the shadow's own looks."""
    for _ in range(times):
        road.shadows._look()
        if waited := {*road.shadows._calls, *road.shadows._loads()}:
            await asyncio.wait(waited, timeout=0.02)


async def said_within(road: Road, seconds: float) -> list[ShadowScoreRow]:
    await road.shadows.drain(seconds)
    return await road.store.select(ShadowScoreRow)


async def test_a_challenger_that_ends_its_hanging_call_is_asked_again(jumping: None) -> None:
    async with opened() as road:
        await road.live()
        hanging = await road.challenged()
        gate = road.challenging.hanging[hanging.digest] = threading.Event()
        await told(road, 1)
        await looked_at(road)
        road.clock.at_s += 6.0
        await looked_at(road)

        gate.set()
        await until(lambda: road.shadows.stats()[0].state == "scoring")
        await told(road, 1)

        assert sorted(str(row.code) for row in await said(road)) == ["None", "deadline-passed"]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0)


async def test_a_challenger_that_cannot_be_loaded_changes_no_answer(
    road: Road, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(artifact: bytes, expected_digest: str) -> NoReturn:
        raise ArtifactRefused("it is damaged")

    await road.live()
    alone = await told(road)
    await road.challenged()
    monkeypatch.setattr(road.challenging, "load", refused)

    beside = await told(road)

    assert beside == alone
    assert {row.code for row in await said(road)} == {"artifact-refused"}
    await told(road)
    assert len(await said(road)) == 10
    told_of = [record.message for record in caplog.records if "challenger" in record.message]
    assert told_of == ["challenger fraud/2 cannot be loaded: it is damaged"]
    (stats,) = road.shadows.stats()
    assert stats.state == "failed"


async def test_a_challenger_that_hangs_while_it_is_loaded_delays_no_other_version(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    await road.live()
    await road.registry.warm()
    version = await road.challenged()
    gate, load = threading.Event(), road.challenging.load

    def hangs(artifact: bytes, expected_digest: str) -> Any:
        gate.wait(60)
        return load(artifact, expected_digest)

    monkeypatch.setattr(road.challenging, "load", hangs)
    await told(road)
    await looked_at(road)

    for bias in range(20):  # more than the event loop has threads
        await road.promoted(await road.registered(linear(float(bias), age=0.1)), Stage.LIVE)
        await told(road, 1)
    assert road.shadows.stats()[0].state == "loading"
    gate.set()

    assert version.digest not in {one.digest for _, one, _ in road.registry.pools.held()}


async def test_whatever_breaks_in_the_shadow_the_decision_stands(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    await road.live()
    await road.challenged()

    def broken(*_: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(road.shadows._backlog, "offer", broken)

    assert [one.verdict for one in await told(road, 2)] == ["approve", "approve"]


async def test_a_version_that_answers_elsewhere_scores_along_in_a_model_and_lane_of_its_own(
    road: Road,
) -> None:
    version = await road.live()
    other = await road.registered(linear(1.0))
    await road.promoted(other, Stage.LIVE, point="other")
    await road.promoted(version, Stage.SHADOW, point="other")
    road.challenging.hanging[version.digest] = threading.Event()
    point = fraud_point()
    point.name = "other"

    await road.decider.decide(request(point))
    await looked_at(road)
    decision = await decided(road)

    assert decision.score is not None
    assert road.challenging.batches != []
    (lane, *_) = [one for one in road.decider.stats().models if one.model == "fraud/1"]
    assert lane.in_flight == 0


# -- what challengers may take ---------------------------------------------------------------------------------------


async def test_what_finds_no_room_is_dropped_and_counted() -> None:
    async with opened(shadow=Limits(rows_waiting=3)) as road:
        await road.live()
        await road.challenged()

        decisions = [await decided(road) for _ in range(5)]

        assert [row.decision_id for row in await said(road)] == [one.id for one in decisions[:3]]
        (stats,) = road.shadows.stats()
        assert (stats.offered, stats.scored, stats.dropped) == (5, 3, {"full": 2})


async def test_challengers_rest_while_the_process_is_full(road: Road) -> None:
    await road.live()
    await road.challenged()
    await told(road, 1)
    await said(road)
    road.is_full = True

    await told(road, 2)
    road.shadows._look()

    (stats,) = road.shadows.stats()
    assert (stats.state, stats.queued, stats.scored) == ("paused", 2, 1)
    road.is_full = False
    road.shadows._look()  # a second long it stays so
    assert road.shadows.stats()[0].queued == 2
    road.clock.at_s += 2.0
    road.shadows._look()
    assert road.shadows.stats()[0].queued == 0


async def test_challengers_rest_while_the_event_loop_is_behind(road: Road) -> None:
    await road.live()
    await road.challenged()
    await told(road, 1)
    road.clock.at_s += shadow.LOOK_S + 2 * shadow.LATE_S

    road.shadows._look_now()

    assert road.shadows.stats()[0].queued == 1
    road.clock.at_s += 2.0
    assert len(await said(road)) == 1


async def test_what_still_waits_when_the_process_ends_is_counted(road: Road) -> None:
    await road.live()
    version = await road.challenged()
    road.challenging.hanging[version.digest] = threading.Event()
    await told(road, 1)
    await looked_at(road)

    await told(road, 3)
    await road.shadows.drain(0.02)

    assert road.shadows.stats()[0].dropped == {"closing": 3}


async def test_a_challenger_that_is_retired_is_released(road: Road) -> None:
    await road.live()
    version = await road.challenged()
    await told(road, 1)
    await said(road)
    assert [one.digest for _, one, _ in road.shadows.pools.held()] == [version.digest]

    await road.promoted(version, Stage.RETIRED)
    await told(road, 1)
    road.shadows._look()
    await until(lambda: not list(road.shadows.pools.held()))

    assert len(await said(road)) == 1
    assert road.shadows.stats() == ()


async def test_scores_wait_for_a_database_that_is_away(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    await road.live()
    await road.challenged()
    commit, is_away = road.store.commit, True

    async def sometimes(writes: Sequence[Any]) -> None:
        if is_away and isinstance(writes[0].row, ShadowScoreRow):
            raise StoreUnavailable("the disk is full")
        await commit(writes)

    monkeypatch.setattr(road.store, "commit", sometimes)
    road.shadows._writer._sink = ShadowStore(road.store)
    await told(road, 3)
    await road.shadows._finish()
    road.shadows._writer.begin()
    await until(lambda: road.shadows._writer._timer is not None)
    is_away = False

    assert len(await said(road)) == 3


async def test_scores_that_the_database_never_takes_are_counted(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(rows: Sequence[Any]) -> None:
        raise StoreUnavailable("the disk is full")

    await road.live()
    await road.challenged()
    monkeypatch.setattr(road.shadows._writer, "_sink", type("Away", (), {"insert": away}))
    await told(road, 3)

    assert await said(road) == []
    assert road.shadows.stats()[0].dropped == {"unwritten": 3}


async def test_a_commit_that_was_taken_for_lost_is_not_written_twice(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert, faults = road.shadows._writer._sink.insert, [StoreUnavailable("lost the answer")]

    class Lossy:
        async def insert(self, rows: Sequence[ShadowScoreRow]) -> None:
            await insert(rows)
            if faults:
                raise faults.pop()

    await road.live()
    await road.challenged()
    monkeypatch.setattr(road.shadows._writer, "_sink", Lossy())
    await told(road, 2)
    await road.shadows._finish()
    road.shadows._writer.begin()
    await until(lambda: road.shadows._writer._timer is not None)
    await told(road, 1)

    assert len(await said(road)) == 3
    assert road.shadows.stats()[0].dropped == {}


# -- without side effects --------------------------------------------------------------------------------------------


def some_row(table: type[tuple[Any, ...]]) -> tuple[Any, ...]:
    values = {str: "x", int: 1, float: 0.5, bool: True, bytes: b"x"}
    kinds = [(get_args(hint) or (hint,))[0] for hint in get_type_hints(table).values()]
    return cast(Callable[..., tuple[Any, ...]], table)(*(values[kind] for kind in kinds))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
async def test_the_shadows_handle_writes_one_table_and_reads_one(
    road: Road, table: type[tuple[Any, ...]]
) -> None:
    handle: Any = ShadowStore(road.store)
    row = some_row(table)
    before = await dump(road)

    if table is ShadowScoreRow:
        await handle.insert([row])
    else:
        with pytest.raises(Denied, match=table.__name__):
            await handle.insert([some_row(ShadowScoreRow), row])
    if table is ArtifactRow:
        assert await handle.get(table, "none") is None
    else:
        with pytest.raises(Denied, match=table.__name__):
            await handle.get(table, "x")

    assert await dump(road) == before
    assert len(await road.store.select(ShadowScoreRow)) == (table is ShadowScoreRow)


async def test_the_shadows_handle_changes_nothing_that_is_there(road: Road) -> None:
    row = some_row(ShadowScoreRow)
    handle: Any = ShadowStore(road.store)
    await handle.insert([row])

    with pytest.raises(StaleWrite):
        await handle.insert([row])

    assert not {"commit", "take", "select", "count", "changed", "close"} & set(dir(handle))
    with pytest.raises(AttributeError):
        handle.commit = road.store.commit


async def test_challengers_leave_every_other_table_as_it_was(road: Road) -> None:
    await road.live()
    failing = await road.challenged()
    for bias in (1.0, -1.0):
        await road.challenged(linear(bias))
    road.challenging.failing.add(failing.digest)
    for amount in (1, 20_000, 300):
        await decided(road, Claim(amount=Decimal(amount)), cache_ttl_s=60, features=())
    before = await dump(road)

    rows = await said(road)

    assert len(rows) == 9
    assert await dump(road) == before


async def test_a_process_without_a_shadow_side_decides_all_the_same(road: Road) -> None:
    await road.live()
    await road.challenged()
    alone = Decider(road.store, road.registry, road.features, road.clock)

    decision = await alone.decide(request(fraud_point()))
    await alone.drain()
    alone.close()

    assert decision.verdict == "approve"
    assert alone.stats().shadows == ()


def test_segments_that_are_no_fields_are_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        fraud_point(segments=("make", "colour", "make"))

    assert [fault.message for fault in caught.value.faults] == [
        "'make' stands 2 times",
        "'colour' is no field of the request: make, amount, age",
    ]
    assert fraud_point(segments=("make", "age")).segments == ("make", "age")
