"""A child process that serves decision points, two of whose models do not end their first call until a file is there.

`python -m tests.integration.decide.waking FILE`: one runs in this process (`asleep`), the other in its own (`apart`).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from opsrail import Band, DecisionPoint, Policy
from opsrail.app import App
from opsrail.cases.loader import Definitions
from opsrail.clock import SystemClock
from opsrail.config import Config
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import SigningKey
from opsrail.ports import ModelRuntime
from opsrail.registry.rollout import Stage
from opsrail.store.memory import MemoryStore
from opsrail.values.columns import Number
from opsrail.values.models import Score
from opsrail.web.server import serve

FACTORY = "tests.integration.decide.waking:runtimes"
DEADLINE_MS = 2_000
AWAKE = "awake"
POINTS = ("asleep", "apart", "steady")


class Question(BaseModel):
    x: float = 0.5


class WakingModel:
    columns = (Number("x"),)

    def __init__(self, digest: str, waits_for: str) -> None:
        self.digest = digest
        self._waits_for = waits_for

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        while self._waits_for != AWAKE and not Path(self._waits_for).exists():
            time.sleep(0.05)
        return [Score(float(str(row["x"])), 1.0, self.digest) for row in rows]


class WakingRuntime:
    name = "waking"

    def load(self, artifact: bytes, expected_digest: str) -> WakingModel:
        return WakingModel(expected_digest, artifact.decode())


def runtimes(**_: object) -> Mapping[str, ModelRuntime]:
    return {WakingRuntime.name: WakingRuntime()}


def points() -> dict[str, DecisionPoint[Question]]:
    policy: Policy[Question] = Policy([Band("approve", below=1.01)])
    return {
        name: DecisionPoint(
            name,
            request=Question,
            policy=policy,
            fallback=lambda facts: "review",
            deadline_ms=DEADLINE_MS,
        )
        for name in POINTS
    }


async def main(file: str) -> None:
    clock = SystemClock()
    store = MemoryStore(WriterChain(clock), clock=clock)
    app = App(
        Config(),
        Definitions({}, points(), (), ()),
        store,
        Signer([SigningKey("test.opsrail.local/ledger", b"k" * 32)]),
        clock,
        anchor=None,
        alone=True,
        runtimes=runtimes(),
        runtimes_factory=FACTORY,
    )
    await store.open()
    Path(file).touch()  # who registers a model has it tried out
    for name in POINTS:
        version = await app.registry.register(
            name,
            (AWAKE if name == "steady" else file).encode(),
            runtime=WakingRuntime.name,
            training_digest="sha256:" + "0" * 64,
            by="t",
            card={"isolation": "process"} if name == "apart" else {},
        )
        await app.registry.promote(name, version, Stage.LIVE, by="t", reason="rehearsal")
    Path(file).unlink()
    await serve(app, port=0, announce=partial(print, flush=True))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
