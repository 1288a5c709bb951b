"""A child process that serves decision points whose models break the processes they run in, as the request says.

`python -m tests.integration.decide.crashing QUARANTINE_S`: each point has a model of its own, in a child process of its own.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from pydantic import BaseModel

from opsrail import Band, DecisionPoint, Policy
from opsrail.app import App
from opsrail.cases.loader import Definitions
from opsrail.clock import SystemClock
from opsrail.config import Config, PoolConfig
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import SigningKey
from opsrail.registry.rollout import Stage
from opsrail.store.memory import MemoryStore
from opsrail.web.server import serve_running
from tests.support.breaking import FACTORY, BreakingRuntime

DEADLINE_MS, HANGING_MS = 3_000, 500
"""A machine that stands still for a second makes no model late; those that hang are given up before their batch's time."""
BATCH_S = 3.0
MEMORY_BYTES = 400_000_000
POINTS = ("steady", "abort", "segfault", "memory", "hang", "hold", "again")


class Question(BaseModel):
    number: int
    x: float = 0.5
    deed: str = ""


def points() -> dict[str, DecisionPoint[Question]]:
    policy: Policy[Question] = Policy([Band("approve", below=1.01)])
    return {
        name: DecisionPoint(
            name,
            request=Question,
            policy=policy,
            fallback=lambda facts: "review",
            deadline_ms=HANGING_MS if name in {"hang", "hold"} else DEADLINE_MS,
        )
        for name in POINTS
    }


def app_of(quarantine_s: float) -> App:
    clock = SystemClock()
    local = PoolConfig(batch_s=BATCH_S, memory_bytes=MEMORY_BYTES, quarantine_s=quarantine_s)
    return App(
        Config(pools={"local": local}),
        Definitions({}, points(), (), ()),
        MemoryStore(WriterChain(clock), clock=clock),
        Signer([SigningKey("test.opsrail.local/ledger", b"k" * 32)]),
        clock,
        anchor=None,
        alone=True,
        runtimes={BreakingRuntime.name: BreakingRuntime()},
        runtimes_factory=FACTORY,
    )


async def main() -> None:
    app = app_of(float(sys.argv[1]))
    async with app.running():
        for name in POINTS:
            version = await app.registry.register(
                name,
                name.encode(),
                runtime="breaking",
                training_digest="sha256:" + "0" * 64,
                by="t",
                card={"isolation": "process"},
            )
            await app.registry.promote(name, version, Stage.LIVE, by="t", reason="rehearsal")
        await serve_running(app, port=0, announce=partial(print, flush=True))


if __name__ == "__main__":
    asyncio.run(main())
