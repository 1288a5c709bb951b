"""The audit ledger over HTTP."""

from __future__ import annotations

from opsrail.ledger import tree
from opsrail.ledger.notes import VerifierKey, read_checkpoint
from tests.unit.web.conftest import CLAIM, Caller


async def test_a_decision_is_proven_by_a_checkpoint_that_anybody_can_check(door: Caller) -> None:
    decision_id = (await door.post("/v1/decisions/fraud-risk", CLAIM)).json()["id"]
    await door.app.settle_ledger()
    shown = (await door.get("/v1/ledger/checkpoint")).json()
    proofs = (await door.get(f"/v1/ledger/proof/{decision_id}")).json()["proofs"]
    signed = read_checkpoint(
        proofs[0]["checkpoint"], [VerifierKey.parse(key) for key in shown["verifier_keys"]]
    )
    leaf = tree.leaf_hash(proofs[0]["entry"]["body"].encode())
    path = [bytes.fromhex(part) for part in proofs[0]["path"]]

    assert (shown["size"], shown["note"], len(proofs)) == (signed.size, proofs[0]["checkpoint"], 1)
    assert tree.is_included(proofs[0]["index"], signed.size, leaf, path, signed.root)


async def test_a_ledger_without_a_checkpoint_says_so(door: Caller) -> None:
    answer = await door.get("/v1/ledger/checkpoint")

    assert answer.status_code == 404


async def test_what_has_no_place_yet_can_be_asked_for_again(door: Caller) -> None:
    decision_id = (await door.post("/v1/decisions/fraud-risk", CLAIM)).json()["id"]
    answer = await door.get(f"/v1/ledger/proof/{decision_id}")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_nothing_is_proven_about_what_never_happened(door: Caller) -> None:
    answers = [
        await door.get(f"/v1/ledger/proof/{subject}") for subject in ("nobody", "%20", "x" * 200)
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
