"""A guard that dies in mid-action: the version is rolled back whole, with its alarm and its ledger entry, or not at all."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from opsrail.app import build
from opsrail.config import Config
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.registry import RolloutChangeRow, RolloutRow
from opsrail.values.rollouts import AlarmRow, RolloutRunRow
from opsrail.values.rows import equals

ROOT = Path(__file__).parents[2]
LIMIT_S = 60
POINTS = ("guard.before_keep", "guard.after_keep", "guard.before_act", "guard.after_act", "act")
BEFORE = (("running", {"live": 1, "canary": 2}), 2, 0, 0)
AFTER = (("rolled-back", {"live": 1, "retired": 2}), 3, 1, 1)


def serve(folder: Path, *how: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.guarded", str(folder), *how],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def stands(folder: Path) -> tuple[tuple[str, dict[str, int]], int, int, int]:
    """Return the rollout's state with who stands where, and how many changes, alarms and ledger entries there are."""
    async with build(Config(), folder).opened() as app:
        (run,) = await app.store.select(RolloutRunRow)
        rows = await app.store.select(RolloutRow)
        return (
            (str(run.state), {str(row.stage): row.model_number for row in rows}),
            len(await app.store.select(RolloutChangeRow)),
            len(await app.store.select(AlarmRow)),
            len(await app.store.select(LedgerEntryRow, *equals(kind="rollout.rolled-back"))),
        )


def died_and_went_on(folder: Path, point: str) -> None:
    crash = {"GUARDED_CRASH": "act"} if point == "act" else {"OPSRAIL_CRASH_AT": point}
    first = serve(folder, "prepare", **crash)
    try:
        first.wait(LIMIT_S)
    finally:
        first.kill()
        first.communicate()
    assert first.returncode == -signal.SIGKILL

    assert asyncio.run(stands(folder)) == (AFTER if point == "guard.after_act" else BEFORE)
    second = serve(folder)
    try:
        asyncio.run(until_rolled_back(folder))
        second.communicate("", timeout=LIMIT_S)
    finally:
        second.kill()
    assert asyncio.run(stands(folder)) == AFTER


async def until_rolled_back(folder: Path) -> None:
    for _ in range(LIMIT_S * 4):
        if (await stands(folder))[0][0] == "rolled-back":
            return
        await asyncio.sleep(0.25)
    pytest.fail("nobody rolled the version back")


def test_a_guard_killed_within_the_commit_of_its_deed_has_done_nothing_and_the_next_does_it(
    tmp_path: Path,
) -> None:
    died_and_went_on(tmp_path / "data", "act")


@pytest.mark.crash
@pytest.mark.parametrize("point", [point for point in POINTS if point != "act"])
def test_a_guard_killed_at_any_point_acts_whole_or_not_at_all(point: str, tmp_path: Path) -> None:
    died_and_went_on(tmp_path / "data", point)
