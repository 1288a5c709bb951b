"""Whoever asks for work gets what they may have, the most urgent first, and nothing waits for ever."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from opsrail.review.assignment import Person, due_ms, may_have, next_for, rank
from opsrail.review.machine import Standing, standing_of
from opsrail.values.reviews import ReviewRow, ReviewState

NAMES = ("ann", "bob", "cy")
NOW_MS = 10**12
DAY_MS = 86_400_000


def row(number: int, **columns: Any) -> ReviewRow:
    given: dict[str, Any] = {
        "id": f"{number:04d}-0",
        "automation": "claims",
        "queue": "desk",
        "subject": "{}",
        "state": ReviewState.OPEN,
        "priority": 5,
        "salt": "",
        "version": 0,
        "opened_at_ms": NOW_MS,
    }
    empty = dict.fromkeys(ReviewRow._fields) | ReviewRow._field_defaults
    return ReviewRow(**{**empty, **given, **columns})


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "state": st.sampled_from(list(ReviewState)),
            "priority": st.integers(0, 9),
            "opened_at_ms": st.integers(NOW_MS - 2 * DAY_MS, NOW_MS),
            "due_at_ms": st.none() | st.integers(NOW_MS - DAY_MS, NOW_MS + DAY_MS),
            "assignee": st.none() | st.sampled_from(NAMES),
            "lease_until_ms": st.none() | st.integers(NOW_MS - 9, NOW_MS + 9),
            "requester": st.none() | st.sampled_from(NAMES),
            "skills": st.sampled_from(["", "german", "german motor"]),
        }
    ),
    max_size=12,
).map(lambda given: [row(number, **columns) for number, columns in enumerate(given)])
PEOPLE = st.builds(
    Person, st.sampled_from(NAMES), st.frozensets(st.sampled_from(["german", "motor"]))
)


@given(ROWS, PEOPLE, st.frozensets(st.integers(0, 11).map(lambda number: f"{number:04d}-0")))
def test_what_a_person_gets_is_theirs_to_rule_and_nothing_more_urgent_is(
    rows: list[ReviewRow], person: Person, ruled: frozenset[str]
) -> None:
    got = next_for(person, rows, NOW_MS, ruled)
    open_to = [one for one in rows if may_have(person, one, NOW_MS, ruled)]
    mine = [one for one in open_to if standing_of(one, NOW_MS) == Standing.CLAIMED]

    if got is None:
        assert open_to == []
        return
    assert got.requester != person.name
    assert got.id not in ruled
    assert set(got.skills.split()) <= person.skills
    assert got.state in (ReviewState.OPEN, ReviewState.CLAIMED)
    if got.state == ReviewState.CLAIMED and (got.lease_until_ms or 0) > NOW_MS:
        assert got.assignee == person.name
    assert got in (mine or open_to)
    assert all(rank(got, NOW_MS) <= rank(one, NOW_MS) for one in mine or open_to)


ARRIVALS = st.lists(
    st.tuples(st.integers(0, 9), st.none() | st.integers(1, 3 * DAY_MS)), min_size=1, max_size=40
)


@given(ARRIVALS, st.integers(0, 9), st.none() | st.integers(1, DAY_MS))
def test_once_overdue_a_review_is_overtaken_by_nothing_that_came_later(
    arrivals: list[tuple[int, int | None]], priority: int, due_after: int | None
) -> None:
    """A desk that takes one review an hour while one, as urgent as anybody likes, comes in each hour."""
    due = None if due_after is None else NOW_MS + due_after
    old = row(0, priority=priority, due_at_ms=due)
    waiting = [old]
    for number, (urgency, span) in enumerate(arrivals * 3, start=1):
        now_ms = NOW_MS + number * 3_600_000
        until = None if span is None else now_ms + span
        waiting.append(row(number, priority=urgency, due_at_ms=until, opened_at_ms=now_ms))
        got = next_for(Person("ann"), waiting, now_ms)
        assert got is not None
        waiting.remove(got)
        if got == old:
            return
        if due_ms(old) <= now_ms:
            assert due_ms(got) <= due_ms(old)
            assert got.opened_at_ms <= due_ms(old)
