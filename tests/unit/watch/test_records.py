"""Rollouts and guarantees as programs and people see them."""

from __future__ import annotations

from opsrail.cli.rollout_picture import picture
from opsrail.values.guards import GuardSpec, Latency
from opsrail.watch.records import run_record
from opsrail.watch.rollout_run import Run
from opsrail.watch.signals import CANDIDATE, CHAMPION, Seen
from tests.support.decided import run_row

SPEC = GuardSpec(latency=Latency(p99_ms=50.0))


def told(failures: int) -> dict[str, object]:
    run = Run(run_row(SPEC))
    for place in range(40):
        run.evidence.count_decisions(
            [Seen(CHAMPION, "approve", False, False, 9_000, 0.0, place * 1000)] * 20
        )
        is_bad = place < failures
        run.evidence.count_decisions(
            [Seen(CANDIDATE, "approve", is_bad, is_bad, 9_000, 0.0, place * 1000)] * 5
        )
    run.hold = "waits for: more"
    return run_record(run.row._replace(tests=run.tests({}), step=1))


def test_the_picture_shows_steps_counts_and_each_test_s_evidence() -> None:
    lines = picture(told(0))

    assert lines[3:6] == [
        " x      10%      1m",
        " >      50%      1m  candidate 200, champion 800 decisions",
        "       live      1d",
    ]
    assert [line.split()[0] for line in lines[8:11]] == ["no_score", "fallback", "latency"]
    assert "evidence of 20 x 3 needed" in lines[7]
    assert "FIRED" not in "".join(lines)
    assert lines[-1] == "waits for: more"


def test_a_test_that_fired_stands_out() -> None:
    fired = [line for line in picture(told(20)) if line.endswith("FIRED")]

    assert [line.split()[0] for line in fired] == ["no_score", "fallback"]
    assert "[########################]" in fired[0]


def test_a_rollout_that_cannot_be_read_says_why() -> None:
    shown = run_record(run_row(guard="{"))

    assert "no JSON" in str(shown["fault"])
    assert "no JSON" in picture(shown)[2]
