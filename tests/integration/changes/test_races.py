"""F15: promoters and approvers race from two processes with four threads each: one winner, never an author's own yes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.store.catalog import open_store
from opsrail.values.changes import ApprovalRow, ChangeRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import equals
from tests.support.approved import POINT, Installation

ROOT = Path(__file__).resolve().parents[3]
THREADS = 4
LOST = {"conflict", "stale-write"}
"""Codes with which a loser is refused; both are 409 over HTTP."""
Deed = tuple[str, str, str]


class Arena:
    """Two processes of contenders on one installation."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self._processes: list[subprocess.Popen[str]] = []

    def begin(self) -> None:
        """Start both processes."""
        for _ in range(2):
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.integration.changes.contending", str(self.folder), self.url, str(THREADS)],
                    cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )  # fmt: skip
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def race(self, deeds: Sequence[Deed]) -> list[str]:
        """Let eight contenders act at once; return what came of each deed."""
        halves = deeds[:THREADS], deeds[THREADS:]
        for process, half in zip(self._processes, halves, strict=True):
            assert process.stdin is not None
            process.stdin.write(json.dumps({"deeds": half}) + "\n")
            process.stdin.flush()
        came = []
        for process in self._processes:
            assert process.stdout is not None
            came += json.loads(process.stdout.readline())
        return came

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.communicate(timeout=30)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def arena(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Arena]:
    url = request.getfixturevalue("database_url") if request.param == "postgres" else ""
    arena = Arena(tmp_path, url)
    yield arena
    arena.close()


@pytest.mark.parametrize("rounds", [4, pytest.param(200, marks=pytest.mark.slow)])
async def test_of_two_promotions_that_eight_apply_at_once_one_holds(
    arena: Arena, rounds: int
) -> None:
    clock = SystemClock()
    store, _ = open_store(
        arena.url, arena.folder / "opsrail.db", WriterChain(clock), clock, exclusive=False
    )
    await store.open()
    installation = Installation(store)
    await installation.begin()
    arena.begin()
    live = 1
    for _ in range(rounds):
        others = [number for number in (1, 2, 3) if number != live]
        ids = [
            await installation.approved("promote", {"model": f"fraud/{number}"})
            for number in others
        ]
        deeds = [("apply", ids[n % 2], f"promoter-{n}") for n in range(2 * THREADS)]
        came = arena.race(deeds)
        [winner] = [n for n, what in enumerate(came) if what == "done"]
        states = [row.state for each in ids if (row := await store.get(ChangeRow, each))]
        entries = [
            entry.kind
            for each in ids
            for entry in await store.select(LedgerEntryRow, *equals(subject_id=each))
        ]
        rows = await installation.registry.rollout(POINT)
        live = others[winner % 2]

        assert set(came) - {"done"} <= LOST
        assert sorted(states) == ["applied", "approved"]
        assert Counter(entries)["change.applied"] == 1
        assert [row.model_number for row in rows if row.stage == "live"] == [live]
    history = await installation.registry.history(POINT)
    await store.close()

    assert [one.revision for one in history] == list(range(rounds + 1, 0, -1))


@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.slow)])
async def test_in_no_race_does_an_author_approve_or_anybody_twice(
    arena: Arena, rounds: int
) -> None:
    clock, chance = SystemClock(), random.Random(rounds)
    store, _ = open_store(
        arena.url, arena.folder / "opsrail.db", WriterChain(clock), clock, exclusive=False
    )
    await store.open()
    installation = Installation(store)
    await installation.begin()
    arena.begin()
    for _ in range(rounds):
        view = await installation.planned("deadline", {"deadline_ms": chance.randint(1, 10_000)})
        names = ["ann", "Ann ", "ANN", "bob", "Bob", "bob", "cleo", "ann"]
        chance.shuffle(names)
        came = arena.race([("approve", view.row.id, name) for name in names])
        said = await store.select(ApprovalRow, *equals(change_id=view.row.id))
        stands = await installation.changes.get(view.row.id)

        denied = Counter(name for name, what in zip(names, came, strict=True) if what == "denied")
        assert sum(denied[name] for name in ("ann", "Ann ", "ANN")) == 4
        assert came.count("done") == 2
        assert {row.by: row.verdict for row in said} == {
            "ann": "author",
            "bob": "approve",
            "cleo": "approve",
        }
        assert (stands.row.state, stands.row.version) == ("approved", 2)
    await store.close()
