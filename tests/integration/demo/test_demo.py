"""`opsrail demo` from outside: a child process, its JSON, its payments, its database."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

LIMIT_S = 280
SHAPE = {
    "cases": int,
    "settled": int,
    "reviewed": int,
    "overridden": int,
    "set_aside": int,
    "decisions": int,
    "decision_ms": {"p50": float, "p95": float, "p99": float},
    "cases_per_s": float,
    "automation_rate": float,
    "fraud_caught_rate": float,
    "cost_per_1000_usd": float,
    "ocr": {"pages": int, "total_accuracy": float},
    "model": {"name": str, "version": int, "digest": str, "auc": float},
    "ledger": {"entries": int, "verified": bool, "checkpoint": str},
    "actions": {"sent": int, "duplicates": int},
}


def opsrail(*arguments: object, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "opsrail", *map(str, arguments)]
    environment = {**os.environ, "OPSRAIL_CRASH_AT": crash_at}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )


def demo(folder: Path, *more: object, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    return opsrail(
        "demo", "--no-serve", "--no-loop", "--json", "--data", folder, *more, crash_at=crash_at
    )


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "opsrail.db") as database:
        return database.execute(sql).fetchall()


def arrivals(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "payments.jsonl").read_text().splitlines()]


def shape_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shape_of(part) for name, part in value.items()}
    return type(value)


def test_a_demo_killed_again_and_again_tells_the_whole_story_and_pays_nobody_twice(
    tmp_path: Path,
) -> None:
    for point in (
        "commit.written:9",
        "case.step_ran:2",
        "outbox.after_send:3",
        "review.before_ruling:2",
    ):
        killed = demo(tmp_path, "--cases", 30, crash_at=point)
        assert killed.returncode == -signal.SIGKILL, (point, killed.stderr)

    ended = demo(tmp_path, "--cases", 30)

    assert (ended.returncode, ended.stderr) == (0, "")
    story = json.loads(ended.stdout)
    assert shape_of(story) == SHAPE
    assert [story[name] for name in ("cases", "settled", "set_aside", "decisions")] == [
        30,
        30,
        0,
        30,
    ]
    assert story["model"]["version"] == 1
    assert story["ledger"]["verified"] is True
    assert story["ocr"]["pages"] == 12
    paid = rows(tmp_path, "select id from cases where json_extract(outcome, '$.verdict') = 'paid'")
    payments = [arrival for arrival in arrivals(tmp_path) if not arrival.get("again")]
    assert sorted(payment["key"].split("-")[0] for payment in payments) == sorted(
        id for (id,) in paid
    )
    assert len({payment["claim"] for payment in payments}) == len(payments)
    assert story["actions"] == {"sent": len(paid), "duplicates": 0}
    assert [arrival for arrival in arrivals(tmp_path) if arrival.get("again")] != []
    assert rows(tmp_path, "select distinct ruled_by from reviews") == [("simulated-desk",)]


def test_a_second_run_on_the_same_folder_changes_nothing(tmp_path: Path) -> None:
    first = demo(tmp_path, "--cases", 3)
    second = demo(tmp_path, "--cases", 3)

    assert json.loads(second.stdout) == json.loads(first.stdout)
    assert rows(tmp_path, "select count(*) from model_versions") == [(1,)]
    assert rows(tmp_path, "select count(*) from facts where case_id is null") == [(11337,)]


def test_the_loop_observes_tunes_rolls_out_rolls_back_and_replays_and_is_told_again(
    tmp_path: Path,
) -> None:
    command = ("demo", "--no-serve", "--json", "--cases", 2, "--data", tmp_path)
    killed = opsrail(*command, crash_at="change.before_apply:2")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    first = opsrail(*command)
    loop = json.loads(first.stdout)["loop"]

    assert first.returncode == 0, first.stderr
    assert loop["observed"]["claims"] == 5_195
    assert loop["tuned"]["bound_ratio"] <= 0.02
    assert 0.3 < loop["tuned"]["automated_ratio"] < 0.9
    assert loop["automated"]["fraud_ratio"] <= 0.02
    assert loop["canary"]["state"] == "promoted"
    assert loop["bad"]["state"] == "rolled-back"
    assert "outcome fraud among approve" in loop["bad"]["why"]
    assert loop["replay"]["is_same"] is True
    assert json.loads(opsrail(*command).stdout)["loop"] == loop


def test_without_the_desk_people_rule_and_the_next_run_goes_on(tmp_path: Path) -> None:
    story = json.loads(demo(tmp_path, "--cases", 6, "--no-desk").stdout)
    listed = opsrail("reviews", "list", "--queue", "claims-desk", "--json", "--data", tmp_path)
    reviews = json.loads(listed.stdout)["reviews"]

    assert 0 < len(reviews) == story["cases"] - story["settled"]
    assert story["reviewed"] == 0

    for review in reviews:
        ruled = opsrail(
            "reviews", "rule", review["id"], "decline", "--by", "ana", "--data", tmp_path
        )
        assert ruled.returncode == 0, ruled.stderr
    after = json.loads(demo(tmp_path, "--cases", 6, "--no-desk").stdout)

    assert (after["settled"], after["reviewed"]) == (6, len(reviews))
    assert after["actions"] == {"sent": story["settled"], "duplicates": 0}
    assert rows(tmp_path, "select distinct ruled_by from reviews") == [("ana",)]


def test_the_labels_stay_out_of_what_the_demo_submits(tmp_path: Path) -> None:
    demo(tmp_path, "--cases", 2)

    assert rows(tmp_path, "select count(*) from cases where input like '%Fraud%'") == [(0,)]
    assert rows(tmp_path, "select count(*) from decisions where record like '%FraudFound%'") == [
        (0,)
    ]


def test_a_folder_with_another_installation_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "opsrail.db").write_bytes(b"")

    refused = demo(tmp_path, "--cases", 2)

    assert refused.returncode == 1
    assert json.loads(refused.stdout)["error"]["code"] == "invalid-input"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["opsrail.db"]
