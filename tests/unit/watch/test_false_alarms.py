"""A guarantee that holds rings no more often than it says, where some decisions are all looked at and others seldom."""

from __future__ import annotations

from random import Random

from pydantic import BaseModel

from opsrail import Audit, Band, DecisionPoint, Policy
from opsrail.app.sampled import floors_of
from opsrail.values.guarantees import GuaranteeSpec
from opsrail.values.rollouts import GuaranteeRow
from opsrail.watch.guarantees import Standing, standing_of

SPEC = GuaranteeSpec(outcome="fraud", limit=0.05, confidence=0.95)
RATIO = 0.02
WORLDS = 60


class Claim(BaseModel):
    amount: float


def rings(seed: int, harm: float, floor_ratio: float) -> bool:
    """A tenth of the decisions goes to people, who see 30% fraud there; of the rest two in a hundred are spot checks."""
    random, standing = Random(seed), Standing(SPEC, floor_ratio=floor_ratio)
    for _ in range(2_000):
        if random.random() < 0.1:
            standing.count(float(random.random() < 0.3), 1.0)
        elif random.random() < RATIO:
            standing.count(float(random.random() < harm), RATIO)
        if standing.is_broken:
            return True
    return False


def test_what_people_always_see_rings_no_alarm_about_all() -> None:
    """3.9% of all decisions are fraud, and 5% were promised."""
    assert sum(rings(seed, 0.01, RATIO) for seed in range(WORLDS)) <= 0.05 * WORLDS


def test_a_guarantee_that_does_not_hold_is_found_out() -> None:
    assert sum(rings(seed, 0.3, RATIO) for seed in range(WORLDS)) > 0.9 * WORLDS


def test_a_rarer_label_than_was_declared_begins_the_evidence_anew() -> None:
    standing = Standing(SPEC)
    for _ in range(2):
        standing.count(1.0, 1.0)
    before = standing.test.peak
    standing.count(0.0, RATIO)

    assert before > 1
    assert standing.test.peak == 1
    assert standing.test.count == 3
    assert Standing(SPEC, {"floor_ratio": RATIO}, floor_ratio=0.5).floor_ratio == RATIO


def test_how_seldom_is_known_from_what_the_point_declares() -> None:
    told = {"fraud": {"decline": 1, "approve": 0}}
    policy = Policy[Claim]([Band("approve", below=1.01)])
    point = DecisionPoint(
        "fraud-risk", request=Claim, policy=policy, labels=told, audit=Audit(RATIO, "desk")
    )
    floors = floors_of([point])
    row = GuaranteeRow("g", "fraud-risk", SPEC.model_dump_json(), "{}", "", 0, None, None, 0)

    assert floors == {("fraud-risk", "fraud"): RATIO}
    assert standing_of(row, floors).floor_ratio == RATIO
    assert standing_of(row._replace(point="other"), floors).floor_ratio == 1
