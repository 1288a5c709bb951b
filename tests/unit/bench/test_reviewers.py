"""The checks of the reviewers' bench find what they are there to find, and the shipped figures give loans like the log's."""

from __future__ import annotations

from collections import Counter
from typing import Any

from bench.loan_desk import Desk
from bench.loan_times import Loan, drawn
from bench.reviewers import NOTHING, Kept, checked, out_of_order
from opsrail.review.opening import UNRULED
from opsrail.values.cases import CaseRow
from opsrail.values.reviews import ReviewRow, RulingRow

LOANS = [Loan(0.0, "offers", 60.0), Loan(60.0, "offers", 60.0), Loan(90.0, None, 0.0)]
OUTCOME = '{"verdict":"approve","by":"ann"}'


def case(number: int, **how: Any) -> CaseRow:
    row = CaseRow(
        f"case-{number}", "loans", "", "settled", "http", "{}", OUTCOME, None, None, None, 0, 0, 0, 5, None, "", "", 0, 0,
        0,
    )  # fmt: skip
    return row._replace(**how)


def review(number: int, opened_at_ms: int, due_at_ms: int, **how: Any) -> ReviewRow:
    row = ReviewRow(
        f"r{number}", f"case-{number}", "loans", "offers", decision_id=None, subject="{}", verdict=None, state="ruled",
        priority=5, due_at_ms=due_at_ms, version=2, salt="", opened_at_ms=opened_at_ms, **UNRULED,
    )  # fmt: skip
    return row._replace(ruling="approve", ruled_by="ann", **how)


def said(number: int, by: str = "ann") -> RulingRow:
    return RulingRow(f"r{number}", by, "approve", "", None, None, False, None, 0)


def played(**how: Any) -> tuple[Desk, Kept]:
    desk = Desk("http://127.0.0.1:1", LOANS, 1.0)
    desk.accepted["r0"] = [("ann", "approve")]
    desk.accepted["r1"] = [("ann", "approve")]
    none_asked = case(2, outcome='{"verdict":"decline","by":null}')
    kept = Kept(
        [case(0), case(1), none_asked],
        [review(0, 0, 50_000), review(1, 0, 60_000)],
        [said(0), said(1)],
        {"r0": (10_000, "ann"), "r1": (20_000, "ann")},
        {"r0": 1, "r1": 1},
    )
    return desk, kept._replace(**how)


def faults_of(desk: Desk, kept: Kept) -> dict[str, float]:
    found = checked(desk, kept)
    return {name: found[name] for name in NOTHING if found[name]}


def test_a_play_in_which_nothing_went_wrong_has_no_faults() -> None:
    assert faults_of(*played()) == {}


def test_a_case_that_is_gone_or_never_ended_is_lost() -> None:
    assert faults_of(*played(cases=[case(0), case(1)])) == {"lost_count": 2}
    waits = [case(0), case(1, state="waiting"), case(2, outcome="{}")]
    assert faults_of(*played(cases=waits)) == {"lost_count": 1}


def test_two_rulings_of_one_review_are_seen_wherever_they_stand() -> None:
    assert faults_of(*played(entries={"r0": 2, "r1": 1})) == {"ruled_twice_count": 1}
    assert faults_of(*played(rulings=[said(0), said(1, "bob"), said(1)])) == {
        "ruled_twice_count": 1
    }
    desk, kept = played()
    desk.accepted["r1"].append(("bob", "decline"))
    assert faults_of(desk, kept)["ruled_twice_count"] == 1


def test_an_outcome_that_nobody_said_is_wrong() -> None:
    other = case(0, outcome='{"verdict":"decline","by":"ann"}')
    assert faults_of(*played(cases=[other, case(1), case(2)])) == {"wrong_outcome_count": 1}


def test_who_vanished_must_not_have_ruled() -> None:
    desk, kept = played()
    desk.vanished["r0"] = "ann"
    assert faults_of(desk, kept) == {"not_returned_count": 1}


def test_a_review_that_is_due_later_may_not_be_held_before() -> None:
    _, kept = played(claims={"r0": (20_000, "ann"), "r1": (10_000, "ann")})

    assert out_of_order(kept) == 1


def test_what_is_claimed_within_a_request_of_each_other_has_no_order() -> None:
    _, kept = played(claims={"r0": (10_500, "ann"), "r1": (10_000, "ann")})

    assert out_of_order(kept) == 0


def test_drawn_loans_are_like_the_log_and_the_same_each_time() -> None:
    loans = drawn(13_087)
    by_hour = Counter(int(loan.at_s // 3_600) % 24 for loan in loans)
    by_queue = Counter(loan.queue for loan in loans)

    assert loans == drawn(13_087)
    assert loans == sorted(loans)
    assert by_hour[13] > 10 * by_hour[4]
    assert 0.24 < by_queue[None] / len(loans) < 0.29
    assert 1_500 < sum(loan.work_s for loan in loans) / len(loans) < 2_400
