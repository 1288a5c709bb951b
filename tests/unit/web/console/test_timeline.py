"""A case's timeline: each line where it belongs in time, and the waiting told apart from the work."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some

from opsrail.values.cases import CaseState, JournalRow
from opsrail.web.console.timeline import Piece, timeline_of
from tests.unit.web.console.rows import (
    CASE_ROW,
    DECISION_ROW,
    NOW_MS,
    OUTBOX_ROW,
    REVIEW_ROW,
    entry,
    view,
)

LATER_MS = NOW_MS + 100_000


def test_a_step_begins_where_what_came_before_it_ended() -> None:
    found = timeline_of(
        view(entry(0, "step", "read", 100), entry(1, "step", "check", 250, attempts=3)), LATER_MS
    )

    read, check = found.lines
    assert (read.begin_ms, read.end_ms) == (NOW_MS, NOW_MS + 100)
    assert (check.begin_ms, check.end_ms, check.attempts) == (NOW_MS + 100, NOW_MS + 250, 3)


def test_a_step_that_used_up_its_attempts_is_told_as_failed() -> None:
    (line,) = timeline_of(view(entry(0, "failed", "read", 100, attempts=3)), LATER_MS).lines

    assert (line.kind, line.state, line.attempts) == ("step", "failed", 3)


def test_readings_of_the_clock_and_of_chance_are_no_work() -> None:
    assert (
        timeline_of(
            view(entry(0, "now", "now", 1), entry(1, "random", "random", 2)), LATER_MS
        ).lines
        == ()
    )


def test_a_review_is_waited_for_then_held_then_delivered() -> None:
    ruled = REVIEW_ROW._replace(
        state="ruled", ruling="approve", ruled_by="user:anna", claimed_at_ms=NOW_MS + 300, ruled_at_ms=NOW_MS + 500,
    )  # fmt: skip
    found = timeline_of(view(entry(1, "review", "desk", 520), reviews=(ruled,)), LATER_MS)

    (line,) = found.lines
    assert line.pieces == (
        Piece("wait", NOW_MS, NOW_MS + 300),
        Piece("held", NOW_MS + 300, NOW_MS + 500),
        Piece("wait", NOW_MS + 500, NOW_MS + 520),
    )
    assert (line.state, line.said) == ("ruled", "approve by user:anna")
    assert (found.spent_ms["wait"], found.spent_ms["held"]) == (320, 200)


def test_an_open_review_lasts_until_now() -> None:
    waiting = CASE_ROW._replace(state=CaseState.WAITING, settled_at_ms=None)
    found = timeline_of(view(case=waiting, reviews=(REVIEW_ROW,)), LATER_MS)

    (line,) = found.lines
    assert (line.end_ms, line.is_open, found.is_open, found.end_ms) == (
        LATER_MS,
        True,
        True,
        LATER_MS,
    )


def test_a_sleep_lasts_until_it_wakes_and_not_longer_than_now() -> None:
    over = timeline_of(view(entry(0, "sleep", "sleep", 10, str(NOW_MS + 800))), LATER_MS)
    under_way = timeline_of(view(entry(0, "sleep", "sleep", 10, str(NOW_MS + 800))), NOW_MS + 400)

    assert (over.lines[0].length_ms, over.lines[0].state) == (790, "over")
    assert (under_way.lines[0].length_ms, under_way.lines[0].state) == (390, "asleep")


def test_an_action_tells_its_attempts_and_what_was_answered() -> None:
    found = timeline_of(view(entry(2, "act", "pay", 5), actions=(OUTBOX_ROW,)), LATER_MS)
    dead = OUTBOX_ROW._replace(
        state="dead", attempts=8, response=None, sent_at_ms=None, last_error="refused"
    )
    failed = timeline_of(view(entry(2, "act", "pay", 5), actions=(dead,)), LATER_MS)

    assert (found.lines[0].state, found.lines[0].length_ms, found.lines[0].said) == (
        "sent",
        40,
        "ok yes",
    )
    assert (failed.lines[0].state, failed.lines[0].attempts, failed.lines[0].said) == (
        "dead",
        8,
        "refused",
    )


def test_what_a_decision_said_is_kept_from_who_may_not_read_it() -> None:
    seen = view(entry(0, "decide", "fraud-risk", 2), decisions=(DECISION_ROW,))

    shown = timeline_of(seen, LATER_MS)
    hidden = timeline_of(seen, LATER_MS, lambda point: False)

    assert (shown.lines[0].state, shown.lines[0].said) == ("approve", "approve, score 0.25, band-0")
    assert (hidden.lines[0].state, hidden.lines[0].said, hidden.lines[0].subject_id) == (
        "made",
        "",
        "",
    )


def test_tasks_side_by_side_begin_where_their_case_was() -> None:
    found = timeline_of(
        view(entry(0, "step", "first", 100), entry(100_000, "step", "left", 300), entry(200_000, "step", "right", 400)),
        LATER_MS,
    )  # fmt: skip

    begins = {line.name: line.begin_ms - NOW_MS for line in found.lines}
    assert begins == {"first": 0, "left": 100, "right": 100}
    assert found.spent_ms["work"] == 400


ENTRIES = some.builds(
    entry,
    some.integers(0, 300_000),
    some.sampled_from(["step", "failed", "decide", "review", "act", "sleep", "now"]),
    some.sampled_from(["a", "b"]),
    some.integers(-5_000, 200_000),
    some.sampled_from(["null", str(NOW_MS + 50), str(NOW_MS + 150_000), "x"]),
)


@settings(max_examples=80, deadline=None)
@given(some.lists(ENTRIES, max_size=12, unique_by=lambda each: each.seq), some.integers(0, 200_000))
def test_no_line_leaves_the_axis_or_runs_backwards_whatever_a_journal_says(
    journal: list[JournalRow], after_ms: int
) -> None:
    found = timeline_of(view(*journal), NOW_MS + after_ms)

    assert found.begin_ms <= found.end_ms
    for line in found.lines:
        moments = [moment for piece in line.pieces for moment in piece[1:]]
        assert moments == sorted(moments)
        assert found.begin_ms <= line.begin_ms <= line.end_ms <= found.end_ms
        assert 0 <= found.ratio(line.begin_ms) <= found.ratio(line.end_ms) <= 1
    assert [line.begin_ms for line in found.lines] == sorted(line.begin_ms for line in found.lines)
    length_ms = found.end_ms - found.begin_ms
    assert all(0 <= spent_ms <= length_ms for spent_ms in found.spent_ms.values())
