"""Model versions and histories over HTTP."""

from __future__ import annotations

from tests.unit.web.conftest import Caller


async def test_versions_are_listed_and_shown_with_what_their_card_does_not_tell(
    live: Caller,
) -> None:
    (listed,) = (await live.get("/v1/models")).json()["models"]
    path = f"/v1/models/{listed['name']}/{listed['number']}"
    whole = (await live.get(path)).json()
    card = (await live.get(f"{path}/card")).json()
    page = await live.get(f"{path}/card?format=markdown")

    assert {name: whole[name] for name in listed} == listed
    assert whole["stands"][0]["stage"] == "live"
    assert len(whole["card_missing"]) == len(card["missing"]) == 13
    assert page.headers["content-type"].startswith("text/markdown")
    assert "13 of 13 things" in page.text
    assert (await live.get("/v1/models?name=other")).json() == {"models": []}


async def test_what_was_live_at_a_moment_is_told(live: Caller) -> None:
    path = "/v1/points/fraud-risk/history"
    now = (await live.get(path)).json()
    early = (await live.get(f"{path}?at=2020-05-03T14:03Z")).json()

    assert now["at"]["live"]["model_number"] == 1
    assert [change["stage"] for change in now["changes"]] == ["live"]
    assert (early["at"]["live"], early["changes"]) == (None, [])
    assert early["at"]["until"] == now["at"]["live"]["since"]


async def test_what_is_not_there_is_404_and_what_is_wrong_is_400_or_422(live: Caller) -> None:
    for path in ("/v1/models/none/1", "/v1/models/N/1", "/v1/models/none/0", "/v1/models/a/1/card"):
        assert (await live.get(path)).status_code == 404
    assert (await live.get("/v1/points/none/history")).status_code == 404
    assert (await live.get("/v1/points/fraud-risk/history?at=2026-99-99")).status_code == 422
    assert (await live.get("/v1/points/fraud-risk/history?at=noon")).status_code == 400
    future = await live.get("/v1/points/fraud-risk/history?at=2199-01-01")
    assert future.status_code == 422
    assert "has not come" in future.json()["faults"][0]["message"]
