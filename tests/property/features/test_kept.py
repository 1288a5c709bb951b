"""Whatever is pushed, corrected and read in, and in whatever order: what was read is read again, what was known is known."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.features.features import Features
from opsrail.features.keeping import Checked, Keeping, NewValue
from opsrail.values.canonical import canonical
from opsrail.values.decisions import ViewRead
from opsrail.values.rows import Insert
from tests.support.decisions import Claim, Road, Settlement, StillClock, make_history
from tests.support.views import TTL_MS, known, policyholder

FRESH = policyholder(ttl=f"{TTL_MS}ms", claims=int)
KEPT = policyholder(version=2, claims=int)
FOLDED = make_history()
entities = st.sampled_from("ab")
offsets = st.integers(-2 * TTL_MS, TTL_MS)
deeds = st.one_of(
    st.tuples(st.just("push"), entities, offsets, st.integers(0, 3)),
    st.tuples(st.just("backfill"), entities, offsets, offsets),
    st.tuples(st.just("settle"), entities, st.booleans(), st.none()),
    st.tuples(st.just("read"), entities, st.none(), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.001, 0.15, 0.7]), st.none(), st.none()),
)


class Past:
    """What was done, what was read, and when."""

    def __init__(self) -> None:
        self.road = Road(FRESH, KEPT, FOLDED)
        self.sharp = Features(self.road.store, [FRESH, KEPT, FOLDED], self.road.clock, refresh_ms=0)
        self.keeping = Keeping(self.road.store, self.road.clock)
        self.reads: list[ViewRead] = []
        self.moments: list[tuple[str, int]] = []

    async def do(self, deed: str, first: Any, second: Any, third: Any) -> None:
        road, now_ms = self.road, self.road.clock.now_ms()
        if deed == "wait":
            road.clock.at_s += first
        elif deed == "push":
            value = NewValue(first, now_ms + second, {"claims": third})
            for view in (FRESH, KEPT):
                await road.features.push(view.ref, [value])
        elif deed == "backfill":
            content = canonical({"claims": 7}).decode()
            value_then = Checked(first, now_ms + second, now_ms + third, content)
            for view in (FRESH, KEPT):
                await self.keeping.keep(view, [value_then], source="file:a")
        elif deed == "settle":
            settled = Settlement(is_fraud=second)
            claim = Claim(make=first)
            await road.store.commit(road.features.facts_of([FOLDED], claim, settled, case_id="c"))
        else:
            self.moments.append((first, now_ms))
            for view in (FRESH, KEPT, FOLDED):
                for features in (road.features, self.sharp):
                    self.reads.append(await features.read(view.ref, first))


@settings(deadline=None)
@given(st.lists(deeds, max_size=30))
def test_every_past_read_is_read_again_exactly(steps: list[Any]) -> None:
    async def go() -> None:
        past = Past()
        await past.road.store.open()
        for step in steps:
            await past.do(*step)
        later = Features(past.road.store, [FRESH, KEPT, FOLDED], past.road.clock)
        uncoded = Features(past.road.store, [FOLDED], past.road.clock)
        await later.keep_definitions(lambda function: "code")

        again = await later.reread(past.reads)
        by_definition = await uncoded.reread(past.reads)

        assert list(again) == past.reads
        assert list(by_definition) == past.reads
        assert [ViewRead.record(read) for read in again] == [read.record() for read in past.reads]

    asyncio.run(go())


@settings(deadline=None)
@given(st.lists(deeds, max_size=30))
def test_what_is_read_is_what_a_look_at_every_row_would_give(steps: list[Any]) -> None:
    async def go() -> None:
        past = Past()
        await past.road.store.open()
        for step in steps:
            await past.do(*step)
            now_ms = past.road.clock.now_ms()
            for view in (FRESH, KEPT):
                for entity in "ab":
                    expected = await known(past.road.store, view, entity, now_ms)

                    assert (await past.sharp.read(view.ref, entity)).values == expected
        for entity, moment_ms in past.moments:
            for view in (FRESH, KEPT):
                expected = await known(past.road.store, view, entity, moment_ms)

                assert (await past.sharp.at(view.ref, entity, moment_ms)).values == expected

    asyncio.run(go())


writers = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 900), st.integers(0, 700), st.booleans()),
    max_size=25,
)


@settings(deadline=None)
@given(writers, st.integers(-500, 500))
def test_facts_of_two_writers_are_read_again_exactly(
    steps: list[tuple[int, int, int, bool]], skew_ms: int
) -> None:
    """Clocks differ, and a commit may end 700 ms after its ids were taken: 2,000 ms of patience cover both."""

    async def go() -> None:
        road = Road(FOLDED)
        await road.store.open()
        other = StillClock(seed=1)
        reader = Features(road.store, [FOLDED], road.clock, refresh_ms=0, visible_after_ms=2_000)
        waiting: list[tuple[int, list[Insert]]] = []
        reads = []
        for writer, pass_ms, commit_ms, is_fraud in steps:
            road.clock.at_s += pass_ms / 1000
            other.at_s = road.clock.at_s + skew_ms / 1000
            clock = (road.clock, other)[writer]
            now_ms = road.clock.now_ms()
            for entry in [one for one in waiting if one[0] <= now_ms]:
                waiting.remove(entry)
                await road.store.commit(entry[1])
            facts = Features(road.store, [FOLDED], clock).facts_of(
                [FOLDED], Claim(make="a"), Settlement(is_fraud=is_fraud), case_id="c"
            )
            waiting.append((now_ms + commit_ms, facts))
            reads.append(await reader.read(FOLDED.ref, "a"))
        for _, facts in waiting:
            await road.store.commit(facts)

        assert list(await reader.reread(reads)) == reads

    asyncio.run(go())
