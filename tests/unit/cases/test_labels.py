"""What a ruling tells of a decision: declared at the point, carried by the review, written with the ruling."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from opsrail import Automation, Band, Case, DecisionPoint, Policy
from opsrail.cases.loader import Definitions
from opsrail.testing import Rehearsal
from opsrail.values.outcomes import OutcomeRow


class Facts(BaseModel):
    amount: float
    sampled: float | None = None


class Ended(BaseModel):
    verdict: str


def defined(labels: Any) -> Definitions:
    point = DecisionPoint(
        "risk", request=Facts, policy=Policy([Band("approve", below=1.01)]), labels=labels
    )
    automation = Automation("claims", case=Facts, outcome=Ended)

    @automation.run
    async def handle(case: Case, facts: Facts) -> Ended:
        decision = await case.decide(point, facts)
        ruling = await case.review("desk", decision, sampled=facts.sampled)
        return Ended(verdict=ruling.verdict)

    return Definitions({"claims": automation}, {"risk": point}, (), ())


def ruled(labels: Any, verdict: str, facts: dict[str, Any]) -> list[OutcomeRow]:
    """Return the outcomes after one ruling, with a crash before it and one after."""
    models = {"risk": lambda facts: 0.2}
    with Rehearsal(defined(labels), models=models) as rehearsal:
        case = rehearsal.submit("claims", facts)
        rehearsal.restart()
        reason = "" if verdict == "approve" else "It is forged."
        settled = rehearsal.rule(case, verdict, by="ann", reason=reason)
        rehearsal.restart()
        rows = rehearsal.outcomes(case)
        assert settled.state == "settled"
        assert all(row.decision_id == rehearsal.decisions(case)[0].id for row in rows)
    return rows


FRAUD = {"fraud": {"decline": 1, "approve": 0}}


def test_a_ruling_is_a_label_as_the_point_declares() -> None:
    (row,) = ruled(FRAUD, "decline", {"amount": 5})

    assert row[2:7] == ("fraud", 1.0, "review", 1.0, "ann")


def test_what_chance_put_to_a_person_is_an_audit_with_its_probability() -> None:
    (row,) = ruled(FRAUD, "approve", {"amount": 5, "sampled": 0.05})

    assert row[2:7] == ("fraud", 0.0, "audit", 0.05, "ann")


def test_one_ruling_tells_of_several_outcomes() -> None:
    labels = {**FRAUD, "hard-case": {"escalate": True, "decline": False}}
    rows = ruled(labels, "decline", {"amount": 5})

    assert {row.name: row.value for row in rows} == {"fraud": 1.0, "hard-case": 0.0}


@pytest.mark.parametrize(("labels", "verdict"), [(FRAUD, "escalate"), (None, "decline")])
def test_a_ruling_that_is_not_named_says_nothing(labels: Any, verdict: str) -> None:
    assert ruled(labels, verdict, {"amount": 5}) == []


def test_a_probability_that_is_none_sets_the_case_aside() -> None:
    with Rehearsal(defined(FRAUD), models={"risk": lambda facts: 0.2}) as rehearsal:
        case = rehearsal.submit("claims", {"amount": 5, "sampled": 5})

        assert case.state == "set_aside"
        assert "no probability above 0" in (case.reason or "")
