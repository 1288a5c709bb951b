"""Two reviewers who signed in: four eyes, a race for one review, a session that ends while somebody types."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.conftest import SignIn
from tests.support.chromium import Watch
from tests.support.served import ROOT, Served

PATH = "/console/reviews"
NUMBERS = count(1)


@pytest.fixture(scope="module")
def automation() -> Path:
    return ROOT / "tests" / "support" / "desks.py"


@pytest_asyncio.fixture(loop_scope="session")
async def people(signed_in: SignIn) -> tuple[Page, Page]:
    """Two browsers in which two people signed in."""
    anna, bob = [await signed_in("reviewer", name) for name in ("anna", "bob")]
    return anna, bob


class Desk:
    """Asks the interface, with a program's key once there are people."""

    def __init__(self, served: Served) -> None:
        self._served = served

    def let_in(self, **claim: Any) -> str:
        """Let a claim in and return the id of its review."""
        case = self._served.ask(
            "POST", "/v1/cases/desk-claims", {"number": next(NUMBERS), **claim}, prefer="wait=20"
        )
        whole = self._served.ask("GET", f"/v1/cases/{case['id']}")
        return str(whole["reviews"][0]["id"])

    def review(self, review_id: str) -> Any:
        return self._served.ask("GET", f"/v1/reviews/{review_id}")


@pytest.fixture
def desk(served: Served) -> Desk:
    return Desk(served)


async def test_four_eyes_are_those_of_two_people(desk: Desk, people: tuple[Page, Page]) -> None:
    anna, bob = people
    review = desk.let_in(desk="four-desk")
    await anna.goto(f"{PATH}/{review}")
    await anna.keyboard.press("a")
    await expect(anna.locator("[data-undo]")).to_contain_text("A second person looks at it now")
    await anna.goto(f"{PATH}/{review}")
    await expect(anna.locator(".why-not")).to_contain_text("You ruled on it already")

    await bob.goto(f"{PATH}/{review}")
    assert "anna approve" not in await bob.content()
    await bob.keyboard.press("a")
    await bob.wait_for_url(lambda address: review not in address.partition("?")[0])

    assert desk.review(review)["ruling"] == "approve"


async def test_two_take_the_same_review_and_one_has_it(
    desk: Desk, people: tuple[Page, Page], watch: Watch
) -> None:
    watch.expect("409")
    anna, bob = people
    review = desk.let_in()
    for page in people:
        await page.goto(f"{PATH}/{review}")
    await bob.locator("#reason").fill("what I thought")
    await anna.keyboard.press("c")
    await expect(anna.locator("#lease")).to_be_visible()

    await bob.get_by_role("button", name="approve").click()

    await expect(bob.get_by_role("alert").first).to_contain_text("does not count")
    await expect(bob.locator("#reason")).to_have_value("what I thought")
    await expect(bob.locator(".why-not")).to_contain_text("anna holds it now")
    await anna.keyboard.press("a")
    await expect(anna.locator("[data-undo]")).to_be_visible()
    assert desk.review(review)["ruled_by"] == "user:anna"


async def test_a_session_that_ends_is_told_and_what_was_typed_stays(
    desk: Desk, people: tuple[Page, Page], watch: Watch
) -> None:
    watch.expect("401")
    anna, _ = people
    review = desk.let_in()
    await anna.goto(f"{PATH}/{review}")
    await anna.keyboard.press("c")
    await expect(anna.locator("#lease")).to_be_visible()
    await anna.locator("#reason").fill("half a thought")
    other = await anna.context.new_page()
    await other.goto(f"{PATH}")
    await other.get_by_role("button", name="Sign out").click()
    await other.wait_for_url("**/sign-in*")

    await anna.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    await expect(anna.locator("#lost")).to_contain_text("You are signed out")
    await expect(anna.locator("#reason")).to_have_value("half a thought")
    assert desk.review(review)["ruling"] is None
