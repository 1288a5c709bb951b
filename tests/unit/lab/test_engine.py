"""What a scenario comes to, on scenarios small enough to know it."""

from __future__ import annotations

from collections import Counter

import pytest

from opsrail.lab import Devices, Line, Model, Point, Poisson, Policy, Scenario, simulate
from opsrail.lab.demand import Asked
from opsrail.lab.tally import ANSWERED
from tests.unit.lab.conftest import scenario


def test_a_lone_request_takes_what_its_model_takes_and_pays_no_wait() -> None:
    report = simulate(scenario(rate_per_s=1.0, duration_s=100.0))

    assert report.whole.good_ratio == 1.0
    assert report.whole.p50_ms == pytest.approx(2.0, rel=0.005)
    assert report.devices["cpu"].batch_p99 == 1


def test_what_an_answer_takes_besides_holds_no_device() -> None:
    plain = simulate(scenario(rate_per_s=1.0, duration_s=100.0))
    delayed = simulate(scenario(rate_per_s=1.0, duration_s=100.0, devices={"delay_ms": 30.0}))

    assert delayed.whole.p50_ms == pytest.approx(32.0, rel=0.005)
    assert delayed.devices["cpu"].used_ratio == pytest.approx(
        plain.devices["cpu"].used_ratio, rel=0.01
    )


def test_mean_waits_are_those_of_the_queue_that_theory_knows() -> None:
    """M/D/1 at half load: a request waits half a service time on average (Pollaczek and Khinchine)."""
    one = scenario(
        rate_per_s=500.0,
        duration_s=200.0,
        model={"service": {"cpu": Line(fixed_ms=0.0, row_ms=1.0, noise_ratio=0.0)}},
        devices={"count": 1},
        policy=Policy(queue="fifo", max_batch=1),
    )

    assert simulate(one).whole.mean_ms == pytest.approx(1.5, rel=0.02)


def test_batches_form_under_load_and_carry_more_than_one_by_one() -> None:
    batched = simulate(scenario(rate_per_s=1_500.0))
    single = simulate(scenario(rate_per_s=1_500.0, policy=Policy(max_batch=1)))

    assert batched.whole.good_ratio > 0.99
    assert batched.devices["cpu"].batch_mean > 2
    assert single.whole.good_ratio < 0.7


def test_under_overload_the_lane_keeps_the_high_class_and_fifo_keeps_nobody() -> None:
    mix = {"high": 0.2, "normal": 0.4, "low": 0.4}
    lane = simulate(scenario(rate_per_s=4_000.0, point={"criticality": mix}))
    fifo = simulate(
        scenario(rate_per_s=4_000.0, point={"criticality": mix}, policy=Policy(queue="fifo"))
    )

    assert lane.criticality["high"].good_ratio > 0.99
    assert lane.criticality["low"].good_ratio < 0.2
    assert lane.whole.goodput_per_s > 1_700
    assert fifo.criticality["high"].good_ratio < 0.5
    assert fifo.whole.goodput_per_s < lane.whole.goodput_per_s / 2


@pytest.mark.parametrize(("keys", "is_kept"), [(3, True), (0, False)])
def test_only_requests_of_a_key_keep_their_order(keys: int, is_kept: bool) -> None:
    """Noisy devices overtake each other; without keys that shows."""
    noisy = {"cpu": Line(fixed_ms=5.0, row_ms=5.0, noise_ratio=2.0)}
    one = scenario(
        rate_per_s=200.0,
        point={"key_count": keys, "deadline_ms": 2_000.0},
        model={"service": noisy},
        devices={"count": 4},
    )
    answered: list[Asked] = []

    def watch(asked: Asked, how: str, at_s: float) -> None:
        if how == ANSWERED:
            answered.append(asked)

    simulate(one, watch=watch)
    in_order = [
        same == sorted(same)
        for same in (
            [asked.number for asked in answered if asked.key == key]
            for key in {asked.key for asked in answered}
        )
    ]
    assert all(in_order) is is_kept


def test_requests_go_to_the_dearer_devices_only_when_the_cheap_are_full_and_they_may() -> None:
    both = {"cpu": Line(fixed_ms=1.0, row_ms=1.0), "gpu": Line(fixed_ms=1.0, row_ms=0.1)}
    groups = (
        Devices(name="dear", hardware="gpu", count=1, cost_usd_per_s=9.0),
        Devices(name="cheap", hardware="cpu", count=1, cost_usd_per_s=1.0),
    )
    model = {"service": both}
    calm = simulate(scenario(rate_per_s=50.0, model=model).model_copy(update={"devices": groups}))
    busy = scenario(
        rate_per_s=3_000.0, model=model, point={"criticality": {"high": 0.2, "low": 0.8}}
    ).model_copy(update={"devices": groups})
    spilled = simulate(busy)
    kept = simulate(busy.model_copy(update={"policy": Policy(spill=("high",))}))

    assert calm.devices["dear"].batches == 0
    assert spilled.whole.good_ratio > 0.95
    assert spilled.devices["dear"].batches > 100
    assert kept.criticality["high"].good_ratio > 0.95
    assert kept.criticality["low"].good_ratio < 0.8


