"""Exports read all there is: so many at a time, whoever asks for how many at once, and none is forgotten."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from opsrail.ledger import exporting
from opsrail.review import exporting as review_exporting
from opsrail.web import ledger, quality
from tests.unit.web.conftest import Caller


@pytest.mark.parametrize(
    ("path", "most"),
    [("/v1/ledger/export", ledger.MOST_EXPORTS), ("/v1/reviews/export", quality.MOST_EXPORTS)],
)
async def test_exports_that_are_asked_for_at_once_are_counted_before_they_are_begun(
    door: Caller, path: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await door.settled()
    await door.app.settle_ledger()
    begun, read = asyncio.Event(), (exporting.covered, review_exporting.exported)

    async def covered(*what: Any) -> Any:
        await begun.wait()
        return await read[0](*what)

    async def exported(*what: Any, **how: Any) -> Any:
        await begun.wait()
        async for page in read[1](*what, **how):
            yield page

    monkeypatch.setattr(exporting, "covered", covered)
    monkeypatch.setattr(quality, "exported", exported)
    asked = [asyncio.ensure_future(door.get(path)) for _ in range(most + 3)]
    async with asyncio.timeout(20):
        while sum(one.done() for one in asked) < 3:  # noqa: ASYNC110 - as many as find no room
            await asyncio.sleep(0.01)
    begun.set()
    answers = sorted(answer.status_code for answer in await asyncio.gather(*asked))
    after = [(await door.get(path)).status_code for _ in range(most + 1)]

    assert answers == [200] * most + [503] * 3
    assert after == [200] * (most + 1)
