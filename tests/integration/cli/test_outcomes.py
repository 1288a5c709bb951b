"""Outcomes on the command line: recorded, imported, listed; and a key of a case stands for its decision."""

from __future__ import annotations

import pytest

from tests.integration.cli.conftest import Shell
from tests.integration.cli.test_decisions import AUTOMATION

KEYED = AUTOMATION.replace("outcome=Facts)", 'outcome=Facts, key="Age")')


@pytest.fixture
def decided(shell: Shell) -> tuple[Shell, list[str]]:
    """A folder with three decisions, of cases with the keys 1.0, 2.0 and 3.0."""
    shell.write("automation.py", KEYED)
    shell.write("claims.csv", "Make,Age\nMazda,1\nMazda,2\nHonda,3\n")
    assert shell("run", "automation.py", "--input", "claims.csv", "--json").status == 0
    cases = shell("cases", "list", "--json").json["cases"]
    shown = [shell("cases", "show", case["id"], "--json").json["case"] for case in cases]
    return shell, [case["decisions"][0]["id"] for case in reversed(shown)]


def test_outcomes_are_recorded_imported_and_listed(decided: tuple[Shell, list[str]]) -> None:
    shell, (first, second, third) = decided
    told = ("--source", "audit", "--ratio", "0.05", "--by", "ann", "--json")
    recorded = shell("outcomes", "record", first, "fraud", "1", *told)
    refused = shell("outcomes", "record", "nothing", "fraud", "1", "--json")
    shell.write("late.csv", f"decision_id,value\n{second},no\n{third},yes\n")
    imported = shell("outcomes", "import", "late.csv", "--name", "fraud", "--json")
    again = shell("outcomes", "import", "late.csv", "--name", "fraud")
    listed = shell("outcomes", "list", "--name", "fraud", "--json").json["outcomes"]

    assert (recorded.json["value"], recorded.json["ratio"], recorded.json["by"]) == (1, 0.05, "ann")
    assert (refused.status, refused.json["error"]["code"]) == (1, "not-found")
    assert imported.json == {"import": {"rows": 2, "recorded": 2, "unchanged": 0}}
    assert "0 of 2 outcomes recorded, 2 stood already" in again.out
    assert [(one["decision_id"], one["value"]) for one in listed] == [
        (third, 1),
        (second, 0),
        (first, 1),
    ]
    assert shell("outcomes", "list", first, "--json").json["outcomes"] == [recorded.json]


def test_a_file_with_faults_is_refused_whole(decided: tuple[Shell, list[str]]) -> None:
    shell, (first, *_) = decided
    shell.write("late.csv", f"decision_id,value\n{first},1\n{first},maybe\nx\n,1\n")
    refused = shell("outcomes", "import", "late.csv", "--name", "fraud", "--json")

    assert refused.status == 1
    assert [fault["place"] for fault in refused.json["error"]["faults"]] == [
        "line 3",
        "line 4",
        "line 5",
    ]
    assert shell("outcomes", "list", "--json").json == {"outcomes": []}


def test_a_case_key_stands_for_its_decision(decided: tuple[Shell, list[str]]) -> None:
    shell, (first, second, _) = decided
    shell.write(
        "late.jsonl", '{"case_key": "1.0", "value": true}\n{"case_key": "2.0", "value": 0}\n'
    )
    options = ("--name", "fraud", "--automation", "claims", "--point", "risk", "--json")
    imported = shell("outcomes", "import", "late.jsonl", *options)

    assert imported.json["import"]["recorded"] == 2
    assert shell("outcomes", "list", first, "--json").json["outcomes"][0]["value"] == 1
    assert shell("outcomes", "list", second, "--json").json["outcomes"][0]["value"] == 0
