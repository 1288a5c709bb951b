"""What a past decision read, read again."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.decisions import Claim, Road, Settlement, make_history

VIEW = make_history()
steps = st.lists(
    st.tuples(st.sampled_from(["settle", "read", "wait"]), st.sampled_from("ab"), st.booleans()),
    max_size=40,
)


@settings(deadline=None)
@given(steps)
def test_every_past_read_is_read_again_exactly(steps: list[tuple[str, str, bool]]) -> None:
    asyncio.run(read_and_read_again(steps))


async def read_and_read_again(steps: list[tuple[str, str, bool]]) -> None:
    road = Road(VIEW)
    await road.store.open()
    reads = []
    for deed, make, is_fraud in steps:
        if deed == "settle":
            settled = Settlement(is_fraud=is_fraud)
            await road.store.commit(
                road.features.facts_of([VIEW], Claim(make=make), settled, case_id="c")
            )
        elif deed == "wait":
            road.clock.at_s += 0.15
        else:
            reads.append(await road.features.read(VIEW.ref, make))

    again = await road.features.reread(reads)

    assert list(again) == reads
