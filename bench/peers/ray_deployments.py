"""What Ray Serve runs: the model alone, and behind `@serve.batch`. The answer has a length, so it is not sent in chunks."""

from __future__ import annotations

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

from bench.peers.scoring import Model, row_of


class Plain:
    def __init__(self, path: str) -> None:
        self.model = Model(path)

    async def __call__(self, request: Request) -> JSONResponse:
        return JSONResponse({"score": self.model.scores([row_of(await request.json())])[0]})


class Batching:
    def __init__(self, path: str, batch: int, timeout_s: float) -> None:
        self.model = Model(path)
        self.scored.set_max_batch_size(batch)
        self.scored.set_batch_wait_timeout_s(timeout_s)

    @serve.batch
    async def scored(self, rows: list[list[float]]) -> list[float]:
        return self.model.scores(rows)

    async def __call__(self, request: Request) -> JSONResponse:
        return JSONResponse({"score": await self.scored(row_of(await request.json()))})
