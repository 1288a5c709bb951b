"""Decisions on the command line: what would have had to be otherwise."""

from __future__ import annotations

import pytest

from tests.integration.cli.conftest import Shell
from tests.unit.models.tiny_models import tiny_bytes

PATIENT = {"OPSRAIL_DECIDE__EXPLAIN_MS": "60000"}
AUTOMATION = """
from typing import Annotated, Literal
from pydantic import BaseModel, Field
from opsrail import Automation, Band, Case, DecisionPoint, FeatureView, Fixed, Policy

class Facts(BaseModel):
    Make: Literal["Honda", "Mazda"]
    Age: Annotated[float, Fixed("Nobody can change their age.")]

history = FeatureView(
    "vehicle-history",
    version=1,
    entity=lambda facts: "all",
    initial=lambda: 0,
    fold=lambda state, fact: state + 1,
    read=lambda state: {"vehicle-history.fraud_ratio": 0.5},
    fact=lambda facts, outcome: ("all", {}),
)
risk = DecisionPoint(
    "risk",
    request=Facts, deadline_ms=30_000,
    features=["vehicle-history@1"],
    policy=Policy([Band("approve", below=0.75), Band("review", below=1.01)]),
)
claims = Automation("claims", case=Facts, outcome=Facts)

@claims.run
async def handle(case: Case, facts: Facts) -> Facts:
    await case.decide(risk, facts)
    return facts
"""


@pytest.fixture
def decided(shell: Shell) -> tuple[Shell, str]:
    """A folder with one decision: a Mazda, approved only if it were a Honda."""
    shell.write("automation.py", AUTOMATION)
    shell.write("claims.csv", "Make,Age\nMazda,0\n")
    shell.write("tiny.onnx", tiny_bytes())
    shell("config", "check")
    first = shell("run", "automation.py", "--input", "claims.csv", "--json")
    assert first.status == 0, first
    digest = "sha256:" + "0" * 64
    shell("models", "register", "tiny", "tiny.onnx", "--training-digest", digest)
    why = ("--stage", "live", "--reason", "first")
    assert shell("models", "promote", "risk", "tiny", "1", *why).status == 0
    shell.write("more.csv", "Make,Age\nMazda,0\n\nMazda,1\n")
    assert shell("run", "automation.py", "--input", "more.csv", "--json").status == 0
    case = shell("cases", "list", "--json").json["cases"][0]["id"]
    decision = shell("cases", "show", case, "--json").json["case"]["decisions"][0]
    assert decision["score"] is not None
    return shell, decision["id"]


def test_what_would_turn_a_verdict_is_told(decided: tuple[Shell, str]) -> None:
    shell, decision = decided
    explain = ("decisions", "explain", decision, "automation.py", "--towards")

    told = shell(*explain, "approve", "--json", env=PATIENT)
    said = shell(*explain, "any", env=PATIENT)

    assert told.status == 0, told
    nearest = told.json["nearest"]
    assert [(one["fact"], one["before"], one["after"]) for one in nearest["change"]["changes"]] == [
        ("Make", "Mazda", "Honda")
    ]
    assert nearest["held"] == [{"fact": "Age", "why": "Nobody can change their age."}]
    assert "Make had been Honda instead of Mazda." in said.out


def test_without_the_file_or_with_a_wrong_verdict_the_call_is_refused(
    decided: tuple[Shell, str],
) -> None:
    shell, decision = decided

    without = shell("decisions", "explain", decision, "--towards", "approve")
    wrong = shell("decisions", "explain", decision, "automation.py", "--towards", "no", "--json")

    assert without.status == 2
    assert "needs the automation's FILE" in without.err
    assert (wrong.status, wrong.json["error"]["code"]) == (1, "invalid-input")
