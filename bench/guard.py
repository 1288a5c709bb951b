"""How rollouts end: equal versions, worse ones, a live one whose world changes; and how fast a server acts on it."""

from __future__ import annotations

import argparse
import asyncio
import base64
import gzip
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from bench.figures import Report, machine, rounded, say
from bench.gusty_world import LAX, LONG_STEPS, walked_in_gusts
from bench.rollout_world import (
    ERRORS,
    LONGER_STEPS,
    SLOW_TENTH,
    STRICT,
    USUAL,
    WORSE,
    Ended,
    elec2,
    walked,
    walked_through_elec2,
)
from opsrail.app import build
from opsrail.config import Config
from opsrail.ports import Store
from opsrail.registry.rollout import Stage
from opsrail.values.decisions import DecisionRow
from opsrail.values.registry import RolloutRow
from opsrail.values.rollouts import RolloutRunRow
from opsrail.values.rows import equals
from opsrail.watch.evidence import Evidence
from opsrail.watch.rollout_run import Run
from opsrail.watch.signals import CANDIDATE, seen

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {
    "aa_stopped_ratio": "<= 0.05",
    "aa_stopped_strict_ratio": "<= 0.05",
    "aa_gusty_stopped_ratio": "<= 0.05",
    "gusty_slow_twice_caught_ratio": ">= 0.95",
    "worse_caught_step": "<= 2",
    "equal_promoted_ratio": ">= 0.95",
    "elec2_rolled_back_after_rows": "> 0",
    "acts_within_ms": "<= 2000",
}
LIMIT_S = 60
LOOK_S = 0.1
LINGER_S = 2.5
"""How long it is looked at whether anybody still asks the version that was rolled back."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs",
        type=int,
        default=1000,
        help="rollouts of equal versions, with and without margins",
    )
    parser.add_argument(
        "--worse", type=int, default=50, help="rollouts of each version that is worse"
    )
    parser.add_argument(
        "--acts", type=int, default=5, help="servers on SQLite whose acting is timed; 0: none"
    )
    parser.add_argument(
        "--elec2", type=Path, help="elec.csv.gz: make the shipped errors anew from it, and compare"
    )


def run(asked: argparse.Namespace) -> Report:
    """Walk rollouts in virtual time, then time a real server."""
    taken_on = machine()
    if asked.elec2 is not None:
        check_elec2(asked.elec2)
    equal = many("equal versions", asked.runs, partial(walked, USUAL))
    strict = many("equal versions, no margin", asked.runs, partial(walked, USUAL, spec=STRICT))
    gusty = many("equal versions in gusts, no margin", asked.runs, walked_in_gusts)
    figures: dict[str, float] = {
        "aa_runs_count": asked.runs,
        "aa_stopped_ratio": ratio(equal, "rolled-back"),
        "aa_stopped_strict_ratio": ratio(strict, "rolled-back"),
        "equal_promoted_ratio": ratio(equal, "promoted"),
        "aa_gusty_stopped_ratio": ratio(gusty, "rolled-back"),
        **gusty_slow_figures(asked.worse),
        **worse_figures(asked.worse),
        **elec2_figures(),
    }
    if asked.acts:
        took_ms = [acted_within_ms() for _ in range(asked.acts)]
        figures["acts_within_ms"] = rounded(max(took_ms))
    return Report("guard", figures, targets=TARGETS, machine=taken_on)


def many(what: str, count: int, walk: Callable[[int], Ended]) -> list[Ended]:
    """Return how the walks of seeds 0 to `count` end, taken on all cores."""
    ended: list[Ended] = []
    with ProcessPoolExecutor() as walkers:
        for one in walkers.map(walk, range(count), chunksize=max(1, min(10, count // 8))):
            if len(ended) % 50 == 0:
                say(f"{what}: {len(ended)} of {count}")
            ended.append(one)
    return ended


def ratio(ended: list[Ended], state: str) -> float:
    return rounded(sum(one.state == state for one in ended) / max(1, len(ended)))


def worse_figures(count: int) -> dict[str, float]:
    """Return the last step, counted from 1, in which a worse version was caught, and how many decisions it had made."""
    ended = {
        name: many(f"worse: {name}", count, partial(walked, habits))
        for name, habits in WORSE.items()
    }
    ended["slow-tenth"] = many(
        "worse: slow-tenth", count, partial(walked, SLOW_TENTH, steps=LONGER_STEPS)
    )
    every = [one for of_name in ended.values() for one in of_name]
    missed = sum(one.state != "rolled-back" for one in every)
    middle = {
        f"worse_{name.replace('-', '_')}_decisions_count": sorted(one.decisions for one in of_name)[
            len(of_name) // 2
        ]
        for name, of_name in ended.items()
    }
    return {
        "worse_caught_step": max(one.step + 1 for one in every),
        "worse_missed_count": missed,
        **middle,
    }


def gusty_slow_figures(count: int) -> dict[str, float]:
    """Return how many are caught in gusts that take twice as long, or ten times as long for a tenth of their calls."""
    figures: dict[str, float] = {}
    for name, times, part in (("twice", 2.0, 1.0), ("tenth", 10.0, 0.1)):
        walk = partial(walked_in_gusts, times=times, slow_ratio=part, spec=LAX, steps=LONG_STEPS)
        ended = many(f"slow in gusts: {name}", count, walk)
        middle = sorted(one.decisions for one in ended)[len(ended) // 2]
        figures[f"gusty_slow_{name}_caught_ratio"] = ratio(ended, "rolled-back")
        figures[f"gusty_slow_{name}_decisions_count"] = middle
    return figures


def elec2_figures() -> dict[str, float]:
    errors = elec2()
    ended, row, live_row = walked_through_elec2(errors)
    say(f"Elec2: {ended}")
    after = -1.0 if ended is None else float(row - errors.change_row)
    return {"elec2_live_at_row": live_row, "elec2_rolled_back_after_rows": after}


def check_elec2(path: Path) -> None:
    """Stop when our models make other errors on the data than those that are shipped."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier

    with gzip.open(path) as file:
        table = np.genfromtxt(file, delimiter=",", skip_header=1)
    facts, rose, shipped = table[:, :6], table[:, 6], elec2()
    for name, rows in (("champion", 4_000), ("candidate", 8_000)):
        model = HistGradientBoostingClassifier(random_state=0).fit(facts[:rows], rose[:rows])
        wrong = model.predict(facts[shipped.first_row :]) != rose[shipped.first_row :]
        differ = int(np.count_nonzero(wrong != np.array(getattr(shipped, name))))
        say(f"Elec2: {name} errs {wrong.mean():.2%}; {differ} rows differ from {ERRORS.name}")
        if differ:
            packed = base64.b64encode(np.packbits(wrong).tobytes()).decode()
            raise SystemExit(
                f"{ERRORS} does not fit this data and scikit-learn; {name} would be {packed[:40]}..."
            )


