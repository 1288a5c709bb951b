"""A view that keeps values, in an automation as its author writes and rehearses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsrail.cases.loader import load_file
from opsrail.errors import InvalidInput
from opsrail.testing import Rehearsal
from opsrail.values.decisions import ValueAsOf

AUTOMATION = """
from pydantic import BaseModel
from opsrail import Automation, Band, Case, DecisionPoint, FeatureView, Policy

class Claim(BaseModel):
    policy_id: int
    amount: float

class Settled(BaseModel):
    verdict: str

holder = FeatureView(
    "policyholder", version=1, entity="policy_id", ttl="2m", features={"claims": int}, missing={"claims": 9}
)
risk = DecisionPoint(
    "risk",
    request=Claim,
    features=["policyholder@1"],
    policy=Policy([Band("approve", below=0.5), Band("decline", below=1.01)]),
)
claims = Automation("claims", case=Claim, outcome=Settled)

@claims.run
async def handle(case: Case, claim: Claim) -> Settled:
    return Settled(verdict=(await case.decide(risk, claim)).verdict)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "claims.py"
    path.write_text(AUTOMATION, encoding="utf-8")
    return path


def test_a_decision_uses_what_was_pushed_until_it_is_too_old(file: Path) -> None:
    score = {"risk": lambda features: features["claims"] / 10}
    with Rehearsal(file, models=score) as rehearsal:
        rehearsal.push("policyholder@1", "7", {"claims": 2})
        fresh = rehearsal.submit("claims", {"policy_id": 7, "amount": 1})
        rehearsal.advance("3m")
        late = rehearsal.submit("claims", {"policy_id": 7, "amount": 1})
        reads = [rehearsal.decisions(case)[0].features[1].as_of for case in (fresh, late)]

    assert (fresh.outcome, late.outcome) == ('{"verdict":"approve"}', '{"verdict":"decline"}')
    assert [isinstance(read, ValueAsOf) and read.is_expired for read in reads] == [False, True]


@pytest.mark.parametrize(
    ("before", "after", "what"),
    [
        ('entity="policy_id"', 'entity="holder"', "is read by 'holder', which Claim has not"),
        ('{"claims": int}', '{"amount": int, "claims": int}', "'amount' comes from policyholder@1"),
        ('"policyholder@1"]', '"policyholder@2"]', "asks for feature view 'policyholder@2'"),
    ],
)
def test_a_view_that_cannot_be_joined_is_refused_when_the_file_loads(
    file: Path, before: str, after: str, what: str
) -> None:
    file.write_text(AUTOMATION.replace(before, after), encoding="utf-8")

    with pytest.raises(InvalidInput, match=what):
        load_file(file)
