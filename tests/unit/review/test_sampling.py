"""Spot checks and control cases: who is drawn, how often, and that nobody can tell."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from opsrail import Audit, Band, DecisionPoint, Policy, Queue
from opsrail.clock import MANUAL_START_MS, ManualClock
from opsrail.errors import InvalidInput
from opsrail.ledger.chain import WriterChain
from opsrail.review.desk import Desk
from opsrail.review.sampling import PAGE_COUNT, Sampler, first_id, moment_of, reached_at_ms
from opsrail.review.showing import event_record, record_of
from opsrail.review.terms import Expires, Step, Terms, terms_of
from opsrail.review.unasked import is_drawn
from opsrail.store.memory import MemoryStore
from opsrail.values.cases import InboxRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import ControlRow, CursorRow, Purpose, ReviewRow
from opsrail.values.rows import Insert, equals
from tests.support.decided import id_at
from tests.support.sampled import (
    QUEUE,
    asked,
    audits,
    case_of,
    decided,
    known,
    plan,
    put,
    turned,
)
from tests.unit.review.conftest import Time
from tests.unit.web.claims import Claim

START_MS = MANUAL_START_MS
ULID = re.compile("[0-9A-HJKMNP-TV-Z]{26}")


class Bench:
    """A store, a clock that stands, and a loop that is turned by hand."""

    def __init__(self) -> None:
        self.time = Time()
        self.clock = ManualClock(self.time.read)
        self.store = MemoryStore(WriterChain(self.clock), clock=self.clock)
        self.desk = Desk(self.store, self.clock)

    def sampler(self, ratio: float | None = 1.0, **how: Any) -> Sampler:
        plans = [] if ratio is None else [plan(ratio)]
        return Sampler(self.store, self.clock, plans, late_ms=0, **how)

    async def wait(self, seconds: float = 1.0) -> int:
        """Let time pass; return the moment halfway, epoch ms."""
        self.time.seconds += seconds
        return self.clock.now_ms() - round(seconds * 500)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    await bench.store.open()
    yield bench
    await bench.store.close()


@given(some.text(max_size=30), some.text(max_size=64), some.floats(0.001, 0.999))
def test_chance_draws_the_same_whenever_it_is_asked_and_more_at_a_higher_share(
    subject_id: str, salt: str, ratio: float
) -> None:
    first = is_drawn(subject_id, salt, ratio)

    assert is_drawn(subject_id, salt, ratio) is first
    assert is_drawn(subject_id, salt, 1.0)
    if first:
        assert is_drawn(subject_id, salt, min(1.0, ratio * 1.5))


def test_chance_draws_about_the_share_that_was_asked_for_and_an_id_does_not_tell() -> None:
    drawn = [is_drawn(id_at(START_MS + n, n), f"{n:064x}", 0.02) for n in range(50_000)]
    salted_otherwise = [
        is_drawn(id_at(START_MS + n, n), f"{n + 1:064x}", 0.02) for n in range(50_000)
    ]
    both = sum(a and b for a, b in zip(drawn, salted_otherwise, strict=True))

    assert 870 < sum(drawn) < 1_130  # 1,000 +- 4 standard deviations
    assert both < 45  # 20 by chance: without the salt nobody knows


@pytest.mark.parametrize(("ratio", "queue"), [(0, "desk"), (1.5, "desk"), (0.1, ""), (0.1, "a\n")])
def test_spot_checks_that_make_no_sense_are_refused_with_what_is_wrong(
    ratio: float, queue: str
) -> None:
    with pytest.raises(InvalidInput, match="spot checks"):
        Audit(ratio, queue)


def test_a_point_takes_spot_checks_and_its_policy_stays_the_same() -> None:
    policy = Policy[Claim]([Band("approve", below=1.01)])
    plain = DecisionPoint("p", request=Claim, policy=policy)
    checked = DecisionPoint("p", request=Claim, policy=policy, audit=Audit(0.02, QUEUE))

    assert checked.audit == Audit(0.02, "claims-desk")
    assert checked.policy_version == plain.policy_version
    slip: Any = 0.02
    with pytest.raises(InvalidInput, match="audit"):
        DecisionPoint("p", request=Claim, policy=policy, audit=slip)


async def test_each_decision_that_no_person_saw_is_drawn_once_in_a_case_or_out_of_it(
    bench: Bench,
) -> None:
    sampler = bench.sampler()
    await turned(sampler)
    at_ms = await bench.wait()
    case = case_of(at_ms)
    rows = [
        decided(at_ms, 1, case_id=case.id),
        decided(at_ms, 2),
        decided(at_ms, 3, verdict="review"),
        decided(at_ms, 4)._replace(proposed="approve"),
        decided(at_ms, 5),
    ]
    seen = asked(at_ms, 1, decision_id=rows[4].id)
    await put(bench.store, [case, *rows, seen])
    for _ in range(3):
        await turned(sampler)
        await turned(bench.sampler())
        await bench.wait()

    found = await audits(bench.store)
    assert {row.decision_id for row in found} == {rows[0].id, rows[1].id}
    assert {row.case_id for row in found} == {None}
    assert {row.purpose for row in found} == {Purpose.AUDIT}


async def test_what_was_decided_before_spot_checks_began_is_not_drawn(bench: Bench) -> None:
    await put(bench.store, [decided(START_MS, 1)])
    await bench.wait()
    await turned(bench.sampler())
    await bench.wait()
    await turned(bench.sampler())

    assert await audits(bench.store) == []


async def test_more_than_a_page_is_drawn_to_the_last(bench: Bench) -> None:
    sampler = bench.sampler()
    await turned(sampler)
    at_ms = await bench.wait()
    await put(bench.store, [decided(at_ms, n) for n in range(2 * PAGE_COUNT + 7)])
    await turned(sampler)

    assert len(await audits(bench.store)) == 2 * PAGE_COUNT + 7


async def test_a_ruling_on_a_spot_check_becomes_an_outcome_with_its_probability_and_wakes_nobody(
    bench: Bench,
) -> None:
    sampler = bench.sampler(0.25)
    await turned(sampler)
    at_ms = await bench.wait()
    await put(bench.store, [decided(at_ms, n) for n in range(40)])
    await turned(sampler)
    first = (await audits(bench.store))[0]
    await bench.desk.rule(first.id, "decline", by="ann")

    (outcome,) = await bench.store.select(OutcomeRow)
    assert (outcome.decision_id, outcome.name, outcome.value) == (first.decision_id, "fraud", 1.0)
    assert (outcome.source, outcome.ratio) == ("audit", 0.25)
    assert await bench.store.count(InboxRow) == {(): 0}


async def test_the_ledger_tells_that_a_review_is_a_spot_check(bench: Bench) -> None:
    await turned(sampler := bench.sampler(0.5))
    at_ms = await bench.wait()
    await put(bench.store, [decided(at_ms, n) for n in range(20)])
    await turned(sampler)

    entries = await bench.store.select(LedgerEntryRow, *equals(kind="review.opened"))
    found = await audits(bench.store)
    assert {entry.subject_id for entry in entries} == {row.id for row in found}
    assert {json.loads(entry.body)["sampled"] for entry in entries} == {0.5}


async def mixed(bench: Bench) -> list[ReviewRow]:
    """Return a review of each kind: a case's, a spot check, a control case."""
    sampler = bench.sampler(1.0, shares={QUEUE: 0.5})
    await put(bench.store, [known(1)])
    await turned(sampler)
    at_ms = await bench.wait()
    case = case_of(at_ms)
    await put(
        bench.store,
        [case, decided(at_ms, 1, case_id=case.id), asked(at_ms, 1), asked(at_ms - 9, 2)],
    )
    await turned(sampler)
    rows = await bench.store.select(ReviewRow)
    return [next(row for row in rows if row.purpose == purpose) for purpose in Purpose]


