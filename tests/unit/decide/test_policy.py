"""What a score means, and what authors may declare."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import Band, NoScore, Policy, Rule
from opsrail.errors import InvalidInput
from opsrail.values.models import Score
from tests.support.decisions import Claim, fraud_policy

LATE = NoScore("deadline-passed", "No score in time.")


def scored(value: float) -> Score:
    return Score(value, 1.0, "sha256:0")


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.0, "approve"), (0.4999, "approve"), (0.5, "review"), (1.0, "review")]
)
def test_a_band_ends_below_its_limit(value: float, verdict: str) -> None:
    judgement = fraud_policy().judge(Claim(), scored(value))

    assert judgement.verdict == verdict
    assert [reason.source for reason in judgement.reasons] == ["band"]


def test_the_first_rule_that_matches_wins() -> None:
    rules = [
        Rule[Claim]("never", when=lambda facts: False, verdict="decline", reason="No."),
        Rule[Claim]("old", when=lambda facts: facts.age > 30, verdict="review", reason="Old."),
        Rule[Claim]("any", when=lambda facts: True, verdict="decline", reason="Any."),
    ]
    policy = Policy(bands=[Band("approve", below=1.01)], rules=rules)

    judgement = policy.judge(Claim(), scored(0.0))

    assert judgement.verdict == "review"
    assert [(reason.code, reason.text, reason.source) for reason in judgement.reasons] == [
        ("old", "Old.", "rule")
    ]


def test_a_rule_that_fails_gives_the_safe_verdict_and_says_so() -> None:
    broken = Rule[Claim](
        "broken", when=lambda facts: 1 // 0 > 0, verdict="approve", reason="Never."
    )
    policy = Policy(bands=[Band("approve", below=1.01)], rules=[broken], on_error="decline")

    judgement = policy.judge(Claim(), scored(0.0))

    assert judgement.verdict == "decline"
    assert judgement.reasons[0].code == "rule-failed"
    assert "'broken' failed (ZeroDivisionError)" in judgement.reasons[0].text


def test_what_goes_wrong_goes_to_people_under_the_verdict_that_the_policy_calls_them_by() -> None:
    broken = Rule[Claim]("broken", when=lambda facts: bool(1 / 0), verdict="pay", reason="Never.")
    bands = [Band("pay", below=0.3), Band("desk", below=1.01)]
    policy = Policy[Claim](bands=bands, rules=[broken], review="desk")
    silent = Policy[Claim](bands=bands, review="desk")
    named = Policy[Claim](bands=bands, without_score="pay")

    assert policy.judge(Claim(), scored(0.1)).verdict == "desk"
    assert silent.judge(Claim(), LATE).verdict == "desk"
    assert silent.verdicts == ("pay", "desk")
    assert named.judge(Claim(), LATE).verdict == "pay"
    assert Policy[Claim](bands=bands).judge(Claim(), LATE).verdict == "review"


def test_silence_without_a_fallback_gets_the_policys_verdict() -> None:
    judgement = fraud_policy(without_score="decline").judge(Claim(), LATE)

    assert judgement.verdict == "decline"
    assert [reason.code for reason in judgement.reasons] == ["deadline-passed"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [("approve", "The fallback says 'approve'."), (("approve", "Small."), "Small.")],
)
def test_the_fallback_answers_silence(answer: str | tuple[str, str], said: str) -> None:
    judgement = fraud_policy().judge(Claim(), LATE, lambda facts: answer)

    assert judgement.verdict == "approve"
    assert [(reason.code, reason.text) for reason in judgement.reasons] == [
        ("fallback", said),
        ("deadline-passed", "No score in time."),
    ]


@pytest.mark.parametrize("answer", ["unheard-of", ("approve",), None, 7, ("approve", "")])
def test_a_fallback_that_answers_nonsense_is_not_believed(answer: object) -> None:
    judgement = fraud_policy().judge(Claim(), LATE, lambda facts: answer)  # type: ignore[arg-type, return-value]

    assert judgement.verdict == "review"
    assert judgement.reasons[0].code == "fallback-failed"


def test_rules_come_before_the_fallback() -> None:
    judgement = fraud_policy().judge(Claim(amount=20_000), LATE, lambda facts: "approve")

    assert judgement.reasons[0].code == "amount-over-limit"


def test_every_fault_of_a_policy_is_named_at_once() -> None:
    rule = Rule[Claim]("twice", when=lambda facts: True, verdict="", reason="")

    async def late(facts: Claim) -> bool:
        return True

    asynchronous = Rule[Claim]("twice", when=late, verdict="x", reason="y")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput) as caught:
        Policy(
            bands=[Band("a", below=0.5), Band("", below=0.4), Band("c", below=float("nan"))],
            rules=[rule, asynchronous],
            on_error="",
            on_unknown="",
        )

    assert [fault.place for fault in caught.value.faults] == [
        "bands[1]",
        "bands[1]",
        "bands[2]",
        "bands",
        "rules",
        "rules[0].verdict",
        "rules[0].reason",
        "rules[1].when",
        "on_error",
        "on_unknown",
    ]


def test_a_policy_needs_a_band() -> None:
    with pytest.raises(InvalidInput, match="there are none"):
        Policy(bands=[])


def test_every_fault_of_a_point_is_named_at_once() -> None:
    async def late(facts: Claim) -> str:
        return "review"

    with pytest.raises(InvalidInput) as caught:
        DecisionPoint(
            "Fraud Risk",
            request=dict,  # type: ignore[type-var]
            policy="none",  # type: ignore[arg-type]
            features=["history", "a@1", "a@1"],
            fallback=late,  # type: ignore[arg-type]
            deadline_ms=0,
            cache_ttl_s=-1,
            criticality="urgent",  # type: ignore[arg-type]
            impact="huge",  # type: ignore[arg-type]
        )

    assert [fault.place for fault in caught.value.faults] == [
        "name", "request", "policy", "features", "features", "fallback", "deadline_ms", "cache_ttl_s",
        "criticality", "impact",
    ]  # fmt: skip


def test_another_request_model_is_another_request_version() -> None:
    class Wider(BaseModel):
        make: str
        colour: str

    policy = Policy[BaseModel](bands=[Band("review", below=1.01)])
    versions = {
        DecisionPoint("p", request=model, policy=policy).request_version for model in (Claim, Wider)
    }

    assert len(versions) == 2


def test_a_fallback_counts_in_the_points_policy_version() -> None:
    def build(fallback: str) -> DecisionPoint[Claim]:
        return DecisionPoint(
            "p", request=Claim, policy=fraud_policy(), fallback=lambda facts: fallback
        )

    versions = [
        build("approve").policy_version,
        build("review").policy_version,
        build("review").policy_version,
    ]

    assert versions[0] != versions[1] == versions[2]
