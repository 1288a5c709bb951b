"""A version against another judge over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from opsrail.values.registry import ModelVersionRow
from opsrail.values.rows import Insert
from opsrail.values.shadows import ShadowScoreRow
from opsrail.web import comparing
from tests.support.history import decision, decision_id, stored
from tests.unit.web.conftest import Caller

PATH = "/v1/points/fraud-risk/compare"
DIGEST = "sha256:" + "0" * 64
ASKED = {"version": "fraud/7", "days": "9999"}


async def filled(door: Caller) -> int:
    """Let version 7 have said `decline` beside each of 300 decisions; return how often that was another verdict."""
    made = [decision(number) for number in range(300)]
    await stored(door.app.store, made)
    known = [ModelVersionRow("fraud", n, DIGEST, "onnx", DIGEST, "{}", "{}", 0) for n in (1, 7, 8)]
    await door.app.store.commit([Insert(row) for row in known])
    rows = [
        ShadowScoreRow(
            decision_id(number), "fraud", 7, "fraud-risk", 0.9, 0.9, "decline", None, 2_000, 0.0, one.at_ms
        )
        for number, one in enumerate(made)
    ]  # fmt: skip
    await door.app.store.commit([Insert(row) for row in rows])
    return sum(one.verdict != "decline" for one in made)


async def test_a_challenger_is_compared_with_whoever_answered(door: Caller) -> None:
    differ = await filled(door)
    found = await door.get(PATH, params={**ASKED, "against": "champion"})
    told = found.json()

    assert found.status_code == 200, found.text
    assert (told["decisions"], told["disagreement"]["rate"]["hits"]) == (300, differ)
    assert told["mine"]["name"] == "fraud/7"
    assert (await door.get(PATH, params={**ASKED, "against": "people"})).status_code == 200
    assert (await door.get(PATH, params={**ASKED, "against": "fraud/1"})).status_code == 200


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"version": "fraud"}, 400, "version"),
        ({"against": "nobody"}, 400, "against"),
        ({"more": "1"}, 400, "more"),
        ({"version": "fraud/8"}, 404, "said nothing"),
        ({"version": "fraud/9"}, 404, "there is no model version fraud/9"),
        ({"against": "frraud/1"}, 404, "there is no model version frraud/1"),
        ({"segments": "nowhere"}, 422, "nowhere"),
    ],
)
async def test_what_is_wrong_is_told(
    door: Caller, changed: dict[str, Any], status: int, said: str
) -> None:
    await filled(door)
    refused = await door.get(PATH, params={**ASKED, **changed})

    assert refused.status_code == status, refused.text
    assert said in refused.text


async def test_a_version_must_be_named_and_the_point_be_there(door: Caller) -> None:
    assert (await door.get(PATH)).status_code == 400
    assert (await door.get("/v1/points/other/compare", params=ASKED)).status_code == 404


async def test_more_decisions_than_one_request_may_look_at_are_refused(
    door: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(door)
    monkeypatch.setattr(comparing, "MOST_DECISIONS", 299)
    refused = await door.get(PATH, params=ASKED)

    assert (refused.status_code, "300 decisions" in refused.text) == (422, True)
