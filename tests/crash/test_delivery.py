"""F2, F9, F10: answers that are lost, submissions that come three times, cases that fail or kill their process."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import Any

import httpx
import pytest

from opsrail.cases.machine import PATIENCE
from opsrail.cases.office import Office
from opsrail.clock import SystemClock
from opsrail.values.cases import CaseRow, KeyRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import Where
from tests.crash.flow import POINT
from tests.support.chaos import Site

SEED = 20_260_302
KEYS = 1_000
ASKED = 200
"""Source: FAULTS F2."""
EXIT_CODE = 137
MOST = 10_000


async def test_every_submission_comes_three_times_and_makes_one_case(sqlite_site: Site) -> None:
    chance = random.Random(SEED)
    keys = [f"event-{number}" for number in range(KEYS)] * 3
    chance.shuffle(keys)
    async with sqlite_site.worker() as worker:
        await worker.said_one("ready")
        for key in keys:
            worker.submit(key, kind="steps", count=0)
        await worker.answered(len(keys) + 1)
        await worker.submit_all()
        await worker.rest()
    new = [said["key"] for said in worker.said if said.get("is_new")]

    assert (SEED, sorted(new)) == (SEED, sorted(set(keys)))
    assert await sqlite_site.broken_promises() == []


async def test_a_case_that_always_fails_is_set_aside_and_goes_on_when_it_is_mended(
    sqlite_site: Site,
) -> None:
    async with sqlite_site.worker() as worker:
        await worker.said_one("ready")
        worker.submit("poison", kind="fails")
        await worker.submit_all()
        await worker.rest()
        row = await only_case(sqlite_site)
        (sqlite_site.traces / "mended").touch()
        async with sqlite_site.store() as store:
            await Office(store, SystemClock()).retry(row.id, by="an-operator")
        await worker.rest()

    assert (row.state, row.failures, row.reason) == (
        "set_aside",
        PATIENCE,
        "ValueError: this case does not work",
    )
    assert await sqlite_site.broken_promises(mended=frozenset({"poison"})) == []


@pytest.mark.crash
async def test_a_case_that_kills_its_process_is_found_out_and_its_neighbours_finish(
    site: Site,
) -> None:
    """The poison makes progress before it kills: a step of its own is durable."""
    site.wanted |= {
        f"case-{n}": {"key": f"case-{n}", "kind": "steps", "span_s": 0.05} for n in range(100)
    }
    site.wanted["poison"] = {"key": "poison", "kind": "kills", "count": 1}
    codes = []
    for _ in range(2 * PATIENCE):
        async with site.worker() as worker:
            await worker.said_one("ready")
            if await worker.rested_or_died():
                break
            codes.append(await worker.ended())
            site.kills += 1

    assert codes == [EXIT_CODE] * PATIENCE
    assert await site.broken_promises(set_aside=frozenset({"poison"})) == []


@pytest.mark.crash
async def test_a_decision_whose_answer_was_lost_is_answered_again_and_not_made_again(
    site: Site,
) -> None:
    """The process dies after the commit, before the reply; the caller asks again with the same key."""
    earlier: dict[str, bytes] = {}
    async with site.worker(crash_at=f"decide.after_record:{ASKED // 2}", serves=True) as worker:
        url = (await worker.said_one("serving"))["url"]
        earlier |= await ask_all(url, earlier)
        code = await worker.ended()
    async with site.worker(serves=True) as worker:
        url = (await worker.said_one("serving"))["url"]
        later, again = await ask_all(url, {}), await ask_all(url, {})
        async with httpx.AsyncClient() as client:
            others = [
                (await client.post(**question(url, number, person="another"))).status_code
                for number in range(ASKED)
            ]
        await worker.rest()
    async with site.store() as store:
        rows = {row.id: row for row in await store.select(DecisionRow, limit=MOST)}
        keys = {row.key: row.subject_id for row in await store.select(KeyRow, limit=MOST)}
        entries = await store.select(
            LedgerEntryRow, Where("kind", "=", "decision.made"), limit=MOST
        )

    assert code == -signal.SIGKILL
    assert 0 < len(earlier) < ASKED
    assert later == again == {key: rows[id].record.encode() for key, id in keys.items()}
    assert earlier.items() <= later.items()
    assert rows.keys() == set(keys.values())
    assert (len(rows), len(entries)) == (ASKED, ASKED)
    assert set(others) == {422}


def question(url: str, number: int, **given: Any) -> dict[str, Any]:
    headers = {"Idempotency-Key": f"ask-{number}"}
    return {
        "url": f"{url}/v1/decisions/{POINT}",
        "json": {"key": f"ask-{number}", **given},
        "headers": headers,
    }


async def ask_all(url: str, known: dict[str, bytes]) -> dict[str, bytes]:
    """Ask every question at the same time; return the answers' bodies, by key."""

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        try:
            answer = await client.post(**question(url, number))
        except httpx.TransportError:
            return
        if answer.status_code == 200:
            known[f"ask-{number}"] = answer.content

    async with httpx.AsyncClient(timeout=30) as client:
        await asyncio.gather(*(ask(client, number) for number in range(ASKED)))
    return known


async def only_case(site: Site) -> CaseRow:
    async with site.store() as store:
        (row,) = await store.select(CaseRow)
    return row
