from __future__ import annotations

import csv
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from opsrail.cases.loader import load_file
from opsrail.decide.policy import NoScore
from opsrail.errors import InvalidInput
from opsrail.testing import Rehearsal
from opsrail.values.models import Score

FOLDER = Path(__file__).parent
FRAUD = load_file(FOLDER / "automation.py").points["fraud-risk"]


def rehearsal(*, score: float) -> Rehearsal:
    return Rehearsal(FOLDER / "automation.py", models={"fraud-risk": lambda _: score})


def a_claim(**other: Any) -> dict[str, Any]:
    """Return the first claim of the file, made a plain one: 25,000 USD, deductible 300."""
    with gzip.open(FOLDER / "data" / "claims.csv.gz", "rt", encoding="utf-8", newline="") as lines:
        row = next(csv.DictReader(lines))
    return {**row, "BasePolicy": "Collision", "VehiclePrice": "20000 to 29000", **other}


def verdict_on(
    score: float | None, receipt: dict[str, Any] | None = None, **other: Any
) -> tuple[str, str]:
    """Return the policy's verdict and the code of its first reason."""
    facts = FRAUD.request.model_validate({**a_claim(**other), "receipt": receipt or {}})
    said = NoScore("deadline-passed", "Late.") if score is None else Score(score, 1.0, "sha256:")
    judgement = FRAUD.policy.judge(facts, said, FRAUD.fallback)
    return judgement.verdict, judgement.reasons[0].code


def test_claims_with_low_scores_are_paid_once_each_but_for_a_few_that_people_check() -> None:
    with rehearsal(score=0.001) as claims:
        cases = [
            claims.submit("claims-intake", a_claim(PolicyNumber=number)) for number in range(1, 101)
        ]
        paid = [case for case in cases if case.state == "settled"]

        assert {sent.key.split("-")[0] for sent in claims.sent("pay")} == {case.id for case in paid}
        assert len(claims.sent("pay")) == len(paid)
        assert all(sent.args[1] == Decimal(2200) for sent in claims.sent("pay"))
        assert {case.state for case in cases if case not in paid} == {"waiting"}
        assert 80 < len(paid) < 100


def test_a_doubtful_claim_waits_for_a_person_and_is_paid_when_approved() -> None:
    with rehearsal(score=0.5) as claims:
        waiting = claims.submit("claims-intake", a_claim())
        settled = claims.rule(waiting, "approve", by="ana")

        assert waiting.state == "waiting"
        assert claims.reviews(waiting)[0].queue == "claims-desk"
        assert '"verdict":"paid"' in str(settled.outcome)
        assert '"ruled_by":"ana"' in str(settled.outcome)
        assert [sent.args for sent in claims.sent("pay")] == [(1, Decimal(2200))]


def test_a_person_may_put_the_amount_right_but_not_beyond_its_bounds() -> None:
    with rehearsal(score=0.5) as claims:
        waiting = claims.submit("claims-intake", a_claim())
        for wrong in (-1, 200_000, "much"):
            with pytest.raises(InvalidInput, match="amount_usd"):
                claims.rule(waiting, "approve", fields={"amount_usd": wrong})
        claims.rule(waiting, "approve", fields={"amount_usd": 1999.5})

        assert [sent.args for sent in claims.sent("pay")] == [(1, Decimal("1999.5"))]


def test_a_declined_claim_is_never_paid() -> None:
    with rehearsal(score=0.5) as claims:
        settled = claims.rule(claims.submit("claims-intake", a_claim()), "decline")

        assert '"verdict":"declined"' in str(settled.outcome)
        assert claims.sent() == []


def test_a_claim_whose_process_dies_while_it_waits_is_paid_once() -> None:
    with rehearsal(score=0.5) as claims:
        waiting = claims.submit("claims-intake", a_claim())
        claims.restart()
        claims.rule(waiting, "approve")
        claims.restart()

        assert len(claims.sent("pay")) == 1


def test_a_receipt_that_is_not_there_is_doubtful_and_goes_to_a_person() -> None:
    with rehearsal(score=0.001) as claims:
        case = claims.submit("claims-intake", a_claim(receipt="no-such-receipt.jpg"))

        assert case.state == "waiting"
        assert [reason.code for reason in claims.decisions(case)[0].reasons] == ["receipt-doubtful"]


