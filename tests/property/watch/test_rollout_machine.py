"""The steps machine under whatever comes: it never skips a step, never passes one early, and ends once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.rollout_world import Walk
from opsrail.values.guards import GuardSpec, StepPlan
from opsrail.watch.rollout_run import Run, Verb
from opsrail.watch.signals import CANDIDATE, CHAMPION, Seen
from tests.support.decided import START_MS, run_row

SPEC = GuardSpec(least_count=10, judge_after_count=10, latency=None, watch_s=30)
STEPS = (StepPlan(0.1, 60.0), StepPlan(0.5, 60.0))

turns = st.lists(
    st.tuples(
        st.integers(0, 30),  # decisions of the champion
        st.integers(0, 30),  # of the candidate
        st.sampled_from([0.0, 0.0, 0.0, 0.1, 1.0]),  # part of the candidate's that fail
        st.integers(0, 100),  # seconds
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(turns)
def test_a_rollout_moves_one_step_at_a_time_and_only_when_all_is_there(
    given_turns: list[tuple[int, int, float, int]],
) -> None:
    walk = Walk(SPEC, STEPS)
    now_ms = 0
    for champion, candidate, failing, seconds in given_turns:
        now_ms += seconds * 1000
        failed = round(candidate * failing)
        decisions = [Seen(CHAMPION, "approve", False, False, None, None, now_ms)] * champion
        decisions += [Seen(CANDIDATE, "review", True, True, None, None, now_ms)] * failed
        decisions += [Seen(CANDIDATE, "approve", False, False, None, None, now_ms)] * (
            candidate - failed
        )
        walk.evidence.count_decisions(decisions)
        before, entered_ms, counts = (
            walk.run.row.step,
            walk.run.row.entered_at_ms,
            list(walk.evidence.step_counts),
        )
        is_under_way = walk.turn(now_ms)
        moved = walk.run.row.step - before

        assert moved in (0, 1)
        if moved:
            assert now_ms - entered_ms >= 60_000
            assert min(counts) >= 10
        if not is_under_way:
            assert walk.ended is not None
            assert walk.ended.state in ("promoted", "rolled-back")
            assert walk.ended.state == "rolled-back" or before == len(STEPS)
            return


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 400))
def test_without_numbers_it_holds_for_ever(now_ms: int, champion: int) -> None:
    run = Run(run_row(SPEC))
    run.evidence.count_decisions(
        [Seen(CHAMPION, "approve", True, True, None, None, now_ms)] * champion
    )

    assert run.next(START_MS + now_ms).verb == Verb.HOLD


@settings(max_examples=30, deadline=None)
@given(turns)
def test_what_is_written_down_and_read_again_goes_on_the_same(
    given_turns: list[tuple[int, int, float, int]],
) -> None:
    whole = Run(run_row(SPEC))
    parted = Run(run_row(SPEC))
    for turn, (champion, candidate, failing, seconds) in enumerate(given_turns):
        failed = round(candidate * failing)
        decisions = [Seen(CHAMPION, "approve", False, False, None, None, 1000 * turn)] * champion
        decisions += [
            Seen(CANDIDATE, "review", place < failed, False, None, None, 1000 * turn)
            for place in range(candidate)
        ]
        whole.evidence.count_decisions(decisions)
        parted.evidence.count_decisions(decisions)
        parted = Run(parted.row._replace(tests=parted.tests({})))

        assert parted.next(START_MS + seconds) == whole.next(START_MS + seconds)
    assert parted.evidence.state() == whole.evidence.state()
