"""What reviewers ruled and corrected as a training set, a line a review, with where each part of it comes from.

Control cases are left out: they are no cases. So are rulings that nobody gave (`expiry`), and those that may still be taken
back. People have a pseudonym that only this installation can make, the same in every export.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from opsrail.clock import Clock, rfc3339
from opsrail.errors import NotFound, StaleWrite
from opsrail.ports import Store
from opsrail.review.ruled import EXPIRY, in_parts, ratio_of, ruled_pages
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import CursorRow, Purpose, ReviewRow, RulingRow
from opsrail.values.rows import Insert, Where, equals

SECRET = "reviews.pseudonyms"  # noqa: S105 - where it is kept, not what it is
Named = Callable[[str], str]
"""From a person's name to what an export calls them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rulings are exported.

    Attributes:
        since_ms, until_ms: When they were given, epoch ms; the last moment is not in it.
        queue: Only of this desk; None: all.
        point: Only about decisions of this point; None: all.
        is_named: People by name, not by pseudonym.
        automations: Only reviews of these; None: all.
    """

    since_ms: int
    until_ms: int
    queue: str | None = None
    point: str | None = None
    is_named: bool = False
    automations: tuple[str, ...] | None = None

    def record(self) -> dict[str, Any]:
        """Return it as a manifest tells it."""
        moments = {"since": rfc3339(self.since_ms), "until": rfc3339(self.until_ms)}
        plain = asdict(self)
        return moments | {name: plain[name] for name in ("queue", "point", "is_named")}


async def exported(
    store: Store, clock: Clock, wanted: Wanted, *, after: str | None = None
) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield lines, some at a time, in the order in which people ruled.

    Args:
        after: `review_id` of the last line that is there already; None: from the beginning.

    Raises:
        NotFound: no ruled review has that id. Terminal.
    """
    last = None
    if after is not None:
        last = await store.get(ReviewRow, after)
        if last is None or last.ruled_at_ms is None:
            raise NotFound(f"no ruled review {after!r} to go on from")
    named = str if wanted.is_named else await pseudonyms(store, clock)
    where = [Where("purpose", "!=", Purpose.CONTROL), Where("ruled_by", "!=", EXPIRY)]
    where += [] if wanted.queue is None else equals(queue=wanted.queue)
    if wanted.automations is not None:
        where.append(Where("automation", "in", wanted.automations or ("",)))
    pages = ruled_pages(store, wanted.since_ms, wanted.until_ms, *where, after=last)
    async for page in pages:
        lines = await _lines(store, page, named)
        yield [line for line in lines if wanted.point in (None, line["point"])]


async def pseudonyms(store: Store, clock: Clock) -> Named:
    """Return what gives people pseudonyms: an HMAC under a secret that this installation keeps."""
    row = await store.get(CursorRow, SECRET)
    if row is None:
        row = CursorRow(SECRET, clock.token(32).hex(), 0)
        try:
            await store.commit([Insert(row)])
        except StaleWrite:  # another process made one a moment ago
            row = await store.get(CursorRow, SECRET) or row
    key = bytes.fromhex(row.position)
    return lambda name: f"reviewer-{hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:16]}"


async def _lines(store: Store, rows: Sequence[ReviewRow], named: Named) -> list[dict[str, Any]]:
    told = [row.decision_id for row in rows if row.decision_id is not None]
    decisions = {row.id: row for row in await in_parts(store, DecisionRow, "id", told)}
    by_review: dict[str, list[RulingRow]] = {}
    for one in await in_parts(store, RulingRow, "review_id", [row.id for row in rows]):
        by_review.setdefault(one.review_id, []).append(one)
    return [
        line_of(row, by_review.get(row.id, []), decisions.get(row.decision_id or ""), named)
        for row in rows
    ]


def line_of(
    row: ReviewRow, rulings: Sequence[RulingRow], decision: DecisionRow | None, named: Named
) -> dict[str, Any]:
    """Return a line of the training set: plain JSON values, the same keys in each."""
    form = {} if row.form is None else orjson.loads(row.form)
    return {
        "review_id": row.id,
        "purpose": str(row.purpose),
        "queue": row.queue,
        "automation": row.automation,
        "case_id": row.case_id or (None if decision is None else decision.case_id),
        "decision_id": row.decision_id,
        **_machine(decision),
        "ruling": row.ruling,
        "fields_before": form.get("values"),
        "fields_after": None if row.fields is None else orjson.loads(row.fields),
        "by": named(row.ruled_by or ""),
        "opened_at": rfc3339(row.opened_at_ms),
        "ruled_at": rfc3339(row.ruled_at_ms or 0),
        "sampling_probability": ratio_of(row),
        "rulings": [_ruling(one, named) for one in rulings if one.verdict],
    }


def _machine(decision: DecisionRow | None) -> dict[str, Any]:
    """Return what the machine had and said; nothing of a review without a decision."""
    record: Mapping[str, Any] = {} if decision is None else orjson.loads(decision.record)
    model = record.get("model")
    return {
        "point": None if decision is None else decision.point,
        "decided_at": None if decision is None else rfc3339(decision.at_ms),
        "model": None if decision is None or decision.model_name is None
        else f"{decision.model_name}/{decision.model_number}",
        "model_digest": model.get("digest") if isinstance(model, dict) else None,
        "policy_version": None if decision is None else decision.policy_version,
        "score": None if decision is None else decision.score,
        "confidence": record.get("confidence"),
        "verdict": None if decision is None else decision.verdict,
        "proposed": None if decision is None else decision.proposed,
        "features": _features(record),
    }  # fmt: skip


def _features(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the features as the decision used them: the request's fields, and each view's as `view@version.name`."""
    used: dict[str, Any] = {}
    for read in record.get("features", ()):
        begin = "" if read["view"] == "request" else f"{read['view']}@{read['version']}."
        used |= {f"{begin}{name}": value for name, value in read["values"].items()}
    return used


def _ruling(one: RulingRow, named: Named) -> dict[str, Any]:
    return {
        "by": named(one.by),
        "verdict": one.verdict,
        "first": one.first,
        "is_reconsidered": one.is_reconsidered,
        "fields": None if one.fields is None else orjson.loads(one.fields),
        "held_s": one.held_s,
        "at": rfc3339(one.at_ms),
    }
