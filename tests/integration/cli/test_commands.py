from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Shell
from tests.unit.models.tiny_models import tiny_bytes

TRAINED = "sha256:" + "0" * 64


@pytest.fixture
def asked(shell: Shell) -> Shell:
    """A folder in which two orders wait for people and one is paid."""
    shell.orders(2, amount=900)
    shell.run("orders.csv")
    shell.orders(1, name="small.csv")
    shell.run("small.csv")
    return shell


def test_a_person_claims_rules_and_the_next_run_carries_the_case_on(asked: Shell) -> None:
    review = asked("reviews", "list", "--queue", "desk", "--json").json["reviews"][0]

    claimed = asked("reviews", "claim", review["id"], "--by", "ana", "--json")
    refused = asked("reviews", "rule", review["id"], "approve", "--by", "bob", "--json")
    released = asked("reviews", "release", review["id"], "--by", "ana", "--json")
    ruled = asked("reviews", "rule", review["id"], "approve", "--by", "bob", "--json")
    ended = asked.run("orders.csv")

    assert (claimed.json["review"]["state"], claimed.json["review"]["assignee"]) == (
        "claimed",
        "ana",
    )
    assert (refused.status, refused.json["error"]["code"]) == (1, "already-ruled")
    assert released.json["review"]["state"] == "open"
    assert (ruled.json["review"]["ruling"], ruled.json["review"]["ruled_by"]) == ("approve", "bob")
    assert ended.json["cases"]["settled"] == 1
    assert "salt" not in claimed.json["review"]


def test_a_review_shows_what_the_person_is_asked(asked: Shell) -> None:
    reviews = asked("reviews", "list", "--json").json["reviews"]
    first = min(review["id"] for review in reviews)  # of the case that was let in first

    shown = asked("reviews", "show", first, "--json")

    assert shown.json["review"]["subject"]["input"] == {
        "order": "O-0",
        "amount": 900.0,
        "note": None,
    }


def test_cases_are_listed_shown_and_cancelled(asked: Shell) -> None:
    waiting = asked("cases", "list", "--state", "waiting", "--json").json["cases"]

    cancelled = asked("cases", "cancel", waiting[0]["id"], "--reason", "withdrawn", "--json")
    shown = asked("cases", "show", waiting[0]["id"], "--json")
    waited = asked("cases", "wait", waiting[0]["id"], "--json")

    assert len(waiting) == 2
    assert cancelled.json["cases"][0]["state"] == "cancelled"
    assert shown.json["case"]["reason"] == "withdrawn"
    assert shown.json["case"]["reviews"][0]["state"] == "withdrawn"
    assert (waited.status, waited.json["cases"][0]["state"]) == (1, "cancelled")


def test_a_case_that_was_set_aside_runs_again_when_its_code_is_mended(shell: Shell) -> None:
    shell.write("orders.csv", "order,amount,note\nO-1,10,fails\n")
    shell.run("orders.csv")
    automation = (shell.folder / "automation.py").read_text()
    shell.write("automation.py", automation.replace('== "fails"', '== "never"'))

    retried = shell("cases", "retry", "--all", "--json")
    ended = shell.run("orders.csv")
    nothing = shell("cases", "retry", "--all", "--json")

    assert [case["state"] for case in retried.json["cases"]] == ["ready"]
    assert (ended.status, ended.json["cases"]["settled"]) == (0, 1)
    assert nothing.json == {"cases": []}


