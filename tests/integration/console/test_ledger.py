"""The ledger's page, and the proof that a browser asks for to compare the ledger with the one that it saw."""

from __future__ import annotations

import re

import pytest

from opsrail.ledger import tree
from opsrail.ledger.reading import root_at
from opsrail.values.rows import Append
from opsrail.web.console import ledger, models
from tests.integration.console.conftest import Console


async def test_checkpoints_are_shown_newest_first_page_by_page(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PAGE_COUNT", 1)
    for amount in range(3):
        await console.decided(amount=amount)
        await console.app.settle_ledger()

    first = await console.page("/console/ledger")
    assert console.asked <= 5
    following = re.search(r'href="([^"]+)"[^>]*rel="next"', first)
    assert following is not None
    second = await console.page(following[1].replace("&amp;", "&"))

    sizes = [
        re.search(r'<td class="number">(\d+)</td><td><code>', text) for text in (first, second)
    ]
    assert [size and int(size[1]) for size in sizes] == sorted(
        [size and int(size[1]) for size in sizes], key=lambda size: -(size or 0)
    )
    assert sizes[0] != sizes[1]
    assert "opsrail ledger export" in first
    assert "test.opsrail.local/ledger" in first


async def test_entries_about_a_subject_are_shown(console: Console) -> None:
    decision_id = await console.decided()

    text = await console.page(f"/console/ledger?subject={decision_id}")
    assert console.asked <= 5
    assert "decision.made" in text
    assert "model.registered" in await console.page("/console/ledger?subject=fraud-risk/1")
    assert "It says nothing about that." in await console.page("/console/ledger?subject=nobody")


async def test_every_entry_about_a_subject_is_reached_page_by_page(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "MOST_ENTRIES", 2)
    for at_ms in range(1, 6):
        body = b'{"number":%d}' % at_ms
        await console.app.store.commit([Append("test.made", "subject-1", 1_000 * at_ms, body)])
    way: str | None = "/console/ledger?subject=subject-1"
    pages = []
    while way is not None:
        text = await console.page(way)
        assert console.asked <= 5
        pages.append(re.findall(r"number&#34;: (\d)", text))
        found = re.search(r'href="([^"]+since[^"]+)"[^>]*rel="next"', text)
        way = found and found[1].replace("&amp;", "&")

    assert pages == [["1", "2"], ["3", "4"], ["5"]]


async def test_earlier_changes_of_what_was_live_are_reached(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "PAGE_COUNT", 1)
    text = await console.page("/console/history?point=fraud-risk")
    found = re.search(r'rel="next" href="([^"]+)">Earlier changes', text)
    assert found is not None
    earlier = await console.page(found[1].replace("&amp;", "&"))

    assert "Changes up to then" in earlier


async def test_a_tree_is_shown_to_begin_with_every_earlier_one(console: Console) -> None:
    store = console.app.store
    for amount in range(9):
        await console.decided(amount=amount)
    await console.app.settle_ledger()
    newest = (await console.get("/v1/ledger/checkpoint")).json()
    for size in range(newest["size"] + 1):
        told = (await console.get(f"/v1/ledger/consistency?size={size}")).json()
        path = [bytes.fromhex(part) for part in told["path"]]
        old, root = await root_at(store, size), bytes.fromhex(newest["root"])
        assert tree.is_consistent(size, told["of"], path, old, root)
        if 0 < size < newest["size"]:
            assert not tree.is_consistent(size, told["of"], path, bytes(32), root)


@pytest.mark.parametrize(
    ("query", "status"),
    [("size=1000000", 404), ("size=3&of=2", 404), ("size=x", 400), ("", 400), ("size=-1", 400)],
)
async def test_a_size_that_the_ledger_never_had_is_refused(
    console: Console, query: str, status: int
) -> None:
    await console.decided()
    await console.app.settle_ledger()

    assert (await console.get(f"/v1/ledger/consistency?{query}")).status_code == status
