"""The office: looking at cases, cancelling, sending on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from opsrail.app import App
from opsrail.cases.intake import Submission
from opsrail.cases.office import Office, at_rest
from opsrail.errors import Conflict, InvalidInput, NotFound
from opsrail.values.cases import CaseRow, CaseState, InboxRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import Where
from tests.unit.web import claims
from tests.unit.web.conftest import CLAIM, app_of, running
from tests.unit.web.conftest import closed_gate as closed_gate

LARGE = {"claim_id": "c-2", "amount": 5000}
BOUND_S = 20


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = app_of()
    async with running(app):
        yield app


async def accepted(
    app: App, automation: str, given: Any = CLAIM, *, wait_s: float = BOUND_S
) -> CaseRow:
    row, is_new = await app.intake.accept(Submission(automation, dict(given), "a-test"))
    return await at_rest(
        Office(app.store, app.clock), app.runner, row, is_new=is_new, wait_s=wait_s
    )


async def begun(app: App) -> CaseRow:
    """Return a case that waits in a thread at the closed gate."""
    row, _ = await app.intake.accept(Submission("slow", dict(CLAIM), "a-test"))
    assert await asyncio.to_thread(claims.ASKED.wait, BOUND_S)
    return row


async def test_a_running_case_is_told_to_stop_and_stops(app: App, closed_gate: None) -> None:
    office = Office(app.store, app.clock)
    row = await begun(app)
    told = await office.cancel(row.id, "not wanted")
    again = await office.cancel(row.id, "still not wanted")
    ended = await at_rest(office, app.runner, told, is_new=False, wait_s=BOUND_S)

    assert {told.state, again.state} <= {CaseState.RUNNING, CaseState.CANCELLED}
    assert (ended.state, ended.reason) == (CaseState.CANCELLED, "not wanted")
    assert await app.store.select(InboxRow) == []


async def test_a_waiting_case_is_cancelled_at_once(app: App) -> None:
    row = await accepted(app, "claims-intake", LARGE)
    ended = await Office(app.store, app.clock).cancel(row.id, "sent twice")

    assert (row.state, ended.state, ended.reason) == (
        CaseState.WAITING,
        CaseState.CANCELLED,
        "sent twice",
    )


@pytest.mark.parametrize("reason", ["", "  ", "x" * 4001])
async def test_a_cancellation_says_why(app: App, reason: str) -> None:
    row = await accepted(app, "claims-intake", LARGE)
    with pytest.raises(InvalidInput):
        await Office(app.store, app.clock).cancel(row.id, reason)


async def test_what_is_settled_stays_settled(app: App) -> None:
    office = Office(app.store, app.clock)
    row = await accepted(app, "claims-intake")
    with pytest.raises(Conflict):
        await office.cancel(row.id, "too late")
    with pytest.raises(Conflict):
        await office.retry(row.id)

    assert (await office.get(row.id)).state == CaseState.SETTLED


async def test_a_case_that_was_set_aside_goes_on_and_the_ledger_says_who(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(app.store, app.clock)
    monkeypatch.setattr(claims, "IS_BROKEN", True)
    row = await accepted(app, "broken")
    monkeypatch.setattr(claims, "IS_BROKEN", False)
    sent_on = await office.retry(row.id, by="ann")
    ended = await at_rest(office, app.runner, sent_on, is_new=False, wait_s=BOUND_S)
    noted = await app.store.select(LedgerEntryRow, Where("kind", "=", "case.retried"))

    assert (row.state, sent_on.state, sent_on.failures) == (CaseState.SET_ASIDE, CaseState.READY, 0)
    assert ended.state == CaseState.SETTLED
    assert [(entry.subject_id, '"by":"ann"' in entry.body) for entry in noted] == [(row.id, True)]


async def test_two_who_retry_at_once_send_it_on_once(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office(app.store, app.clock)
    monkeypatch.setattr(claims, "IS_BROKEN", True)
    row = await accepted(app, "broken")
    results = await asyncio.gather(
        office.retry(row.id), office.retry(row.id), return_exceptions=True
    )

    assert sorted(isinstance(result, Conflict) for result in results) == [False, True]


async def test_a_case_is_viewed_with_what_it_did(app: App) -> None:
    row = await accepted(app, "claims-intake", LARGE)
    view = await Office(app.store, app.clock).view(row.id)
    record = view.record()

    assert [entry.kind for entry in view.journal] == ["decide"]
    assert (record["decisions"][0]["verdict"], record["reviews"][0]["queue"]) == (
        "review",
        "claims-desk",
    )
    assert record["input"]["amount"] == 5000
    assert record["waiting_for"] == f"review:{row.id}-1"


async def test_pages_of_cases_follow_each_other(app: App) -> None:
    office = Office(app.store, app.clock)
    ids = [(await accepted(app, "claims-intake")).id for _ in range(4)]
    first = await office.list(limit=3)
    rest = await office.list(limit=3, after=first[-1].id)

    assert [row.id for row in (*first, *rest)] == ids[::-1]
    assert await office.list(automation="slow") == []
    assert len(await office.list(state=CaseState.SETTLED)) == 4


async def test_what_is_not_there_is_not_found(app: App) -> None:
    office = Office(app.store, app.clock)
    for wish in (office.view("x"), office.cancel("x", "why"), office.retry("x")):
        with pytest.raises(NotFound):
            await wish


async def test_waiting_ends_with_the_time_given(app: App, closed_gate: None) -> None:
    row = await accepted(app, "slow", wait_s=0.05)

    assert row.state == CaseState.RUNNING
