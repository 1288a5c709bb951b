"""Old cases go, held ones stay, a kill in the middle is made good, and nothing removed is taken for new work."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from opsrail import Case, faults
from opsrail.errors import Conflict, InvalidInput, NotFound
from opsrail.govern.retention import FLOOR_DAYS, Pruned, Retention
from opsrail.ledger.book import verify
from opsrail.testing import Rehearsal
from opsrail.values.cases import CaseRow, CaseState, JournalRow, KeyRow, OutboxRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import NoticeRow, ReviewEventRow, ReviewRow, RulingRow
from opsrail.values.rows import Insert
from tests.support import history
from tests.unit.cases.rehearsed import Order, Receipt, defined

T = TypeVar("T")


class Killed(BaseException):
    """Stands in for the end of the process."""


async def one() -> int:
    return 1


async def run(case: Case, order: Order) -> Receipt:
    await case.step(one)
    if order.amount > 100:
        await case.review("desk")
    return Receipt(text="ok")


def do(rehearsal: Rehearsal, work: Coroutine[Any, Any, T]) -> T:
    return asyncio.get_event_loop_policy().get_event_loop().run_until_complete(work)


def retention(rehearsal: Rehearsal) -> Retention:
    return Retention(rehearsal.app.store, rehearsal.clock)


def test_what_ended_long_ago_goes_with_all_its_rows_and_the_ledger_still_verifies() -> None:
    with Rehearsal(defined(run)) as rehearsal:
        old = rehearsal.submit("orders", {"amount": 1}, key="k")
        waiting = rehearsal.submit("orders", {"amount": 1000})
        rehearsal.advance("200d")
        young = rehearsal.submit("orders", {"amount": 2})
        pruned = do(rehearsal, retention(rehearsal).prune(FLOOR_DAYS, by="ann"))

        assert pruned == Pruned(cases=1, held=0, unsent=0)
        store = rehearsal.app.store
        assert do(rehearsal, store.get(CaseRow, old.id)) is None
        assert do(rehearsal, store.count(JournalRow, by=("case_id",))) == {
            (waiting.id,): 1,
            (young.id,): 1,
        }
        assert do(rehearsal, store.count(KeyRow)) == {(): 0}
        do(rehearsal, rehearsal.app.settle_ledger())
        report = do(rehearsal, verify(store, rehearsal.app.signer.verifiers))
        assert report.faults == ()


def test_what_turned_out_of_its_decisions_goes_with_a_case_and_nothing_else_does() -> None:
    with Rehearsal(defined(run)) as rehearsal:
        old, store = rehearsal.submit("orders", {"amount": 1}), rehearsal.app.store
        of_case = history.row(history.decision(1, case_id=old.id, at_ms=1_000))
        alone = history.row(history.decision(2, at_ms=1_000))
        do(rehearsal, store.commit([Insert(of_case), Insert(alone)]))
        for row in (of_case, alone):
            told = rehearsal.app.outcomes.record(row.id, "fraud", 1.0, source="late", by="ann")
            do(rehearsal, told)
        rehearsal.advance("200d")
        do(rehearsal, retention(rehearsal).prune(FLOOR_DAYS, by="ann"))
        left = do(rehearsal, store.select(OutcomeRow))

        assert [row.decision_id for row in left] == [alone.id]


def test_what_people_said_of_a_case_goes_with_it_and_its_notices_too() -> None:
    with Rehearsal(defined(run)) as rehearsal:
        store, desk = rehearsal.app.store, rehearsal.app.desk
        for amount in (1000, 2000):
            rehearsal.submit("orders", {"amount": amount})
        gone, stays = sorted(do(rehearsal, store.select(ReviewRow)))
        do(rehearsal, desk.rule(gone.id, "approve", by="ann"))
        rehearsal.advance("1m")
        told = NoticeRow("", "mail", "a@b", "review.opened", "", "{}", "sent", 0, 0, None, 0, 0)
        rows = [told._replace(id=one.id, subject_id=one.id) for one in (gone, stays)]
        do(rehearsal, store.commit([Insert(row) for row in rows]))
        rehearsal.advance("200d")
        pruned = do(rehearsal, retention(rehearsal).prune(FLOOR_DAYS, by="ann"))
        reviews, notices = (
            do(rehearsal, store.select(ReviewRow)),
            do(rehearsal, store.select(NoticeRow)),
        )
        events = do(rehearsal, store.select(ReviewEventRow))

        assert pruned.cases == 1
        assert do(rehearsal, store.select(RulingRow)) == []
        assert {event.review_id for event in events} == {stays.id}
        assert ([row.id for row in reviews], [row.id for row in notices]) == (
            [stays.id],
            [stays.id],
        )


def test_a_removed_key_makes_new_work_and_not_a_ghost() -> None:
    with Rehearsal(defined(run)) as rehearsal:
        old = rehearsal.submit("orders", {"amount": 1}, key="k")
        rehearsal.advance("200d")
        do(rehearsal, retention(rehearsal).prune(FLOOR_DAYS, by="ann"))
        new = rehearsal.submit("orders", {"amount": 1}, key="k")

        assert new.state == CaseState.SETTLED
        assert new.id != old.id


def test_a_held_case_stays_until_it_is_released() -> None:
    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {"amount": 1})
        keeper = retention(rehearsal)
        do(rehearsal, keeper.hold(case.id, by="ann", reason="a dispute"))
        rehearsal.advance("200d")
        first = do(rehearsal, keeper.prune(FLOOR_DAYS, by="ann"))
        do(rehearsal, keeper.release(case.id, by="ann"))
        second = do(rehearsal, keeper.prune(FLOOR_DAYS, by="ann"))

        assert (first, second) == (Pruned(0, 1, 0), Pruned(1, 0, 0))


@pytest.mark.parametrize("point", ["retention.marked", "retention.removed"])
def test_a_run_that_was_killed_is_completed_by_the_next(point: str) -> None:
    def kill() -> None:
        raise Killed

    with Rehearsal(defined(run)) as rehearsal:
        for number in range(5):
            rehearsal.submit("orders", {"amount": number})
        rehearsal.advance("200d")
        keeper = retention(rehearsal)
        with faults.armed(point, kill), pytest.raises(Killed):
            do(rehearsal, keeper.prune(FLOOR_DAYS, by="ann"))
        do(rehearsal, keeper.prune(FLOOR_DAYS, by="ann"))

        assert do(rehearsal, rehearsal.app.store.count(CaseRow)) == {(): 0}
        assert do(rehearsal, rehearsal.app.store.count(JournalRow)) == {(): 0}


def test_a_case_that_is_being_removed_can_no_longer_be_held() -> None:
    def kill() -> None:
        raise Killed

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {"amount": 1})
        rehearsal.advance("200d")
        keeper = retention(rehearsal)
        with faults.armed("retention.marked", kill), pytest.raises(Killed):
            do(rehearsal, keeper.prune(FLOOR_DAYS, by="ann"))
        with pytest.raises(Conflict, match="being removed"):
            do(rehearsal, keeper.hold(case.id, by="ann", reason="too late"))


def test_nothing_younger_than_the_floor_can_be_removed() -> None:
    with Rehearsal(defined(run)) as rehearsal:
        with pytest.raises(InvalidInput, match="below the floor"):
            do(rehearsal, retention(rehearsal).prune(FLOOR_DAYS - 1, by="ann"))
        with pytest.raises(NotFound):
            do(rehearsal, retention(rehearsal).hold("nope", by="ann", reason="why"))


def test_a_case_whose_action_waits_is_kept() -> None:
    async def ship(key: str) -> None:
        raise ConnectionError("away")

    async def ships(case: Case, order: Order) -> Receipt:
        await case.act(definitions.automations["orders"].actions["ship"])
        return Receipt(text="ok")

    definitions = defined(ships, ship=ship)
    with Rehearsal(definitions) as rehearsal:
        rehearsal.submit("orders", {"amount": 1})
        rehearsal.advance("200d")

        assert do(rehearsal, retention(rehearsal).prune(FLOOR_DAYS, by="ann")) == Pruned(0, 0, 1)
        assert do(rehearsal, rehearsal.app.store.count(OutboxRow)) == {(): 1}
