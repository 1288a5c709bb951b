"""The audit ledger over HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from opsrail.access.keys import Principal
from opsrail.access.roles import grants_of
from opsrail.ledger import tree, verifier
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


async def test_the_whole_ledger_is_sent_packed_and_checked_by_the_file_in_it(
    door: Caller, tmp_path: Path
) -> None:
    for amount in range(3):
        await door.post("/v1/decisions/fraud-risk", {**CLAIM, "amount": amount})
    await door.app.settle_ledger()
    answer = await door.get("/v1/ledger/export")
    shown = (await door.get("/v1/ledger/checkpoint")).json()
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        faulty = archive.testzip()
        archive.extractall(tmp_path)
    lines = (tmp_path / "entries.jsonl").read_text().splitlines()
    keys = dict(verifier.parse_key(key) for key in shown["verifier_keys"])

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert f"opsrail-ledger-{shown['size']}.zip" in answer.headers["content-disposition"]
    assert faulty is None
    assert [json.loads(line)["index"] for line in lines] == list(range(shown["size"]))
    assert (tmp_path / "verifier.py").read_bytes() == Path(verifier.__file__).read_bytes()
    assert verifier.check_folder(tmp_path, keys, []) == (shown["size"], [])


async def test_the_whole_ledger_is_for_those_who_may_see_what_it_says_of_everything(
    door: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await door.post("/v1/decisions/fraud-risk", CLAIM)
    await door.app.settle_ledger()
    who = Principal("user:vera", grants=grants_of([("fraud-risk", "viewer")]))
    monkeypatch.setattr("opsrail.access.keys.Gate.admit", lambda *_: who)

    answer = await door.get("/v1/ledger/export")
    page = await door.get("/console/ledger")

    assert (answer.status_code, page.status_code) == (403, 200)
    assert "/v1/ledger/export" not in page.text
