"""A server process on a virtual core, on scenarios small enough to know what it comes to."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from opsrail.lab import Line, Policy, Server, simulate
from opsrail.lab.demand import Asked
from opsrail.lab.scenario import Scenario
from opsrail.lab.tally import ANSWERED
from tests.unit.lab.conftest import scenario

MODEL = {"service": {"cpu": Line(fixed_ms=1.0, row_ms=0.0, noise_ratio=0.0)}}


def server(**given: Any) -> Scenario:
    """Return a scenario of one server process, asked once a second unless said otherwise."""
    rate_per_s = given.pop("rate_per_s", 1.0)
    duration_s = given.pop("duration_s", 100.0)
    return scenario(
        rate_per_s=rate_per_s,
        duration_s=duration_s,
        model=MODEL,
        devices={"count": 1, "server": Server(**given)},
    )


def exactly(fixed_ms: float, row_ms: float = 0.0) -> Line:
    return Line(fixed_ms=fixed_ms, row_ms=row_ms, noise_ratio=0.0)


def test_a_lone_request_takes_the_sum_of_all_steps_and_ten_turns() -> None:
    one = server(
        turn_ms=0.1,
        request_ms=2.0,
        record_ms=3.0,
        group_ms=4.0,
        commit=exactly(5.0, 0.5),
        sync=exactly(6.0),
        answer_ms=7.0,
    )

    assert simulate(one).whole.p50_ms == pytest.approx(
        1 + 10 * 0.1 + 2 + 3 + 4 + 5.5 + 6 + 7, rel=0.006
    )


def test_the_first_step_of_a_kind_in_a_turn_takes_longer() -> None:
    """Taking in, writing down and answering: three kinds a lone request."""
    one = simulate(server(request_ms=1.0, record_ms=1.0, answer_ms=1.0, first_ms=2.0))
    many = simulate(server(rate_per_s=2_000.0, duration_s=5.0, request_ms=0.2, first_ms=2.0))

    assert one.whole.p50_ms == pytest.approx(1 + 3 * (1 + 2), rel=0.006)
    assert many.whole.good_ratio > 0.95


def test_an_answer_waits_for_the_batch_that_runs_before_it_on_the_same_core() -> None:
    plain = simulate(scenario(rate_per_s=300.0, model=MODEL, devices={"count": 1}))
    free = simulate(server(rate_per_s=300.0, duration_s=10.0, linger_ms=0.0))

    assert free.whole.answered == plain.whole.answered
    assert free.devices["cpu"].used_ratio == pytest.approx(
        plain.devices["cpu"].used_ratio, rel=0.01
    )
    assert plain.whole.mean_ms is not None
    assert free.whole.mean_ms is not None
    assert plain.whole.mean_ms < free.whole.mean_ms < 2 * plain.whole.mean_ms


def test_the_core_is_free_while_a_group_waits_for_the_disk() -> None:
    waits = simulate(server(rate_per_s=100.0, duration_s=20.0, sync=exactly(20.0)))
    works = simulate(server(rate_per_s=100.0, duration_s=20.0, commit=exactly(20.0)))

    assert waits.devices["cpu"].used_ratio < 0.11
    assert works.devices["cpu"].used_ratio > 0.7
    assert works.whole.mean_ms is not None
    assert waits.whole.mean_ms is not None
    assert waits.whole.mean_ms < works.whole.mean_ms


def test_requests_that_come_while_a_group_is_committed_are_committed_together() -> None:
    """At 800 a second one by one with 10 ms each would need eight disks."""
    report = simulate(server(rate_per_s=800.0, duration_s=10.0, sync=exactly(10.0)))

    assert report.whole.good_ratio == 1.0
    assert report.whole.p99_ms is not None
    assert report.whole.p99_ms < 35.0


def test_the_core_is_one_for_all_steps() -> None:
    """Half a millisecond each for taking in and answering and a millisecond for the model's batch: 1,000/s at most."""
    report = simulate(server(rate_per_s=3_000.0, duration_s=5.0, request_ms=0.5, answer_ms=0.5))

    assert report.devices["cpu"].used_ratio == pytest.approx(1.0, abs=0.03)
    assert report.whole.answered < 1_050 * 5.2


def test_every_so_many_requests_a_group_waits_longer() -> None:
    often = server(rate_per_s=100.0, duration_s=50.0, checkpoint_rows=100, checkpoint_ms=50.0)
    report = simulate(often)

    assert report.whole.p50_ms == pytest.approx(1.0, rel=0.1)
    assert report.whole.p99_ms is not None
    assert report.whole.p99_ms > 40.0


def test_what_comes_later_is_done_for_all_at_once_and_holds_up_the_loop() -> None:
    report = simulate(server(rate_per_s=100.0, duration_s=50.0, later_ms=0.5, later_every_s=1.0))

    assert report.devices["cpu"].used_ratio == pytest.approx(0.1 + 0.05, abs=0.02)
    assert report.whole.p50_ms == pytest.approx(1.0, rel=0.1)
    assert report.whole.p99_ms is not None
    assert report.whole.p99_ms > 30.0


def test_answers_come_in_the_order_of_the_requests() -> None:
    ends: list[tuple[int, float]] = []

    def watch(asked: Asked, how: str, at_s: float) -> None:
        if how == ANSWERED:
            ends.append((asked.number, at_s))

    one = server(rate_per_s=500.0, duration_s=5.0, request_ms=0.2, sync=exactly(3.0))
    simulate(one.model_copy(update={"policy": Policy(queue="fifo")}), watch=watch)

    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(ends))


def test_a_server_that_crashes_answers_nobody_it_held_and_serves_again() -> None:
    base = server(rate_per_s=500.0, duration_s=20.0, request_ms=0.3, sync=exactly(5.0))
    group = base.devices[0].model_copy(update={"crash_every_s": 2.0, "restart_s": 0.2})
    model = base.models[0].model_copy(update={"load_s": 0.1})
    report = simulate(base.model_copy(update={"devices": (group,), "models": (model,)}))

    assert report.devices["cpu"].crashes > 3
    assert report.whole.failed > 3
    assert report.whole.good_ratio > 0.6
