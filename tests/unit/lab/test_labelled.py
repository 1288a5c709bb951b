"""Scores and labels of a point out of a store."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

from opsrail.clock import ManualClock
from opsrail.errors import InvalidInput, NotFound
from opsrail.lab.labelled import Labelled, labelled
from opsrail.store.memory import MemoryStore
from opsrail.values.decisions import ModelRef, Reason
from opsrail.values.rows import Insert
from opsrail.values.shadows import ShadowScoreRow
from tests.support.history import FIRST_MS, decision, decision_id, outcome, review, stored

LATER_MS = FIRST_MS + 30 * 86_400_000
FRAUD_1 = ("fraud", 1)


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    store = MemoryStore(clock=ManualClock(lambda: 0.0, start_ms=LATER_MS))
    await store.open()
    yield store
    await store.close()


def told(found: Labelled) -> list[tuple[float | None, ...]]:
    return [
        (score, *(None if math.isnan(one) else one for one in (label, ratio)))
        for score, label, ratio in zip(found.scores, found.labels, found.ratios, strict=True)
    ]


def shadow(number: int, score: float | None) -> ShadowScoreRow:
    return ShadowScoreRow(
        decision_id(number), "fraud", 2, "fraud-risk", score, None, None, None, 100, 0.0, FIRST_MS
    )


async def test_a_label_brings_its_chance_and_what_has_none_has_no_chance(
    store: MemoryStore,
) -> None:
    await stored(store, [decision(1, score=0.1), decision(2, score=0.2), decision(3, score=0.9)])
    await store.commit(
        [Insert(outcome(1, 1.0, ratio=0.05)), Insert(outcome(3, 0.0, source="review"))]
    )
    found = await labelled(store, "fraud-risk", "fraud")

    assert told(found) == [(0.1, 1.0, 0.05), (0.2, None, None), (0.9, 0.0, 1.0)]
    assert found.version == FRAUD_1


async def test_an_audit_gives_those_not_looked_at_their_chance_but_not_those_that_people_have_to_rule_on(
    store: MemoryStore,
) -> None:
    await stored(
        store,
        [
            decision(1, score=0.1, verdict="approve"),
            decision(2, score=0.2, verdict="approve"),
            decision(3, score=0.9, verdict="review"),
            decision(4, score=0.3, verdict="review", proposed="approve", autonomy="observe"),
        ],
    )
    await store.commit([Insert(outcome(1, 0.0, ratio=0.5))])
    found = await labelled(store, "fraud-risk", "fraud", audits={"approve": 0.5})

    assert told(found) == [(0.1, 0.0, 0.5), (0.2, None, 0.5), (0.9, None, None), (0.3, None, None)]


async def test_a_spot_check_without_an_answer_counts_as_not_known_however_it_was_drawn(
    store: MemoryStore,
) -> None:
    await stored(store, [decision(number, score=0.1, verdict="approve") for number in range(3)])
    open_review = review(1, state="open", ruling=None, ruled_at_ms=None, ruled_by=None)
    await store.commit([Insert(outcome(0, 0.0, ratio=0.5)), Insert(open_review)])
    found = await labelled(store, "fraud-risk", "fraud", audits={"approve": 0.5})

    assert told(found) == [(0.1, 0.0, 0.5), (0.1, None, None), (0.1, None, 0.5)]


async def test_an_audit_with_far_fewer_labels_than_its_chance_gives_is_refused(
    store: MemoryStore,
) -> None:
    await stored(store, [decision(number, score=0.1, verdict="approve") for number in range(60)])
    await store.commit([Insert(outcome(1, 0.0, ratio=0.5))])

    with pytest.raises(InvalidInput, match=r"1 of 60 have a label, far fewer than 0\.5"):
        await labelled(store, "fraud-risk", "fraud", audits={"approve": 0.5})
    with pytest.raises(InvalidInput, match="no such verdict"):
        await labelled(store, "fraud-risk", "fraud", audits={"decline": 0.5})
    with pytest.raises(InvalidInput, match="not above 0"):
        await labelled(store, "fraud-risk", "fraud", audits={"approve": 0.0})


async def test_peoples_rulings_are_labels_where_that_is_asked_for(store: MemoryStore) -> None:
    await stored(store, [decision(number, score=number / 10) for number in range(1, 4)])
    await store.commit(
        [Insert(review(1, ruling="decline")), Insert(review(2)), Insert(outcome(2, 1.0, ratio=0.5))]
    )
    found = await labelled(store, "fraud-risk", "fraud", ruled="decline")

    assert told(found) == [(0.1, 1.0, 1.0), (0.2, 1.0, 0.5), (0.3, None, None)]
    assert told(await labelled(store, "fraud-risk", "fraud"))[0] == (0.1, None, None)


async def test_a_challengers_scores_are_those_it_gave_in_shadow(store: MemoryStore) -> None:
    await stored(store, [decision(number) for number in range(3)])
    await store.commit([Insert(shadow(0, 0.7)), Insert(shadow(1, None)), Insert(outcome(0, 1.0))])
    found = await labelled(store, "fraud-risk", "fraud", model=("fraud", 2))

    assert told(found) == [(0.7, 1.0, 1.0)]
    assert (found.decisions, found.without_score) == (3, 2)
    assert "1 of 3 decisions have a score of fraud/2" in found.sentence()


async def test_what_bands_do_not_decide_is_left_out(store: MemoryStore) -> None:
    rule = (Reason("too-large", "It is.", "rule"),)
    unknown = (Reason("unknown-values", "It is.", "policy"),)
    await stored(store, [decision(1, reasons=rule), decision(2, reasons=unknown), decision(3)])
    found = await labelled(store, "fraud-risk", "fraud")

    assert len(found.scores) == 1
    assert (found.by_rule, found.without_score) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "asked", "kind", "said"),
    [
        ({"model": ModelRef("fraud", 2, "sha256:" + "b" * 64, "live", "local")}, {}, InvalidInput, "name one version"),
        ({}, {"model": ("other", 9)}, NotFound, "has a score of other/9"),
        ({}, {"since_ms": LATER_MS}, NotFound, "decided nothing"),
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_told(
    store: MemoryStore,
    changes: dict[str, Any],
    asked: dict[str, Any],
    kind: type[Exception],
    said: str,
) -> None:
    await stored(store, [decision(1), decision(2, **changes)])
    with pytest.raises(kind, match=said):
        await labelled(store, "fraud-risk", "fraud", **asked)


async def test_a_label_that_is_no_yes_or_no_is_refused(store: MemoryStore) -> None:
    await stored(store, [decision(1)])
    await store.commit([Insert(outcome(1, 3.5))])

    with pytest.raises(InvalidInput, match=r"values such as 3\.5"):
        await labelled(store, "fraud-risk", "fraud")
