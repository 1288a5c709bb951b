"""A reviewer's day in a real browser: by mouse, by keyboard alone, without JavaScript; two people and one review."""

from __future__ import annotations

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Visit
from tests.support.chromium import Watch, page_faults
from tests.support.served import ROOT, Served

PATH = "/console/reviews"
RECEIPT = ROOT / "examples/claims/data/receipts/images/101.jpg"
NUMBERS = count(1)


@pytest.fixture(scope="module")
def automation() -> Path:
    return ROOT / "tests" / "support" / "desks.py"


def let_in(served: Served, **claim: Any) -> str:
    """Let a claim in and return the id of its review."""
    case = served.ask(
        "POST", "/v1/cases/desk-claims", {"number": next(NUMBERS), **claim}, prefer="wait=20"
    )
    assert case["state"] == "waiting"
    whole = served.ask("GET", f"/v1/cases/{case['id']}")
    return str(whole["reviews"][0]["id"])


def review_of(served: Served, review_id: str) -> Any:
    return served.ask("GET", f"/v1/reviews/{review_id}")


async def taken(page: Page, review_id: str) -> None:
    """Open a review and take it."""
    await page.goto(f"{PATH}/{review_id}")
    await page.keyboard.press("c")
    await expect(page.locator("#lease")).to_be_visible()


async def test_a_day_by_keyboard_take_rule_undo_rule_again(served: Served, page: Page) -> None:
    review = let_in(served, desk="open-desk")
    await page.goto(f"{PATH}?queue=open-desk")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_contain_text(
        "Approve or decline: risk of desk claims, number "
    )
    await taken(page, review)

    await page.keyboard.press("a")
    await expect(page.locator("[data-undo]")).to_contain_text("You ruled approve")
    await expect(page.locator(".countdown")).to_contain_text("s)")
    await page.keyboard.press("u")
    await expect(page.locator("#lease")).to_be_visible()
    assert review_of(served, review)["ruling"] is None
    await page.keyboard.press(
        "2"
    )  # the second verdict goes against the machine's: it wants a reason
    await expect(page.locator("#reason")).to_be_focused()
    await page.keyboard.type("a and d are typed here, and rule on nothing")
    await page.keyboard.press("Escape")
    await page.keyboard.press("d")

    await expect(page.locator("[data-undo]")).to_contain_text("You ruled decline")
    assert review_of(served, review)["ruling"] == "decline"
    await page.keyboard.press("u")
    await page.wait_for_url(f"**/{review}")


async def test_keys_are_shown_and_say_what_they_do(served: Served, page: Page) -> None:
    review = let_in(served)
    await taken(page, review)

    await page.keyboard.press("?")

    keys = page.locator("#keys")
    await expect(keys).to_contain_text("rule approve")
    await expect(keys).to_contain_text("give it back")
    await page.keyboard.press("Escape")
    await page.keyboard.press("b")
    await page.wait_for_url(lambda address: review not in address)
    assert review_of(served, review)["state"] == "open"


async def test_blind_first_says_then_sees_then_reconsiders(served: Served, page: Page) -> None:
    review = let_in(served, desk="blind-desk", amount=90)
    await taken(page, review)
    assert "looked at the amount" not in await page.content()

    await page.keyboard.press("a")
    await expect(page.locator(".machine")).to_contain_text("The machine looked at the amount")
    await page.locator("#reason").fill("the machine is right")
    await page.get_by_role("button", name="decline").click()

    await page.wait_for_url(lambda address: review not in address.partition("?")[0])
    assert review_of(served, review)["ruling"] == "decline"


async def test_four_eyes_want_another_person(served: Served, page: Page) -> None:
    review = let_in(served, desk="four-desk")
    await taken(page, review)
    await page.keyboard.press("a")
    await expect(page.locator("[data-undo]")).to_contain_text("A second person")

    await page.goto(f"{PATH}/{review}")

    await expect(page.locator(".why-not")).to_contain_text("two different people")
    assert await page.locator("button[name='verdict']").count() == 0
    served.ask("POST", f"/v1/reviews/{review}/rule", {"by": "bob", "verdict": "approve"})
    assert review_of(served, review)["state"] == "ruled"


