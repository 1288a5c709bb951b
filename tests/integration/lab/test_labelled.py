"""Scores and labels out of the two databases, and what is tuned from them."""

from __future__ import annotations

import numpy as np

from opsrail.lab import tune
from opsrail.lab.labelled import labelled
from opsrail.ports import Store
from opsrail.values.rows import Insert
from tests.support.history import decision, outcome, review, stored

COUNT = 2_000
AUDITED = 0.4


async def test_what_was_approved_by_itself_is_tuned_from_its_audit_and_the_rest_from_reviews(
    store: Store,
) -> None:
    """Of what was approved 40 % were looked at by chance; one of those looked at has no answer yet, and counts as fraud."""
    chance = np.random.default_rng(1)
    made = [decision(number) for number in range(COUNT)]
    await stored(store, made)
    rows: list[Insert] = []
    for number, one in enumerate(made):
        bad = float((one.score or 0.0) >= 0.6)
        if one.verdict != "approve":
            rows.append(Insert(outcome(number, bad, source="review")))
        elif chance.random() < AUDITED and number != 20:
            rows.append(Insert(outcome(number, bad, ratio=AUDITED)))
    rows.append(Insert(review(20, state="open", ruling=None, ruled_at_ms=None, ruled_by=None)))
    await store.commit(rows)
    found = await labelled(store, "fraud-risk", "fraud", audits={"approve": AUDITED})
    tuned = tune(
        found.scores,
        found.labels,
        ratios=found.ratios,
        risks=["approved is fraud <= 5%"],
        outcome="fraud",
    )
    unaudited = await labelled(store, "fraud-risk", "fraud")
    refused = tune(
        unaudited.scores,
        unaudited.labels,
        ratios=unaudited.ratios,
        risks=["approved is fraud <= 5%"],
        outcome="fraud",
    )

    assert tuned.counted.blind == 1
    assert tuned.counted.least_ratio == AUDITED
    assert tuned.approve_below is not None
    assert 0.5 < tuned.approve_below <= 0.63
    assert not refused.is_kept
    assert refused.counted.blind > 500
