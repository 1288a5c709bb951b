"""An automation whose author, model and form all write words without end, and whose form has parts of every kind."""

from __future__ import annotations

from datetime import time, timedelta

from pydantic import BaseModel, Field

from opsrail import Automation, Band, Case, DecisionPoint, Policy, Queue

LONG = "W" * 300


class Claim(BaseModel):
    """What comes in."""

    number: int


class Address(BaseModel):
    """Where somebody lives; no word of it is a field's name."""

    city: str = ""


class Correction(BaseModel):
    """What a person may put right."""

    sent_to: Address | None = None
    billed_to: Address
    opens: time | None = None
    takes: timedelta | None = None
    count: int = 1
    extra: dict[str, int] = {}
    wordy: str = Field("", title=LONG, description=LONG)
    group: Address | None = Field(None, title=LONG)


def by_hand(facts: Claim) -> tuple[str, str]:
    """Answer without a model."""
    return "approve", LONG


wordy = DecisionPoint(
    "wordy",
    request=Claim,
    policy=Policy([Band("approve", below=0.5), Band("decline", below=1.01)]),
    fallback=by_hand,
)
desk = Queue("wordy-desk", verdicts=("approve", "decline"), form=Correction)
claims = Automation("wordy-claims", case=Claim, outcome=Claim)


@claims.run
async def intake(case: Case, claim: Claim) -> Claim:
    decision = await case.decide(wordy, claim)
    await case.review(desk, decision, values={"billed_to": {"city": "Bonn"}})
    return claim
