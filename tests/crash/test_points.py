"""F1: a worker dies at a named point, another starts: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import signal

import pytest

from opsrail import faults
from tests.crash.conftest import Sites
from tests.support.chaos import ROOT, Site

LATER = {
    "commit.begun": (9, 17),
    "commit.written": (9, 17),
    "commit.done": (9, 17),
    "case.step_ran": (4,),
    "case.before_commit": (3,),
}
"""Further passes at which the process dies: the first commits are those of its start."""
DRIVEN_ELSEWHERE = {
    "change.before_apply": "tests/crash/test_changes.py",
    "change.after_apply": "tests/crash/test_changes.py",
    "change.before_rollback": "tests/crash/test_changes.py",
    "change.after_rollback": "tests/crash/test_changes.py",
    "retention.marked": "tests/unit/govern/test_retention.py",
    "retention.removed": "tests/unit/govern/test_retention.py",
    "retention.expired": "tests/unit/decide/test_idempotency.py",
    "sampling.before_open": "tests/integration/review/test_sampling.py",
    "sampling.after_open": "tests/integration/review/test_sampling.py",
    "notice.before_send": "tests/integration/notices/test_sending.py",
    "notice.after_send": "tests/integration/notices/test_sending.py",
    "guard.before_keep": "tests/crash/test_guard.py",
    "guard.after_keep": "tests/crash/test_guard.py",
    "guard.before_act": "tests/crash/test_guard.py",
    "guard.after_act": "tests/crash/test_guard.py",
}
"""Points that carrying cases does not pass, and the test that stops there."""
DRIVEN = [name for name in faults.POINTS if name not in DRIVEN_ELSEWHERE]
PASSES = [f"{name}:{nth}" for name in DRIVEN for nth in (1, *LATER.get(name, ()))]
TRADES = sorted({name.partition(".")[0] for name in DRIVEN})
EVERY_DAY = (
    "case.step_ran:4",
    "case.before_commit:3",
    "commit.written:17",
    "outbox.after_send:1",
    "ledger.sequenced:1",
)
FROM_FILE = ("file-a", "file-b")


@pytest.mark.crash
@pytest.mark.parametrize("trade", TRADES)
async def test_a_worker_that_dies_at_any_point_loses_and_doubles_nothing(
    trade: str, sites: Sites
) -> None:
    await all_survive([one for one in PASSES if one.startswith(f"{trade}.")], sites)


async def test_a_worker_that_dies_where_it_hurts_most_loses_and_doubles_nothing(
    sites: Sites,
) -> None:
    await all_survive(EVERY_DAY, sites)


def test_every_point_is_driven_by_some_test() -> None:
    named = {
        name
        for name, path in DRIVEN_ELSEWHERE.items()
        if f'"{name}"' in (ROOT / path).read_text("utf-8")
    }

    assert {one.partition(":")[0] for one in PASSES} | named == set(faults.POINTS)


async def all_survive(passes: list[str] | tuple[str, ...], sites: Sites) -> None:
    """Die at each of the points, each in an installation of its own, all at the same time."""
    found = await asyncio.gather(
        *(die_and_go_on(one, sites(one.replace(":", "-"))) for one in passes)
    )

    assert passes
    assert dict(zip(passes, found, strict=True)) == {one: (-signal.SIGKILL, []) for one in passes}


async def die_and_go_on(crash_at: str, site: Site) -> tuple[int, list[str]]:
    """Return how the first worker ended, and which promises the second one could not keep."""
    rows = site.traces / "rows.csv"
    rows.write_text("key,kind\n" + "".join(f"{key},steps\n" for key in FROM_FILE), "utf-8")
    site.from_files = set(FROM_FILE)
    site.wanted |= {key: {"key": key, "kind": "steps"} for key in FROM_FILE}
    site.wanted |= {f"case-{n}": {"key": f"case-{n}"} for n in range(3)}
    poison = {"poison"} if crash_at.startswith("case.before_set_aside") else set()
    site.wanted |= {key: {"key": key, "kind": "fails", "count": 1} for key in poison}

    async with site.worker(crash_at=crash_at) as worker:
        worker.submit_again()
        worker.send(f"file {rows}")
        code = await worker.ended()
        site.kills += 1
    async with site.worker() as worker:
        worker.send(f"file {rows}")
        await worker.submit_all()
        await worker.said_one("fed")
        await worker.rest()
    return code, await site.broken_promises(set_aside=frozenset(poison))
