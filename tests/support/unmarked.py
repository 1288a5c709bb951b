"""A blind desk to which claims come as reviews, spot checks and control cases; which of them, a claim's amount says."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from opsrail import Audit, Automation, Band, Case, DecisionPoint, Policy, Queue


class Claim(BaseModel):
    """What comes in."""

    number: int
    name: str = "Ann"
    amount: float
    kind: Literal["repair", "total loss"] = "repair"


class Correction(BaseModel):
    """What a person may put right."""

    amount: float


def by_amount(facts: Claim) -> tuple[str, str]:
    """Answer without a model: small claims alone, large ones by people."""
    return ("review" if facts.amount > 50 else "approve"), "The machine looked at the amount."


def look(number: int) -> int:
    """Do something before the machine is asked."""
    return number


desk = Queue("blind-desk", verdicts=("approve", "decline"), form=Correction, blind=True, due="4h")
risk = DecisionPoint(
    "risk",
    request=Claim,
    deadline_ms=30_000,
    policy=Policy(bands=[Band("approve", below=0.5), Band("decline", below=1.01)]),
    fallback=by_amount,
    audit=Audit(1.0, "blind-desk"),
)
claims = Automation("desk-claims", case=Claim, outcome=Claim)


@claims.run
async def intake(case: Case, claim: Claim) -> Claim:
    await case.step(look, claim.number)
    decision = await case.decide(risk, claim)
    if decision.verdict == "review":
        await case.review(desk, decision, values={"amount": claim.amount})
    return claim
