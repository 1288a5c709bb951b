"""A ruling's form in a real browser: what its author, a model or a document may write in it, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, Visit
from tests.support.chromium import Watch
from tests.support.served import ROOT, Served


@pytest.fixture(scope="module")
def automation() -> Path:
    return ROOT / "tests" / "support" / "wordy_desk.py"


@pytest.fixture(scope="module")
def review(served: Served) -> str:
    """Where a review is shown that waits."""
    case = served.ask("POST", "/v1/cases/wordy-claims", {"number": 1}, prefer="wait=20")
    whole = served.ask("GET", f"/v1/cases/{case['id']}")
    return f"/console/reviews/{whole['reviews'][0]['id']}"


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_words_without_end_break_where_the_page_ends(
    visit: Visit, review: str, screen: Any
) -> None:
    page = await visit(viewport=screen)

    await page.goto(review)

    await expect(page.locator(".machine")).to_contain_text("WWW")
    assert await page.evaluate("document.documentElement.scrollWidth") <= screen["width"]
    wide = "each => each.scrollWidth > each.clientWidth + 1"
    cut = [await each.evaluate(wide) for each in await page.locator(".card, fieldset").all()]
    assert not any(cut)


async def test_parts_are_called_as_their_fields_and_not_as_the_authors_classes(
    page: Page, review: str
) -> None:
    await page.goto(review)

    legends = await page.locator("#rule legend").all_inner_texts()
    assert legends[:2] == ["Sent to", "Billed to"]


async def test_a_field_shows_how_a_time_and_a_duration_are_written(page: Page, review: str) -> None:
    await page.goto(review)

    for name, told in (("opens", "14:00:00Z"), ("takes", "PT1H30M")):
        await expect(page.locator(f"[name='fields.{name}']")).to_have_attribute("placeholder", told)


async def test_all_that_is_wrong_with_a_ruling_is_told_at_once(
    no_javascript: Page, review: str, watch: Watch
) -> None:
    watch.expect("422")
    page = no_javascript
    await page.goto(review)
    await page.get_by_role("button", name="Take it").click()
    await page.locator("#rule").evaluate("form => { form.noValidate = true; }")
    for name, typed in (("extra", "{no JSON"), ("opens", "noon"), ("takes", "long")):
        await page.locator(f"[name='fields.{name}']").fill(typed)

    await page.get_by_role("button", name="decline").click()

    for name in ("extra", "opens", "takes"):
        await expect(page.locator(f"[id='fields.{name}-hint'] .fault")).to_be_visible()
    await expect(page.locator("#rule")).to_contain_text("say why you rule otherwise")
    assert await page.locator(".fault").count() == 4
