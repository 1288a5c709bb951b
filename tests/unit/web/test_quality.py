"""Figures of quality and what people ruled, over HTTP."""

from __future__ import annotations

import json

from tests.unit.web.conftest import Caller

LARGE = {"claim_id": "c-2", "amount": 1500}


async def ruled(door: Caller, count: int) -> list[str]:
    for number in range(count):
        case_id = await door.settled({**LARGE, "claim_id": f"c-{number}"})
        path = f"/v1/reviews/{case_id}-1"
        await door.post(f"{path}/claim", {"by": "ann"})
        await door.post(f"{path}/rule", {"by": "ann", "verdict": "approve", "reason": "seen it"})
    return []


async def test_figures_are_answered_with_intervals(door: Caller) -> None:
    await ruled(door, 2)
    answer = await door.get("/v1/reviews/quality?queue=claims-desk&days=7")
    found = answer.json()

    assert (answer.status_code, found["rulings"]) == (200, 2)
    assert found["people"]["of"] == 0
    assert found["agreement"]["method"] == "none"
    assert found["queues"]["claims-desk"]["held"]["of"] == 2
    assert (await door.get("/v1/reviews/quality?days=0")).status_code == 400


async def test_rulings_are_streamed_and_go_on_behind_a_line(door: Caller) -> None:
    await ruled(door, 3)
    answer = await door.get("/v1/reviews/export")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    rest = await door.get(f"/v1/reviews/export?after={lines[0]['review_id']}&names=true")
    rest_lines = [json.loads(line) for line in rest.text.splitlines()]

    assert answer.headers["content-type"] == "application/jsonl"
    assert len(lines) == 3
    assert [one["review_id"] for one in rest_lines] == [one["review_id"] for one in lines[1:]]
    assert {one["by"] for one in rest_lines} == {"ann"}
    assert lines[0]["by"].startswith("reviewer-")
    assert lines[0]["features"]["claim_id"] == "c-0"
    missing = await door.get("/v1/reviews/export?after=01ARZ3NDEKTSV4RRFFQ69G5FAV-1")
    assert missing.status_code == 404


async def test_nothing_ruled_is_an_empty_export(door: Caller) -> None:
    answer = await door.get("/v1/reviews/export?queue=nobody&point=fraud-risk&days=3")

    assert (answer.status_code, answer.text) == (200, "")
