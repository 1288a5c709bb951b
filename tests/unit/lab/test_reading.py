"""Scenario files: the example, every fault at once, changed values; and the fewest devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsrail.errors import InvalidInput
from opsrail.lab import Scenario, compare, read, simulate, size
from opsrail.lab.reading import changed, example, example_scenario, scenario_of
from tests.unit.lab.conftest import scenario


def test_the_example_runs_and_reads_back_from_json(tmp_path: Path) -> None:
    path = tmp_path / "scenario.json"
    path.write_text(example_scenario().model_dump_json())
    short = changed(example_scenario(), {"duration_s": 6.0})

    assert read(path) == example_scenario()
    assert simulate(short).whole.answered > 1_000


def test_all_faults_of_a_file_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "scenario.toml"
    text = example().replace('queue = "lane"', 'queue = "stack"').replace("seed = 7", "sede = 7")
    path.write_text(text.replace("share = 0.9", "share = -1"))

    with pytest.raises(InvalidInput) as refused:
        read(path)

    places = {fault.place for fault in refused.value.faults}
    assert places == {"sede", "points.0.share", "policy.queue"}


def test_a_list_whose_one_part_is_wrong_is_not_called_too_short() -> None:
    with pytest.raises(InvalidInput) as refused:
        changed(scenario(), {"devices.0.count": 0, "points.0.deadline_ms": "x"})

    places = [fault.place for fault in refused.value.faults]
    assert places == ["points.0.deadline_ms", "devices.0.count"]


def test_faults_between_parts_are_told_at_once() -> None:
    plain = example_scenario().model_dump()
    plain["points"][0]["model"] = "nobody"
    plain["points"][0]["criticality"] = {"high": 0.5}
    plain["points"][1]["slo_ms"] = 1e6
    plain["models"][1]["service"] = {"remote": {"kind": "line", "fixed_ms": 0, "row_ms": 0}}
    plain["devices"][1]["name"] = "cpu"
    plain["warm_up_s"] = 60.0

    with pytest.raises(InvalidInput) as refused:
        scenario_of(plain)

    assert {fault.place for fault in refused.value.faults} == {
        "points.0.model",
        "points.0.criticality",
        "points.1.slo_ms",
        "models.1.service",
        "models.1.service.remote",
        "devices",
        "warm_up_s",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.toml", "= ="),
        ("s.json", "{"),
        ("s.json", "[" * 100_000),
        ("s.yaml", ""),
        ("s.json", "[]"),
    ],
)
def test_a_file_that_holds_no_scenario_is_refused(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)

    with pytest.raises(InvalidInput, match="nothing was run"):
        read(path)


def test_files_of_a_scenario_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "arrivals.csv").write_text("TIMESTAMP\n1\n2\n4\n")
    path = tmp_path / "scenario.toml"
    begin, end = example().index("[arrivals]"), example().index("[[points]]")
    replay = '[arrivals]\nkind = "replay"\nfile = "arrivals.csv"\n\n'
    path.write_text(example()[:begin] + replay + example()[end:])

    assert simulate(read(path)).whole.arrived > 10


def test_values_are_changed_by_place_or_name(base: Scenario) -> None:
    made = changed(base, {"devices.cpu.count": 7, "policy.queue": "fifo", "models.0.load_s": 3.0})

    assert (made.devices[0].count, made.policy.queue, made.models[0].load_s) == (7, "fifo", 3.0)
    for place in ("devices.gpu.count", "policy.queu", "models.9.load_s", "name.x"):
        with pytest.raises(InvalidInput, match="no place of this scenario"):
            changed(base, {place: 1})


def test_policies_are_compared_in_every_combination_on_the_same_requests(base: Scenario) -> None:
    found = list(compare(base, {"policy.queue": ["fifo", "lane"], "devices.cpu.count": [1, 2]}))

    assert [tuple(changes.values()) for changes, _ in found] == [
        ("fifo", 1),
        ("fifo", 2),
        ("lane", 1),
        ("lane", 2),
    ]
    assert len({report.whole.arrived for _, report in found}) == 1


def test_a_wrong_choice_is_found_before_anything_runs(base: Scenario) -> None:
    with pytest.raises(InvalidInput, match=r"policy\.queue"):
        next(compare(base, {"policy.queue": ["lane", "stack"]}))


def test_the_fewest_devices_are_found_and_one_less_is_too_few() -> None:
    busy = scenario(rate_per_s=5_000.0, duration_s=5.0, devices={"count": 1})

    found = size(busy, 0.99)

    fewer = simulate(changed(busy, {"devices.cpu.count": found.count - 1}))
    assert 5 <= found.count <= 8
    assert found.report.whole.good_ratio >= 0.99
    assert fewer.whole.good_ratio < 0.99


def test_an_objective_that_cannot_be_kept_is_refused_with_what_was_reached() -> None:
    slow = scenario(point={"deadline_ms": 1.5}, duration_s=2.0)

    with pytest.raises(InvalidInput, match=r"even 4 devices give 0\.0"):
        size(slow, 0.99, most=4)
    with pytest.raises(InvalidInput, match="'gpu' is none of cpu"):
        size(slow, 0.99, group="gpu")
