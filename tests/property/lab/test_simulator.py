"""The simulator on any scenario: what every request may count on, whatever the policy, the faults and the load."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict

from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.lab import (
    Bursts,
    Daily,
    Devices,
    Line,
    Model,
    Point,
    Poisson,
    Policy,
    Report,
    Scenario,
    Server,
    simulate,
)
from opsrail.lab.demand import KEYLESS, Asked, demand
from opsrail.lab.scenario import CRITICALITIES
from opsrail.lab.tally import ANSWERED, ENDS

rates = st.floats(20.0, 400.0)
arrivals = st.one_of(
    st.builds(Poisson, rate_per_s=rates),
    st.builds(
        Bursts,
        quiet_per_s=st.floats(0.0, 100.0),
        burst_per_s=rates,
        quiet_s=st.floats(0.05, 1.0),
        burst_s=st.floats(0.05, 0.5),
        is_regular=st.booleans(),
    ),
    st.builds(Daily, rate_per_s=rates, day_s=st.floats(0.5, 4.0), swing_ratio=st.floats(0, 1)),
)
services = st.builds(
    Line,
    fixed_ms=st.floats(0.5, 40.0),
    row_ms=st.floats(0.1, 20.0),
    noise_ratio=st.sampled_from([0.0, 0.1, 1.0]),
    outlier_ratio=st.sampled_from([0.0, 0.05]),
)
policies = st.builds(
    Policy,
    queue=st.sampled_from(["lane", "fifo"]),
    max_batch=st.sampled_from([1, 4, 32]),
    fifo_wait_ms=st.sampled_from([0.0, 5.0]),
    fifo_most_count=st.sampled_from([0, 10]),
    placement=st.sampled_from(["least", "two", "any"]),
    spill=st.sets(st.sampled_from(CRITICALITIES)).map(tuple),
    prewarm=st.sampled_from(["all", "none", "reactive", "forecast"]),
    keep_s=st.sampled_from([0.0, 0.3, 5.0]),
    tick_s=st.sampled_from([0.1, 1.0]),
)
servers = st.builds(
    Server,
    turn_ms=st.sampled_from([0.0, 0.05]),
    first_ms=st.sampled_from([0.0, 0.2]),
    request_ms=st.sampled_from([0.0, 0.3, 5.0]),
    record_ms=st.sampled_from([0.0, 0.2]),
    group_ms=st.sampled_from([0.0, 0.2]),
    commit=st.builds(Line, fixed_ms=st.floats(0.0, 3.0), row_ms=st.floats(0.0, 0.5)),
    sync=st.builds(Line, fixed_ms=st.floats(0.0, 20.0), row_ms=st.just(0.0)),
    checkpoint_rows=st.sampled_from([0, 10]),
    checkpoint_ms=st.sampled_from([0.0, 30.0]),
    answer_ms=st.sampled_from([0.0, 0.3]),
    linger_ms=st.sampled_from([0.0, 2.0]),
    later_ms=st.sampled_from([0.0, 0.3]),
    later_every_s=st.sampled_from([0.1, 1.0]),
)
mixes = st.sampled_from([{"normal": 1.0}, {"high": 0.2, "normal": 0.5, "low": 0.3}])


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Any scenario of a few seconds: one or two models on one or two groups of devices that may fail in every way."""
    models = tuple(
        Model(
            name=name,
            service={"cpu": draw(services), "gpu": draw(services)},
            load_s=draw(st.sampled_from([0.0, 0.2, 1.0])),
            failure_ratio=draw(st.sampled_from([0.0, 0.1])),
            hang_ratio=draw(st.sampled_from([0.0, 0.05])),
            hang_s=0.5,
        )
        for name in ("one", "two")[: draw(st.integers(1, 2))]
    )
    points = tuple(
        Point(
            name=f"for {model.name}",
            model=model.name,
            deadline_ms=draw(st.sampled_from([5.0, 50.0, 500.0])),
            criticality=draw(mixes),
            key_count=draw(st.sampled_from([0, 1, 5])),
        )
        for model in models
    )
    devices = tuple(
        Devices(
            name=hardware,
            hardware=hardware,
            count=draw(st.integers(1, 3)),
            holds_count=draw(st.integers(1, 2)),
            cost_usd_per_s=draw(st.sampled_from([0.0, 1.0])),
            delay_ms=draw(st.sampled_from([0.0, 3.0])),
            server=draw(st.none() | servers),
            crash_every_s=draw(st.sampled_from([None, 0.5])),
            restart_s=draw(st.sampled_from([0.0, 0.3])),
        )
        for hardware in (("cpu",), ("cpu", "gpu"))[draw(st.integers(0, 1))]
    )
    return Scenario(
        seed=draw(st.integers(0, 1_000)),
        duration_s=draw(st.sampled_from([0.3, 1.0])),
        arrivals=draw(arrivals),
        points=points,
        models=models,
        devices=devices,
        policy=draw(policies),
    )


