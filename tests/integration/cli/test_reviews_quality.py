"""Spot checks, control cases, figures and the export on the command line, as two runs of an automation leave them."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.cli.conftest import Shell

AUTOMATION = """
from pydantic import BaseModel
from opsrail import Audit, Automation, Band, Case, DecisionPoint, Policy

class Claim(BaseModel):
    number: str
    amount: float

risk = DecisionPoint(
    "risk",
    request=Claim, deadline_ms=30_000,
    policy=Policy([Band("approve", below=0.75), Band("review", below=1.01)]),
    fallback=lambda claim: "approve" if claim.amount < 100 else "review",
    labels={"fraud": {"decline": 1, "approve": 0}},
    audit=Audit(ratio=1.0, queue="desk"),
)
claims = Automation("claims", case=Claim, outcome=Claim, key="number")

@claims.run
async def handle(case: Case, claim: Claim) -> Claim:
    decision = await case.decide(risk, claim)
    if decision.verdict == "review":
        await case.review("desk", decision, due="4h")
    return claim
"""
MOST_RUNS = 60
CONTROL = {"queue": "desk", "truth": "decline", "subject": {"input": {"number": "k", "amount": 9}}}


def test_what_no_person_saw_comes_to_people_and_figures_and_an_export_follow(shell: Shell) -> None:
    shell.write("automation.py", AUTOMATION)
    shell.write("controls.jsonl", json.dumps(CONTROL) + "\n" + json.dumps(CONTROL) + "\n")
    shell.write("first.csv", "number,amount\na,5000\n")
    shell.write("second.csv", "number,amount\nb,10\nc,20\n")
    for name in ("first", "second"):
        assert shell("run", "automation.py", "--input", f"{name}.csv", "--json").status == 0
    waiting: list[Any] = []
    for _ in range(MOST_RUNS):  # one that begins some seconds later finds what the second decided
        assert shell("run", "automation.py", "--input", "first.csv", "--json").status == 0
        waiting = shell("reviews", "list", "--json").json["reviews"]
        if len(waiting) == 3:
            break
    added = shell("reviews", "controls", "add", "controls.jsonl", "--by", "ann", "--json").json
    ruled = shell("reviews", "rule", waiting[-1]["id"], "decline", "--by", "ann")
    figures = shell("reviews", "quality", "--since", "1d", "--json").json
    exported = shell("reviews", "export", "--out", "rulings.csv", "--json").json["export"]

    assert (len(added["added"]), added["unchanged"], ruled.status) == (1, 0, 0)
    assert len(waiting) == 3
    assert len({tuple(sorted(review)) for review in waiting}) == 1
    assert all(review["due_at"] and review["case_id"] for review in waiting)
    assert (figures["machine"]["known"], figures["machine"]["hits"], figures["rulings"]) == (
        1,
        0,
        1,
    )
    assert exported["rows"] == 1
