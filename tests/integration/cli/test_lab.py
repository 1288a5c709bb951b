"""`opsrail lab` as a user calls it."""

from __future__ import annotations

import json

import pytest

from tests.integration.cli.conftest import Shell


@pytest.fixture
def lab(shell: Shell) -> Shell:
    """A folder with the example's scenario, ten seconds of it."""
    text = shell("lab", "simulate", "--example").out
    shell.write("scenario.toml", text.replace("duration_s = 60.0", "duration_s = 10.0"))
    return shell


def test_a_scenario_is_simulated_and_told_in_tables_and_in_json(lab: Shell) -> None:
    told = lab("lab", "simulate", "scenario.toml")
    again = lab("lab", "simulate", "scenario.toml", "--json")

    assert told.status == again.status == 0
    assert "point fraud-risk" in told.out
    report = again.json["report"]
    whole = report["whole"]
    assert whole["arrived"] == sum(whole[end] for end in ("answered", "shed", "late", "failed"))
    assert set(report["criticality"]) == {"high", "normal", "low"}
    assert report["devices"]["cpu"]["batch_mean"] > 1
    assert lab("lab", "simulate", "scenario.toml", "--json").out == again.out


def test_policies_stand_side_by_side(lab: Shell) -> None:
    args = ("lab", "simulate", "scenario.toml", "--compare", "queue=fifo,lane")
    told = lab(*args)
    found = lab(*args, "--set", "devices.cpu.count=4", "--json").json["comparison"]

    assert "queue=fifo" in told.out
    assert [one["changes"] for one in found] == [{"policy.queue": "fifo"}, {"policy.queue": "lane"}]
    assert {one["report"]["devices"]["cpu"]["devices"] for one in found} == {4}


def test_devices_are_sized(lab: Shell) -> None:
    told = lab("lab", "size", "scenario.toml", "--slo", "0.97")
    found = lab("lab", "size", "scenario.toml", "--slo", "0.97", "--json").json["size"]

    assert f"{found['count']} cpu devices keep 97.00% good answers" in told.out
    assert found["tried"][str(found["count"])] >= 0.97


def test_the_example_as_json_is_a_scenario_too(shell: Shell) -> None:
    shell.write("scenario.json", shell("lab", "simulate", "--example", "--json").out)

    assert shell("lab", "simulate", "scenario.json", "--set", "duration_s=6").status == 0


def test_what_is_wrong_is_told_at_once(lab: Shell) -> None:
    lab.write("wrong.toml", (lab.folder / "scenario.toml").read_text().replace("share", "part"))

    wrong = lab("lab", "simulate", "wrong.toml")
    machine = lab("lab", "simulate", "wrong.toml", "--json")
    place = lab("lab", "simulate", "scenario.toml", "--set", "policy.colour=red")
    impossible = lab("lab", "size", "scenario.toml", "--slo", "1", "--most", "2")

    assert wrong.status == machine.status == place.status == impossible.status == 1
    assert "points.0.part" in wrong.err
    assert "points.1.part" in wrong.err
    assert machine.json["error"]["code"] == "invalid-input"
    assert "policy.colour: is no place of this scenario" in place.err
    assert "are wanted" in impossible.err


@pytest.mark.parametrize(
    "args",
    [(), ("scenario.toml", "--set", "seed"), ("scenario.toml", "--compare", "queue=fifo")],
)
def test_a_wrong_call_is_told(lab: Shell, args: tuple[str, ...]) -> None:
    assert lab("lab", "simulate", *args).status == 2
    assert json.loads(lab("lab", "simulate", *args, "--json").out)["error"]["code"] == "usage"