def shape(value: object) -> object:
    """Return what kind of value something is: keys, nulls, formats, but not what it says."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value]
    if isinstance(value, str):
        return re.sub("[0-9]", "0", ULID.sub("ULID", re.sub("[0-9a-f]{32}", "HEX", value)))
    return type(value).__name__


@pytest.mark.parametrize("kind", ["spot check", "control case"])
async def test_what_a_reviewer_gets_of_a_blind_queue_does_not_tell_why_they_are_asked(
    bench: Bench, kind: str
) -> None:
    case, spot_check, control = await mixed(bench)
    other = spot_check if kind == "spot check" else control
    one, two = (record_of(row, sees=False, now_ms=0, viewer="user:ann") for row in (case, other))
    events = [await bench.desk.history(row.id, viewer="user:ann") for row in (spot_check, control)]
    about = two["subject"]["decision"]

    assert shape(one) == shape(two)
    assert list(one) == list(two)
    assert [[event_record(event)["kind"] for event in some] for some in events] == [["opened"]] * 2
    assert (other.priority, other.skills, other.eyes, other.blind) == (3, "german", 1, True)
    assert (other.due_at_ms or 0) - other.opened_at_ms == 3_600_000
    assert other.urgent_at_ms == other.due_at_ms
    assert other.requester == case.requester
    assert two["id"] == f"{two['case_id']}-1" == f"{about['case_id']}-1"
    assert about["id"] == two["decision_id"] != two["case_id"]
    assert 0 < other.opened_at_ms - about["at_ms"] < 1_500
    assert abs(moment_of(two["case_id"]) - other.opened_at_ms) < 1_500
    assert {"purpose", "truth", "labels", "salt"}.isdisjoint(two)


async def test_terms_move_along_with_the_opening_in_working_time(bench: Bench) -> None:
    terms = Terms(
        ("approve", "decline"), hours="Mon-Fri 08:00-18:00 Europe/Berlin", escalate=(Step(START_MS + 7_200_000, "chief"),),
        expire=Expires(START_MS + 8 * 3_600_000, "decline"),
    )  # fmt: skip
    sampler = bench.sampler()
    await turned(sampler)
    at_ms = await bench.wait(86_400 * 2)  # Saturday
    model = asked(
        START_MS, 1, terms=terms.text(), opened_at_ms=START_MS, wake_at_ms=START_MS + 7_200_000
    )
    await put(bench.store, [model, decided(at_ms, 1)])
    await bench.wait(86_400)
    await turned(sampler)
    (row,) = await audits(bench.store)
    moved = terms_of(row.terms)

    assert (moved.verdicts, moved.hours) == (terms.verdicts, terms.hours)
    monday_ms = START_MS + 4 * 86_400_000 - 2 * 3_600_000  # 08:00 in Berlin
    assert row.wake_at_ms == moved.escalate[0].at_ms == monday_ms + 7_200_000
    assert moved.expire == Expires(monday_ms + 8 * 3_600_000, "decline")


async def test_before_any_case_asked_a_spot_check_is_as_the_queue_is_declared(bench: Bench) -> None:
    queue = Queue(QUEUE, verdicts=("approve", "decline"), due="2h", blind=True, skills=("german",))
    sampler = Sampler(bench.store, bench.clock, [plan(1.0)._replace(queue=queue)], late_ms=0)
    await turned(sampler)
    at_ms = await bench.wait()
    await put(bench.store, [decided(at_ms, 1)])
    await turned(sampler)
    (row,) = await audits(bench.store)

    assert (row.blind, row.skills, (row.due_at_ms or 0) - row.opened_at_ms) == (
        True,
        "german",
        7_200_000,
    )
    assert terms_of(row.terms).verdicts == ("approve", "decline")


async def test_in_a_queue_that_is_not_blind_a_spot_check_says_nothing_of_the_machine(
    bench: Bench,
) -> None:
    sampler = bench.sampler()
    await turned(sampler)
    at_ms = await bench.wait()
    await put(bench.store, [asked(at_ms, 1, blind=False), decided(at_ms, 1)])
    await turned(sampler)
    (row,) = await audits(bench.store)
    about = json.loads(row.subject)["decision"]

    assert (about["verdict"], row.verdict) == ("review", "review")
    assert [about[name] for name in ("score", "confidence", "proposed", "reason_codes")] == [
        None
    ] * 4
    assert about["reasons"] == []


async def test_a_form_is_the_queues_and_holds_nothing_of_another_case(bench: Bench) -> None:
    form = json.dumps(
        {"schema": {"properties": {"amount": {}, "why": {}}}, "values": {"amount": 99, "why": "x"}}
    )
    sampler = bench.sampler()
    await turned(sampler)
    at_ms = await bench.wait()
    await put(bench.store, [asked(at_ms, 1, form=form), decided(at_ms, 41)])
    await turned(sampler)
    (row,) = await audits(bench.store)

    assert json.loads(row.form or "") == {
        "schema": {"properties": {"amount": {}, "why": {}}},
        "values": {"amount": 41},
    }


async def test_a_spot_check_shows_what_its_author_shows_of_a_request_in_the_order_of_others(
    bench: Bench,
) -> None:
    checks = plan(
        1.0,
        show=lambda facts: {"is_large": facts.amount > 40, "cents": facts.amount * 100},
        values=lambda facts: {"amount": Decimal(facts.amount) / 2},
    )
    sampler = Sampler(bench.store, bench.clock, [checks], late_ms=0)
    await turned(sampler)
    at_ms = await bench.wait()
    like = asked(at_ms, 1)
    subject = json.loads(like.subject) | {"show": {"cents": 5, "is_large": False}}
    form = json.dumps({"schema": {"properties": {"amount": {}}}, "values": {"amount": 99}})
    await put(
        bench.store, [like._replace(subject=json.dumps(subject), form=form), decided(at_ms, 41)]
    )
    await turned(sampler)
    (row,) = await audits(bench.store)

    assert json.dumps(json.loads(row.subject)["show"]) == '{"cents": 4100, "is_large": true}'
    assert json.loads(row.form or "")["values"] == {"amount": 20.5}


async def test_an_authors_fault_leaves_a_spot_check_bare_but_keeps_it_in_the_sample(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    sampler = Sampler(
        bench.store, bench.clock, [plan(1.0, show=lambda facts: 1 / facts.amount)], late_ms=0
    )
    await turned(sampler)
    at_ms = await bench.wait()
    await put(bench.store, [decided(at_ms, 0), decided(at_ms, 4)])
    await turned(sampler)

    shown = {json.loads(row.subject)["show"] for row in await audits(bench.store)}
    assert shown == {None, 0.25}
    assert "ZeroDivisionError" in caplog.text


def test_what_spot_checks_show_is_made_by_plain_functions() -> None:
    async def slowly(facts: object) -> None: ...

    slip: Any = "receipt"
    with pytest.raises(InvalidInput) as refused:
        Audit(0.1, QUEUE, show=slip, values=slowly)
    assert [fault.place for fault in refused.value.faults] == ["show", "values"]


async def test_control_cases_are_about_the_share_that_was_asked_for_and_each_is_used_as_often_as_allowed(
    bench: Bench,
) -> None:
    sampler = bench.sampler(None, shares={QUEUE: 0.2}, uses=2)
    await put(bench.store, [known(n) for n in range(400)])
    await turned(sampler)
    for _ in range(10):
        at_ms = await bench.wait()
        await put(
            bench.store,
            [asked(at_ms + n % 7, 1_000 * round(bench.time.seconds) + n) for n in range(200)],
        )
        await turned(sampler)
    controls = await bench.store.select(ReviewRow, *equals(purpose=Purpose.CONTROL), limit=10_000)
    used = await bench.store.select(ControlRow, limit=10_000)

    assert 400 < len(controls) < 600  # a fifth of all, so a quarter of 2,000
    assert sum(row.used for row in used) == len(controls) == sampler.stats().controls
    assert max(row.used for row in used) <= 2
    assert {row.truth for row in controls} == {"decline"}


async def test_without_control_cases_left_nothing_is_put_and_a_ruling_on_one_touches_nothing(
    bench: Bench,
) -> None:
    sampler = bench.sampler(None, shares={QUEUE: 0.5})
    await put(bench.store, [known(1)])
    await turned(sampler)
    at_ms = await bench.wait()
    await put(bench.store, [asked(at_ms, n) for n in range(5)])
    await turned(sampler)
    (row,) = await bench.store.select(ReviewRow, *equals(purpose=Purpose.CONTROL))
    await bench.desk.rule(row.id, "approve", by="ann")

    assert await bench.store.count(OutcomeRow) == {(): 0}
    assert await bench.store.count(InboxRow) == {(): 0}


async def test_a_fault_in_drawing_is_told_and_mended_by_itself(bench: Bench) -> None:
    sampler = bench.sampler()
    await turned(sampler)
    at_ms = await bench.wait()
    await bench.store.commit([Insert(decided(at_ms, 1)._replace(record="{}"))])
    await sampler.turn()

    assert list(sampler.stats().faults) == ["audit:fraud-risk"]


async def test_a_cursor_tells_up_to_when_was_looked_though_nothing_was_drawn(bench: Bench) -> None:
    sampler = bench.sampler(shares={QUEUE: 0.5})
    await turned(sampler)
    await bench.wait(61.0)
    await sampler.turn()
    rows, at_ms = await bench.store.select(CursorRow), bench.clock.now_ms()

    assert {row.name for row in rows} == set(sampler.cursors)
    assert all(at_ms - 1_000 <= reached_at_ms(row) <= at_ms for row in rows)


def test_the_moment_of_an_id_is_read_back() -> None:
    assert moment_of(first_id(START_MS)) == START_MS
