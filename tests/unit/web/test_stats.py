"""Live figures over HTTP."""

from __future__ import annotations

from opsrail.config import WebConfig
from opsrail.registry.rollout import Stage
from tests.unit.web.conftest import CLAIM, Caller, app_of, client_of


async def test_figures_tell_what_was_decided(live: Caller) -> None:
    for amount in (100, 100, 1900):
        await live.post("/v1/decisions/fraud-risk", {**CLAIM, "amount": amount})
    told = (await live.get("/v1/stats")).json()
    window = told["windows"]["10s"]

    assert window["decisions"] == 3
    assert window["verdicts"] == {"approve": 2, "review": 1}
    assert told["points"]["fraud-risk"]["300s"]["verdicts"] == window["verdicts"]
    assert set(window["latency_ms"]["total"]) == {"decisions", "p50", "p95", "p99"}
    assert told["models"][0]["model"] == "fraud-risk/1"
    assert (told["models"][0]["breaker"], told["cache"]["hit_ratio"]) == ("closed", 0.0)


async def test_before_the_first_decision_there_is_nothing_to_tell(door: Caller) -> None:
    told = (await door.get("/v1/stats")).json()

    assert (told["points"], told["models"]) == ({}, [])
    assert (told["windows"]["60s"]["decisions"], told["windows"]["60s"]["hit_ratio"]) == (0, None)


async def test_figures_are_for_known_callers() -> None:
    app = app_of(WebConfig(api_key="a-key-of-sixteen-or-more"))
    async with app.opened(), client_of(app) as client:
        assert (await client.get("/v1/stats")).status_code == 401


async def test_the_challengers_of_a_point_tell_how_they_fare(live: Caller) -> None:
    registry = live.app.registry
    for name in ("one", "two"):
        version = await registry.register(
            name,
            b"fraud-risk",
            runtime="function",
            training_digest="sha256:" + "0" * 64,
            by="a-test",
        )
        await registry.promote("fraud-risk", version, Stage.SHADOW, by="a-test", reason="to see")
    before = (await live.get("/v1/points/fraud-risk/shadows")).json()
    for amount in (100, 1900):
        await live.post("/v1/decisions/fraud-risk", {**CLAIM, "amount": amount})
    await live.app.decider.drain()
    await live.app.shadows.drain()
    told = (await live.get("/v1/points/fraud-risk/shadows")).json()

    assert [one["offered"] for one in before["shadows"]] == [0, 0]
    assert told["point"] == "fraud-risk"
    one, two = told["shadows"]
    assert (one["model"], two["model"]) == ("one/1", "two/1")
    assert (one["state"], one["scored"], one["agreed"], one["disagreed_ratio"]) == (
        "scoring",
        2,
        2,
        0.0,
    )
    assert (one["queued"], one["lag_s"], one["dropped"], one["failed"]) == (0, 0.0, {}, {})
    assert one["call_ms"]["decisions"] == 2
    assert (await live.get("/v1/stats")).json()["shadows"] == told["shadows"]


async def test_a_point_that_is_not_there_has_no_challengers(live: Caller) -> None:
    answer = await live.get("/v1/points/nobody/shadows")

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
    assert (await live.get("/v1/points/fraud-risk/shadows")).json()["shadows"] == []
