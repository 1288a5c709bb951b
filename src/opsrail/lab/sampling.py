"""A random sample of decisions that is the same whenever the same decisions are there."""

from __future__ import annotations

from opsrail.ports import Store
from opsrail.values.canonical import digest
from opsrail.values.decisions import DecisionRow
from opsrail.values.rows import Where


async def sampled(
    store: Store, point: str | None, since_ms: int, until_ms: int, count: int
) -> list[str]:
    """Return ids of a random sample of decisions, in their order: those whose digests are smallest."""
    of_point = () if point is None else (Where("point", "=", point),)
    span = Where("at_ms", ">=", since_ms), Where("at_ms", "<", until_ms)
    kept: list[tuple[str, str]] = []
    after: tuple[str, ...] = ()
    while True:
        (ids,) = await store.columns(DecisionRow, ("id",), *of_point, *span, after=after)
        if not ids:
            return sorted(decision_id for _, decision_id in kept)
        kept += [(digest(decision_id.encode()), decision_id) for decision_id in ids]
        kept = sorted(kept)[:count]
        after = (ids[-1],)
