"""The proof that a browser checks by itself: the published tree, real proofs, and every kind of damage to one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from playwright.async_api import Page

from opsrail.ledger.tree import leaf_hash, root_from_inclusion
from tests.browser.conftest import Visit
from tests.support.chromium import Watch, assert_accessible
from tests.support.served import Served
from tests.unit.ledger.test_tree import (
    CONSISTENCY,
    INCLUSION,
    LEAVES,
    ROOTS,
    bad_consistencies,
    bad_inclusions,
)

POINT = "fraud-risk"
CLAIM = json.loads(
    """{"Month": "Dec", "WeekOfMonth": 5, "DayOfWeek": "Wednesday", "Make": "Honda", "AccidentArea": "Urban",
    "DayOfWeekClaimed": "Tuesday", "MonthClaimed": "Jan", "WeekOfMonthClaimed": 1, "Age": 21, "Fault": "Policy Holder",
    "PolicyType": "Sport - Liability", "VehicleCategory": "Sport", "VehiclePrice": "more than 69000", "Deductible": 300,
    "DriverRating": 1, "Days_Policy_Accident": "more than 30", "Days_Policy_Claim": "more than 30",
    "PastNumberOfClaims": "none", "AgeOfVehicle": "3 years", "AgeOfPolicyHolder": "26 to 30", "PoliceReportFiled": "No",
    "WitnessPresent": "No", "AgentType": "External", "NumberOfSuppliments": "none", "AddressChange_Claim": "1 year",
    "NumberOfCars": "3 to 4", "BasePolicy": "Liability", "receipt": {}}"""
)


async def call(page: Page, expression: str, given: Any) -> Any:
    """Return what the page's own code says, bytes as hex."""
    return await page.evaluate(
        "async ({given}) => { const ledger = opsrailLedger; const bytes = ledger.fromHex; const hex = ledger.hex;"
        f" return {expression}; }}",
        {"given": given},
    )


@pytest.fixture(scope="module")
def decision_id(served: Served) -> str:
    return str(served.ask("POST", f"/v1/decisions/{POINT}", CLAIM)["id"])


async def ready(page: Page, path: str = "/console/ledger") -> None:
    await page.goto(path)
    await page.wait_for_function("typeof opsrailLedger === 'object'")


async def checked(page: Page) -> str:
    """Return what the page's section says of itself once it is checked."""
    section = page.locator("[data-ledger][data-state]")
    await section.wait_for()
    return str(await section.get_attribute("data-state"))


async def test_the_published_tree_is_proven_and_no_damaged_proof_is(
    page: Page, decision_id: str
) -> None:
    await ready(page)
    good = [
        (index, size, leaf_hash(LEAVES[index]), [bytes.fromhex(part) for part in path], ROOTS[size - 1])
        for (index, size), path in INCLUSION.items()
    ]  # fmt: skip
    bad = [one[1:] for one in bad_inclusions()]
    said = (
        "Promise.all(given.map(async ([index, size, leaf, path, root]) => {"
        " const found = await ledger.rootOfPath(index, size, bytes(leaf), path.map(bytes));"
        " return found !== null && hex(found) === root; }))"
    )

    assert await call(page, f"await {said}", hexed(good)) == [True] * len(good)
    assert await call(page, f"await {said}", hexed(bad)) == [False] * len(bad)
    assert len(bad) > 100


async def test_the_published_consistency_proofs_hold_and_no_damaged_one_does(
    page: Page, decision_id: str
) -> None:
    await ready(page)
    good = [
        (old, size, [bytes.fromhex(part) for part in path], ROOTS[old - 1], ROOTS[size - 1])
        for (old, size), path in CONSISTENCY.items()
    ]
    bad = [one[1:] for one in bad_consistencies()]
    said = (
        "Promise.all(given.map(([old, size, path, before, root]) =>"
        " ledger.isConsistent(old, size, path.map(bytes), bytes(before), bytes(root))))"
    )

    assert await call(page, f"await {said}", hexed(good)) == [True] * len(good)
    assert await call(page, f"await {said}", hexed(bad)) == [False] * len(bad)
    assert len(bad) > 50


