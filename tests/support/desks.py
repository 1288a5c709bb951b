"""An automation with a desk of every kind: a form, blind, two pairs of eyes; and a step that reads a document."""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from opsrail import Automation, Band, Case, DecisionPoint, Escalation, Policy, Queue
from opsrail.values.documents import Document, ExtractedField

Name = Literal["open-desk", "blind-desk", "four-desk"]


class Claim(BaseModel):
    """What comes in."""

    number: int
    name: str = "Ann"
    amount: float = 20.0
    desk: Name = "open-desk"
    receipt: str | None = None


class Address(BaseModel):
    """A group inside the form."""

    street: str = ""
    city: Annotated[str, Field(min_length=1)]


class Correction(BaseModel):
    """What a person may put right."""

    amount_usd: Annotated[Decimal, Field(gt=0, le=10_000, description="As on the receipt.")]
    paid_on: date | None = None
    kind: Literal["repair", "total loss"] = "repair"
    parts: list[str] = []
    is_urgent: bool = False
    address: Address | None = None


def by_amount(facts: Claim) -> tuple[str, str]:
    """Answer without a model."""
    verdict = "decline" if facts.amount > 50 else "approve"
    return verdict, "The machine looked at the amount."


risk = DecisionPoint(
    "risk",
    request=Claim,
    deadline_ms=30_000,
    policy=Policy(bands=[Band("approve", below=0.5), Band("decline", below=1.01)]),
    fallback=by_amount,
)
DESKS = {
    "open-desk": Queue(
        "open-desk",
        verdicts=("approve", "decline"),
        form=Correction,
        due="4h",
        undo="20s",
        escalate=[Escalation("1h", "chief-desk")],
    ),
    "blind-desk": Queue("blind-desk", verdicts=("approve", "decline"), blind=True),
    "four-desk": Queue("four-desk", verdicts=("approve", "decline"), eyes=2),
}
open_desk, blind_desk, four_desk = DESKS.values()
claims = Automation("desk-claims", case=Claim, outcome=Claim)


def read_page(path: str) -> Document:
    """Return a document as an author's own reader may: its digest, and one field where it stands."""
    image = Path(path).read_bytes()
    total = ExtractedField("amount", "money", "29.68", "29.68", 0.62, 1, (210, 340, 260, 362))
    return Document(hashlib.sha256(image).hexdigest(), (), (total,), "by hand", 1)


@claims.run
async def intake(case: Case, claim: Claim) -> Claim:
    if claim.receipt is not None:
        await case.step(read_page, claim.receipt)
    decision = await case.decide(risk, claim)
    values = {"amount_usd": str(claim.amount), "parts": ["bumper"]}
    has_form = claim.desk == "open-desk"
    await case.review(DESKS[claim.desk], decision, values=values if has_form else None)
    return claim
