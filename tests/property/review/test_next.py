"""What the desk gives is what the table of assignment gives of all rows, however short its windows and whatever is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.clock import ManualClock
from opsrail.ledger.chain import WriterChain
from opsrail.review import finding
from opsrail.review.assignment import Person, due_ms, next_for
from opsrail.review.desk import Desk
from opsrail.store.memory import MemoryStore
from opsrail.values.reviews import ReviewRow, ReviewState, RulingRow
from opsrail.values.rows import Insert
from tests.property.review.test_assignment import DAY_MS, NAMES, row

CLOCK = ManualClock(lambda: 0.0)
NOW_MS = CLOCK.now_ms()
WINDOWS = (1, 3, 1, 64)
STATES = st.sampled_from(
    [ReviewState.OPEN, ReviewState.OPEN, ReviewState.CLAIMED, ReviewState.ASKED]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "state": STATES,
            "queue": st.sampled_from(["desk", "seniors"]),
            "automation": st.sampled_from(["claims", "loans"]),
            "priority": st.integers(0, 3),
            "opened_at_ms": st.integers(NOW_MS - 2 * DAY_MS, NOW_MS),
            "due_at_ms": st.none() | st.integers(NOW_MS - DAY_MS, NOW_MS + DAY_MS),
            "assignee": st.sampled_from(NAMES),
            "lease_until_ms": st.integers(NOW_MS - 9, NOW_MS + 2),
            "requester": st.none() | st.sampled_from(NAMES),
            "skills": st.sampled_from(["", "", "german", "german motor"]),
            "eyes": st.sampled_from([1, 2]),
        }
    ),
    max_size=16,
).map(lambda given: [stored(number, **columns) for number, columns in enumerate(given)])


def stored(number: int, **columns: Any) -> ReviewRow:
    made = row(number, **columns)
    if made.state != ReviewState.CLAIMED:
        made = made._replace(assignee=None, lease_until_ms=None)
    return made._replace(urgent_at_ms=due_ms(made), salt="00" * 32)


@given(
    ROWS,
    st.frozensets(st.sampled_from(["german", "motor"])),
    st.frozensets(st.integers(0, 15)),
    st.sampled_from([(), ("desk",), ("desk", "seniors")]),
    st.sampled_from([None, ("claims",)]),
)
def test_what_is_given_is_what_the_table_gives_of_all(
    rows: list[ReviewRow],
    skills: frozenset[str],
    said: frozenset[int],
    queues: tuple[str, ...],
    automations: tuple[str, ...] | None,
) -> None:
    ruled = {one.id for number, one in enumerate(rows) if number in said and one.eyes == 2}
    rulings = [RulingRow(each, "ann", "decline", "", None, None, False, None, 0) for each in ruled]
    among = [
        one
        for one in rows
        if (not queues or one.queue in queues)
        and (automations is None or one.automation in automations)
    ]
    wanted = next_for(Person("ann", skills), among, NOW_MS, ruled)
    got = asyncio.run(given_to_ann([*rows, *rulings], skills, queues, automations))

    assert (got and got.id) == (wanted and wanted.id)


async def given_to_ann(
    rows: Sequence[ReviewRow | RulingRow],
    skills: frozenset[str],
    queues: tuple[str, ...],
    automations: tuple[str, ...] | None,
) -> ReviewRow | None:
    store = MemoryStore(WriterChain(CLOCK), clock=CLOCK)
    await store.open()
    await store.commit([Insert(one) for one in rows])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(finding, "WINDOWS", WINDOWS)
        got = await Desk(store, CLOCK).next("ann", queues, skills=skills, automations=automations)
    await store.close()
    return got
