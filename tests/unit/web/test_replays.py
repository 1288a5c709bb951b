"""A recorded decision, decided again, over HTTP."""

from __future__ import annotations

from tests.unit.web.conftest import Caller
from tests.unit.web.test_nearest import asked


async def test_a_decision_is_replayed_in_every_bit(live: Caller) -> None:
    decision = await asked(live)
    told = (await live.get(f"/v1/decisions/{decision}/replay")).json()

    assert (told["is_same"], told["differences"], told["score_from"]) == (True, [], "model")
    assert told["decision_id"] == decision


async def test_a_decision_without_a_score_is_replayed_too(door: Caller) -> None:
    decision = await asked(door)
    told = (await door.get(f"/v1/decisions/{decision}/replay")).json()

    assert (told["is_same"], told["score"], told["score_from"]) == (True, None, "none")


async def test_a_decision_that_nobody_made_is_not_found(live: Caller) -> None:
    for unknown in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"):
        answer = await live.get(f"/v1/decisions/{unknown}/replay")

        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