async def test_of_two_who_race_one_wins_and_the_other_is_told(
    served: Served, page: Page, watch: Watch
) -> None:
    watch.expect("409")
    review = let_in(served)
    await page.goto(f"{PATH}/{review}")
    served.ask("POST", f"/v1/reviews/{review}/claim", {"by": "bob"})
    await page.locator("#reason").fill("what I thought")

    await page.keyboard.press("Escape")
    await page.keyboard.press("a")

    await expect(page.get_by_role("alert").first).to_contain_text("does not count")
    await expect(page.locator("#reason")).to_have_value("what I thought")
    assert review_of(served, review)["ruling"] is None


async def test_a_lost_lease_is_told_and_what_was_typed_stays(
    served: Served, page: Page, watch: Watch
) -> None:
    watch.expect("409")
    review = let_in(served)
    await taken(page, review)
    await page.locator("#reason").fill("half a thought")
    await page.evaluate(
        "path => fetch(path + '/release', {method: 'POST', body: new URLSearchParams({csrf: document.body.dataset.csrf})})",
        f"{PATH}/{review}",
    )
    served.ask("POST", f"/v1/reviews/{review}/claim", {"by": "bob"})

    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    await expect(page.locator("#lost")).to_contain_text("do not hold this review any more")
    await expect(page.locator("#reason")).to_have_value("half a thought")
    await expect(page.locator("button[name='verdict']").first).to_be_disabled()


async def test_who_leaves_the_page_gives_the_review_back(served: Served, page: Page) -> None:
    review = let_in(served)
    await taken(page, review)

    await page.goto(PATH)

    for _ in range(400):
        if review_of(served, review)["state"] == "open":
            return
        await asyncio.sleep(0.05)
    pytest.fail("it is still held")


async def test_who_leaves_one_of_two_tabs_holds_the_review_in_the_other(
    served: Served, page: Page
) -> None:
    review = let_in(served)
    await taken(page, review)
    other = await page.context.new_page()
    await other.goto(f"{PATH}/{review}")
    await expect(other.locator("#lease")).to_be_visible()

    await page.goto(PATH)

    kinds: list[str] = []
    for _ in range(100):
        events = served.ask("GET", f"/v1/reviews/{review}/events")["events"]
        kinds = [event["kind"] for event in events]
        if kinds.count("claimed") == 2:
            break
        await asyncio.sleep(0.1)
    assert kinds == ["opened", "claimed", "released", "claimed"]
    await expect(other.locator("#lost")).to_be_hidden()


async def test_what_was_passed_to_a_person_stays_theirs_when_they_leave_its_page(
    served: Served, page: Page
) -> None:
    review = let_in(served)
    passed = {"by": "bob", "person": "http:local"}
    until = served.ask("POST", f"/v1/reviews/{review}/pass", passed)["lease_until"]
    beats: list[str] = []
    page.on("request", lambda asked: beats.append(asked.url) if "heartbeat" in asked.url else None)
    await page.goto(f"{PATH}/{review}")
    await expect(page.locator("#lease")).to_be_visible()
    await page.wait_for_timeout(500)

    await page.goto(PATH)
    await page.wait_for_timeout(300)

    kept = review_of(served, review)
    assert (kept["assignee"], kept["lease_until"]) == ("http:local", until)
    assert len(beats) <= 1


async def test_who_asked_or_ruled_alike_is_told_what_became_of_it(
    served: Served, page: Page
) -> None:
    review = let_in(served, desk="four-desk")
    await taken(page, review)
    await page.keyboard.press("m")
    await page.locator("#question").fill("Where is page 2?")
    await page.locator("#to").fill("jun")
    await page.get_by_role("button", name="Ask", exact=True).click()

    await expect(page.locator(".last")).to_contain_text("waits for an answer of jun")


async def test_fields_and_boxes_light_each_other_up(served: Served, page: Page) -> None:
    review = let_in(served, receipt=str(RECEIPT))
    await taken(page, review)
    box = page.locator("#box-field-0-0")

    await page.locator(".found a").focus()
    await expect(box).to_have_class("box doubtful lit")
    await page.locator("[name='fields.amount_usd']").focus()
    await expect(box).to_have_class("box doubtful lit")
    await page.locator("#reason").focus()
    await expect(box).to_have_class("box doubtful")
    await page.locator("svg.page a").hover()

    await expect(page.locator("#field-0-0")).to_have_class("lit")
    drawn = await page.locator("svg.page image").evaluate("image => image.getBBox().width")
    assert drawn > 100


