"""A child process that serves one decision point whose model has a known capacity.

`python -m tests.integration.decide.paced`: a call of n rows takes `BATCH_S + n * ROW_S`: `CAPACITY` rows a second at most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial

from pydantic import BaseModel

from opsrail import Band, DecisionPoint, Policy
from opsrail.app import App
from opsrail.cases.loader import Definitions
from opsrail.clock import SystemClock
from opsrail.config import Config, DecideConfig
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import SigningKey
from opsrail.registry.rollout import Stage
from opsrail.store.memory import MemoryStore
from opsrail.values.models import Score
from opsrail.web.server import serve_running

BATCH_S, ROW_S, MOST_ROWS = 0.040, 0.005, 8
CAPACITY = MOST_ROWS / (BATCH_S + MOST_ROWS * ROW_S)
DEADLINE_MS = 800
POINT = "paced"


class Question(BaseModel):
    number: int


class PacedModel:
    def __init__(self, digest: str) -> None:
        self.digest = digest

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        time.sleep(BATCH_S + ROW_S * len(rows))
        return [Score(0.5, 1.0, self.digest) for _ in rows]


class PacedRuntime:
    name = "paced"

    def load(self, artifact: bytes, expected_digest: str) -> PacedModel:
        return PacedModel(expected_digest)


def app_of() -> App:
    clock = SystemClock()
    point = DecisionPoint(
        POINT,
        request=Question,
        policy=Policy([Band("approve", below=1.01)]),
        fallback=lambda facts: "review",
        deadline_ms=DEADLINE_MS,
        criticality="high",
    )
    return App(
        Config(decide=DecideConfig(max_batch=MOST_ROWS)),
        Definitions({}, {POINT: point}, (), ()),
        MemoryStore(WriterChain(clock), clock=clock),
        Signer([SigningKey("test.opsrail.local/ledger", b"k" * 32)]),
        clock,
        anchor=None,
        alone=True,
        runtimes={PacedRuntime.name: PacedRuntime()},
    )


async def main() -> None:
    app = app_of()
    async with app.running():
        version = await app.registry.register(
            POINT, b"paced", runtime="paced", training_digest="sha256:" + "0" * 64, by="t"
        )
        await app.registry.promote(POINT, version, Stage.LIVE, by="t", reason="rehearsal")
        await app.registry.warm()
        await serve_running(app, port=0, announce=partial(print, flush=True))


if __name__ == "__main__":
    asyncio.run(main())
