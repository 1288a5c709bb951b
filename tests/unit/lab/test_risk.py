"""Risks in words."""

from __future__ import annotations

import pytest

from opsrail.errors import InvalidInput
from opsrail.lab.risk import Risk, Verdict, Words, read_risks

BOTH: tuple[Verdict, ...] = ("approve", "decline")


@pytest.mark.parametrize(
    ("text", "given", "verdicts", "truth", "limit"),
    [
        ("approved is fraud <= 1%", "verdict", ("approve",), True, 0.01),
        ("fraud among approved <= 1%", "verdict", ("approve",), True, 0.01),
        ("Approved IS Fraud ≤ 0.01", "verdict", ("approve",), True, 0.01),
        ("declined is honest <= 5%", "verdict", ("decline",), False, 0.05),
        ("declined is not fraud at most 5 %", "verdict", ("decline",), False, 0.05),
        ("declined|approved is fraud <= 1%", "verdict", BOTH, True, 0.01),
        ("approved or declined is wrong <= 2.5%", "verdict", BOTH, None, 0.025),
        ("automated is wrong <= .02", "verdict", BOTH, None, 0.02),
        ("wrong among automated <= 2%", "verdict", BOTH, None, 0.02),
        ("approved among fraud <= 10%", "truth", ("approve",), True, 0.1),
        ("declined among honest <= 0.5%", "truth", ("decline",), False, 0.005),
        ("approved and fraud <= 0.1%", "all", ("approve",), True, 0.001),
        ("pay is fraud <= 1%", "verdict", ("approve",), True, 0.01),
        ("refused is good <= 1%", "verdict", ("decline",), False, 0.01),
    ],
)
def test_a_text_is_a_share_with_a_limit(
    text: str, given: str, verdicts: tuple[str, ...], truth: bool | None, limit: float
) -> None:
    (risk,), outcome = read_risks([text], Words("fraud", approve="pay", decline="refuse"))

    assert (risk.given, risk.verdicts, risk.truth) == (given, verdicts, truth)
    assert risk.limit == pytest.approx(limit)
    assert outcome == "fraud"


def test_the_outcome_is_what_the_risks_call_it() -> None:
    risks, outcome = read_risks(
        ["approved is default <= 8%", "declined is not default <= 20%"], Words()
    )

    assert outcome == "default"
    assert [risk.truth for risk in risks] == [True, False]


def test_wrong_is_the_outcome_of_what_is_approved_and_its_opposite_of_what_is_declined() -> None:
    wrong = Risk("", "verdict", BOTH, None, 0.1)
    fraud = Risk("", "verdict", BOTH, True, 0.1)

    assert (wrong.wanted("approve"), wrong.wanted("decline")) == (True, False)
    assert (fraud.wanted("approve"), fraud.wanted("decline")) == (True, True)


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("aproved is fraud <= 1%", 1, "expected `approved` or `declined` or `automated`"),
        ("approved is fraud", 18, "found the end"),
        ("approved is fraud < 1%", 19, "expected `<=` or `≤`"),
        ("approved is fraud <= many", 22, "expected a number"),
        ("approved is fraud <= 1", 22, "above 0 and below 1"),
        ("approved is fraud <= 0%", 23, "above 0 and below 1"),
        ("approved is fraud <= 1% now", 25, "expected the end"),
        ("approved is default <= 1%", 13, "expected the outcome 'fraud'"),
        ("approved are fraud <= 1%", 10, "expected `is` or `among` or `and`"),
        ("approved|reviewed is fraud <= 1%", 10, "expected `approved`"),
        ("approved is declined <= 1%", 13, "what turns out true"),
        ("approved among wrong <= 1%", 16, "no share can be taken"),
        ("approved is not wrong <= 1%", 17, "is no risk"),
        ("", 1, "found the end"),
        ("1% fraud", 1, "expected `approved`"),
    ],
)
def test_what_is_no_risk_is_refused_with_its_place(text: str, column: int, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_risks([text], Words("fraud"))

    (fault,) = refused.value.faults
    assert fault.place == f"risks[0] column {column}"
    assert said in fault.message


def test_all_faults_come_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        read_risks(["approved is a <= 1%", "approved is b <= 1%", "nothing"], Words())

    assert [fault.place.split()[0] for fault in refused.value.faults] == ["risks[1]", "risks[2]"]


@pytest.mark.parametrize("texts", [[], "approved is fraud <= 1%"])
def test_risks_are_a_list_with_one_at_least(texts: list[str]) -> None:
    with pytest.raises(InvalidInput, match="a list with one risk at least"):
        read_risks(texts, Words())
