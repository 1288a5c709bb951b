"""What a person sees of a decision, and what a ruling on it may override."""

from __future__ import annotations

from typing import Any

import pytest

from opsrail.decide.explain import explain
from opsrail.review.assignment import due_ms
from opsrail.review.opening import Asked, asked_about, opened, shown_of
from opsrail.review.queue import Queue
from opsrail.review.showing import record_of
from opsrail.values.cases import CaseRow
from opsrail.values.decisions import Decision, ModelRef
from opsrail.values.reasons import Reason
from opsrail.values.reviews import ReviewRow
from opsrail.values.rows import Insert

OWN = Reason("autonomy-observe", "People decide here.", "autonomy")
BAND = Reason("score-in-band", "The score 0.3 is below 0.5, the limit of 'approve'.", "band")


def decision(**fields: Any) -> Decision:
    told: dict[str, Any] = {
        "id": "01J0000000000000000000000A",
        "point": "fraud-risk",
        "impact": "low",
        "correlation_id": "0" * 32,
        "case_id": "c",
        "seq": 0,
        "actor": "automation:claims",
        "model": ModelRef("fraud", 7, "sha256:" + "0" * 64, "live"),
        "policy_version": "0" * 16,
        "score": 0.3,
        "confidence": 0.9,
        "unknown": ("make",),
        "verdict": "review",
        "reasons": (OWN, BAND),
        "features": (),
        "cache": "off",
        "degraded": False,
        "degraded_why": None,
        "cost_usd": 0.0,
        "latency_ms": {"total": 1.0},
        "at_ms": 0,
        **fields,
    }
    return Decision(**told)


def test_who_observes_sees_nothing_of_what_was_predicted() -> None:
    shown = shown_of(decision(autonomy="observe", proposed="approve"))

    back = Decision.from_record(shown)
    assert (back.score, back.confidence, back.proposed, back.unknown) == (None, None, None, ())
    assert back.reasons == (OWN,)
    assert not any(hint in str(shown) for hint in ("0.3", "0.9", "approve", "make"))
    assert "not shown to those who decide" in " ".join(explain(back))


def test_who_assists_sees_all_of_it() -> None:
    one = decision(autonomy="assist", proposed="approve")

    assert shown_of(one) == one.record()


@pytest.mark.parametrize(
    ("autonomy", "proposed", "verdict"),
    [
        ("observe", "approve", None),
        ("assist", "approve", "approve"),
        ("assist", "review", "review"),
        ("automate", None, "review"),
    ],
)
def test_a_ruling_overrides_what_was_proposed_and_only_that(
    autonomy: Any, proposed: str | None, verdict: str | None
) -> None:
    assert asked_about(decision(autonomy=autonomy, proposed=proposed)) == verdict


def row_of(asked: Asked) -> ReviewRow:
    case = CaseRow(
        **{
            **dict.fromkeys(CaseRow._fields),
            **{"id": "c", "automation": "claims", "input": '{"amount": NaN}', "salt": "00" * 32},
        }  # type: ignore[arg-type]
    )
    writes = opened(case, "c-0", asked, 0)
    (row,) = (
        one.row for one in writes if isinstance(one, Insert) and isinstance(one.row, ReviewRow)
    )
    return row


@pytest.mark.parametrize("due", [None, "4h"])
def test_a_row_says_when_it_goes_before_what_is_not_due(due: str | None) -> None:
    row = row_of(Asked(Queue("desk", due=due)))

    assert row.urgent_at_ms == due_ms(row) > 0


def test_what_is_no_number_is_shown_as_nothing_and_keeps_nobody_from_looking() -> None:
    row = row_of(Asked(Queue("desk"), show={"mean": float("nan"), "most": float("inf")}))
    record = record_of(row, sees=True, now_ms=0)

    assert record["subject"]["show"] == {"mean": None, "most": None}
    assert record["subject"]["input"] == {"amount": None}