def watched(scenario: Scenario) -> tuple[Report, list[tuple[Asked, str, float]]]:
    """Return the report and each end, in the order in which they came."""
    ends: list[tuple[Asked, str, float]] = []
    report = simulate(scenario, watch=lambda *end: ends.append(end))
    return report, ends


@settings(deadline=None, max_examples=40)
@given(scenarios())
def test_each_request_ends_exactly_once_and_by_its_deadline(scenario: Scenario) -> None:
    report, ends = watched(scenario)

    asked = [one.number for one in demand(scenario)]
    assert sorted(one.number for one, _, _ in ends) == asked
    assert {how for _, how, _ in ends} <= set(ENDS)
    assert all(one.at_s <= at_s <= one.due_s for one, _, at_s in ends)
    counted = Counter(how for _, how, _ in ends)
    assert report.whole.arrived == len(asked)
    assert all(getattr(report.whole, how) == counted[how] for how in ENDS)


@settings(deadline=None, max_examples=40)
@given(scenarios())
def test_answers_of_one_key_come_in_the_order_of_its_requests(scenario: Scenario) -> None:
    _, ends = watched(scenario)

    by_key: dict[tuple[int, int], list[Asked]] = defaultdict(list)
    for one, how, _ in ends:
        if how == ANSWERED and one.key != KEYLESS:
            by_key[one.point, one.key].append(one)
    assert all(
        [one.number for one in same] == sorted(one.number for one in same)
        for same in by_key.values()
    )


@settings(deadline=None, max_examples=15)
@given(scenarios())
def test_the_same_scenario_gives_the_same_report_bit_for_bit(scenario: Scenario) -> None:
    assert repr(simulate(scenario)) == repr(simulate(scenario))


@settings(deadline=None, max_examples=15)
@given(scenarios(), st.sampled_from(["lane", "fifo"]), st.sampled_from(["all", "forecast"]))
def test_another_policy_is_judged_on_the_same_requests(
    scenario: Scenario, queue: str, prewarm: str
) -> None:
    other = Policy(queue=queue, prewarm=prewarm)
    changed = scenario.model_copy(update={"policy": other})

    asked = [(one.at_s, one.point, one.rank, one.key) for one in demand(scenario)]
    assert [(one.at_s, one.point, one.rank, one.key) for one in demand(changed)] == asked


@settings(deadline=None, max_examples=15)
@given(scenarios())
def test_the_parts_of_a_report_add_up_to_the_whole(scenario: Scenario) -> None:
    report = simulate(scenario)

    for parts in (report.criticality, report.points):
        for name in ("arrived", "good", "cold", *ENDS):
            total = sum(asdict(part)[name] for part in parts.values())
            assert total == asdict(report.whole)[name]
    assert report.whole.good <= report.whole.answered
    for use in report.devices.values():
        assert 0.0 <= use.warm_mean <= use.devices + 1e-9
        assert use.batches == 0 or 1 <= use.batch_mean <= scenario.policy.max_batch
