"""What the console promises as a whole: keys alone, no scripts, large letters, stillness, themes, sessions, roles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import EXAMPLE, SignIn, Visit
from tests.support.chromium import Watch, assert_accessible
from tests.support.claims_json import newest_claims
from tests.support.served import Served, serving

NAVIGATION = "nav[aria-label=Console] a"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An installation with some claims, which wait for people: there is no model."""
    with serving(EXAMPLE, tmp_path_factory.mktemp("promises") / "installation") as started:
        try:
            urlopen(f"{started.url}/console/cases").close()  # noqa: S310 - our own server
        except HTTPError as absent:
            absent.close()
            pytest.skip("the console has no cases yet")
        for claim in newest_claims(6):
            started.ask("POST", "/v1/cases/claims-intake", claim)
        yield started


async def places(page: Page) -> list[str]:
    """Return where the navigation leads to."""
    return [str(await link.get_attribute("href")) for link in await page.locator(NAVIGATION).all()]


async def test_the_whole_navigation_can_be_walked_by_keys_alone(signed_in: SignIn) -> None:
    page = await signed_in("admin")
    for number in range(len(await places(page))):
        await page.goto("/console")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
        await page.keyboard.press("Tab")  # the brand
        for _ in range(number + 1):
            await page.keyboard.press("Tab")
        link = page.locator(NAVIGATION).nth(number)
        await expect(link).to_be_focused()
        assert await is_outlined(page)
        href = await link.get_attribute("href")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**{href}")
        await expect(page.locator(f"{NAVIGATION}[aria-current=page]")).to_have_attribute(
            "href", str(href)
        )


async def is_outlined(page: Page) -> bool:
    """Return whether it can be seen where the focus is."""
    return bool(
        await page.evaluate(
            """() => {
              const style = getComputedStyle(document.activeElement);
              return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1) || style.boxShadow !== 'none';
            }"""
        )
    )


async def test_the_skip_link_leads_past_the_navigation(signed_in: SignIn) -> None:
    page = await signed_in("admin")
    await page.goto("/console/cases")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")

    await expect(page.locator("main")).to_be_focused()


async def test_every_place_reads_the_same_without_scripts(signed_in: SignIn) -> None:
    with_scripts = await signed_in("admin")
    without = await signed_in("admin", java_script_enabled=False)
    for place in await places(with_scripts):
        await with_scripts.goto(place)
        await without.goto(place)
        one, other = with_scripts.locator("main h1"), without.locator("main h1")
        assert await one.inner_text() == await other.inner_text()
        links = "main a[href]"
        assert await without.locator(links).count() >= await with_scripts.locator(links).count()
        await expect(without.locator("main")).to_be_visible()


async def test_the_theme_follows_the_system_until_it_is_switched_and_is_kept(
    signed_in: SignIn,
) -> None:
    page = await signed_in("admin", color_scheme="light")
    light = await paper(page)
    await page.emulate_media(color_scheme="dark")
    dark = await paper(page)
    assert light != dark
    await expect(page.get_by_role("button", name="Light")).to_be_visible()
    await page.emulate_media(color_scheme="light")
    await expect(page.get_by_role("button", name="Dark")).to_be_visible()
    await page.emulate_media(color_scheme="dark")

    await page.get_by_role("button", name="Light").click()
    assert await paper(page) == light
    await page.goto("/console/cases")
    assert await paper(page) == light
    await page.reload()
    assert await paper(page) == light
    await page.get_by_role("button", name="Dark").click()
    await page.emulate_media(color_scheme="light")
    assert await paper(page) == dark
    await assert_accessible(page)


async def paper(page: Page) -> str:
    """Return the colour behind everything."""
    return str(
        await page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
    )


