"""A process dies while it applies a change, or takes one back: all of it holds, or nothing."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import pytest

from opsrail.errors import Conflict
from opsrail.ports import Store
from opsrail.values.changes import ChangeRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rollouts import RunState
from opsrail.values.rows import equals
from tests.crash.conftest import Sites
from tests.support.approved import Installation
from tests.support.changing import LIVE_ROWS, NARROW, STEPS
from tests.support.chaos import ROOT, Site

COMMIT = ("commit.begun", "commit.written", "commit.done")
APPLY = ("change.before_apply", *COMMIT, "change.after_apply")
ROLL_BACK = ("change.before_rollback", *COMMIT, "change.after_rollback")
DURABLE = {"commit.done", "change.after_apply", "change.after_rollback"}
CHANGES: dict[str, dict[str, Any]] = {
    "promote": {"model": "fraud/2", "steps": STEPS},
    "bands": {"bands": NARROW, "guarantee": {"outcome": "fraud", "limit": 0.01}},
}


@pytest.mark.crash
@pytest.mark.parametrize("kind", CHANGES)
async def test_who_dies_in_mid_apply_leaves_all_of_a_change_or_nothing(
    kind: str, sites: Sites
) -> None:
    await asyncio.gather(*(dies_applying(kind, name, sites(name)) for name in APPLY))


@pytest.mark.crash
@pytest.mark.parametrize("kind", CHANGES)
async def test_who_dies_in_mid_roll_back_leaves_all_that_stood_before_or_nothing(
    kind: str, sites: Sites
) -> None:
    await asyncio.gather(*(dies_rolling_back(kind, name, sites(name)) for name in ROLL_BACK))


async def test_who_dies_with_the_rows_of_a_change_written_leaves_nothing(
    sqlite_sites: Sites,
) -> None:
    await dies_applying("promote", "commit.written", sqlite_sites("one"))


async def dies_applying(kind: str, crash_at: str, site: Site) -> None:
    async with site.store() as store:
        installation = Installation(store)
        await installation.begin()
        change_id = await installation.approved(kind, CHANGES[kind])
        before = await rows_of(store)
    await dies(site, crash_at, "apply", change_id)
    async with site.store() as store:
        changes = Installation(store).changes
        if crash_at in DURABLE:
            assert await state_of(store, change_id) == ("applied", 1)
            assert await rows_of(store) != before
            with pytest.raises(Conflict):
                await changes.apply(change_id, by="ann")
        else:
            assert await state_of(store, change_id) == ("approved", 0)
            assert await rows_of(store) == before
            await changes.apply(change_id, by="ann")
        counts = {table.__name__: len(rows) for table, rows in (await rows_of(store)).items()}
    assert counts == {
        "SettingsRow": int(kind == "bands"),
        "SettingsChangeRow": int(kind == "bands"),
        "GuaranteeRow": int(kind == "bands"),
        "RolloutRow": 1 + (kind == "promote"),
        "RolloutChangeRow": 1 + (kind == "promote"),
        "RolloutRunRow": int(kind == "promote"),
    }


async def dies_rolling_back(kind: str, crash_at: str, site: Site) -> None:
    async with site.store() as store:
        installation = Installation(store)
        await installation.begin()
        change_id = await installation.approved(kind, CHANGES[kind])
        stood = {row[:5] for row in await installation.registry.rollout("fraud-risk")}
        await installation.changes.apply(change_id, by="ann")
        applied = await rows_of(store)
    await dies(site, crash_at, "rollback", change_id, "--reason", "worse")
    async with site.store() as store:
        installation = Installation(store)
        if crash_at in DURABLE:
            assert (await state_of(store, change_id))[0] == "rolled-back"
        else:
            assert (await state_of(store, change_id))[0] == "applied"
            assert await rows_of(store) == applied
            await installation.changes.rollback(change_id, by="bob", reason="worse")
        assert {row[:5] for row in await installation.registry.rollout("fraud-risk")} == stood
        rows = {table.__name__: rows for table, rows in (await rows_of(store)).items()}
    assert {row.content for row in rows["SettingsRow"]} <= {"{}"}
    assert {row.ended_at_ms is None for row in rows["GuaranteeRow"]} <= {False}
    assert {row.state for row in rows["RolloutRunRow"]} <= {RunState.ROLLED_BACK}


async def dies(site: Site, crash_at: str, *args: str) -> None:
    """Call `opsrail changes` in a process that kills itself at a point."""
    verb, *rest = args
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "opsrail", "changes", verb, *rest, "--by", "ann", "--data", str(site.folder),
        cwd=ROOT, env=site.environment(f"{crash_at}:1", ""), stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == -signal.SIGKILL, said.decode()


async def rows_of(store: Store) -> dict[type[tuple[Any, ...]], set[Any]]:
    return {table: set(await store.select(table, limit=10_000)) for table in LIVE_ROWS}


async def state_of(store: Store, change_id: str) -> tuple[str, int]:
    """Return where a change stands, and how often the ledger says that it was applied."""
    row = await store.get(ChangeRow, change_id)
    assert row is not None
    entries = await store.select(LedgerEntryRow, *equals(subject_id=change_id))
    return str(row.state), [entry.kind for entry in entries].count("change.applied")
