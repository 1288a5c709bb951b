"""A small decision road on real parts: a memory store, a linear model, a clock that moves when told."""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from opsrail.clock import next_ulid, ulid_text
from opsrail.decide.backlog import Limits
from opsrail.decide.decider import Decider, Request
from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import Band, Policy, Rule
from opsrail.decide.shadow import Shadows
from opsrail.decide.shadow_store import ShadowStore
from opsrail.decide.threads import Threads
from opsrail.features.features import Features
from opsrail.features.view import FeatureView
from opsrail.ledger.chain import WriterChain
from opsrail.ports import FeatureSource
from opsrail.registry.pools import PoolRuntimes, Pools
from opsrail.registry.registry import Registry
from opsrail.registry.rollout import Stage
from opsrail.store.memory import MemoryStore
from opsrail.values.canonical import digest
from opsrail.values.models import ModelVersion, Score
from opsrail.values.pools import Pool

TRAINING = digest(b"training rows")


class StillClock:
    """Time that a test moves by hand; chance and ids are seeded."""

    def __init__(self, seed: int = 0) -> None:
        self.at_s = 1_000.0
        self._random = random.Random(seed)
        self._last_id = 0

    def now_ms(self) -> int:
        return 1_767_258_000_000 + round(self.at_s * 1000)

    def monotonic_s(self) -> float:
        return self.at_s

    def uniform(self) -> float:
        return self._random.random()

    def token(self, size_bytes: int) -> bytes:
        return self._random.randbytes(size_bytes)

    def new_id(self) -> str:
        self._last_id = next_ulid(self._last_id, self.now_ms(), self._random.getrandbits(80))
        return ulid_text(self._last_id)

    async def sleep(self, seconds: float) -> None:
        self.at_s += seconds
        await asyncio.sleep(0)


class LinearRuntime:
    """Loads `{"bias": b, "weights": {feature: w}}`; a test may watch or disturb each call through `before`."""

    name = "linear"

    def __init__(self, *, is_remote: bool = False) -> None:
        self.is_remote = is_remote
        self.before: Callable[[Sequence[Mapping[str, object]]], None] = lambda rows: None
        self.batches: list[int] = []
        self.failing: set[str] = set()  # digests of versions that cannot answer
        self.hanging: dict[str, threading.Event] = {}  # what the calls of a version wait for

    def load(self, artifact: bytes, expected_digest: str) -> LinearModel:
        return LinearModel(json.loads(artifact), expected_digest, self)


class LinearModel:
    """1 / (1 + exp(-(bias + weights * features))); text features and missing ones count as unknown."""

    def __init__(
        self, content: Mapping[str, Any], model_digest: str, runtime: LinearRuntime
    ) -> None:
        self.digest = model_digest
        self._bias: float = content["bias"]
        self._weights: Mapping[str, float] = content["weights"]
        self._runtime = runtime
        self.is_remote = runtime.is_remote

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        self._runtime.batches.append(len(rows))
        self._runtime.before(rows)
        if (gate := self._runtime.hanging.get(self.digest)) is not None:
            gate.wait(60)
        if self.digest in self._runtime.failing:
            raise ZeroDivisionError
        return [self._score(row) for row in rows]

    def _score(self, row: Mapping[str, object]) -> Score:
        known = {
            name: value for name in self._weights if isinstance(value := row.get(name), int | float)
        }
        total = self._bias + sum(self._weights[name] * value for name, value in known.items())
        unknown = tuple(name for name in self._weights if name not in known)
        return Score(1 / (1 + math.exp(-total)), 0.9, self.digest, unknown)


class Claim(BaseModel):
    """A request."""

    make: str = "Honda"
    amount: Decimal = Decimal(100)
    age: int = 40


class Settlement(BaseModel):
    """An outcome."""

    is_fraud: bool


