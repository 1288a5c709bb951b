"""Rollouts and alarms as a user calls them."""

from __future__ import annotations

import json

import pytest

from tests.integration.cli.conftest import Shell

FILE = """
from pydantic import BaseModel
from opsrail import Band, DecisionPoint, Policy, PythonModel

class Claim(BaseModel):
    age: float

risk = DecisionPoint("risk", request=Claim, deadline_ms=30_000,
    policy=Policy(bands=[Band("pay", below=0.5), Band("review", below=1.01)]))

def old(row):
    return 0.2

def new(row):
    return 0.3

old_rules = PythonModel("rules", old)
new_rules = PythonModel("rules", new)
"""


@pytest.fixture
def begun(shell: Shell) -> tuple[Shell, str]:
    """A folder whose point has a live version and a rollout of the next."""
    shell.write("old.py", FILE.replace("new_rules = PythonModel", "unused = (lambda *_: None)"))
    shell.write("new.py", FILE.replace("old_rules = PythonModel", "unused = (lambda *_: None)"))
    shell.write("age.jsonl", '{"age": 3}\n')
    shell("decide", "old.py", "risk", "--input", "age.jsonl", "--output", "out.jsonl")
    for name in ("old.py", "new.py"):
        done = shell("models", "import", name, "--name", "rules", "--json")
        assert done.status == 0, done.out + done.err
    shell("models", "promote", "risk", "rules", "1", "--stage", "live", "--reason", "first")
    shell.write("guard.json", json.dumps({"least_count": 20, "latency": {"p99_ms": 50}}))
    told = shell(
        "rollouts", "begin", "risk", "rules", "2", "--steps", "5%:10m,50%:1h", "--guard", "guard.json", "--reason", "newer",
        "--json",
    )  # fmt: skip
    assert told.status == 0, told.out + told.err
    return shell, told.json["rollout"]["id"]


def test_a_rollout_is_begun_shown_listed_paused_and_rolled_back(begun: tuple[Shell, str]) -> None:
    shell, rollout = begun

    shown = shell("rollouts", "show", rollout)
    listed = shell("rollouts", "list", "--point", "risk", "--json").json["rollouts"]
    paused = shell("rollouts", "pause", rollout, "--reason", "lunch", "--by", "ann", "--json").json[
        "rollout"
    ]
    back = shell("rollouts", "rollback", rollout, "--reason", "no", "--by", "ann", "--json").json[
        "rollout"
    ]
    again = shell("rollouts", "stop", rollout, "--reason", "x", "--json")
    stands = shell("models", "rollout", "risk", "--json").json["rollout"]

    assert "> " in shown.out
    assert "latency (limit 0.01)" in shown.out
    assert [(one["id"], one["share"], one["candidate"]) for one in listed] == [
        (rollout, 0.05, "rules/2")
    ]
    assert (paused["state"], paused["why"]) == ("paused", "paused by ann: lunch")
    assert (back["state"], back["why"]) == ("rolled-back", "no")
    assert (again.status, again.json["error"]["code"]) == (1, "conflict")
    assert {one["stage"]: one["model_number"] for one in stands} == {"live": 1, "retired": 2}


@pytest.mark.slow
def test_alarms_are_listed_and_closed(begun: tuple[Shell, str]) -> None:
    shell, rollout = begun
    shell("rollouts", "rollback", rollout, "--reason", "no")

    (alarm,) = shell("alarms", "list", "--json").json["alarms"]
    closed = shell(
        "alarms", "close", alarm["id"], "--reason", "seen to", "--by", "bob", "--json"
    ).json["alarm"]

    assert (alarm["kind"], alarm["subject"], alarm["figures"]["rollout"]) == (
        "rollout-rolled-back",
        "rules/2",
        rollout,
    )
    assert closed["ended_by"] == "bob"
    assert shell("alarms", "list").out == "Nothing rings.\n"
    assert shell("alarms", "guarantees").out == "No guarantee stands.\n"


@pytest.mark.slow
def test_everything_wrong_with_steps_and_guard_is_told_and_nothing_is_begun(
    begun: tuple[Shell, str],
) -> None:
    shell, rollout = begun
    shell("rollouts", "stop", rollout, "--reason", "again")
    shell.write("wrong.yaml", "latency: {p99_ms: -1}\nno_such: 1\n")
    call = ("rollouts", "begin", "risk", "rules", "2", "--reason", "x", "--json")

    steps = shell(*call, "--steps", "50%:1m,20%:1m")
    guard = shell(*call, "--steps", "50%:1m", "--guard", "wrong.yaml")
    kind = shell(*call, "--steps", "50%:1m", "--guard", "old.py")

    assert [one["place"] for one in steps.json["error"]["faults"]] == ["steps.1.share"]
    assert {one["place"] for one in guard.json["error"]["faults"]} == {"latency.p99_ms", "no_such"}
    assert kind.json["error"]["faults"][0]["place"] == "old.py"
    assert len(shell("rollouts", "list", "--json").json["rollouts"]) == 1


def test_where_a_change_needs_approvals_a_rollout_does_too_and_is_told_how(shell: Shell) -> None:
    high = FILE.replace("request=Claim,", 'request=Claim, impact="high",')
    shell.write("old.py", high.replace("new_rules = PythonModel", "unused = (lambda *_: None)"))
    shell.write("new.py", high.replace("old_rules = PythonModel", "unused = (lambda *_: None)"))
    shell.write("age.jsonl", '{"age": 3}\n')
    shell("decide", "old.py", "risk", "--input", "age.jsonl", "--output", "out.jsonl")
    for name in ("old.py", "new.py"):
        assert shell("models", "import", name, "--name", "rules", "--json").status == 0
    live = ("models", "promote", "risk", "rules/1", "--stage", "live", "--reason", "first")
    first = shell(*live, "--break-glass")
    steps = ("--steps", "5%:10m,50%:1h", "--reason", "newer", "--by", "ann", "--json")

    alone = shell("rollouts", "begin", "risk", "rules/2", *steps)
    planned = shell("changes", "plan", "risk", "--promote", "rules/2", *steps).json["change"]["id"]
    asked = shell("rollouts", "begin", "risk", "rules/2", *steps)
    for by in ("bob", "cleo"):
        shell("changes", "approve", planned, "--by", by)
    agreed = shell("rollouts", "begin", "risk", "rules/2", *steps)
    shell("changes", "apply", planned, "--by", "ann")
    past = shell("rollouts", "promote", planned, "--reason", "enough", "--by", "ann", "--json")
    shown = shell("rollouts", "show", planned, "--json").json["rollout"]

    assert first.status == 0, first.err
    assert [one.json["error"]["code"] for one in (alone, asked, agreed, past)] == ["denied"] * 4
    assert "2 approvals and nobody was asked for rules/2" in alone.json["error"]["message"]
    assert "plan risk --promote rules/2 --steps 5%:600s,50%:3600s" in alone.json["error"]["message"]
    assert (
        "lacks 2: let others agree with `opsrail changes approve" in asked.json["error"]["message"]
    )
    assert f"has them: `opsrail changes apply {planned}`" in agreed.json["error"]["message"]
    assert (shown["state"], shown["share"]) == ("running", 0.05)
