"""A process that dies between recording a decision and answering: the caller asks again and loses nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from opsrail.app import build
from opsrail.config import Config
from opsrail.values.decisions import DecisionRow
from tests.integration.web.conftest import Served

CLAIM: Mapping[str, Any] = {"claim_id": "c-1", "amount": 120.5}
DECIDE = "/v1/decisions/fraud-risk"
KEYED: Mapping[str, str] = {"Idempotency-Key": "k-200"}
pytestmark = pytest.mark.crash


@pytest.mark.parametrize(
    ("point", "is_durable"), [("decide.before_record", False), ("decide.after_record", True)]
)
def test_a_caller_who_asks_again_after_a_crash_gets_one_decision(
    serving: Callable[..., Served], tmp_path: Path, point: str, is_durable: bool
) -> None:
    dying = serving(OPSRAIL_CRASH_AT=point)
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"{dying.url}{DECIDE}", json=CLAIM, headers=KEYED, timeout=60)
    status, _ = dying.ended()
    left = asyncio.run(rows(tmp_path))
    url = serving().url
    answers = [
        httpx.post(f"{url}{DECIDE}", json=CLAIM, headers=KEYED, timeout=60) for _ in range(2)
    ]
    other = httpx.post(f"{url}{DECIDE}", json={**CLAIM, "amount": 1}, headers=KEYED, timeout=60)

    assert status == -signal.SIGKILL
    assert [row.record for row in left] == ([answers[0].text] if is_durable else [])
    assert answers[1].content == answers[0].content
    assert other.status_code == 422


def test_two_hundred_keys_over_crashes_are_two_hundred_decisions(
    serving: Callable[..., Served], tmp_path: Path
) -> None:
    served = serving(OPSRAIL_CRASH_AT="decide.after_record:20")
    answers: dict[int, bytes] = {}
    crashes = 0
    with httpx.Client(timeout=60) as client:
        while (number := len(answers)) < 200:
            try:
                answers[number] = ask(client, served, number).content
            except httpx.HTTPError:
                served.ended()
                crashes += 1
                crash_at = "decide.after_record:50" if crashes < 3 else ""
                served = serving(OPSRAIL_CRASH_AT=crash_at)
        again = {number: ask(client, served, number).content for number in answers}
        others = {ask(client, served, number, age=7).status_code for number in answers}
    served.stop()
    recorded = {row.record.encode() for row in asyncio.run(rows(tmp_path))}

    assert crashes == 3
    assert again == answers
    assert others == {422}
    assert recorded == set(answers.values())
    assert len(recorded) == 200


def ask(client: httpx.Client, served: Served, number: int, **other: Any) -> httpx.Response:
    """Ask under a key of the number's own."""
    body = {**CLAIM, "amount": number, **other}
    return client.post(
        f"{served.url}{DECIDE}", json=body, headers={"Idempotency-Key": f"k-{number}"}
    )


async def rows(folder: Path) -> list[DecisionRow]:
    """Return the decisions of the installation, which nobody serves now."""
    async with build(Config(), folder / "installation").opened() as app:
        return await app.store.select(DecisionRow, limit=1_000)