async def test_the_browser_checks_the_form_before_it_is_sent(served: Served, page: Page) -> None:
    review = let_in(served)
    await taken(page, review)
    await page.locator("[name='fields.amount_usd']").fill("99999")

    await page.get_by_role("button", name="approve").click()

    is_valid = await page.locator("[name='fields.amount_usd']").evaluate(
        "each => each.validity.valid"
    )
    assert not is_valid
    assert review_of(served, review)["ruling"] is None


async def test_without_javascript_everything_goes_by_forms(
    served: Served, no_javascript: Page
) -> None:
    page, review = no_javascript, let_in(served, receipt=str(RECEIPT))
    await page.goto(f"{PATH}/{review}")
    await page.get_by_role("button", name="Take it").click()
    await expect(page.locator("#lease")).to_be_visible()
    await page.locator(".found a").click()
    assert page.url.endswith("#box-field-0-0")
    await page.locator("[name='fields.amount_usd']").fill("31.50")
    await page.locator("#reason").fill("as on the receipt")
    await page.get_by_role("button", name="decline").click()
    await expect(page.locator("[data-undo]")).to_contain_text("You ruled decline")

    ruled = review_of(served, review)
    assert ruled["ruling"] == "decline"
    await page.get_by_role("button", name="Undo").click()

    await expect(page.locator("#lease")).to_be_visible()
    assert review_of(served, review)["ruling"] is None
    await page.get_by_text("Ask for more").click()
    await page.locator("#question").fill("Which car?")
    await page.locator("#to").fill("bob")
    await page.get_by_role("button", name="Ask", exact=True).click()
    await expect(page.locator(".last")).to_contain_text("waits for an answer of bob")
    assert review_of(served, review)["state"] == "asked"


async def test_with_tab_and_enter_alone_a_review_is_ruled(served: Served, page: Page) -> None:
    review = let_in(served, desk="four-desk")
    await page.goto(f"{PATH}/{review}")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")

    for _ in range(30):
        await page.keyboard.press("Tab")
        focused = await page.evaluate("document.activeElement.value || ''")
        if focused == "approve":
            break
    await page.keyboard.press("Enter")

    await expect(page.locator("[data-undo]")).to_contain_text("You ruled approve")


async def test_alike_reviews_are_ticked_by_key_and_ruled_at_once(
    served: Served, visit: Visit
) -> None:
    page = await visit()
    reviews = [let_in(served, desk="four-desk") for _ in range(2)]
    await page.goto(f"{PATH}?queue=four-desk")
    for review in reviews:
        await page.locator(f"a[data-row][href*='{review}']").focus()
        await page.keyboard.press("x")
        await expect(page.locator(f"input[value='{review}']")).to_be_checked()

    await page.get_by_role("button", name="approve those ticked").click()

    await expect(page.get_by_role("status").first).to_contain_text("2 ruled alike")


async def test_on_a_telephone_nothing_is_wider_than_the_page(served: Served, phone: Page) -> None:
    review = let_in(served, receipt=str(RECEIPT), name="x" * 200)
    for path in (PATH, f"{PATH}?queue=open-desk", f"{PATH}/{review}"):
        await phone.goto(path)

        width = await phone.evaluate("document.documentElement.scrollWidth")
        assert width <= 391, path


@pytest.mark.slow
async def test_every_state_of_a_review_is_accessible_light_and_dark(
    served: Served, visit: Visit, watch: Watch
) -> None:
    watch.expect("422")
    review, blind = let_in(served, receipt=str(RECEIPT)), let_in(served, desk="blind-desk")
    four = [let_in(served, desk="four-desk") for _ in range(2)]
    for scheme in ("light", "dark"):
        page = await visit(color_scheme=scheme)
        await taken(page, blind)
        assert await page_faults(page) == []
        await taken(page, review)
        for summary in await page.locator(".moves summary").all():
            await summary.click()
        assert await page_faults(page) == []
        await page.locator("#rule").evaluate("form => { form.noValidate = true; }")
        await page.locator("[name='fields.amount_usd']").fill("99999")
        await page.get_by_role("button", name="approve").click()
        await expect(page.locator(".fault")).to_be_visible()
        assert await page_faults(page) == []
        for path in (PATH, f"{PATH}?queue=four-desk", f"{PATH}/{four[0]}"):
            await page.goto(path)
            assert await page_faults(page) == [], path
