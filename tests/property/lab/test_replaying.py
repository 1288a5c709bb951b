"""Whatever way a decision took, it is the same in every bit when it is decided again: a real forest, asked in batches."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from opsrail.connect.catalog import runtimes
from opsrail.decide.decider import Decider, Request
from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import Band, Policy, Rule
from opsrail.features.features import Features, PastFact
from opsrail.features.view import FeatureView
from opsrail.lab.replaying import Replayer
from opsrail.ledger.chain import WriterChain
from opsrail.registry.registry import Registry
from opsrail.registry.rollout import Stage
from opsrail.store.memory import MemoryStore
from opsrail.values.canonical import digest
from opsrail.values.changes import SettingsChangeRow, SettingsRow
from opsrail.values.columns import Number, category
from opsrail.values.rows import Insert, Update
from tests.support.decisions import StillClock
from tests.support.forests import artifact_of, random_trees

COLUMNS = (
    Number("x", missing=-1.0), Number("y"), category("word", ["a", "b", "c"]), Number("seen"),
)  # fmt: skip
DECISIONS = 60


class Facts(BaseModel):
    x: float | None
    y: float
    word: str


def view() -> FeatureView[int]:
    return FeatureView(
        "words",
        version=1,
        entity=lambda facts: facts.word,
        initial=lambda: 0,
        fold=lambda state, fact: state + fact["n"],
        read=lambda state: {"seen": state / 3},
        fact=lambda facts, outcome: (facts.word, {"n": 1}),
    )


def is_large(facts: Facts) -> bool:
    return 10 / facts.y > 100  # fails where y is 0


def point(
    on_unknown: str | None, *, has_fallback: bool, cache_ttl_s: float
) -> DecisionPoint[Facts]:
    return DecisionPoint(
        "p",
        request=Facts,
        features=["words@1"],
        policy=Policy(
            [Band("approve", 0.45), Band("review", 0.6), Band("decline", 1.01)],
            [Rule[Facts]("large", is_large, "review", "Large.")],
            on_unknown=on_unknown,
        ),
        fallback=(lambda facts: "approve" if facts.x else "review") if has_fallback else None,
        cache_ttl_s=cache_ttl_s,
    )


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    on_unknown=st.sampled_from([None, "review"]),
    has_fallback=st.booleans(),
    cache_ttl_s=st.sampled_from([0.0, 60.0]),
)
def test_every_decision_is_the_same_in_every_bit_when_it_is_decided_again(
    seed: int, on_unknown: str | None, has_fallback: bool, cache_ttl_s: float
) -> None:
    asked = point(on_unknown, has_fallback=has_fallback, cache_ttl_s=cache_ttl_s)
    asyncio.run(decide_and_replay(seed, asked))


async def decide_and_replay(seed: int, asked: DecisionPoint[Facts]) -> None:
    chance, clock = random.Random(seed), StillClock(seed)
    store = MemoryStore(WriterChain(clock), clock=clock)
    await store.open()
    registry, features = Registry(store, runtimes(), clock), Features(store, [view()], clock)
    decider = Decider(store, registry, features, clock)
    artifact = artifact_of(random_trees(seed, columns=4, trees=30, depth=4, scale=0.3), COLUMNS)
    version = await registry.register(
        "forest", artifact, runtime="onnx", training_digest=digest(b"rows"), by="ann"
    )
    made = []
    for turn in range(3):
        if turn == 1:
            await registry.promote("p", version, Stage.LIVE, by="ann", reason="first")
        if turn == 2:
            content = '{"autonomy":[{"level":"assist","where":{"word":"a"}}],"bands":[{"below":2,"verdict":"review"}]}'
            told = SettingsChangeRow("p", 1, content, None, "ann", "so", clock.now_ms())
            await store.commit([Insert(SettingsRow("p", 1, content, 1)), Insert(told)])
        facts = [PastFact(chance.choice("abc"), {"n": 1}, turn) for _ in range(5)]
        await features.import_facts("words@1", facts, source=f"turn {turn}")
        clock.at_s += 10
        requests = [
            Facts(
                x=chance.choice([None, chance.gauss(0, 1)]),
                y=chance.choice([0.0, 0.01, chance.gauss(0, 1)]),
                word=chance.choice("abcd"),
            )
            for _ in range(DECISIONS // 3)
        ]
        made += await asyncio.gather(
            *(
                decider.decide(Request(asked, one, f"{chance.getrandbits(128):032x}", "tester"))
                for one in requests
            )
        )
    clear = '{"bands":[{"below":2,"verdict":"decline"}]}'
    await store.commit([Update(SettingsRow, ("p",), {"revision": 2, "content": clear})])
    replayer = Replayer(store, registry, features, {"p": asked})
    found = [await replayer.replay(one.id) for one in made]
    decider.close()

    assert [one.differences for one in found] == [()] * len(made)
    assert {one.score_from for one in found} == {"none", "model"}
    assert {one.autonomy for one in made} == {"automate", "assist"}
    assert [one.score for one in found] == [one.score for one in made]