async def test_sizes_beyond_32_bits_are_walked_right(page: Page, decision_id: str) -> None:
    await ready(page)
    index, size = 2**40 + 5, 2**41 + 11
    leaf, path = leaf_hash(b"x"), [leaf_hash(bytes([n])) for n in range(60)]
    expected = None
    for count in range(60):
        root = root_from_inclusion(index, size, leaf, path[:count])
        if root is not None:
            expected = (count, root.hex())
    assert expected is not None
    given = {"path": [part.hex() for part in path[: expected[0]]], "leaf": leaf.hex()}
    said = (
        f"hex(await ledger.rootOfPath({index}, {size}, bytes(given.leaf), given.path.map(bytes)))"
    )

    assert await call(page, said, given) == expected[1]


async def test_a_decisions_proof_is_checked_and_whatever_is_changed_of_it_is_seen(
    page: Page, served: Served, decision_id: str
) -> None:
    await ready(page, f"/console/decisions/{decision_id}")
    assert await checked(page) == "good"
    steps = await page.locator("[data-steps] li").all_inner_texts()
    assert any("The record shown here is what the entry commits to." in step for step in steps)
    assert any("is signed by" in step for step in steps)

    newest = served.ask("GET", "/v1/ledger/checkpoint")
    [proof] = served.ask("GET", f"/v1/ledger/proof/{decision_id}")["proofs"]
    keys = newest["verifier_keys"]
    salt = await page.locator("[data-ledger]").get_attribute("data-salt")
    record = {"salt": salt, "text": await text_of(page, f"/v1/decisions/{decision_id}")}
    good = {"proof": proof, "keys": keys, "record": record}
    assert await states(page, good) == {"good"}
    for what, damaged in damages(good).items():
        assert "bad" in await states(page, damaged), what


def damages(good: Mapping[str, Any]) -> dict[str, Any]:
    """Return a good proof with one thing wrong, by what it is."""
    proof, entry, note = good["proof"], good["proof"]["entry"], good["proof"]["checkpoint"]
    body = entry["body"]
    text, signature = note.rsplit("\n\n", 1)
    raw = bytearray(base64.b64decode(signature.split(" ")[2]))
    raw[-1] ^= 1
    forged = f"{text}\n\n{' '.join(signature.split(' ')[:2])} {base64.b64encode(raw).decode()}\n"

    def with_entry(**changed: Any) -> dict[str, Any]:
        return {**good, "proof": {**proof, "entry": {**entry, **changed}}}

    def with_proof(**changed: Any) -> dict[str, Any]:
        return {**good, "proof": {**proof, **changed}}

    return {
        "a byte of the body": with_entry(body=body.replace('"verdict":"', '"verdict":"x', 1)),
        "the body and its leaf": with_entry(
            body=body + " ", leaf_hash=leaf_hash((body + " ").encode()).hex()
        ),
        "the leaf": with_entry(leaf_hash=flipped(entry["leaf_hash"])),
        "another decision": with_entry(subject_id="01K8ZC2V7N3T9D4M6Q0RWXYABC"),
        "the place": with_proof(index=proof["index"] + 1),
        "a hash of the path": with_proof(path=[flipped(proof["path"][0]), *proof["path"][1:]]),
        "a path too short": with_proof(path=proof["path"][1:]),
        "the checkpoint's root": with_proof(checkpoint=note.replace(note.split("\n")[2][:4], "AAAA", 1)),
        "the signature": with_proof(checkpoint=forged),
        "no signature": with_proof(checkpoint=f"{text}\n\n"),
        "another key": {**good, "keys": []},
        "a key that was mistyped": {**good, "keys": [good["keys"][0][:-2] + "AA"]},
        "a byte of the record": {
            **good, "record": {**good["record"], "text": good["record"]["text"] + " "},
        },
        "the salt": {**good, "record": {**good["record"], "salt": flipped(good["record"]["salt"])}},
    }  # fmt: skip


