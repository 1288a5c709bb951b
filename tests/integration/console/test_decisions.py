"""Pages of decisions: what they tell, what they ask of the store, and whom they tell nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from opsrail.registry.rollout import Stage
from opsrail.values.decisions import DecisionRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Insert, Update
from opsrail.values.shadows import ShadowScoreRow
from opsrail.web.console import decision_search
from tests.integration.console.conftest import POINT, Console

LetIn = Callable[..., None]
BANDS_SAID = "The score 0.4 lies in approve. approve: below 0.5; review: 0.5 and more."


async def reviewed(console: Console, decision_id: str, **how: Any) -> None:
    row = ReviewRow(
        f"{decision_id}-0", None, "claims-intake", "desk", decision_id, "{}", "approve", ReviewState.CLAIMED, 5, None,
        "user:rita", None, 1, 2, None, None, None, "5a" * 32, 1, None,
    )  # fmt: skip
    await console.app.store.commit([Insert(row._replace(**how))])


def ids_of(text: str) -> list[str]:
    return re.findall(r'data-row href="/console/decisions/([0-9A-Z]{26})"', text)


async def test_a_decision_tells_why_with_everything_around_it(console: Console) -> None:
    decision_id = await console.decided(amount=800)
    await reviewed(console, decision_id, state=ReviewState.RULED, ruling="decline", ruled_by="rita",
                   ruling_reason="The invoice is a copy.", ruled_at_ms=3)  # fmt: skip
    await console.app.store.commit(
        [
            Insert(ShadowScoreRow(decision_id, "challenger", 7, POINT, 0.9, 0.5, "review", None, 900, 0.0, 1)),
            Insert(OutcomeRow("01" + "0" * 24, decision_id, "fraud", 1.0, "late", 1.0, "bank", 1, 1)),
        ]
    )  # fmt: skip

    text = await console.page(f"/console/decisions/{decision_id}")

    assert console.asked <= 5
    for said in (
        BANDS_SAID, "The score 0.4 is below 0.5", "fraud-risk/1", "challenger/7", "differs", "The invoice is a copy.",
        "against the verdict", "bank", "Nobody insured it.", f"/console/decisions/{decision_id}/replay",
        f'href="/console/decisions/{decision_id}/nearest"', f'data-subject="{decision_id}"',
    ):  # fmt: skip
        assert said in text, said


async def test_a_rule_that_fired_is_marked(console: Console) -> None:
    text = await console.page(f"/console/decisions/{await console.decided(is_insured=False)}")

    assert re.search(r">fired</span>\s*<code>uninsured</code>", text)


async def test_bands_are_those_of_then_when_settings_were_changed_since(console: Console) -> None:
    app, decision_id = console.app, await console.decided(amount=800)
    bands = [{"verdict": "approve", "below": 0.1}, {"verdict": "review", "below": 1.01}]
    for below in (0.1, 0.2):
        bands[0]["below"] = below
        view = await app.changes.plan(POINT, "bands", {"bands": bands}, by="ann", reason="safer")
        await app.changes.approve(view.row.id, by="bob")
        await app.changes.apply(view.row.id, by="ann")
        if below == 0.1:
            between = await console.decided(amount=100)
    newest = await console.decided(amount=100)

    assert BANDS_SAID in await console.page(f"/console/decisions/{decision_id}")
    assert "approve: below 0.1;" in await console.page(f"/console/decisions/{between}")
    assert console.asked == 5
    assert "approve: below 0.2;" in await console.page(f"/console/decisions/{newest}")
    assert console.asked == 4


async def test_the_nearest_change_is_told_as_a_page_and_as_a_part_of_one(console: Console) -> None:
    path = f"/console/decisions/{await console.decided(amount=1500)}/nearest"
    whole, part = await console.page(path), await console.page(f"{path}?part=1")

    assert "<!doctype html>" in whole
    assert "<!doctype html>" not in part
    for text in (whole, part):
        assert "The verdict would be <strong>" in text
        assert "amount" in text


async def test_a_decision_is_decided_again(console: Console) -> None:
    decision_id = await console.decided(amount=800)
    path = f"/console/decisions/{decision_id}/replay"
    same = await console.page(path)
    row = await console.app.store.get(DecisionRow, decision_id)
    assert row is not None
    altered = row.record.replace('"verdict":"approve"', '"verdict":"decline"')
    await console.app.store.commit([Update(DecisionRow, (decision_id,), {"record": altered})])
    other = await console.page(path)

    assert console.asked <= 5
    assert "the same in every bit" in same
    assert "differs" in other
    assert "decline" in other


async def test_decisions_are_listed_newest_first_page_by_page(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_search, "PAGE_COUNT", 2)
    made = [await console.decided(amount=n) for n in range(5)]
    seen: list[str] = []
    path: str | None = "/console/decisions"
    while path is not None:
        text = await console.page(path)
        assert console.asked == 1
        seen += ids_of(text)
        following = re.search(r'href="([^"]+)"[^>]*rel="next"', text)
        path = None if following is None else following[1].replace("&amp;", "&")

    assert seen == made[::-1]


async def test_filters_stand_in_the_address_and_go_on_with_the_pages(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_search, "PAGE_COUNT", 1)
    large = [await console.decided(amount=1500) for _ in range(2)]
    await console.decided(amount=1)

    text = await console.page(
        "/console/decisions?verdict=review&degraded=no&model=fraud-risk/1&point=&case="
    )
    following = re.search(r'href="([^"]+)"[^>]*rel="next"', text)

    assert ids_of(text) == large[1:]
    assert console.asked == 2
    assert following is not None
    assert ids_of(await console.page(following[1].replace("&amp;", "&"))) == large[:1]
    assert ids_of(await console.page("/console/decisions?model=fraud-risk/2")) == []
    assert ids_of(await console.page("/console/decisions?to=2001-01-01T00:00")) == []
    assert len(ids_of(await console.page("/console/decisions?from=2001-01-01T00:00"))) == 1


async def test_a_rare_decision_is_looked_for_through_a_bounded_number_and_then_further(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_search, "LOOK_BACK", 3)
    rare = await console.decided(amount=1500)
    for _ in range(4):
        await console.decided(amount=1)

    text = await console.page("/console/decisions?verdict=review")
    following = re.search(r'href="([^"]+)"[^>]*rel="next"', text)

    assert ids_of(text) == []
    assert "None found back to" in text
    assert following is not None
    assert ids_of(await console.page(following[1].replace("&amp;", "&"))) == [rare]


async def test_everything_wrong_with_the_filters_is_told_at_once(console: Console) -> None:
    answer = await console.get("/console/decisions?model=a/b/c&case=x&from=when&to=1969-01-01")

    assert answer.status_code == 422
    for place in ("model", "case", "from", "to"):
        assert f"<strong>{place}</strong>" in answer.text


@pytest.mark.parametrize("name", ["01K8ZC2V7N3T9D4M6Q0RWXYABC", "x", "<script>"])
async def test_a_decision_that_is_not_there_is_not_found(console: Console, name: str) -> None:
    answer = await console.get(f"/console/decisions/{name}")

    assert answer.status_code == 404
    assert "<script>" not in answer.text.replace("<script src", "")


# -- whom nothing is told ------------------------------------------------------------------------------------------------


async def test_who_only_reviews_sees_no_page_of_decisions(
    console: Console, signed_in: LetIn
) -> None:
    decision_id = await console.decided(amount=863.4)
    assert "0.4317" in await console.page(f"/console/decisions/{decision_id}")
    signed_in("user:rita", ("*", "reviewer"))

    for path in ("", *(f"/{decision_id}{part}" for part in ("", "/nearest", "/replay"))):
        answer = await console.get(f"/console/decisions{path}")
        assert answer.status_code == 403
        assert "0.4317" not in answer.text


async def test_who_only_reviews_is_not_told_by_the_case_what_was_decided_in_it(
    console: Console, signed_in: LetIn
) -> None:
    claim = {"claim_id": "c-1", "amount": 1500}
    answer = await console.client.post(
        "/v1/cases/claims-intake", json=claim, headers={"Prefer": "wait=20"}
    )
    path = f"/v1/cases/{answer.json()['id']}"
    [told] = (await console.get(path)).json()["decisions"]
    signed_in("user:rita", ("*", "reviewer"))
    case = (await console.get(path)).json()

    assert (told["verdict"], told["score"]) == ("review", 0.75)
    assert case["decisions"] == []
    assert case["reviews"] != []


async def test_who_holds_a_blind_review_is_told_nothing_until_they_ruled(
    console: Console, signed_in: LetIn
) -> None:
    decision_id = await console.decided(amount=863.4)
    await reviewed(console, decision_id, blind=True)
    one = f"/console/decisions/{decision_id}"
    signed_in("user:rita", ("*", "operator"), ("*", "reviewer"))

    held = await console.page(one)
    assert "asks what you think" in held
    assert "0.4317" not in held
    assert "approve" not in held
    assert (await console.get(f"{one}/nearest?part=1")).status_code == 404
    assert (await console.get(f"{one}/replay")).status_code == 404
    listed = await console.page("/console/decisions")
    assert ids_of(listed) == [decision_id]
    assert "0.4317" not in listed
    assert "rule on it first" in listed
    assert console.asked == 2
    signed_in("user:olga", ("*", "operator"))
    assert "The score 0.4317 lies in approve." in await console.page(one)


async def test_decisions_of_other_points_than_ones_own_are_not_seen(
    console: Console, signed_in: LetIn
) -> None:
    decision_id = await console.decided(amount=800)
    signed_in("user:vera", ("another-point", "viewer"))

    assert ids_of(await console.page("/console/decisions")) == []
    assert (await console.get(f"/console/decisions?point={POINT}")).status_code == 403
    assert (await console.get(f"/console/decisions/{decision_id}")).status_code == 403
    signed_in("user:vera", (POINT, "viewer"))
    assert ids_of(await console.page("/console/decisions")) == [decision_id]


async def test_what_a_claimant_or_a_model_wrote_is_text(console: Console) -> None:
    script = "<script>alert(1)</script>"
    decision_id = await console.decided(claim_id=f"{script}\"'")
    row = await console.app.store.get(DecisionRow, decision_id)
    assert row is not None
    await reviewed(
        console, decision_id, queue=script, ruling=script, ruling_reason=script, ruled_by=script
    )
    shadow = ShadowScoreRow(decision_id, script, 7, POINT, None, None, None, script, 900, 0.0, 1)
    await console.app.store.commit([Insert(shadow)])

    for path in (f"/console/decisions/{decision_id}", f"/console/decisions/{decision_id}/nearest"):
        assert script not in await console.page(path)


async def test_a_point_that_is_not_defined_here_any_more_still_has_its_decisions(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision_id = await console.decided(amount=800)
    points: Any = console.app.definitions.points
    monkeypatch.delitem(points, POINT)

    text = await console.page(f"/console/decisions/{decision_id}")
    assert "its bands are not drawn" in text
    assert "The score 0.4 is below 0.5" in text


async def test_shadows_that_stand_are_no_reason_to_ask_more(console: Console) -> None:
    await console.live(await console.version(b"other"), Stage.SHADOW)
    decision_id = await console.decided(amount=800)

    await console.page(f"/console/decisions/{decision_id}")
    assert console.asked <= 5
