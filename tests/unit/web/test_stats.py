"""Live figures over HTTP."""

from __future__ import annotations

from opsrail.config import WebConfig
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
