from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from examples.claims.claim_rows import LABEL, read_claims, week_of
from examples.claims.demo import RECEIPT_COUNT, at_ms_of, chosen, spread
from examples.claims.desk import WORK, handling_s
from examples.claims.desk_times import read_desk_times
from examples.claims.story import busy_s, quantiles_ms


@pytest.mark.parametrize(
    ("count", "taken"),
    [(1, [0]), (2, [0, 5]), (3, [0, 3, 6]), (10, list(range(10))), (99, list(range(10)))],
)
def test_things_are_taken_evenly_spaced(count: int, taken: list[int]) -> None:
    assert spread(list(range(10)), count) == taken


def test_the_demo_takes_claims_of_1996_in_the_order_of_time_without_their_labels() -> None:
    claims = chosen(read_claims(), 500)

    assert len(claims) == 500
    assert {claim["Year"] for claim in claims} == {"1996"}
    assert [week_of(claim) for claim in claims] == sorted(week_of(claim) for claim in claims)
    assert not any(LABEL in claim for claim in claims)


def test_receipts_lie_with_the_same_claims_every_time() -> None:
    receipts = [claim.get("receipt") for claim in chosen(read_claims(), 500)]

    assert receipts == [claim.get("receipt") for claim in chosen(read_claims(), 500)]
    assert len(set(filter(None, receipts))) == RECEIPT_COUNT
    assert all(Path(receipt).is_file() for receipt in receipts if receipt)


def test_a_claim_takes_the_desk_as_long_in_every_run_and_another_claim_another_time() -> None:
    times = read_desk_times(WORK)

    assert handling_s(times, 15001) == handling_s(times, 15001)
    assert len({handling_s(times, number) for number in range(100)}) == 100


def test_a_week_of_the_file_ends_on_a_day_of_its_month() -> None:
    row = {"Year": "1994", "Month": "Feb", "WeekOfMonth": "5"}

    assert datetime.fromtimestamp(at_ms_of(row) / 1000, UTC) == datetime(1994, 2, 28, tzinfo=UTC)


def test_quantiles_are_times_that_were_measured() -> None:
    assert quantiles_ms(range(1000, 101_000, 1000)) == {"p50": 51.0, "p95": 96.0, "p99": 100.0}
    assert quantiles_ms([7000]) == {"p50": 7.0, "p95": 7.0, "p99": 7.0}
    assert quantiles_ms([]) == {"p50": 0.0, "p95": 0.0, "p99": 0.0}


def test_silences_are_no_working_time() -> None:
    assert busy_s([0, 1_000, 2_500, None, 100_000, 103_000]) == 5.5
