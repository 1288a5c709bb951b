"""Whom a review can be given to, for lists to pick from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opsrail.access.directory import Colleague
from opsrail.review.assignment import Person, lacks
from opsrail.values.reviews import ReviewRow, RulingRow


def rulers(
    people: Iterable[Colleague], row: ReviewRow, rulings: Sequence[RulingRow], by: str
) -> list[Colleague]:
    """Return who may rule on a review besides who looks at it, by the name that people read.

    Args:
        rulings: What people said of it; where two must look, who has ruled is not the second.
        by: Who looks, as records name them.
    """
    out = {by, row.requester}
    if row.eyes > 1:
        out |= {each.by for each in rulings if each.verdict}
    return _by_shown(
        one
        for one in people
        if f"user:{one.name}" not in out
        and one.grants.may("reviews.rule", row.automation)
        and not lacks(Person(one.name, one.skills), row)
    )


def answerers(people: Iterable[Colleague], row: ReviewRow, by: str) -> list[Colleague]:
    """Return who may answer a question about a review besides who asks it, by the name that people read."""
    return _by_shown(
        one
        for one in people
        if f"user:{one.name}" != by and one.grants.may("reviews.answer", row.automation)
    )


def _by_shown(people: Iterable[Colleague]) -> list[Colleague]:
    return sorted(people, key=lambda one: (one.shown.casefold(), one.name))
