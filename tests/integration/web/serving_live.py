"""A child process that serves the claims automation from memory, with a model that is live.

`python -m tests.integration.web.serving_live FOLDER`: the folder is not used.
"""

from __future__ import annotations

import asyncio
from functools import partial

import uvloop

from opsrail.app import App
from opsrail.cases.loader import collect
from opsrail.clock import SystemClock
from opsrail.config import load
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import SigningKey
from opsrail.registry.rollout import Stage
from opsrail.store.memory import MemoryStore
from opsrail.testing.models import FunctionRuntime
from opsrail.web.server import serve_running
from tests.unit.web import claims


async def main() -> None:
    clock = SystemClock()
    app = App(
        load()[0],
        collect(claims),
        MemoryStore(WriterChain(clock), clock=clock),
        Signer([SigningKey("test.opsrail.local/ledger", b"k" * 32)]),
        clock,
        anchor=None,
        alone=True,
        runtimes={FunctionRuntime.name: FunctionRuntime({"fraud-risk": claims.score})},
    )
    async with app.running():
        version = await app.registry.register(
            "fraud-risk",
            b"fraud-risk",
            runtime="function",
            training_digest="sha256:" + "0" * 64,
            by="a-test",
        )
        await app.registry.promote("fraud-risk", version, Stage.LIVE, by="a-test", reason="a test")
        await serve_running(app, port=0, announce=partial(print, flush=True))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as `opsrail serve` does
        runner.run(main())