async def test_a_browser_without_ed25519_says_what_it_did_not_check(
    page: Page, decision_id: str
) -> None:
    await page.add_init_script(
        "crypto.subtle.importKey = () => Promise.reject(new DOMException('no', 'NotSupportedError'));"
    )
    await ready(page, f"/console/decisions/{decision_id}")

    assert await checked(page) == "unknown"
    assert "cannot check Ed25519" in await page.locator("[data-steps]").inner_text()


async def test_the_ledger_is_compared_with_the_one_that_this_browser_saw(
    page: Page, served: Served, decision_id: str
) -> None:
    await ready(page)
    assert await checked(page) == "unknown"
    kept = json.loads(await page.evaluate("localStorage.getItem('opsrail.checkpoint')"))
    assert set(kept) == {"note", "keys"}
    served.ask("POST", f"/v1/decisions/{POINT}", CLAIM)
    size = int(kept["note"].split("\n")[1])
    while served.ask("GET", "/v1/ledger/checkpoint")["size"] == size:
        await page.wait_for_timeout(100)
    await ready(page)

    assert await checked(page) == "good"
    assert f"begins with the {size} entries" in await page.locator("[data-steps]").inner_text()
    await assert_accessible(page)


@pytest.mark.parametrize(
    ("what", "said"), [("size", "rolled back"), ("root", "rewritten"), ("keys", "none of the keys")]
)
async def test_a_ledger_that_was_rolled_back_or_rewritten_is_told_and_not_taken_over(
    page: Page, served: Served, decision_id: str, what: str, said: str
) -> None:
    await ready(page)
    await checked(page)
    kept = json.loads(await page.evaluate("localStorage.getItem('opsrail.checkpoint')"))
    lines = kept["note"].split("\n")
    if what == "size":
        lines[1] = "1000000"
    elif what == "root":
        lines[2] = base64.b64encode(bytes(32)).decode()
    keys = ["other+00000000+AAAA"] if what == "keys" else kept["keys"]
    seen = json.dumps({"note": "\n".join(lines), "keys": keys})
    await page.evaluate("seen => localStorage.setItem('opsrail.checkpoint', seen)", seen)
    await ready(page)

    assert await checked(page) == "bad"
    assert said in await page.locator("[data-steps]").inner_text()
    assert await page.evaluate("localStorage.getItem('opsrail.checkpoint')") == seen


async def test_without_scripts_the_page_leads_to_the_proof(
    no_javascript: Page, decision_id: str
) -> None:
    await no_javascript.goto(f"/console/decisions/{decision_id}")

    assert await no_javascript.locator(f'a[href="/v1/ledger/proof/{decision_id}"]').is_visible()
    await no_javascript.get_by_text("Find the nearest change of facts").click()
    assert await no_javascript.locator("h1").inner_text() == "What would have turned it"


async def test_a_phone_shows_a_decision_without_scrolling_sideways(
    visit: Visit, watch: Watch, decision_id: str
) -> None:
    phone = await visit(viewport={"width": 390, "height": 844}, color_scheme="dark")
    await ready(phone, f"/console/decisions/{decision_id}")
    await checked(phone)

    assert await phone.evaluate("document.documentElement.scrollWidth") <= 390
    await assert_accessible(phone)


async def states(page: Page, given: Mapping[str, Any]) -> set[str]:
    said = (
        "(await ledger.checkProof(given.proof, given.keys, given.record)).map((step) => step.state)"
    )
    return set(await call(page, said, given))


async def text_of(page: Page, path: str) -> str:
    return str(await page.evaluate("async path => (await fetch(path)).text()", path))


def hexed(value: Any) -> Any:
    """Return plain values with every hash as hex."""
    if isinstance(value, bytes):
        return value.hex()
    return [hexed(part) for part in value] if isinstance(value, list | tuple) else value


def flipped(text: str) -> str:
    """Return hex with its last bit turned."""
    return text[:-1] + f"{int(text[-1], 16) ^ 1:x}"
