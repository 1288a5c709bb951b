"""The automation that `bench serve` and `bench burst` serve: one decision point, everything on.

A cache time is set, so that each request looks its score up and keeps it; no request comes twice, so none is found.
"""

from __future__ import annotations

from pydantic import BaseModel

from opsrail import Automation, Band, Case, DecisionPoint, Policy, Rule


class Facts(BaseModel):
    """Twenty numbers."""

    x0: float
    x1: float
    x2: float
    x3: float
    x4: float
    x5: float
    x6: float
    x7: float
    x8: float
    x9: float
    x10: float
    x11: float
    x12: float
    x13: float
    x14: float
    x15: float
    x16: float
    x17: float
    x18: float
    x19: float


class Outcome(BaseModel):
    """The verdict."""

    verdict: str


def by_hand(facts: Facts) -> str:
    return "review"


tabular = DecisionPoint(
    "tabular",
    request=Facts,
    policy=Policy(
        bands=[Band("approve", below=0.3), Band("review", below=0.8), Band("decline", below=1.01)],
        rules=[Rule("x1-out-of-range", lambda facts: facts.x1 > 1, "review", "x1 is above 1.")],
    ),
    fallback=by_hand,
    deadline_ms=1_000,
    cache_ttl_s=60,
    criticality="high",  # callers may only lower it
)

flow = Automation("tabular-flow", case=Facts, outcome=Outcome)


@flow.run
async def run(case: Case, facts: Facts) -> Outcome:
    decision = await case.decide(tabular, facts)
    return Outcome(verdict=decision.verdict)
