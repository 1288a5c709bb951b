"""What a page's filters ask for, and that whatever they ask costs two queries at most."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from opsrail.clock import SystemClock
from opsrail.errors import InvalidInput
from opsrail.ports import Store
from opsrail.store.memory import MemoryStore
from opsrail.values.cases import CaseRow, CaseState
from opsrail.values.rows import Insert
from opsrail.web.console import case_search
from opsrail.web.console.case_search import Search, found, search_of
from tests.unit.web.console.rows import CASE_ROW, NOW_MS, case_id_at

MINUTE_MS = 60_000


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """Two hundred cases, one a minute, of two automations, every tenth waiting, every seventh from a file."""
    memory = MemoryStore(clock=SystemClock())
    await memory.open()
    await memory.commit([Insert(_case(number)) for number in range(200)])
    yield memory
    await memory.close()


def _case(number: int) -> CaseRow:
    at_ms = NOW_MS + MINUTE_MS * number
    is_waiting = number % 10 == 0
    return CASE_ROW._replace(
        id=case_id_at(at_ms, number),
        automation="claims" if number % 4 else "loans",
        state=CaseState.WAITING if is_waiting else CaseState.SETTLED,
        waiting_for=("timer" if number % 20 else "review:x-1") if is_waiting else None,
        source="file:a.csv" if number % 7 == 0 else "http",
        correlation_id=f"{number:032x}",
        accepted_at_ms=at_ms,
    )


async def numbers(store: Store, search: Search, scopes: frozenset[str] | None = None) -> list[int]:
    """Return all that is found, page by page, as numbers of cases."""
    result, after = [], None
    for _ in range(30):
        page = await found(store, search, scopes, after)
        result += [(row.accepted_at_ms - NOW_MS) // MINUTE_MS for row in page.rows]
        if page.after is None:
            return result
        after = page.after
    raise AssertionError("the pages have no end")


@pytest.mark.parametrize("look_back", [10_000, 37])
@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ({}, lambda n: True),
        ({"automation": "loans"}, lambda n: n % 4 == 0),
        ({"state": "settled", "automation": "claims"}, lambda n: n % 10 and n % 4),
        ({"waiting": "person"}, lambda n: n % 20 == 0),
        ({"waiting": "timer"}, lambda n: n % 20 == 10),
        ({"source": "file:a.csv"}, lambda n: n % 7 == 0),
        ({"source": "nowhere"}, lambda n: False),
        ({"trace": f"{17:032x}"}, lambda n: n == 17),
        ({"q": f"{18:032X}"}, lambda n: n == 18),
        ({"since": "2027-01-15T08:10", "until": "2027-01-15T08:20:00Z"}, lambda n: 10 <= n < 20),
    ],
)
async def test_each_filter_finds_its_cases_newest_first_over_all_pages(
    store: Store,
    query: Mapping[str, str],
    holds: Callable[[int], object],
    look_back: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(case_search, "LOOK_BACK", look_back)

    assert await numbers(store, search_of(query)) == [n for n in reversed(range(200)) if holds(n)]


async def test_cases_of_other_automations_are_not_found(store: Store) -> None:
    seen = await numbers(store, Search(), frozenset({"loans"}))

    assert seen == [n for n in reversed(range(200)) if n % 4 == 0]


def test_a_case_is_asked_for_by_its_id_however_it_is_written() -> None:
    assert search_of({"q": f" {CASE_ROW.id.lower()} "}).case_id == CASE_ROW.id


def test_everything_that_is_wrong_with_a_search_is_told_at_once() -> None:
    query = {
        "q": "anna", "state": "asleep", "waiting": "godot", "since": "yesterday", "trace": "x", "source": "s" * 201,
    }  # fmt: skip

    with pytest.raises(InvalidInput) as refused:
        search_of(query)

    assert {fault.place for fault in refused.value.faults} == set(query)


def test_a_time_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not after"):
        search_of({"since": "2027-01-15T08:10", "until": "2027-01-15T08:00"})
