"""Views that keep values, and the slow words for what they should give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
from pydantic import BaseModel

from opsrail.features.source import Source
from opsrail.features.view import FeatureView
from opsrail.ports import Store
from opsrail.values.features import FeatureValueRow

TTL_MS = 1_000


class Facts(BaseModel):
    """A request."""

    policy_id: str = "p"
    amount: float = 1.0


def policyholder(
    version: int = 1,
    *,
    ttl: str | None = None,
    source: Source | None = None,
    entity: str | Callable[[Any], str] = "policy_id",
    **features: type,
) -> FeatureView[Any]:
    return FeatureView(
        "policyholder",
        version=version,
        entity=entity,
        features=features or {"claims": int, "premium": float, "region": str},
        missing={} if features else {"claims": 0},
        ttl=ttl,
        source=source,
    )


def told(claims: int, premium: float = 1.5, region: str = "north") -> dict[str, object]:
    return {"claims": claims, "premium": premium, "region": region}


async def known(
    store: Store, view: FeatureView[Any], entity: str, moment_ms: int
) -> dict[str, Any]:
    """Return what should be known at a moment: every row looked at, one by one."""
    assert view.kept is not None
    best: FeatureValueRow | None = None
    for row in await store.select(FeatureValueRow, limit=100_000):
        if (row.view, row.number, row.entity) != (view.name, view.version, entity):
            continue
        if row.event_at_ms > moment_ms or row.written_at_ms > moment_ms:
            continue
        if best is None or order(row) > order(best):
            best = row
    ttl_ms = view.kept.ttl_ms
    if best is None or (ttl_ms is not None and moment_ms - best.event_at_ms > ttl_ms):
        return dict(view.kept.missing)
    values: dict[str, Any] = orjson.loads(best.content)
    return values


def order(row: FeatureValueRow) -> tuple[int, int, str]:
    return row.event_at_ms, row.written_at_ms, row.id


def naive_row(
    values: Sequence[tuple[str, int, int, object]], entity: str, at_ms: int, ttl_ms: int | None
) -> object:
    """Return the value that a training set should have in a row, by a loop over all values, in order of writing."""
    best: tuple[int, int, int] | None = None
    for place, (whose, event_at_ms, written_at_ms, _) in enumerate(values):
        if whose != entity or event_at_ms > at_ms or written_at_ms > at_ms:
            continue
        if best is None or (event_at_ms, written_at_ms, place) > best:
            best = (event_at_ms, written_at_ms, place)
    if best is None or (ttl_ms is not None and at_ms - best[0] > ttl_ms):
        return None
    return values[best[2]][3]
