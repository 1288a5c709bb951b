"""One serving process on an installation with a rollout: asks its own decision point all the time.

`python -m tests.support.guarded FOLDER [prepare]`. Lines out, as JSON: `ready`, `ended` with the
rollout's state. It ends when its input does. `prepare` registers a champion and a candidate that fails, and begins a
rollout.
`OPSRAIL_CRASH_AT` and `GUARDED_CRASH=act` (within the commit of the guard's deed) end it early, as `kill -9` does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from opsrail import Band, DecisionPoint, Policy, PythonModel, faults
from opsrail.app import App, build
from opsrail.cases.loader import Definitions
from opsrail.config import load
from opsrail.decide.decider import Request
from opsrail.registry.rollout import Stage
from opsrail.values.guards import GuardSpec, StepPlan
from opsrail.values.rollouts import RolloutRunRow
from opsrail.watch.rollouts import Rollouts

POINT = "risk"


class Asked(BaseModel):
    number: int


def steady(row: Mapping[str, Any]) -> float:
    return 0.2


def breaking(row: Mapping[str, Any]) -> float:
    """Work when it is tried out, and for no real request."""
    if row.get("number"):
        raise ZeroDivisionError
    return 0.2


good, bad = PythonModel("risk-rules", steady), PythonModel("risk-rules", breaking)
point = DecisionPoint(
    POINT,
    request=Asked,
    policy=Policy(bands=[Band("approve", below=1.01)], without_score="review"),
    deadline_ms=1_000,
)
DEFINED = Definitions({}, {POINT: point}, (), (__file__,), (good, bad))


def say(what: str, **fields: object) -> None:
    print(json.dumps({"what": what, **fields}), flush=True)


async def prepare(app: App) -> None:
    """Make the champion live, and begin a rollout of the version that fails."""
    versions = [
        await app.registry.register(
            model.name,
            model.artifact,
            runtime="python",
            training_digest=f"sha256:{model.code}",
            by="ann",
        )
        for model in (good, bad)
    ]
    await app.registry.promote(POINT, versions[0], Stage.LIVE, by="ann", reason="first")
    await Rollouts(app.store, app.registry, app.clock).begin(
        POINT,
        versions[1],
        [StepPlan(0.3, 3600.0)],
        GuardSpec(latency=None),
        by="ann",
        reason="newer",
    )


async def ask(app: App, shift: int) -> None:
    """Ask without end."""
    number = shift
    while True:
        number += 1
        request = Request(point, Asked(number=number), f"{number:032x}", "test")
        await app.decider.decide(request)
        await asyncio.sleep(0.01)


async def carry(folder: Path, *, is_first: bool) -> None:
    app = build(load()[0], folder, DEFINED, runs=True)
    is_killed = os.environ.get("GUARDED_CRASH") == "act"
    within_the_commit = faults.armed(
        "guard.before_act", lambda: faults.arm_from("commit.written:1")
    )
    async with app.running():
        if is_first:
            await prepare(app)
        if is_killed:
            within_the_commit.__enter__()
        say("ready")
        asking = asyncio.create_task(ask(app, os.getpid() << 32))
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        threading.Thread(
            target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(over.set)), daemon=True
        ).start()
        await over.wait()
        asking.cancel()
        (run,) = await app.store.select(RolloutRunRow)
        say("ended", state=str(run.state), faults=app.guard.stats().faults)


if __name__ == "__main__":
    asyncio.run(carry(Path(sys.argv[1]), is_first="prepare" in sys.argv[2:]))
