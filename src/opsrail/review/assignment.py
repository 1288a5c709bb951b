"""Who gets which review next. Pure: rows in, one row out.

The order: what the person holds already; then by priority, due time and age. What is overdue counts as most urgent, and what
has no due time is due a day after it was opened. So nothing starves: once a review is overdue, only what is due even earlier
goes before it, and nothing that is opened from then on can be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from opsrail.review.machine import Standing, standing_of
from opsrail.values.reviews import ReviewRow

PATIENCE_MS = 24 * 3_600_000
"""When a review without a due time counts as overdue. Ours: nobody should find yesterday's question today."""


class Person(NamedTuple):
    """Who asks for work.

    Attributes:
        name: As records name them.
        skills: What they may be asked.
        behind: Whose word it is that they give, where a key speaks for a person; empty: their own.
    """

    name: str
    skills: frozenset[str] = frozenset()
    behind: str = ""


def urgent_ms(due_at_ms: int | None, opened_at_ms: int) -> int:
    """Return from when on a review goes before all that is not due; epoch ms."""
    return opened_at_ms + PATIENCE_MS if due_at_ms is None else due_at_ms


def due_ms(row: ReviewRow) -> int:
    """Return when a review is due; epoch ms."""
    return urgent_ms(row.due_at_ms, row.opened_at_ms)


def rank(row: ReviewRow, now_ms: int) -> tuple[int, int, int, str]:
    """Return a review's place in the order; the smallest is next."""
    due = due_ms(row)
    return (0 if due <= now_ms else row.priority, due, row.opened_at_ms, row.id)


def lacks(person: Person, row: ReviewRow) -> list[str]:
    """Return the skills a review asks for that the person does not have."""
    return [skill for skill in row.skills.split() if skill not in person.skills]


def may_have(person: Person, row: ReviewRow, now_ms: int, ruled: Collection[str]) -> bool:
    """Return whether a review may be given to a person now.

    Args:
        ruled: Ids of reviews that they ruled on already.
    """
    standing = standing_of(row, now_ms)
    is_theirs = standing == Standing.CLAIMED and row.assignee == person.name
    return (
        (standing == Standing.OPEN or is_theirs)
        and row.requester not in (person.name, person.behind or person.name)
        and row.id not in ruled
        and not lacks(person, row)
    )


def next_for(
    person: Person, reviews: Iterable[ReviewRow], now_ms: int, ruled: Collection[str] = ()
) -> ReviewRow | None:
    """Return the review that a person gets next; None: there is none for them."""
    open_to = [row for row in reviews if may_have(person, row, now_ms, ruled)]
    held = [row for row in open_to if standing_of(row, now_ms) == Standing.CLAIMED]
    return min(held or open_to, key=lambda row: rank(row, now_ms), default=None)