def test_a_failing_model_and_a_hanging_one_are_seen() -> None:
    failing = simulate(scenario(model={"failure_ratio": 0.5}))
    hanging = simulate(scenario(model={"hang_ratio": 0.01, "hang_s": 1.0}))

    assert 0.3 < failing.whole.failed / failing.whole.arrived < 0.7
    assert hanging.whole.late + hanging.whole.shed > 10


def test_a_device_that_crashes_loses_what_it_held_and_comes_back() -> None:
    report = simulate(
        scenario(
            rate_per_s=1_000.0,
            duration_s=60.0,
            model={"load_s": 0.5},
            devices={"crash_every_s": 5.0, "restart_s": 0.5},
        )
    )

    assert report.devices["cpu"].crashes > 10
    assert report.whole.failed > 10
    assert report.whole.good_ratio > 0.85
    assert 1.0 < report.devices["cpu"].warm_mean < 2.0


def test_who_finds_no_warm_device_waits_for_one_to_load_if_time_allows() -> None:
    policy = Policy(prewarm="none")
    patient = simulate(
        scenario(model={"load_s": 1.0}, point={"deadline_ms": 3_000.0}, policy=policy)
    )
    hasty = simulate(scenario(model={"load_s": 1.0}, policy=policy))

    assert patient.whole.cold > 50
    assert patient.whole.answered == patient.whole.arrived
    assert hasty.whole.cold > 50
    assert hasty.whole.shed > 50


def test_a_device_that_nobody_needs_lets_go_and_costs_no_more() -> None:
    """One request, then silence until another model is asked at the end."""
    models = tuple(
        Model(name=name, service={"cpu": Line(fixed_ms=1, row_ms=1)}, load_s=0.0)
        for name in ("early", "late")
    )
    points = (
        Point(name="early", model="early", arrivals=Poisson(rate_per_s=0.001)),
        Point(name="late", model="late", arrivals=Poisson(rate_per_s=1.0)),
    )
    one = Scenario(
        duration_s=2_000.0,
        points=points,
        models=models,
        devices=(Devices(name="cpu", count=5, cost_usd_per_s=1.0),),
        policy=Policy(prewarm="reactive", keep_s=20.0),
    )
    report = simulate(one)

    assert report.devices["cpu"].warm_mean < 1.2
    assert report.cost_usd == pytest.approx(2_000 * report.devices["cpu"].warm_mean, rel=0.01)


def test_a_full_fleet_swaps_a_model_that_is_idle_for_one_that_is_asked() -> None:
    models = tuple(
        Model(name=name, service={"cpu": Line(fixed_ms=1, row_ms=1)}, load_s=0.01)
        for name in ("a", "b", "c")
    )
    points = tuple(
        Point(name=model.name, model=model.name, arrivals=Poisson(rate_per_s=0.2))
        for model in models
    )
    report = simulate(
        Scenario(
            duration_s=500.0,
            points=points,
            models=models,
            devices=(Devices(name="cpu", count=1),),
            policy=Policy(prewarm="none"),
        )
    )

    assert report.devices["cpu"].loads > 50
    assert report.whole.good_ratio > 0.5


def test_the_warm_up_is_served_and_not_counted() -> None:
    whole = simulate(scenario(duration_s=10.0))
    part = simulate(scenario(duration_s=10.0, warm_up_s=9.0))

    assert part.whole.arrived < whole.whole.arrived / 5
    assert part.devices["cpu"].batches == whole.devices["cpu"].batches


def test_another_seed_gives_another_result() -> None:
    reports = {repr(simulate(scenario(seed=seed)).whole) for seed in (1, 1, 2)}

    assert len(reports) == 2


def test_a_model_gets_devices_by_its_demand() -> None:
    """All warm from the begin: two models, one asked nine times as often."""
    models = tuple(
        Model(name=name, service={"cpu": Line(fixed_ms=0, row_ms=10, noise_ratio=0)})
        for name in ("busy", "quiet")
    )
    points = (
        Point(name="busy", model="busy", share=0.9),
        Point(name="quiet", model="quiet", share=0.1),
    )
    busy: Counter[int] = Counter()
    one = Scenario(
        arrivals=Poisson(rate_per_s=500.0),
        duration_s=5.0,
        points=points,
        models=models,
        devices=(Devices(name="cpu", count=10),),
    )
    report = simulate(one, watch=lambda asked, how, at_s: busy.update([asked.point]))

    assert busy[0] > 5 * busy[1]
    assert report.whole.good_ratio == 1.0
