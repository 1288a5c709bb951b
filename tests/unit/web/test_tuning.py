"""Bands with a guarantee over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from opsrail.values.rows import Insert
from tests.support.history import decision, outcome, stored
from tests.unit.web.conftest import Caller

PATH = "/v1/points/fraud-risk/tune"
ASKED: dict[str, Any] = {"outcome": "fraud", "risks": ["approved is fraud <= 5%"], "days": 36_500}


async def filled(door: Caller) -> None:
    """Let 600 decisions be there, fraud where the score is 0.6 and above."""
    await stored(door.app.store, [decision(number) for number in range(600)])
    bad = [float(number * 37 % 100 >= 60) for number in range(600)]
    rows = [Insert(outcome(number, bad[number], source="review")) for number in range(600)]
    await door.app.store.commit(rows)


async def test_bands_are_found_in_a_points_own_decisions_and_a_change_takes_them(
    door: Caller,
) -> None:
    await filled(door)
    found = await door.post(PATH, {**ASKED, "costs": {"usd_per_hour": 60, "review_s": 600}})
    told = found.json()

    assert found.status_code == 200, found.text
    assert told["is_kept"]
    assert told["said"][0].startswith("600 of 600 decisions have a score of fraud/1")
    assert told["content"]["bands"][0]["verdict"] == "approve"
    assert told["content"]["guarantee"][0]["among"] == "approve"
    assert told["curve"].startswith("<svg")
    assert told["tuned"]["people_cost_usd"] == 10
    change = {
        "point": "fraud-risk",
        "kind": "bands",
        "content": told["content"],
        "by": "ann",
        "reason": "tuned",
    }
    assert (await door.post("/v1/changes", change)).status_code == 201


async def test_the_same_is_asked_of_a_version_and_with_audits(door: Caller) -> None:
    await filled(door)
    named = await door.post(
        PATH, {**ASKED, "model": "fraud/1", "audits": {"approve": 1.0}, "seed": 3, "horizon": 5000}
    )
    absent = await door.post(PATH, {**ASKED, "model": "fraud/9"})

    assert named.json()["is_kept"]
    assert named.json()["tuned"]["horizon"] == 5000
    assert absent.status_code == 404


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"risks": ["nothing"]}, 422, "column"),
        ({"risks": ["approved is other <= 5%"]}, 409, "the outcome"),
        ({"risks": []}, 422, "risks"),
        ({"confidence": 1.0}, 422, "confidence"),
        ({"audits": {"approve": 0}}, 422, "audits"),
        ({"verdicts": ["a", "b"]}, 422, "verdicts"),
        ({"objective": "cost"}, 409, "costs"),
        ({"horizon": 0}, 422, "horizon"),
        ({"more": 1}, 422, "more"),
        ({"days": 1e-9}, 404, "decided nothing"),
    ],
)
async def test_what_is_wrong_is_told(
    door: Caller, changed: dict[str, Any], status: int, said: str
) -> None:
    await filled(door)
    refused = await door.post(PATH, {**ASKED, **changed})

    assert refused.status_code == status
    assert said in refused.text


async def test_a_point_that_is_not_there_is_told(door: Caller) -> None:
    assert (await door.post("/v1/points/other/tune", ASKED)).status_code == 404
