"""One decision on real parts: what it carries on every path, and what is durable of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence

import orjson
import pytest

from opsrail import faults
from opsrail.clock import SystemClock
from opsrail.decide.decider import Decider, Request
from opsrail.decide.explain import explain
from opsrail.decide.point import DecisionPoint
from opsrail.errors import (
    InFlight,
    InvalidInput,
    KeyReused,
    StaleWrite,
    StoreUnavailable,
    UnknownName,
)
from opsrail.ledger.commitment import check_record
from opsrail.values.cases import KeyRow
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import Insert, Write, equals
from tests.support.decisions import (
    Claim,
    Road,
    Settlement,
    fraud_point,
    fraud_policy,
    linear,
    make_history,
    request,
)


async def test_a_decision_carries_everything_that_it_rests_on(road: Road) -> None:
    version = await road.live(cost_usd=0.002)
    point = fraud_point(features=["make-history@1"], cache_ttl_s=60, impact="high")

    decision = await road.decider.decide(request(point, case_id="case-1", seq=3))

    assert decision.model is not None
    assert decision.model.digest == version.digest
    assert (decision.point, decision.impact, decision.case_id, decision.seq) == (
        "fraud-risk",
        "high",
        "case-1",
        3,
    )
    assert decision.score == pytest.approx(1 / (1 + 2.718281828**1.9))
    assert (decision.confidence, decision.verdict, decision.cache, decision.degraded) == (
        0.9,
        "approve",
        "miss",
        False,
    )
    assert [read.name for read in decision.features] == [
        f"request@{point.request_version}",
        "make-history@1",
    ]
    assert decision.features[0].values == {"make": "Honda", "amount": "100", "age": 40}
    assert decision.cost_usd == 0.002
    assert set(decision.latency_ms) == {"route", "features", "score", "verdict", "total"}
    assert decision.policy_version == point.policy.version


async def test_what_is_durable_is_the_decision_that_was_answered(road: Road) -> None:
    await road.live()

    decision = await road.decider.decide(request(fraud_point(), idempotency_key="k1"))

    row = await road.store.get(DecisionRow, decision.id)
    entries = await road.store.select(LedgerEntryRow, *equals(subject_id=decision.id))
    key = await road.store.get(KeyRow, "decision:fraud-risk:tester", "k1")
    assert row is not None
    assert key is not None
    assert Decision.from_record(orjson.loads(row.record)) == decision
    assert [entry.kind for entry in entries] == ["decision.made"]
    check_record(entries[0].body, row.salt, row.record.encode())
    assert key.subject_id == decision.id


async def test_the_ledger_shows_no_personal_values(road: Road) -> None:
    await road.live()
    decision = await road.decider.decide(request(fraud_point(), Claim(make="a rare make", age=97)))

    [entry] = await road.store.select(LedgerEntryRow, *equals(subject_id=decision.id))

    assert "a rare make" not in entry.body
    assert set(orjson.loads(entry.body)) == {
        "actor", "at_ms", "case", "commitment", "correlation_id", "decision", "degraded",
        "model", "model_digest", "point", "policy_version", "verdict",
    }  # fmt: skip


async def test_the_same_key_gives_the_same_decision(road: Road) -> None:
    await road.live()
    point = fraud_point()

    first = await road.decider.decide(request(point, idempotency_key="k1"))
    again = await road.decider.decide(request(point, idempotency_key="k1"))

    assert again == first
    assert await road.store.count(DecisionRow) == {(): 1}


async def test_a_key_with_another_request_is_refused(road: Road) -> None:
    await road.live()
    point = fraud_point()
    await road.decider.decide(request(point, idempotency_key="k1"))

    with pytest.raises(KeyReused, match="k1"):
        await road.decider.decide(request(point, Claim(age=41), idempotency_key="k1"))


async def test_of_a_hundred_twins_at_once_one_is_decided(road: Road) -> None:
    await road.live()
    point = fraud_point()

    twins = [road.decider.decide(request(point, idempotency_key="k1")) for _ in range(100)]
    answers = await asyncio.gather(*twins, return_exceptions=True)

    decided = [answer for answer in answers if isinstance(answer, Decision)]
    assert len(decided) == 1
    assert sum(isinstance(answer, InFlight) for answer in answers) == 99
    assert await road.store.count(DecisionRow) == {(): 1}


async def test_twins_in_two_processes_get_the_decision_of_the_first(road: Road) -> None:
    await road.live()
    others = [Decider(road.store, road.registry, road.features, road.clock) for _ in range(4)]
    point = fraud_point()

    answers = await asyncio.gather(
        *(other.decide(request(point, idempotency_key="k1")) for other in others)
    )

    assert len({answer.id for answer in answers}) == 1
    assert await road.store.count(DecisionRow) == {(): 1}
    for other in others:
        other.close()


async def test_a_failed_request_gives_its_key_back(road: Road) -> None:
    await road.live()
    await road.store.close()
    with pytest.raises(StoreUnavailable):
        await road.decider.decide(request(fraud_point(), idempotency_key="k1"))
    await road.store.open()

    decision = await road.decider.decide(request(fraud_point(), idempotency_key="k1"))

    assert decision.verdict == "approve"


async def test_what_the_caller_adds_goes_into_the_same_commit(road: Road) -> None:
    await road.live()

    def also(decision: Decision) -> Sequence[Write]:
        return [Insert(KeyRow("test", "taken", "", decision.id, 0))]

    first = await road.decider.decide(request(fraud_point(), also=also))
    with pytest.raises(StaleWrite):
        await road.decider.decide(request(fraud_point(), also=also))

    assert [row.id for row in await road.store.select(DecisionRow)] == [first.id]


async def test_a_rule_holds_whatever_the_score(road: Road) -> None:
    await road.live(linear(bias=-9.0))

    decision = await road.decider.decide(request(fraud_point(), Claim(amount=20_000)))

    assert decision.verdict == "review"
    assert decision.reasons[0].code == "amount-over-limit"
    assert decision.score is not None


async def test_without_a_live_model_the_fallback_answers(road: Road) -> None:
    point = fraud_point(fallback=lambda facts: ("approve", "Small claims pass."))

    decision = await road.decider.decide(request(point))

    assert (decision.verdict, decision.model, decision.score) == ("approve", None, None)
    assert (decision.degraded, decision.degraded_why) == (True, "model-unavailable")
    assert [reason.source for reason in decision.reasons] == ["fallback", "policy"]


async def test_a_model_that_fails_is_left_alone_after_a_while_and_tried_again(road: Road) -> None:
    await road.live()
    point = fraud_point()

    def fail(rows: Sequence[Mapping[str, object]]) -> None:
        raise ZeroDivisionError

    road.runtime.before = fail
    whys = [
        (await road.decider.decide(request(point, Claim(age=age)))).degraded_why
        for age in range(15)
    ]
    asked_count = len(road.runtime.batches)
    road.runtime.before = lambda rows: None
    road.clock.at_s += 5
    healed = [
        (await road.decider.decide(request(point, Claim(age=age)))).degraded for age in range(5)
    ]

    assert whys == ["model-unavailable"] * 10 + ["breaker-open"] * 5
    assert asked_count == 10
    assert healed == [False] * 5


async def test_equal_requests_meet_the_cache_until_a_fact_or_a_version_is_new(road: Road) -> None:
    await road.live(linear(make_frauds=0.5))
    point = fraud_point(features=["make-history@1"], cache_ttl_s=60)
    states = []

    for step in ("miss", "hit", "a fact", "a version", "late"):
        if step == "a fact":
            facts = road.features.facts_of(
                [make_history()], Claim(), Settlement(is_fraud=True), case_id="case-1"
            )
            await road.store.commit(facts)
            road.clock.at_s += 1
        if step == "a version":
            await road.live(linear(make_frauds=0.6))
        if step == "late":
            road.clock.at_s += 61
        states.append((await road.decider.decide(request(point))).cache)

    assert states == ["miss", "hit", "miss", "miss", "miss"]


async def test_a_hit_costs_nothing(road: Road) -> None:
    await road.live(cost_usd=0.5)
    point = fraud_point(cache_ttl_s=60)

    costs = [(await road.decider.decide(request(point))).cost_usd for _ in range(2)]

    assert costs == [0.5, 0.0]


async def test_a_thousand_equal_requests_at_once_ask_the_model_once(road: Road) -> None:
    await road.live()
    point = fraud_point(cache_ttl_s=60)

    decisions = await asyncio.gather(*(road.decider.decide(request(point)) for _ in range(1000)))

    assert road.runtime.batches == [1]
    assert len({decision.id for decision in decisions}) == 1000


async def test_requests_that_wait_together_are_scored_together(road: Road) -> None:
    await road.live()
    point = fraud_point()

    await asyncio.gather(
        *(road.decider.decide(request(point, Claim(age=age))) for age in range(101))
    )

    assert sum(road.runtime.batches) == 101
    assert len(road.runtime.batches) <= 4


async def test_one_row_that_spoils_a_batch_spoils_nobody_elses_score(road: Road) -> None:
    await road.live()
    point = fraud_point()

    def refuse_old(rows: Sequence[Mapping[str, object]]) -> None:
        if any(row["age"] == 99 for row in rows):
            raise ValueError("an old one")

    road.runtime.before = refuse_old
    decisions = await asyncio.gather(
        *(road.decider.decide(request(point, Claim(age=age))) for age in range(90, 100))
    )

    assert [decision.degraded for decision in decisions] == [False] * 9 + [True]


async def test_a_view_that_fails_sends_the_request_to_the_fallback() -> None:
    road = Road(make_history(entity=lambda request: request.no_such_field))
    await road.store.open()
    await road.live()

    decision = await road.decider.decide(request(fraud_point(features=["make-history@1"])))

    assert (decision.verdict, decision.degraded_why) == ("review", "author-error")
    assert [read.view for read in decision.features] == ["request"]


async def test_a_view_that_nobody_defined_is_an_error_not_a_fallback(road: Road) -> None:
    await road.live()

    with pytest.raises(UnknownName, match="make-history@2"):
        await road.decider.decide(request(fraud_point(features=["make-history@2"])))


async def test_wrong_requests_are_refused_with_every_fault(road: Road) -> None:
    wrong = request(fraud_point(), idempotency_key="x" * 256, budget_ms=0, also=lambda decision: [])

    with pytest.raises(InvalidInput) as caught:
        await road.decider.decide(wrong)

    assert [fault.place for fault in caught.value.faults] == [
        "idempotency_key",
        "also",
        "budget_ms",
    ]


async def test_facts_of_another_model_are_refused(road: Road) -> None:
    with pytest.raises(InvalidInput, match="Settlement"):
        await road.decider.decide(
            Request(fraud_point(), Settlement(is_fraud=True), correlation_id="1", actor="a")
        )


async def test_unknown_values_may_send_a_request_to_a_person(road: Road) -> None:
    await road.live(linear(bias=-9.0, make=1.0))
    point = fraud_point(policy=fraud_policy(on_unknown="review"))

    decision = await road.decider.decide(request(point))

    assert (decision.verdict, decision.unknown) == ("review", ("make",))
    assert [reason.code for reason in decision.reasons] == ["unknown-values", "score-in-band"]


async def test_the_crash_points_stand_before_and_after_the_record(road: Road) -> None:
    await road.live()
    counts = []

    async def decided_while(name: str) -> None:
        passed: list[str] = []
        with faults.armed(name, lambda: passed.append(name)):
            await road.decider.decide(request(fraud_point()))
        counts.append(len(passed))

    await decided_while("decide.before_record")
    await decided_while("decide.after_record")

    assert counts == [1, 1]


async def test_an_explanation_names_verdict_reason_model_and_features(road: Road) -> None:
    await road.live()
    point = fraud_point(features=["make-history@1"])

    decision = await road.decider.decide(request(point))
    lines = explain(decision)

    assert lines[:3] == [
        "Decision point fraud-risk says 'approve'.",
        "The score 0.1301 is below 0.5, the limit of 'approve'.",
        "Model fraud version 1 (live) gave the score 0.1301 with confidence 0.90.",
    ]
    assert lines[4] == "make-history@1 knew no history of 'Honda': make_claims 0, make_frauds 0."


async def test_an_explanation_says_that_nothing_was_asked(road: Road) -> None:
    decision = await road.decider.decide(request(fraud_point()))

    assert "No model version was live, so none was asked." in explain(decision)


@pytest.fixture
async def hung() -> AsyncIterator[tuple[Road, threading.Event]]:
    road = Road()
    await road.store.open()
    road.decider = Decider(road.store, road.registry, road.features, SystemClock())
    release = threading.Event()
    yield road, release
    release.set()
    road.decider.close()
    await road.store.close()


async def test_a_model_that_hangs_keeps_nobody_past_the_deadline(
    hung: tuple[Road, threading.Event],
) -> None:
    road, release = hung
    await road.live()
    await road.registry.warm()
    point = fraud_point(deadline_ms=60, fallback=lambda facts: "approve")
    road.runtime.before = lambda rows: void(release.wait(60))
    decisions: list[Decision] = []

    while len(decisions) < 100 and (
        not decisions or decisions[-1].degraded_why == "deadline-passed"
    ):
        decisions.append(await road.decider.decide(request(point, Claim(age=len(decisions)))))

    assert decisions[-1].degraded_why == "breaker-open"
    assert {decision.verdict for decision in decisions} == {"approve"}
    assert road.runtime.batches == [1]
    assert not release.is_set()  # nobody waited for the model


async def test_a_model_that_hangs_holds_up_no_other(hung: tuple[Road, threading.Event]) -> None:
    road, release = hung
    await road.live()
    await road.live(linear(bias=-3.0), point="other-risk")
    healthy = DecisionPoint("other-risk", request=Claim, policy=fraud_policy(), deadline_ms=5_000)
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(rows: Sequence[Mapping[str, object]]) -> None:
        if any(row["age"] == 1 for row in rows):
            loop.call_soon_threadsafe(reached.set)
            release.wait(60)

    road.runtime.before = hang
    slow = asyncio.create_task(
        road.decider.decide(request(fraud_point(deadline_ms=20_000), Claim(age=1)))
    )
    await reached.wait()
    decision = await road.decider.decide(request(healthy))

    assert not decision.degraded
    assert not slow.done()
    release.set()
    assert not (await slow).degraded


async def test_a_caller_with_little_time_does_not_open_the_breaker(
    hung: tuple[Road, threading.Event],
) -> None:
    road, release = hung
    await road.live()
    point = fraud_point(deadline_ms=5_000)
    await road.registry.warm()
    road.runtime.before = lambda rows: void(release.wait(60))

    whys = [
        (await road.decider.decide(request(point, Claim(age=age), budget_ms=5))).degraded_why
        for age in range(12)
    ]

    assert whys == ["deadline-passed"] * 12


def void(_: object) -> None:
    """Drop a result."""


async def test_a_row_that_the_model_refuses_says_nothing_about_the_model(road: Road) -> None:
    await road.live()

    def refuse(rows: Sequence[Mapping[str, object]]) -> None:
        raise InvalidInput("no column fits")

    road.runtime.before = refuse
    whys = [
        (await road.decider.decide(request(fraud_point(), Claim(age=age)))).degraded_why
        for age in range(20)
    ]

    assert whys == ["invalid-input"] * 20


async def test_a_model_that_gives_too_few_scores_is_not_believed(road: Road) -> None:
    await road.live()

    def swallow(rows: Sequence[Mapping[str, object]]) -> None:
        assert isinstance(rows, list)
        rows.clear()

    road.runtime.before = swallow
    decision = await road.decider.decide(request(fraud_point()))

    assert (decision.verdict, decision.degraded_why) == ("review", "model-unavailable")


async def test_a_closed_decider_asks_no_model(road: Road) -> None:
    await road.live()
    road.decider.close()

    decision = await road.decider.decide(request(fraud_point()))

    assert decision.degraded_why == "store-unavailable"
