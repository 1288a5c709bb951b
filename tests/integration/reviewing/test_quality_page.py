"""The page of how people rule, over a running app."""

from __future__ import annotations

import sys

import pytest

from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import Purpose, ReviewState
from opsrail.values.rows import Insert
from tests.integration.reviewing.conftest import Console, text_of
from tests.integration.reviewing.test_review_pages import counted
from tests.support.sampled import asked, decided

PATH = "/console/reviews/quality"


async def filled(console: Console) -> None:
    """Fill in ten spot checks of which two were ruled otherwise, and a control case that was ruled right."""
    now_ms = console.app.clock.now_ms() - 60_000
    rows: list[tuple[object, ...]] = []
    for n in range(10):
        about: DecisionRow = decided(now_ms - 10_000, n, verdict="approve")
        how = {
            "decision_id": about.id, "state": ReviewState.RULED, "ruling": "decline" if n < 2 else "approve",
            "ruled_by": "user:ann", "ruled_at_ms": now_ms, "purpose": Purpose.AUDIT,
            "labels": '{"labels": {}, "sampled": 0.5}',
        }  # fmt: skip
        rows += [about, asked(now_ms - 10_000, n, **how)]
    control = {
        "decision_id": None, "state": ReviewState.RULED, "ruling": "decline", "truth": "decline", "ruled_by": "user:bob",
        "ruled_at_ms": now_ms, "purpose": Purpose.CONTROL, "labels": '{"labels": {}, "sampled": null, "control": "c"}',
    }  # fmt: skip
    rows.append(asked(now_ms - 10_000, 99, **control))
    await console.app.store.commit([Insert(row) for row in rows])


async def test_figures_are_told_with_intervals_in_five_reads(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(console)
    with counted(console.app, monkeypatch) as asked_count:
        page = await console.get(PATH)
        assert 1 <= asked_count() <= 5
    told = text_of(page)

    assert page.status_code == 200
    assert "Of 11 rulings" in told
    assert "100.0% right, 1 of 1" in told
    assert "80.0% right of what it decided alone" in told
    assert "bob" in told
    assert "20.0%" in told
    assert "<circle" in page.text
    assert "claims-desk waited until ruled 11" in told


async def test_queue_and_span_stand_in_the_address(console: Console) -> None:
    await filled(console)
    none = text_of(await console.get(f"{PATH}?queue=open-desk&since=7d"))
    every = text_of(await console.get(f"{PATH}?queue=&since=365d"))
    one = text_of(await console.get(f"{PATH}?queue=claims-desk&since=90d"))
    wrong = await console.get(f"{PATH}?since=yesterday")

    assert "Of 0 rulings" in none
    assert "Of 11 rulings" in every
    assert "Of 11 rulings" in one
    assert wrong.status_code == 400
    assert PATH in (await console.get("/console/reviews")).text


async def test_without_the_extra_the_page_says_what_to_install(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsrail.web.lab._imported", set())
    monkeypatch.setitem(sys.modules, "opsrail.lab.rulings", None)
    page = await console.get(PATH)

    assert page.status_code == 500
    assert "pip install 'opsrail[lab]'" in text_of(page)