# -- a real server ---------------------------------------------------------------------------------------------------


def acted_within_ms() -> float:
    """Return how long a server on SQLite let a version answer after the evidence against it was enough, ms."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.support.guarded", folder, "prepare"]
        server = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            server.stdout.readline()
            asyncio.run(rolled_back(Path(folder), ""))
            server.communicate("", timeout=LIMIT_S)
        finally:
            server.kill()
        return asyncio.run(late_ms(Path(folder), ""))


@asynccontextmanager
async def looking(folder: Path, url: str) -> AsyncIterator[Store]:
    """Look at an installation beside the processes that serve it.

    Args:
        url: Of its database; empty: SQLite in the folder.
    """
    config = Config.model_validate({"store": {"url": url, "allow_weak": True}})
    async with build(config, folder / "looks" if url else folder).opened() as app:
        yield app.store


async def rolled_back(folder: Path, url: str) -> None:
    """Wait until no canary stands, and a moment longer: who still asks it is to be seen."""
    async with looking(folder, url) as store:
        for _ in range(round(LIMIT_S / LOOK_S)):
            if not await store.select(RolloutRow, *equals(stage=Stage.CANARY)):
                await asyncio.sleep(LINGER_S)
                return
            await asyncio.sleep(LOOK_S)
    raise TimeoutError("the version was not rolled back")


async def late_ms(folder: Path, url: str) -> float:
    """Return the time from enough evidence to the last decision that a candidate was asked for, ms.

    Enough is where the tests fire that are shown each decision as soon as it is made: earlier than any guard can see it.
    """
    async with looking(folder, url) as store:
        (row,) = await store.select(RolloutRunRow)
        decisions = await store.select(DecisionRow, order=("id",), limit=100_000)
    run = Run(row)
    told = [(decision, one) for decision in decisions if (one := seen(decision, run.arms()))]
    evidence = Evidence(run.spec)
    enough_ms = 0
    for decision, one in told:
        evidence.count_decisions([one])
        is_enough = any(reading.has_fired for reading in evidence.readings())
        if is_enough and evidence.counts[CANDIDATE] >= run.spec.judge_after_count:
            enough_ms = decision.at_ms
            break
    last_ms = max(decision.at_ms for decision, one in told if one.arm == CANDIDATE)
    return float(last_ms - enough_ms)
