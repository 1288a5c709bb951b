"""On the page of a review colleagues are picked from a list: of whom the review can go to, by name."""

from __future__ import annotations

import re

import httpx
import pytest

from tests.integration.reviewing.conftest import Console
from tests.integration.reviewing.test_review_pages import PATH, counted
from tests.unit.web.signed import send, signed_in

OPTION = re.compile(r'<option value="([^"]*)">([^<]*)</option>')


def listed(page: httpx.Response, field: str) -> list[tuple[str, str]]:
    """Return what a field of the page offers, as value and text."""
    (place,) = re.findall(rf'<input id="{field}"[^>]* list="([a-z]+)"', page.text)
    return OPTION.findall(page.text.partition(f'<datalist id="{place}">')[2].partition("</dat")[0])


@pytest.fixture
async def people(console: Console) -> Console:
    """Five people, of whom two may rule on a claim of the desk besides the one who looks."""
    users = console.app.access.users
    for name, shown, role, scope in (
        ("anna", "Anna Berg", "reviewer", "*"),
        ("zoe", "Zoe <b>", "reviewer", "desk-claims"),
        ("bo", "bo", "admin", "*"),
        ("cleo", "Cleo", "reviewer", "payments"),
        ("olga", "Olga", "operator", "*"),
        ("gone", "Gone", "reviewer", "*"),
    ):
        grants = [(scope, role)]
        await users.add(name, by="t", shown=shown, address=f"{name}@mail.example", grants=grants)
    await users.disable("gone", by="t")
    await console.app.access.directory.look()
    return console


async def test_a_colleague_is_picked_from_those_who_may_rule_there(people: Console) -> None:
    review = await people.review()
    async with signed_in(people.app, "anna") as anna:
        page = await anna.get(f"{PATH}/{review}")
        passed = await send(anna, f"{PATH}/{review}/pass", [("person", "zoe")])

    assert listed(page, "person") == [("bo", ""), ("zoe", "Zoe &lt;b&gt;")]
    assert listed(page, "to") == [("bo", ""), ("olga", "Olga"), ("zoe", "Zoe &lt;b&gt;")]
    assert listed(page, "pass-to") == [("blind-desk", ""), ("four-desk", "")]
    assert "mail.example" not in page.text
    assert passed.status_code == 303
    assert (await people.app.desk.get(review)).assignee == "user:zoe"


async def test_who_has_ruled_is_not_offered_as_the_other_pair_of_eyes(people: Console) -> None:
    review = await people.review(desk="four-desk")
    await people.app.desk.rule(review, "approve", by="user:zoe", reason="seen")
    async with signed_in(people.app, "anna") as anna:
        page = await anna.get(f"{PATH}/{review}")

    assert listed(page, "person") == [("bo", "")]


async def test_who_cannot_rule_on_it_is_refused_at_the_field_and_stays_typed(
    people: Console,
) -> None:
    review = await people.review()
    async with signed_in(people.app, "anna") as anna:
        refused = await send(anna, f"{PATH}/{review}/pass", [("person", "cleo")])
        gone = await send(anna, f"{PATH}/{review}/pass", [("person", "gone")])

    assert "gone is disabled" in gone.text
    assert (await people.app.desk.get(review)).assignee is None
    assert refused.status_code == 422
    assert 'id="person-fault">cleo may not rule in desk-claims<' in refused.text
    assert 'value="cleo"' in refused.text


async def test_the_page_with_its_lists_reads_at_most_five_times(
    people: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = await people.review()
    async with signed_in(people.app, "anna") as anna:
        with counted(people.app, monkeypatch) as asked:
            page = await anna.get(f"{PATH}/{review}")

            assert 1 <= asked() <= 5
    assert listed(page, "person")


async def test_who_there_is_holds_for_ten_seconds_and_a_change_here_is_seen_at_once(
    people: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = people.app.access.directory
    at_s = people.app.clock.monotonic_s()
    monkeypatch.setattr(people.app.clock, "monotonic_s", lambda: at_s)
    names = [one.name for one in await directory.people()]
    await people.app.access.users.add("dora", by="t")
    at_s += 9.9
    assert [one.name for one in await directory.people()] == names
    at_s += 0.1
    later = [one.name for one in await directory.people()]
    await people.app.access.users.disable("dora", by="t")
    directory.forget()

    assert names == ["anna", "bo", "cleo", "olga", "zoe"]
    assert "dora" in later
    assert [one.name for one in await directory.people()] == names


async def test_where_there_are_no_users_a_name_is_typed(console: Console) -> None:
    page = await console.get(f"{PATH}/{await console.review()}")

    assert '<input id="person"' in page.text
    assert not re.search(r'<input id="person"[^>]* list=', page.text)
