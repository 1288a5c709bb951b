"""Pages of models: versions, cards with their gaps, what differs, and what held when."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from opsrail.registry.rollout import Stage
from opsrail.web.console import models
from tests.integration.console.conftest import POINT, Console

LetIn = Callable[..., None]


async def test_versions_are_listed_with_where_they_stand(console: Console) -> None:
    second = await console.version(b"other", metrics={"auc": 0.8})
    await console.live(second, Stage.SHADOW)

    for path in ("/console/models", "/console/models/fraud-risk"):
        text = await console.page(path)
        assert re.findall(r'data-row href="/console/models/fraud-risk/(\d)"', text) == ["2", "1"]
        assert ">shadow</span>" in text
        assert ">live</span>" in text
        assert "auc 0.8" in text
        assert console.asked <= 5


async def test_versions_come_page_by_page(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "PAGE_COUNT", 1)
    await console.version(b"other")

    first = await console.page("/console/models")
    second = await console.page("/console/models?after=fraud-risk/2")

    assert 'href="/console/models?after=fraud-risk/2"' in first
    assert 'data-row href="/console/models/fraud-risk/1"' in second
    assert 'rel="next"' not in second


async def test_a_version_tells_its_card_with_every_gap(console: Console) -> None:
    await console.version(b"other", card={"owner": "Ann", "intended_use": "Claims.", "extra": [1]})

    text = await console.page("/console/models/fraud-risk/2")

    assert console.asked <= 5
    assert "11 gaps" in text
    assert "<strong>Licence</strong>" in text
    assert "<strong>Owner</strong>" not in text
    for told in ("Ann", "Claims.", "told beyond what a card should", "against/1"):
        assert told in text


async def test_moments_of_a_version_can_be_put_in_the_readers_zone(console: Console) -> None:
    await console.live(await console.version(b"other"), Stage.SHADOW)

    page = await console.page("/console/models/fraud-risk/2")

    assert page.count("data-ms=") == 2


async def test_what_differs_between_two_versions_is_told(console: Console) -> None:
    await console.version(b"other", metrics={"auc": 0.8}, card={"owner": "Ann"})

    text = await console.page("/console/models/fraud-risk/2/against/1")

    assert console.asked <= 5
    assert "+0.05" in text
    assert "Ann" in text
    answer = await console.get("/console/models/fraud-risk/2/against/3")
    assert answer.status_code == 404


async def test_what_was_live_when_has_its_moment_in_the_address(console: Console) -> None:
    await console.live(await console.version(b"other"), Stage.SHADOW)

    then = await console.page(f"/console/history?point={POINT}&at=2001-01-01T00:00")
    now = await console.page(f"/console/history?point={POINT}")
    future = await console.get(f"/console/history?point={POINT}&at=2199-01-01T00:00")

    assert (future.status_code, "has not come" in future.text) == (422, True)
    assert "No version stood there." in then
    assert "It held until" in then
    assert "It still holds." in now
    assert ">shadow</span>" in now
    assert "rehearsal" in now
    assert console.asked <= 5


async def test_a_moment_of_the_history_is_reached_by_its_link(console: Console) -> None:
    await console.live(await console.version(b"other"), Stage.SHADOW)
    now = await console.page(f"/console/history?point={POINT}")
    links = re.findall(r'href="(/console/history\?point=[^"]*at=[^"]+)"', now)

    oldest = await console.page(links[-1].replace("&amp;", "&"))

    assert len(links) == 2
    assert ">live</span>" in oldest


@pytest.mark.parametrize("path", ["models/none", "models/fraud-risk/9", "models/Fraud/1", "models/fraud-risk/x",
                                  "history?point=none"])  # fmt: skip
async def test_what_is_not_there_is_not_found(console: Console, path: str) -> None:
    assert (await console.get(f"/console/{path}")).status_code == 404


async def test_models_belong_to_no_scope_and_what_was_live_is_told_of_ones_own_points(
    console: Console, signed_in: LetIn
) -> None:
    signed_in("user:vera", ("another-point", "viewer"))

    for path in ("models", "models/fraud-risk", "models/fraud-risk/1", f"history?point={POINT}"):
        assert (await console.get(f"/console/{path}")).status_code == 403
    assert "/console/models" not in await console.page("/console/history")


async def test_a_card_is_text_whatever_it_says(console: Console) -> None:
    script = "<script>alert(1)</script>"
    card = {"owner": script, "intended_use": [script], "caveats": {script: script}}
    await console.version(b"other", card=card)

    for path in ("models/fraud-risk/2", "models/fraud-risk/2/against/1"):
        assert script not in await console.page(f"/console/{path}")
