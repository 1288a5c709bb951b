"""A child process that serves decision points whose models take as long as the request says.

`python -m tests.integration.decide.napping`: a model call naps as long as the longest of its rows asks for.
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
from opsrail.config import Config
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import SigningKey
from opsrail.registry.rollout import Stage
from opsrail.store.memory import MemoryStore
from opsrail.values.models import Score
from opsrail.web.server import serve_running

DEADLINE_MS, LONG_MS = 300, 5_000
POINTS = ("steady", "hanging", "tenfold", "kept")


class Question(BaseModel):
    number: int
    nap_ms: int


class NappingModel:
    def __init__(self, digest: str) -> None:
        self.digest = digest
        self._calls = 0

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        self._calls += 1
        time.sleep(max(int(str(row["nap_ms"])) for row in rows) / 1000)
        return [Score(1 / self._calls, 1.0, self.digest) for _ in rows]


class NappingRuntime:
    name = "napping"

    def load(self, artifact: bytes, expected_digest: str) -> NappingModel:
        return NappingModel(expected_digest)


def points() -> dict[str, DecisionPoint[Question]]:
    policy: Policy[Question] = Policy([Band("approve", below=1.01)])
    return {
        name: DecisionPoint(
            name,
            request=Question,
            policy=policy,
            fallback=lambda facts: "review",
            deadline_ms=LONG_MS if name in {"kept", "steady"} else DEADLINE_MS,
            cache_ttl_s=60 if name == "kept" else 0,
        )
        for name in POINTS
    }


def app_of() -> App:
    clock = SystemClock()
    return App(
        Config(),
        Definitions({}, points(), (), ()),
        MemoryStore(WriterChain(clock), clock=clock),
        Signer([SigningKey("test.opsrail.local/ledger", b"k" * 32)]),
        clock,
        anchor=None,
        alone=True,
        runtimes={NappingRuntime.name: NappingRuntime()},
    )


async def main() -> None:
    app = app_of()
    async with app.running():
        for name in POINTS:
            version = await app.registry.register(
                name, name.encode(), runtime="napping", training_digest="sha256:" + "0" * 64, by="t"
            )
            await app.registry.promote(name, version, Stage.LIVE, by="t", reason="rehearsal")
        await app.registry.warm()
        await serve_running(app, port=0, announce=partial(print, flush=True))


if __name__ == "__main__":
    asyncio.run(main())
