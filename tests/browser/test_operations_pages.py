"""The overview, cases and automations in a real browser, with the example's claims."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import EXAMPLE, Visit
from tests.support.chromium import assert_accessible
from tests.support.served import Served, serving

CLAIM = json.loads(
    """{"Month": "Dec", "WeekOfMonth": 5, "DayOfWeek": "Wednesday", "Make": "Honda", "AccidentArea": "Urban",
    "DayOfWeekClaimed": "Tuesday", "MonthClaimed": "Jan", "WeekOfMonthClaimed": 1, "Age": 21, "Fault": "Policy Holder",
    "PolicyType": "Sport - Liability", "VehicleCategory": "Sport", "VehiclePrice": "20000 to 29000", "Deductible": 400,
    "DriverRating": 1, "Days_Policy_Accident": "more than 30", "Days_Policy_Claim": "more than 30",
    "PastNumberOfClaims": "none", "AgeOfVehicle": "3 years", "AgeOfPolicyHolder": "26 to 30",
    "PoliceReportFiled": "No", "WitnessPresent": "No", "AgentType": "External", "NumberOfSuppliments": "none",
    "AddressChange_Claim": "1 year", "NumberOfCars": "3 to 4", "BasePolicy": "Collision", "Year": 1996}"""
)


def submit(served: Served, number: int) -> str:
    """Let a claim in that goes to people, as no model is live; return its case's id."""
    answer = served.ask(
        "POST", "/v1/cases/claims-intake", {**CLAIM, "PolicyNumber": number}, prefer="wait=20"
    )
    assert answer["state"] == "waiting"
    return str(answer["id"])


def waiting_now(served: Served) -> int:
    """Return how many cases wait; a page may be a second behind."""
    return len(served.ask("GET", "/v1/cases?state=waiting&limit=100")["cases"])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(Path(EXAMPLE), tmp_path_factory.mktemp("pages") / "installation") as started:
        for number in range(1, 4):
            submit(started, number)
        yield started


async def test_the_overview_follows_what_happens_without_being_loaded_again(
    page: Page, served: Served
) -> None:
    await page.goto("/console")
    live = page.locator("[data-live]")
    await expect(live).to_have_attribute("data-state", "live")
    waiting = page.locator('[data-figure="cases.waiting"]')
    before = waiting_now(served)
    await expect(waiting).to_have_text(str(before))

    submit(served, 100)

    await expect(waiting).to_have_text(str(before + 1))
    await expect(page.locator("#o-queues")).to_have_text(f"Waiting for people: {before + 1}")
    await assert_accessible(page)


async def test_a_reader_who_pauses_the_overview_is_left_in_peace_until_they_go_on(
    page: Page, served: Served
) -> None:
    await page.goto("/console")
    await expect(page.locator("[data-live]")).to_have_attribute("data-state", "live")
    waiting = page.locator('[data-figure="cases.waiting"]')
    before = waiting_now(served)
    await expect(waiting).to_have_text(str(before))
    await page.get_by_role("button", name="Pause").click()

    submit(served, 200)
    await page.wait_for_timeout(1_500)
    still = await waiting.inner_text()
    await page.get_by_role("button", name="Go on").click()

    assert int(still) == before
    await expect(waiting).to_have_text(str(before + 1))


async def test_the_overview_s_moment_stays_in_the_viewers_zone_while_it_lives(
    visit: Visit,
) -> None:
    page = await visit(timezone_id="Asia/Tokyo", locale="en-GB")
    await page.goto("/console")
    moment = page.locator('[data-figure="at"]')
    first = await moment.inner_text()
    await expect(moment).not_to_have_text(first)
    in_zone, in_utc = await moment.evaluate(
        "it => [it.innerText, it.title]"
    )  # it goes on meanwhile

    hours = (int(in_zone[-8:-6]) - int(in_utc[11:13])) % 24
    assert (hours, in_zone[-5:], in_utc[-3:]) == (9, in_utc[14:19], "UTC")


async def test_a_table_s_caption_is_read_whole_on_a_telephone(phone: Page) -> None:
    await phone.goto("/console/cases")
    beyond = await phone.evaluate(
        """() => [...document.querySelectorAll(".scroll caption:not(.unseen)")]
            .filter(each => each.getBoundingClientRect().right > innerWidth).length"""
    )

    assert beyond == 0


async def test_everything_is_there_without_javascript(no_javascript: Page) -> None:
    await no_javascript.goto("/console")
    await expect(no_javascript.get_by_role("link", name="Refresh")).to_be_visible()
    await expect(no_javascript.get_by_role("button", name="Pause")).to_be_hidden()
    await no_javascript.get_by_role("link", name="Cases").first.click()
    await no_javascript.get_by_label("State").select_option("waiting")
    await no_javascript.get_by_role("button", name="Find").click()
    rows = no_javascript.locator("tbody tr")
    found = await rows.count()
    await rows.first.get_by_role("link").click()
    await expect(no_javascript.get_by_role("heading", name="Timeline")).to_be_visible()

    assert found >= 3


async def test_a_case_is_found_opened_and_cancelled_by_keyboard_alone(
    page: Page, served: Served
) -> None:
    case_id = submit(served, 300)
    await page.goto("/console/cases")
    await page.keyboard.press("/")
    await page.keyboard.type(case_id)
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/{case_id}")
    await assert_accessible(page)
    page.once("dialog", lambda dialog: dialog.accept())
    await page.get_by_label("Why it ends").focus()
    await page.keyboard.type("sent in twice")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled")
    await expect(page.locator("main")).to_contain_text("sent in twice")


async def test_the_flow_picture_is_walked_by_keyboard_and_leads_into_its_table(page: Page) -> None:
    await page.goto("/console/automations/claims-intake")
    tile = page.get_by_role("link", name="decision fraud-risk")
    await tile.focus()
    await page.keyboard.press("Enter")

    await expect(page.locator("tr:target")).to_contain_text("fraud-risk")


@pytest.mark.parametrize("name", ["cases", "automations", "automations/claims-intake"])
async def test_a_page_on_a_telephone_is_no_wider_than_it_and_accessible(
    phone: Page, name: str
) -> None:
    await phone.goto(f"/console/{name}")

    beyond = await phone.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )

    assert beyond == 0
    await assert_accessible(phone)
