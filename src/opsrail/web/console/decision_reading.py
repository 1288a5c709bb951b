"""What the page of a decision needs beside its record: five queries at most, whatever the store holds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from opsrail.app import App
from opsrail.decide.held import held
from opsrail.decide.point import DecisionPoint
from opsrail.errors import InvalidInput
from opsrail.values.bands import Band
from opsrail.values.changes import SettingsChangeRow
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Where, equals
from opsrail.values.settings import settings_of
from opsrail.values.shadows import ShadowScoreRow

MOST_ROWS = 50
"""Of each kind that is shown beside a decision. Ours: no point has more challengers, no decision more reviews."""

PERSON = "user:"
"""How the names of people who signed in begin."""


class Bands(NamedTuple):
    """What scores meant when a decision was made.

    Attributes:
        bands: None: its point is not defined here.
        is_then: Whether they are those of then; else they are those of today.
        point: As it is asked today.
    """

    bands: tuple[Band, ...] | None
    is_then: bool
    point: DecisionPoint[Any] | None


class Beside(NamedTuple):
    """What is known of a decision beside its record."""

    shadows: Sequence[ShadowScoreRow]
    outcomes: Sequence[OutcomeRow]
    reviews: Sequence[ReviewRow]
    bands: Bands


async def beside(app: App, row: DecisionRow, decision: Decision) -> Beside:
    """Return what is known of a decision beside its record, by four queries at most."""
    of_it = equals(decision_id=row.id)
    shadows, outcomes, reviews, bands = await asyncio.gather(
        app.store.select(ShadowScoreRow, *of_it, limit=MOST_ROWS),
        app.store.select(OutcomeRow, *of_it, order=("id",), limit=MOST_ROWS),
        reviews_of(app, row.id),
        bands_then(app, decision),
    )
    return Beside(shadows, outcomes, reviews, bands)


async def reviews_of(app: App, decision_id: str) -> list[ReviewRow]:
    """Return what people were asked about a decision."""
    return await app.store.select(ReviewRow, *equals(decision_id=decision_id), limit=MOST_ROWS)


async def held_by(app: App, actor: str) -> frozenset[str]:
    """Return the decisions of which somebody holds a blind review: they are to say first what they think of them.

    One query, and none for who is no person.
    """
    if not actor.startswith(PERSON):
        return frozenset()
    rows = await app.store.select(
        ReviewRow, *equals(assignee=actor, state=ReviewState.CLAIMED), limit=MOST_ROWS
    )
    return frozenset(row.decision_id for row in rows if row.blind and row.decision_id is not None)


async def bands_then(app: App, decision: Decision) -> Bands:
    """Return the bands that a decision was judged by, told apart from others by the policy's digest.

    One query at most: bands that are in the code or in the settings of now are at hand.
    """
    point = app.definitions.points.get(decision.point)
    if point is None:
        return Bands(None, False, None)
    settings = app.registry.held.of(point.name)
    today = point if settings is None else held(point, settings)
    for one in (today, point):
        if one.policy_version == decision.policy_version:
            return Bands(one.policy.bands, True, today)
    changes = await app.store.select(
        SettingsChangeRow,
        *equals(point=point.name),
        Where("at_ms", "<=", decision.at_ms),
        order=("at_ms", "revision"),
        descending=True,
        limit=1,
    )
    for change in changes:
        try:
            then = held(point, settings_of(change.content, change.revision))
        except InvalidInput:
            continue  # written by another release; the digest could not agree either
        if then.policy_version == decision.policy_version:
            return Bands(then.policy.bands, True, today)
    return Bands(today.policy.bands, False, today)
