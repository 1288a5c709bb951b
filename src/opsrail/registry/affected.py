"""Who a change would touch: counted over the decisions that a point made lately. Pure but for `recent`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from opsrail.clock import rfc3339, ulid_text
from opsrail.ports import Store
from opsrail.registry.rollout import is_in_canary
from opsrail.values.bands import Band, band_of
from opsrail.values.decisions import DecisionRow
from opsrail.values.rows import Where
from opsrail.values.settings import PointSettings, Segment, level_of

DAY_MS = 86_400_000
DAYS = 7
MOST_LOOKED_AT = 10_000
"""Decisions that are looked into, the newest. Ours: a share of 1% is known to 0.2 points."""
MOST_SEGMENTS = 20

Record = Mapping[str, Any]
Touch = Callable[[Record], tuple[str, str] | None]
"""What a change does to a decision: from what to what; None: nothing."""


class Lately(NamedTuple):
    """What a point decided lately.

    Attributes:
        total: Decisions since then.
        records: The newest of them, newest first, as they were recorded.
    """

    since_ms: int
    days: int
    total: int
    records: Sequence[Record]


async def recent(store: Store, point: str, now_ms: int, days: int = DAYS) -> Lately:
    """Return what a point decided in the last days."""
    since_ms = now_ms - days * DAY_MS
    where = (Where("point", "=", point), Where("id", ">=", ulid_text(since_ms << 80)))
    rows = await store.select(
        DecisionRow, *where, order=("id",), descending=True, limit=MOST_LOOKED_AT
    )
    total = len(rows)
    if total == MOST_LOOKED_AT:
        total = (await store.count(DecisionRow, *where)).get((), 0)
    return Lately(since_ms, days, total, [orjson.loads(row.record) for row in rows])


def counted(lately: Lately, touch: Touch, segments: Sequence[str]) -> dict[str, Any]:
    """Return how many requests a change would have touched, from what to what, and in which segments.

    Args:
        segments: Fields of the request to tell apart by.
    """
    moves: Counter[tuple[str, str]] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    touched: Counter[tuple[str, str]] = Counter()
    for record in lately.records:
        values = record["features"][0]["values"]
        here = [(name, str(values[name])) for name in segments if name in values]
        seen.update(here)
        if (move := touch(record)) is not None:
            moves[move] += 1
            touched.update(here)
    looked_at = len(lately.records)
    return {
        "days": lately.days,
        "since": rfc3339(lately.since_ms),
        "decisions": lately.total,
        "looked_at": looked_at,
        "touched": moves.total(),
        "ratio": moves.total() / looked_at if looked_at else None,
        "moves": [
            {"from": before, "to": after, "count": count}
            for (before, after), count in moves.most_common()
        ],
        "segments": [
            {"where": {name: value}, "decisions": seen[name, value], "touched": count}
            for (name, value), count in touched.most_common(MOST_SEGMENTS)
        ],
    }


def said_by_policy(record: Record) -> str:
    """Return what policy said, also where a person decided instead."""
    proposed = record.get("proposed")
    return str(record["verdict"] if proposed is None else proposed)


def by_bands(bands: Sequence[Band]) -> Touch:
    """Return what other bands do: only verdicts that rest on a band change."""

    def touch(record: Record) -> tuple[str, str] | None:
        sources = [each["source"] for each in record["reasons"] if each["source"] != "autonomy"]
        if record["score"] is None or sources[:1] != ["band"]:
            return None
        before, after = said_by_policy(record), band_of(bands, record["score"]).verdict
        return None if before == after else (before, after)

    return touch


def by_deadline(deadline_ms: int) -> Touch:
    """Return what another deadline does to answers that took longer, or that came too late for the one before."""

    def touch(record: Record) -> tuple[str, str] | None:
        took_ms = record["latency_ms"]["total"]
        if record["degraded_why"] == "deadline-passed" and deadline_ms > took_ms:
            return ("fallback", "score, if the model answers by then")
        if not record["degraded"] and took_ms > deadline_ms:
            return ("score", "fallback")
        return None

    return touch


def by_autonomy(before: Sequence[Segment], after: Sequence[Segment]) -> Touch:
    """Return what other levels of autonomy do."""

    def touch(record: Record) -> tuple[str, str] | None:
        values = record["features"][0]["values"]
        levels = level_of(before, values), level_of(after, values)
        return None if levels[0] == levels[1] else levels

    return touch


def by_version(
    point: str,
    label: str,
    share: float,
    *,
    retires: bool = False,
    arm_of: Callable[[Mapping[str, Any]], str | None] | None = None,
) -> Touch:
    """Return what another version does: the share of the requests that it answers, by the same hash that will route them.

    Args:
        label: `name/number` of the version.
        share: Part of the requests; 1: all.
        retires: Whether it answers no more instead.
        arm_of: See `Declared`.
    """

    def touch(record: Record) -> tuple[str, str] | None:
        model = record["model"]
        before = "no model" if model is None else f"{model['name']}/{model['number']}"
        if retires:
            return (before, "whoever stands in") if before == label else None
        if before == label:
            return None
        if share < 1:
            entity = None if arm_of is None else arm_of(record["features"][0]["values"])
            if not is_in_canary(
                point, entity or record["case_id"] or record["correlation_id"], share
            ):
                return None
        return (before, label)

    return touch


def none(record: Record) -> tuple[str, str] | None:
    """Touch nothing."""
    return None


def now_of(settings: PointSettings | None, name: str) -> Any:
    """Return a setting as it stands now, as plain JSON values; None: as in the code."""
    if settings is None:
        return None
    if name == "bands":
        bands = settings.bands
        return None if bands is None else [band._asdict() for band in bands]
    if name == "autonomy":
        return [{"where": dict(one.where), "level": one.level} for one in settings.autonomy] or None
    return settings.deadline_ms
