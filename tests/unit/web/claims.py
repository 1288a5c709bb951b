"""An automation for the door's tests: small, with every kind of field a claim may have."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from opsrail import Automation, Band, Case, DecisionPoint, Policy, Rule
from opsrail.errors import NotDurable


class Channel(StrEnum):
    PHONE = "phone"
    WEB = "web"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Part(Strict):
    name: Annotated[str, Field(min_length=1, max_length=40)]
    price: Annotated[float, Field(ge=0, le=1e6)]


class Claim(Strict):
    claim_id: Annotated[str, Field(min_length=1, max_length=40)]
    age: Annotated[int, Field(ge=0, le=130)] = 40
    amount: Annotated[float, Field(ge=0, le=1_000_000)]
    is_insured: bool = True
    channel: Channel = Channel.WEB
    day: date | None = None
    parts: Annotated[list[Part], Field(max_length=20)] = []


class Settlement(BaseModel):
    paid: bool
    why: str


fraud = DecisionPoint(
    "fraud-risk",
    request=Claim,
    deadline_ms=30_000,
    policy=Policy(
        [Band("approve", below=0.5), Band("review", below=1.01)],
        [Rule("uninsured", lambda claim: not claim.is_insured, "decline", "Nobody insured it.")],
    ),
    fallback=lambda claim: "approve" if claim.amount < 1000 else "review",
)
claims = Automation("claims-intake", case=Claim, outcome=Settlement)
slow = Automation("slow", case=Claim, outcome=Settlement)
broken = Automation("broken", case=Claim, outcome=Settlement)
GATE = threading.Event()
GATE.set()  # a test that wants things to take their time closes it
ASKED = threading.Event()
IS_BROKEN = False
PATIENCE_S = 20.0


def score(features: Mapping[str, Any]) -> float:
    """Say that large claims are dubious, once the gate is open."""
    ASKED.set()
    GATE.wait(PATIENCE_S)
    return min(float(features["amount"]) / 2000, 1.0)


@claims.action()
async def pay(key: str, claim_id: str, amount: float) -> None:
    """Pay nobody."""


@claims.run
async def intake(case: Case, claim: Claim) -> Settlement:
    decision = await case.decide(fraud, claim)
    if decision.verdict == "decline":
        return Settlement(paid=False, why=decision.reasons[0].text)
    if decision.verdict == "review":
        ruling = await case.review("claims-desk", decision)
        if ruling.verdict != "approve":
            return Settlement(paid=False, why=ruling.reason)
    await case.act(pay, claim.claim_id, claim.amount)
    return Settlement(paid=True, why="as the papers say")


@slow.run
async def wait(case: Case, claim: Claim) -> Settlement:
    await case.step(opened)
    return Settlement(paid=False, why="the gate was opened")


@broken.run
async def fail(case: Case, claim: Claim) -> Settlement:
    if IS_BROKEN:
        raise NotDurable("the author's code is wrong")
    return Settlement(paid=False, why="mended")


def opened() -> bool:
    """Wait until the test opens the gate."""
    ASKED.set()
    return GATE.wait(PATIENCE_S)