@pytest.mark.parametrize(
    ("score", "verdict"), [(0.0, "approve"), (0.0199, "approve"), (0.02, "review"), (1.0, "review")]
)
def test_the_score_decides_between_paying_and_asking(score: float, verdict: str) -> None:
    assert verdict_on(score) == (verdict, "score-in-band")


@pytest.mark.parametrize(
    ("code", "receipt", "other"),
    [
        ("receipt-doubtful", {"is_doubtful": True}, {}),
        ("receipt-over-limit", {"total_usd": "100.01"}, {}),
        ("no-police-report", {}, {"VehiclePrice": "more than 69000", "PoliceReportFiled": "No"}),
        ("policy-days-old", {}, {"Days_Policy_Accident": "1 to 7"}),
    ],
)
def test_no_score_overrides_a_rule(
    code: str, receipt: dict[str, Any], other: dict[str, Any]
) -> None:
    assert verdict_on(0.0, receipt, **other) == ("review", code)


@pytest.mark.parametrize(
    ("receipt", "other"),
    [
        ({"total_usd": "100.00"}, {}),
        ({}, {"VehiclePrice": "more than 69000", "PoliceReportFiled": "Yes"}),
        ({}, {"VehiclePrice": "more than 69000", "Fault": "Third Party"}),
        ({}, {"Days_Policy_Accident": "8 to 15"}),
    ],
)
def test_rules_leave_alone_what_they_do_not_speak_of(
    receipt: dict[str, Any], other: dict[str, Any]
) -> None:
    assert verdict_on(0.0, receipt, **other) == ("approve", "score-in-band")


@pytest.mark.parametrize(("base", "verdict"), [("Liability", "approve"), ("All Perils", "review")])
def test_without_a_score_plain_rules_answer(base: str, verdict: str) -> None:
    assert verdict_on(None, BasePolicy=base) == (verdict, "fallback")


def test_an_age_of_0_is_not_known_and_a_month_of_0_is_refused_by_name() -> None:
    with rehearsal(score=0.5) as claims:
        case = claims.submit("claims-intake", a_claim(Age="0"))
        with pytest.raises(InvalidInput) as refused:
            claims.submit(
                "claims-intake", a_claim(MonthClaimed="0", DayOfWeekClaimed="0", Age="15")
            )

        assert '"Age":null' in case.input
        assert sorted(fault.place for fault in refused.value.faults) == [
            "Age",
            "DayOfWeekClaimed",
            "MonthClaimed",
        ]


def test_neither_label_nor_people_are_part_of_what_is_decided_on() -> None:
    with rehearsal(score=0.5) as claims:
        case = claims.submit("claims-intake", a_claim())

        asked = claims.decisions(case)[0].features[0].values
        assert {
            "FraudFound_P",
            "Sex",
            "MaritalStatus",
            "RepNumber",
            "PolicyNumber",
        } & asked.keys() == set()
        assert "FraudFound_P" not in case.input


def test_what_was_settled_is_history_for_the_next_claim_of_that_make() -> None:
    with rehearsal(score=0.5) as claims:
        claims.rule(claims.submit("claims-intake", a_claim(PolicyNumber=1)), "decline")
        claims.advance("1s")
        second = claims.submit("claims-intake", a_claim(PolicyNumber=2))

        history = claims.decisions(second)[0].features[1]
        assert history.name == "vehicle-history@1"
        assert history.values["vehicle-history.fraud_ratio"] == 0.1


def test_rulings_are_labels_and_spot_checks_say_with_what_probability_they_were_drawn() -> None:
    with rehearsal(score=0.5) as claims:
        doubtful = claims.submit("claims-intake", a_claim())
        claims.rule(doubtful, "decline", by="ana", reason="Forged.")
        (told,) = claims.outcomes(doubtful)
    with rehearsal(score=0.001) as claims:
        cases = [
            claims.submit("claims-intake", a_claim(PolicyNumber=number)) for number in range(1, 101)
        ]
        drawn = next(case for case in cases if case.state == "waiting")
        claims.rule(drawn, "approve", by="ana")
        (checked,) = claims.outcomes(drawn)

    assert told[2:6] == ("fraud", 1.0, "review", 1.0)
    assert checked[2:6] == ("fraud", 0.0, "audit", 0.05)
