"""Pages of changes: what they tell, and what people do with them by forms, each by what they may."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from opsrail.values.changes import ChangeState
from opsrail.web.console import listing
from tests.integration.console.conftest import POINT, Console

LetIn = Callable[..., None]
NARROW = [{"verdict": "approve", "below": 0.1}, {"verdict": "review", "below": 1.01}]


async def planned(console: Console, by: str = "user:ann") -> str:
    view = await console.app.changes.plan(
        POINT, "bands", {"bands": NARROW}, by=by, reason="it is safer"
    )
    return view.row.id


def offered(text: str) -> set[str]:
    return set(re.findall(r'action="/console/changes/[0-9A-Z]{26}/([a-z]+)"', text))


async def test_a_change_goes_its_way_by_forms(console: Console, signed_in: LetIn) -> None:
    change_id = await planned(console)
    one = f"/console/changes/{change_id}"
    signed_in("user:bob", ("*", "approver"))
    before = await console.page(one)
    answer = await console.send(f"{one}/approve", reason="I looked at the history")
    after = await console.page(one)

    assert console.asked <= 5
    assert "bands from" in before
    assert offered(before) == {"approve", "reject"}
    assert (answer.status_code, answer.headers["location"]) == (303, one)
    assert "I looked at the history" in after
    signed_in("user:olga", ("*", "operator"))
    assert offered(await console.page(one)) == {"apply", "withdraw"}
    await console.send(f"{one}/apply")
    assert offered(await console.page(one)) == {"rollback"}
    await console.send(f"{one}/rollback", reason="it was not")
    view = await console.app.changes.get(change_id)
    assert (view.row.state, view.row.applied_by, view.row.ended_by, view.row.why) == (
        ChangeState.ROLLED_BACK, "user:olga", "user:olga", "it was not",
    )  # fmt: skip
    assert offered(await console.page(one)) == set()


@pytest.mark.parametrize(
    ("role", "verb", "status"),
    [("viewer", "approve", 403), ("operator", "approve", 403), ("approver", "apply", 403), ("approver", "rollback", 403),
     ("reviewer", "withdraw", 403), ("approver", "approve", 303), ("operator", "withdraw", 303)],
)  # fmt: skip
async def test_each_verb_takes_its_permission(
    console: Console, signed_in: LetIn, role: str, verb: str, status: int
) -> None:
    change_id = await planned(console)
    signed_in("user:bob", ("*", role))

    answer = await console.send(f"/console/changes/{change_id}/{verb}", reason="because")

    assert answer.status_code == status


async def test_a_permission_at_another_point_is_none(console: Console, signed_in: LetIn) -> None:
    change_id = await planned(console)
    signed_in("user:bob", ("another-point", "approver"))

    answer = await console.send(f"/console/changes/{change_id}/approve")

    assert answer.status_code == 403
    assert (await console.get(f"/console/changes/{change_id}")).status_code == 403
    assert change_id not in await console.page("/console/changes")


async def test_nobody_approves_their_own_change_whatever_name_they_give(
    console: Console, signed_in: LetIn
) -> None:
    change_id = await planned(console)
    signed_in("user:ann", ("*", "admin"))
    one = f"/console/changes/{change_id}/approve"

    assert (await console.send(one)).status_code == 403
    assert (await console.send(one, by="user:bob")).status_code == 403
    assert (await console.app.changes.get(change_id)).row.state == ChangeState.PLANNED


async def test_where_nobody_signs_in_a_form_asks_for_a_name(console: Console) -> None:
    change_id = await planned(console)
    one = f"/console/changes/{change_id}"

    assert 'name="by"' in await console.page(one)
    assert (await console.send(f"{one}/approve")).status_code == 422
    assert (await console.send(f"{one}/approve", by="bob")).status_code == 303
    view = await console.app.changes.get(change_id)
    assert [each.by for each in view.approvals] == ["bob"]


async def test_a_reason_that_is_missing_is_told_and_nothing_is_done(console: Console) -> None:
    change_id = await planned(console)

    answer = await console.send(f"/console/changes/{change_id}/reject", by="bob")

    assert answer.status_code == 422
    assert "reason" in answer.text
    assert (await console.app.changes.get(change_id)).row.state == ChangeState.PLANNED


async def test_changes_are_listed_newest_first_page_by_page(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE_COUNT", 1)
    made = [await planned(console) for _ in range(2)]

    first = await console.page("/console/changes?state=planned")
    following = re.search(r'href="([^"]+)"[^>]*rel="next"', first)
    assert following is not None
    second = await console.page(following[1].replace("&amp;", "&"))

    assert f"/console/changes/{made[1]}" in first
    assert f"/console/changes/{made[0]}" in second
    assert "state=planned" in following[1]
    assert "No change was planned" in await console.page("/console/changes?state=applied")
