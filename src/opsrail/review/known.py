"""Which queues there are: those that a served file declares, those of their chains, and all that have reviews.

A name in `case.review` stands for a queue without being declared, so reviews tell of queues as well. What was declared is
kept, so that a command knows it without the author's file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from opsrail.errors import Contradictory, Fault, StaleWrite
from opsrail.ports import Store
from opsrail.review.queue import Queue
from opsrail.values.reviews import CursorRow, ReviewRow, ReviewState
from opsrail.values.rows import Insert, Where, equals

KEPT = "queue:"
MOST_NAMED = 50
"""Queues that a refusal names. Ours: more would not be read."""
IN_ORDER = ("queue", "priority", "id")


def declared_names(queues: Mapping[str, Queue]) -> frozenset[str]:
    """Return the names of declared queues, and of those to which they escalate."""
    return frozenset(queues) | {step.to for queue in queues.values() for step in queue.escalate}


async def keep(store: Store, names: Collection[str]) -> None:
    """Keep that these queues were declared."""
    for name in sorted(names):
        if await store.get(CursorRow, KEPT + name) is not None:
            continue
        try:
            await store.commit([Insert(CursorRow(KEPT + name, name, 0))])
        except StaleWrite:  # another process came first
            continue


async def refuse_unless_known(
    store: Store, declared: Collection[str], names: Iterable[str]
) -> None:
    """Refuse names of no queue, all at once.

    Args:
        declared: Known without a look into the store.

    Raises:
        Contradictory: there are no such queues; says which there are. Terminal: nothing was done.
    """
    if found := await unknown_faults(store, declared, names):
        raise Contradictory("there is no such queue", found)


async def unknown_faults(
    store: Store, declared: Collection[str], names: Iterable[str]
) -> list[Fault]:
    """Return a fault for each name of no queue, with the names of those that there are."""
    unknown = [name for name in names if not await _is_known(store, declared, name)]
    if not unknown:
        return []
    there = sorted({*declared, *await _all(store)})
    shown = ", ".join(there[:MOST_NAMED]) + (", ..." if len(there) > MOST_NAMED else "")
    return [
        Fault("queue", f"no queue {name[:100]!r}; there are: {shown or 'none yet'}")
        for name in unknown
    ]


async def _is_known(store: Store, declared: Collection[str], name: str) -> bool:
    if name in declared or await store.get(CursorRow, KEPT + name) is not None:
        return True
    for state in ReviewState:  # one at a time: each has its index
        if await store.select(
            ReviewRow, *equals(state=state, queue=name), order=IN_ORDER[1:], limit=1
        ):
            return True
    return False


async def _all(store: Store) -> list[str]:
    """Return the queues that were declared or have reviews: a look into the index for each, and no more than are named."""
    begin, end = Where("name", ">", KEPT), Where("name", "<", KEPT[:-1] + chr(ord(KEPT[-1]) + 1))
    found = {row.position for row in await store.select(CursorRow, begin, end)}
    for state in ReviewState:
        last = ""
        for _ in range(MOST_NAMED):
            rows = await store.select(
                ReviewRow, *equals(state=state), Where("queue", ">", last), order=IN_ORDER, limit=1
            )
            if not rows:
                break
            last = rows[0].queue
            found.add(last)
    return sorted(found)