def test_stopped_actions_are_held_and_go_out_when_they_are_resumed(shell: Shell) -> None:
    shell.orders(1, name="first.csv")
    shell.run("first.csv")
    shell.write("orders.csv", "order,amount,note\nO-9,10,\n")

    stopped = shell("actions", "stop", "orders", "--reason", "paid twice", "--by", "ana", "--json")
    held = shell.run("orders.csv")
    paid_while_held = shell.paid()
    listed = shell("actions", "list", "--state", "due", "--json")
    resumed = shell("actions", "resume", "orders", "--json")
    again = shell("actions", "resume", "orders", "--json")
    shell.run("orders.csv")

    assert (stopped.json["stopped"]["automation"], stopped.json["stopped"]["by"]) == (
        "orders",
        "ana",
    )
    assert held.json["actions"] == {"due": 0, "held": 1, "dead": 0}
    assert paid_while_held == ["O-0"]
    assert [action["action"] for action in listed.json["actions"]] == ["pay"]
    assert [stop["automation"] for stop in listed.json["stopped"]] == ["orders"]
    assert resumed.json["resumed"]["reason"] == "paid twice"
    assert again.json["error"]["code"] == "not-found"
    assert shell.paid() == ["O-0", "O-9"]


def test_a_dead_action_is_sent_again_under_its_own_key(shell: Shell) -> None:
    automation = (shell.folder / "automation.py").read_text()
    broken = automation.replace(
        "    with Path",
        "    from opsrail import Terminal\n    raise Terminal('closed')\n    with Path",
    )
    shell.write("automation.py", broken)
    shell.orders(1)

    died = shell.run("orders.csv")
    key = shell("actions", "list", "--json").json["actions"][0]["key"]
    shell.write("automation.py", automation)
    retried = shell("actions", "retry", key, "--json")
    shell.run("orders.csv")

    assert (died.status, died.json["actions"]["dead"]) == (1, 1)
    assert retried.json["actions"][0]["state"] == "due"
    assert (shell.folder / "paid.log").read_text() == f"O-0 {key}\n"