def make_history(
    version: int = 1, entity: Callable[[Any], str] = lambda request: request.make
) -> FeatureView[dict[str, int]]:
    return FeatureView(
        "make-history",
        version=version,
        entity=entity,
        initial=lambda: {"claims": 0, "frauds": 0},
        fold=counted,
        read=lambda state: {"make_frauds": state["frauds"], "make_claims": state["claims"]},
        fact=lambda claim, settlement: (claim.make, {"fraud": int(settlement.is_fraud)}),
    )


def counted(state: dict[str, int], fact: Mapping[str, int]) -> dict[str, int]:
    state["claims"] += 1  # in place, as an author may
    state["frauds"] += fact["fraud"]
    return state


def fraud_policy(**options: Any) -> Policy[Claim]:
    large = Rule[Claim](
        "amount-over-limit",
        when=lambda facts: facts.amount > 10_000,
        verdict="review",
        reason="The amount is over 10,000.",
    )
    return Policy(
        bands=[Band("approve", below=0.5), Band("review", below=1.01)], rules=[large], **options
    )


def fraud_point(**options: Any) -> DecisionPoint[Claim]:
    settings: dict[str, Any] = {"policy": fraud_policy(), "deadline_ms": 5_000, **options}
    return DecisionPoint("fraud-risk", request=Claim, **settings)


def linear(bias: float = -2.0, **weights: float) -> bytes:
    return json.dumps({"bias": bias, "weights": weights}).encode()


class Road:
    """Everything a decision passes, in memory."""

    def __init__(
        self,
        *views: FeatureView[Any],
        pools: Callable[[Road], Sequence[PoolRuntimes]] = lambda road: (),
        shadow: Limits | None = None,
        sources: Callable[[Road], Mapping[str, FeatureSource]] = lambda road: {},
        **options: Any,
    ) -> None:
        self.clock = StillClock()
        self.store = MemoryStore(WriterChain(self.clock), clock=self.clock)
        self.runtime = LinearRuntime()
        self.spare = LinearRuntime()
        runtimes = {"linear": self.runtime, "spare": self.spare}
        spare = PoolRuntimes(Pool("spare", runtime="spare"), runtimes)
        self.registry = Registry(self.store, runtimes, self.clock, pools=[spare, *pools(self)])
        self.features = Features(self.store, views, self.clock, sources=sources(self))
        self.is_full = False
        self.challenging = LinearRuntime()  # what challengers run in
        handle = ShadowStore(self.store)
        own = [PoolRuntimes(Pool(), {"linear": self.challenging})]
        self.shadows = Shadows(
            handle,
            self.registry,
            Pools(handle, own, self.clock, Threads("load challengers")),
            self.clock,
            shadow,
            is_full=lambda: self.is_full,
        )
        options = {"shadow": self.shadows, **options}
        self.decider = Decider(self.store, self.registry, self.features, self.clock, **options)

    async def registered(
        self, artifact: bytes, *, name: str = "fraud", **card: object
    ) -> ModelVersion:
        return await self.registry.register(
            name,
            artifact,
            runtime="linear",
            training_digest=TRAINING,
            by="ann",
            metrics={"auc": 0.7},
            card=card,
        )

    async def live(
        self, artifact: bytes | None = None, *, point: str = "fraud-risk", **card: Any
    ) -> ModelVersion:
        version = await self.registered(artifact or linear(amount=0.001), **card)
        await self.promoted(version, Stage.LIVE, point=point)
        return version

    async def challenged(
        self, artifact: bytes | None = None, *, point: str = "fraud-risk", **card: Any
    ) -> ModelVersion:
        version = await self.registered(artifact or linear(bias=3.0), **card)
        await self.promoted(version, Stage.SHADOW, point=point)
        return version

    async def promoted(
        self, version: ModelVersion, stage: Stage, *, share: float = 1.0, point: str = "fraud-risk"
    ) -> None:
        await self.registry.promote(point, version, stage, by="ann", reason="first", share=share)


def request(
    point: DecisionPoint[Claim], claim: Claim | None = None, **options: Any
) -> Request[Claim]:
    settings: dict[str, Any] = {"correlation_id": "0" * 31 + "1", "actor": "tester", **options}
    return Request(point, claim or Claim(), **settings)