async def test_nothing_moves_for_who_asked_for_that(signed_in: SignIn) -> None:
    page = await signed_in("admin", reduced_motion="reduce")
    for place in await places(page):
        await page.goto(place)
        moving = await page.evaluate(
            """() => [...document.querySelectorAll('*')].filter(each => {
              const style = getComputedStyle(each);
              const long = text => text.split(',').some(part => parseFloat(part) * (part.includes('ms') ? 1 : 1000) > 10);
              return (style.animationName !== 'none' && long(style.animationDuration)) || long(style.transitionDuration);
            }).map(each => each.outerHTML.slice(0, 100))"""
        )
        assert moving == [], place


async def test_letters_may_be_twice_as_large(signed_in: SignIn) -> None:
    page = await signed_in("admin", viewport={"width": 640, "height": 400})
    for place in await places(page):
        await page.goto(place)
        await page.evaluate("() => document.documentElement.style.setProperty('font-size', '200%')")
        wide = await page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 1, f"{place} is {wide} pixels too wide"


async def test_moments_are_told_in_the_viewers_zone_with_utc_on_hover(signed_in: SignIn) -> None:
    page = await signed_in("admin", timezone_id="Asia/Tokyo", locale="en-GB")
    await page.goto("/console/cases")
    moment = page.locator("main time[data-ms]").first
    at_ms = int(str(await moment.get_attribute("data-ms")))

    shown = await page.evaluate(
        """at => new Intl.DateTimeFormat('en-GB', {hour: '2-digit', minute: '2-digit', timeZone: 'Asia/Tokyo'})
            .format(new Date(at))""",
        at_ms,
    )
    assert shown in await moment.inner_text()
    assert "UTC" in str(await moment.get_attribute("title"))


async def test_a_session_that_ends_in_mid_work_loses_nothing_that_was_recorded_and_leads_back(
    signed_in: SignIn,
) -> None:
    page = await signed_in("admin", "late")
    await page.goto("/console/cases?state=waiting")
    await page.context.clear_cookies()

    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    assert (
        await page.locator("input[name=to]").get_attribute("value")
        == "/console/cases?state=waiting"
    )
    await assert_accessible(page)


async def test_a_form_sent_after_the_session_ended_does_nothing_and_leads_back(
    signed_in: SignIn, served: Served
) -> None:
    page = await signed_in("admin", "gone")
    waiting = served.ask("GET", "/v1/cases?state=waiting")["cases"][0]["id"]
    await page.goto(f"/console/cases/{waiting}")
    forms = page.locator("main form[method=post]")
    assert await forms.count() > 0
    await page.context.clear_cookies()
    await forms.first.evaluate("form => { form.noValidate = true; form.submit(); }")
    await page.wait_for_load_state()

    assert served.ask("GET", f"/v1/cases/{waiting}")["state"] == "waiting"
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.url == f"{served.url}/console/sign-in?to=/console/cases/{waiting}"


async def test_who_is_not_signed_in_sees_nothing(
    signed_in: SignIn, visit: Visit, watch: Watch
) -> None:
    known = await signed_in("admin")
    stranger = await visit()
    for place in await places(known):
        await stranger.goto(place)
        await expect(stranger.get_by_role("heading", level=1)).to_have_text("Sign in")
        await expect(stranger.locator(NAVIGATION)).to_have_count(0)


async def test_each_role_is_led_only_to_what_it_may_open(signed_in: SignIn) -> None:
    for role in ("viewer", "reviewer", "operator", "approver"):
        page = await signed_in(role)
        led_to = await places(page)
        assert led_to != []
        for place in led_to:
            answer = await page.goto(place)
            assert answer is not None
            assert answer.status == 200, f"{role} is led to {place}"


async def test_a_server_that_stops_does_not_wait_for_open_pages(
    visit: Visit, tmp_path: Path, watch: Watch
) -> None:
    watch.expect("another place|ERR_|Failed to load")  # it is another server, and it goes away
    with serving(EXAMPLE, tmp_path / "installation") as own:
        page = await visit(base_url=own.url)
        await page.goto("/console")
        await page.wait_for_timeout(300)  # the page listens for live figures by now
        assert own.stop() == 0
