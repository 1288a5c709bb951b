from __future__ import annotations

from typing import Any

from examples.claims.claim_rows import read_claims, week_of
from examples.claims.vehicle_history import histories_before, history_of, settled


def test_training_sees_what_the_same_fold_sees_when_claims_come_one_by_one() -> None:
    rows = read_claims()[:3000]
    states: dict[str, Any] = {}
    unsettled: list[dict[str, str]] = []
    seen_in_service = []
    for row in rows:
        if unsettled and week_of(unsettled[0]) < week_of(row):  # the week is over: all is settled
            for claim in unsettled:
                states[claim["Make"]] = settled(states.get(claim["Make"]), claim)
            unsettled = []
        seen_in_service.append(history_of(states.get(row["Make"])))
        unsettled.append(row)

    seen_in_training = list(histories_before(rows))

    assert seen_in_training == seen_in_service
    assert len({tuple(features.items()) for features in seen_in_training}) > 50


def test_no_claim_sees_its_own_outcome_or_a_later_one() -> None:
    rows = read_claims()[:2000]
    week = week_of(rows[1000])
    changed = [turned(row) if week_of(row) >= week else row for row in rows]

    assert histories_up_to(week, rows) == histories_up_to(week, changed)
    assert list(histories_before(rows)) != list(histories_before(changed))


def turned(row: dict[str, str]) -> dict[str, str]:
    return row | {"FraudFound_P": "1" if row["FraudFound_P"] == "0" else "0"}


def histories_up_to(week: int, rows: list[dict[str, str]]) -> list[dict[str, float | str]]:
    return [
        features
        for row, features in zip(rows, histories_before(rows), strict=True)
        if week_of(row) <= week
    ]