def test_the_ledger_is_verified_proven_and_exported_and_the_export_verifies_alone(
    asked: Shell,
) -> None:
    case = asked("cases", "list", "--json").json["cases"][0]["id"]

    verified = asked("ledger", "verify", "--json")
    proven = asked(
        "ledger", "prove", case, "--kind", "case.accepted", "--out", "proof.json", "--json"
    )
    exported = asked("ledger", "export", "book", "--json")
    key = asked("ledger", "key", "--json").json["keys"][0]

    assert verified.json["ledger"]["intact"] is True
    assert exported.json["export"]["entries"] == verified.json["ledger"]["entries"]
    assert json.loads((asked.folder / "proof.json").read_text()) == proven.json["proof"]
    for given in ("book", "proof.json"):
        checked = subprocess.run(
            [sys.executable, "book/verifier.py", given, "--key", key],
            cwd=asked.folder,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout


def test_a_ledger_that_was_tampered_with_fails_and_names_the_place(asked: Shell) -> None:
    change_rows(
        asked.folder,
        "UPDATE ledger_entries SET body = replace(body, 'orders', 'ordres') WHERE kind = 'case.settled'",
    )

    verified = asked("ledger", "verify", "--json")

    assert verified.status == 1
    assert verified.json["ledger"]["intact"] is False
    assert isinstance(verified.json["ledger"]["first_bad_index"], int)


def test_a_restored_backup_runs_again_only_when_somebody_answers_for_it(asked: Shell) -> None:
    data = asked.folder / "opsrail-data"
    change_rows(asked.folder, "PRAGMA wal_checkpoint(TRUNCATE)")
    backup = (data / "opsrail.db").read_bytes()
    asked.orders(3, name="more.csv")
    asked.run("more.csv")
    for name in ("opsrail.db-wal", "opsrail.db-shm"):
        (data / name).unlink(missing_ok=True)
    (data / "opsrail.db").write_bytes(backup)

    refused = asked.run("small.csv")
    sick = asked("doctor", "--json")
    acknowledged = asked("ledger", "acknowledge", "--reason", "disk died", "--by", "ana", "--json")
    again = asked.run("small.csv")

    assert (refused.status, refused.json["error"]["code"]) == (1, "ledger-broken")
    assert (sick.status, levels(sick.json)["ledger.checkpoint"]) == (1, "fail")
    assert acknowledged.json == {"acknowledged": True, "by": "ana"}
    assert again.status == 0


def test_a_new_ledger_key_signs_beside_the_old_one_until_that_is_retired(asked: Shell) -> None:
    first = asked("ledger", "key", "--json").json["keys"]

    both = asked("ledger", "key", "--rotate", "--json").json["keys"]
    asked("ledger", "key", "--retire")
    verified = asked("ledger", "verify")

    assert (len(first), len(both)) == (1, 2)
    assert both[1] == first[0]
    assert verified.status == 0


def test_models_are_registered_promoted_and_their_history_is_kept(asked: Shell) -> None:
    asked.write("tiny.onnx", tiny_bytes())
    asked.write("card.json", '{"cost_usd": 0.001}')

    first = asked(
        "models",
        "register",
        "tiny",
        "tiny.onnx",
        "--training-digest",
        TRAINED,
        "--metric",
        "auc=0.7",
        "--card",
        "card.json",
        "--json",
    )
    same = asked(
        "models", "register", "tiny", "tiny.onnx", "--training-rows", "orders.csv", "--json"
    )
    promoted = asked(
        "models",
        "promote",
        "risk",
        "tiny",
        "1",
        "--stage",
        "live",
        "--reason",
        "first",
        "--by",
        "ana",
        "--json",
    )
    refused = asked(
        "models", "promote", "risk", "tiny", "9", "--stage", "live", "--reason", "x", "--json"
    )
    history = asked("models", "history", "risk", "--json")
    rollout = asked("models", "rollout", "risk", "--json")
    listed = asked("models", "list")

    assert first.json["model"]["number"] == same.json["model"]["number"] == 1
    assert first.json["model"]["metrics"] == {"auc": 0.7}
    assert promoted.json["change"]["revision"] == 1
    assert refused.json["error"]["code"] == "not-found"
    assert [change["changed_by"] for change in history.json["changes"]] == ["ana"]
    assert [(row["stage"], row["model_name"]) for row in rollout.json["rollout"]] == [
        ("live", "tiny")
    ]
    assert "risk: live" in listed.out


def test_a_new_project_runs_and_its_test_passes(tmp_path: Path) -> None:
    shell = Shell(tmp_path)

    made = shell("new", "spare-parts", "--json")
    ran = shell(
        "run", "spare-parts/automation.py", "--input", "spare-parts/spare-parts.csv", "--json"
    )
    case = shell("cases", "list", "--json").json["cases"][-1]["id"]
    record = shell("cases", "show", case, "--json").json["case"]["decisions"][0]["id"]
    explained = shell("decisions", "explain", record, "--json")
    review = shell("reviews", "list", "--json").json["reviews"][0]
    mistyped = shell("reviews", "rule", review["id"], "approve")
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "spare-parts"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert made.json["files"] == ["automation.py", "spare-parts.csv", "test_automation.py"]
    assert (ran.status, ran.json["cases"]["settled"], ran.json["cases"]["waiting"]) == (0, 4, 2)
    assert (explained.status, explained.json["untouched"]) == (0, True)
    assert explained.json["sentences"][0] == "Decision point spare-parts-risk says 'pay'."
    assert (tested.returncode, "3 passed" in tested.stdout) == (0, True), tested.stdout
    assert review["question"].startswith("Pay or decline: spare parts risk, order A-1004, ")
    assert "knows pay, decline" in mistyped.err
    assert shell("new", "spare-parts").status == 2


def test_a_decision_whose_record_was_changed_is_not_explained_as_if_it_were_true(
    tmp_path: Path,
) -> None:
    shell = Shell(tmp_path)
    shell("new", "parts")
    shell("run", "parts/automation.py", "--input", "parts/parts.csv")
    case = shell("cases", "list", "--json").json["cases"][-1]["id"]
    decision = shell("cases", "show", case, "--json").json["case"]["decisions"][0]["id"]
    change_rows(tmp_path, "UPDATE decisions SET record = replace(record, '\"pay\"', '\"nay\"')")

    explained = shell("decisions", "explain", decision, "--json")

    assert (explained.status, explained.json["untouched"]) == (1, False)


def test_the_doctor_finds_a_well_installation_well(asked: Shell) -> None:
    found = asked("doctor", "automation.py", "--json", env={"OPSRAIL_WEB__PORT": "0"})

    assert (found.status, found.json["ok"]) == (0, True)
    assert {"python", "sqlite.synchronous", "disk.fsync", "clock", "ledger.key"} <= set(
        levels(found.json)
    )
    assert set(levels(found.json).values()) <= {"ok", "warn"}


def test_the_doctor_names_cases_that_no_automation_of_the_file_carries(asked: Shell) -> None:
    automation = (asked.folder / "automation.py").read_text()
    asked.write("other.py", automation.replace('Automation("orders"', 'Automation("others"'))

    found = asked("doctor", "other.py", "--json")

    assert (found.status, levels(found.json)["cases.automations"]) == (1, "fail")


def test_the_doctor_finds_what_is_not_drawn_and_not_sent(asked: Shell) -> None:
    env = {"OPSRAIL_REVIEWS__CONTROLS__DESK": "0.1"}
    for state in ("due", "dead"):
        change_rows(
            asked.folder,
            f"INSERT INTO notices SELECT '{state}', 'gone', '', 'alarm.raised', 'a', '{{}}', '{state}', 1, 5, NULL, 5, NULL",
        )
    change_rows(asked.folder, "INSERT INTO cursors VALUES ('controls:desk', '000001700000000', 1)")
    idle = levels(asked("doctor", "--json", env=env).json)
    change_rows(asked.folder, "UPDATE workers SET state = 'alive'")
    found = asked("doctor", "--json", env=env)

    assert (found.status, idle["sampling.controls:desk"]) == (0, "ok")
    assert levels(found.json)["sampling.controls:desk"] == "warn"
    assert (idle["notices.late"], idle["notices.dead"]) == ("warn", "warn")


def test_the_doctor_refuses_a_ledger_key_that_others_can_read(asked: Shell) -> None:
    (asked.folder / "opsrail-data/ledger.key").chmod(0o644)

    found = asked("doctor", "--json")

    assert found.status == 1
    assert any("may be read by others" in one["message"] for one in found.json["findings"])


def test_looking_makes_no_installation(shell: Shell) -> None:
    looked = shell("cases", "list", "--data", "elsewhere", "--json")
    doctor = shell("doctor", "--data", "elsewhere", "--json")

    assert (looked.status, looked.json["error"]["code"]) == (1, "not-found")
    assert doctor.json["findings"][-1]["level"] == "warn"
    assert not (shell.folder / "elsewhere").exists()


def change_rows(folder: Path, sql: str) -> None:
    """Change the database behind opsrail's back."""
    with closing(
        sqlite3.connect(folder / "opsrail-data/opsrail.db", isolation_level=None)
    ) as database:
        database.execute(sql)


def levels(document: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    """Return the level of each finding."""
    return {one["name"]: one["level"] for one in document["findings"]}


def test_a_person_whose_quiet_hours_or_zone_tell_nothing_is_not_made(asked: Shell) -> None:
    wrong = ("--quiet", "25:00-26:00", "--zone", "Mars/Base")

    refused = asked("users", "add", "ann", *wrong, "--json")
    made = asked("users", "add", "ann", "--quiet", "18:00-08:00", "--zone", "Europe/Berlin")

    assert (refused.status, made.status) == (1, 0)
    assert {fault["place"] for fault in refused.json["error"]["faults"]} == {"zone", "quiet"}


def test_a_desk_where_nothing_waits_is_named(asked: Shell) -> None:
    wrong = asked("reviews", "next", "--queue", "dsek", "--by", "ana")
    waiting = len(asked("reviews", "list", "--json").json["reviews"])
    said = [
        asked("reviews", "next", "--queue", "desk", "--by", f"p{n}") for n in range(waiting + 1)
    ]

    assert wrong.status == 1
    assert "no queue 'dsek'; there are: desk" in wrong.err
    assert "Nothing waits for you in desk; see `opsrail reviews queues`." in said[-1].out
