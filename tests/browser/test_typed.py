"""What a reviewer typed and had not sent when their session ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.conftest import SignIn, sign_in
from tests.browser.test_reviews import PATH, let_in, review_of, taken
from tests.support.served import ROOT, Served


@pytest.fixture(scope="module")
def automation() -> Path:
    return ROOT / "tests" / "support" / "desks.py"


TYPED = "() => Object.keys(sessionStorage).filter((name) => name.startsWith('opsrail.typed'))"


async def test_what_was_typed_when_a_session_ends_is_back_after_signing_in_and_gone_once_ruled(
    served: Served, signed_in: SignIn
) -> None:
    review, other = let_in(served, desk="open-desk"), let_in(served, desk="open-desk")
    page = await signed_in("reviewer", "tessa")
    await taken(page, review)
    await page.locator("#reason").fill("<b>The date</b> was altered")
    await page.context.clear_cookies()  # as when the session ended meanwhile
    await page.locator("button[name='verdict'][value='decline']").click()
    await page.wait_for_url("**/console/sign-in?to=**")
    assert len(await page.evaluate(TYPED)) == 1
    await sign_in(page, await served.link("tessa", "reviewer"))
    await page.goto(f"{PATH}/{other}")
    await expect(page.locator("#reason")).to_have_value("")
    await page.goto(f"{PATH}/{review}")

    await expect(page.locator("#reason")).to_have_value("<b>The date</b> was altered")
    await expect(page.locator("#back")).to_be_visible()
    await page.locator("button[name='verdict'][value='decline']").click()
    await expect(page.locator("[data-undo]")).to_contain_text("You ruled decline")
    assert await page.evaluate(TYPED) == []
    assert review_of(served, review)["ruling_reason"] == "<b>The date</b> was altered"


async def test_what_was_typed_is_shown_to_nobody_else_and_gone_with_who_signs_out(
    served: Served, signed_in: SignIn
) -> None:
    review = let_in(served, desk="open-desk")
    page = await signed_in("reviewer", "tessa")
    await page.goto(f"{PATH}/{review}")
    await page.locator("#reason").fill("mine")
    await page.context.clear_cookies()
    await sign_in(page, await served.link("uwe", "reviewer"))
    await page.goto(f"{PATH}/{review}")
    await expect(page.locator("#reason")).to_have_value("")
    assert await page.evaluate(TYPED) == []
    await page.locator("#reason").fill("uwe's")
    assert len(await page.evaluate(TYPED)) == 1
    second = await page.context.new_page()
    await second.goto(PATH)
    await second.get_by_role("button", name="Sign out").click()
    await second.wait_for_url("**/console/sign-in")

    await page.wait_for_function(f"({TYPED})().length === 0")
