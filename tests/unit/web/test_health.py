"""Whether the process lives, whether it can serve, and what there is."""

from __future__ import annotations

import json

import pytest

from opsrail.errors import ModelUnavailable, StoreUnavailable, Unavailable
from opsrail.notices.sending import Sender
from opsrail.notices.subscriptions import Channel
from opsrail.ports import LoadedModel
from opsrail.testing.models import FunctionRuntime
from opsrail.values.reviews import NoticeRow
from opsrail.values.rows import Insert
from tests.support.notified import Remembering
from tests.unit.web.conftest import Caller, app_of, client_of


async def test_a_process_that_answers_lives(door: Caller) -> None:
    assert (await door.get("/healthz")).json() == {"status": "ok"}


async def test_without_a_live_model_it_serves_degraded(door: Caller) -> None:
    answer = await door.get("/readyz")
    levels = {finding["name"]: finding["level"] for finding in answer.json()["findings"]}

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert levels["models.fraud-risk"] == "warn"


async def test_with_a_live_model_no_model_is_missed(live: Caller) -> None:
    findings = (await live.get("/readyz")).json()["findings"]

    assert [finding["name"] for finding in findings if finding["name"].startswith("models")] == []


async def test_a_live_version_that_this_process_cannot_load_is_told(
    live: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> LoadedModel:
        raise ModelUnavailable("its function is in no file: the secret")

    shelf = live.app.registry.pools.local
    (version,) = shelf.versions()
    monkeypatch.setattr(FunctionRuntime, "load", gone)
    await shelf.drop(version)

    answer = await live.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    (finding,) = [one for one in answer.json()["findings"] if one["name"] == "models.fraud-risk"]
    assert finding["message"].startswith("not loaded: fraud-risk/1 (live)")
    assert "secret" not in answer.text


async def test_a_process_whose_loop_ended_is_not_ready(
    door: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door.app._loops, "broken", ZeroDivisionError("by the secret"))
    answer = await door.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
    assert "secret" not in answer.text


async def test_what_keeps_spot_checks_and_notices_is_told_and_names_no_server(
    door: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = door.app
    notifier = Remembering()
    notifier.failures = [Unavailable("mail.example.org gave no answer")]
    app.sender = Sender(app.store, app.clock, {"ops": Channel("ops")}, {"ops": notifier})
    content = json.dumps({"place": "p", "at_ms": 0, "due_at_ms": None})
    row = NoticeRow("n", "ops", "", "other", "s", content, "due", 0, 0, None, 0, None)
    await app.store.commit([Insert(row)])
    await app.sender.turn()
    monkeypatch.setattr(app.sampler, "_faults", {"audit:fraud-risk": "a record cannot be read"})
    answer = await door.get("/readyz")
    found = {finding["name"]: finding for finding in answer.json()["findings"]}
    told = (await door.get("/v1/stats")).json()

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert found["notices.ops"]["level"] == "warn"
    assert "unavailable" in found["notices.ops"]["message"]
    assert "example" not in answer.text
    assert "a record cannot be read" in found["sampling.audit:fraud-risk"]["message"]
    assert told["notices"]["faults"] == {"ops": "unavailable: mail.example.org gave no answer"}
    assert (told["notices"]["failed"], told["sampling"]["audits"]) == (1, 0)


async def test_a_process_that_carries_no_cases_is_not_ready() -> None:
    app = app_of()
    async with app.opened(), client_of(app) as client:
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_process_without_its_database_is_alive_and_not_ready(
    door: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone() -> None:
        raise StoreUnavailable("postgresql://me:password@host is gone")

    monkeypatch.setattr(door.app.store, "check", gone)
    answer = await door.get("/readyz")

    assert (answer.status_code, (await door.get("/healthz")).status_code) == (503, 200)
    assert "password" not in answer.text


async def test_the_index_leads_to_everything(door: Caller) -> None:
    index = (await door.get("/")).json()
    links = [*index["links"].values()]

    assert index["decision_points"] == {"fraud-risk": "/v1/decisions/fraud-risk"}
    assert {(await door.get(link)).status_code for link in links if "ledger" not in link} == {200}
