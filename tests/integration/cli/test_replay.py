"""`opsrail lab replay` and `opsrail lab backtest` as a user calls them."""

from __future__ import annotations

import pytest

from tests.integration.cli.conftest import Shell
from tests.integration.cli.test_decisions import AUTOMATION
from tests.unit.models.tiny_models import tiny_bytes

BANDS = "bands: [{verdict: approve, below: 0.9}, {verdict: review, below: 1.01}]\n"


@pytest.fixture
def decided(shell: Shell) -> tuple[Shell, list[str]]:
    """A folder with forty decisions of the model that is live; a second version stands in the registry."""
    shell.write("automation.py", AUTOMATION)
    shell.write("tiny.onnx", tiny_bytes())
    shell.write("first.csv", "Make,Age\nHonda,0\n")
    assert shell("run", "automation.py", "--input", "first.csv", "--json").status == 0
    digest = "sha256:" + "0" * 64
    shell("models", "register", "tiny", "tiny.onnx", "--training-digest", digest)
    why = ("--stage", "live", "--reason", "first")
    assert shell("models", "promote", "risk", "tiny", "1", *why).status == 0
    rows = "".join(f"{'Mazda' if n % 2 else 'Honda'},{n % 7}\n" for n in range(40))
    shell.write("claims.csv", f"Make,Age\n{rows}")
    assert shell("run", "automation.py", "--input", "claims.csv", "--json").status == 0
    cases = shell("cases", "list", "--json", "--limit", "100").json["cases"]
    shown = [shell("cases", "show", case["id"], "--json").json["case"] for case in cases[:3]]
    return shell, [one["decisions"][0]["id"] for one in shown]


def test_decisions_are_replayed_and_a_changed_policy_is_named(
    decided: tuple[Shell, list[str]],
) -> None:
    shell, ids = decided

    one = shell("lab", "replay", ids[0], "--file", "automation.py", "--json")
    said = shell("lab", "replay", ids[0], "--file", "automation.py")
    many = shell("lab", "replay", "--since", "1d", "--file", "automation.py", "--json")
    shell.write("automation.py", AUTOMATION.replace("below=0.75", "below=0.5"))
    other = shell("lab", "replay", ids[0], "--file", "automation.py", "--json")
    bare = shell("lab", "replay", "--since", "1d", "--sample", "10", "--point", "risk")
    wrong = shell("lab", "replay")

    assert one.status == 0, one
    assert one.json["replay"]["is_same"]
    assert "the same in every bit: score and verdict" in said.out
    assert (many.json["replay"]["replayed"], many.json["replay"]["same"]) == (41, 41)
    assert other.status == 1
    assert other.json["replay"]["differences"][0]["what"] == "policy"
    assert "10 of 10 decisions are the same in every bit." in bare.out
    assert "10 verdicts were not judged again" in bare.out
    assert wrong.status == 2


def test_a_history_is_judged_again(decided: tuple[Shell, list[str]]) -> None:
    shell, _ = decided
    asked = ("lab", "backtest", "--point", "risk", "--since", "1d")

    same = shell(*asked, "--file", "automation.py", "--json")
    bands = shell(
        *asked,
        "--bands",
        "approve=0.9,review=1.01",
        "--segment",
        "Make",
        "--output",
        "changed.parquet",
    )
    shell.write(
        "new.yaml",
        BANDS
        + "rules: [{name: old, verdict: decline, when: {field: Age, operator: '>=', value: 5}}]",
    )
    data = shell(*asked, "--policy", "new.yaml", "--model", "tiny/1", "--review-s", "60", "--json")
    shell.write("bad.yaml", "bands:\n  - {verdict: approve, below: 2}\nrules:\n  - {name: x}\n")
    bad = shell(*asked, "--policy", "bad.yaml", "--json")
    missing = shell(*asked)

    assert same.status == 0, same
    assert (same.json["backtest"]["decisions"], same.json["backtest"]["changed"]) == (41, 0)
    assert "15 of 41 verdicts change" in bands.out, bands
    assert "Make=Mazda" in bands.out
    assert (shell.folder / "changed.parquet").is_file()
    told = data.json["backtest"]
    assert told["segments"][0]["now"]["decline"] == 10
    assert told["people"]["handling_s"] == 60
    assert bad.json["error"]["faults"] == [
        {"place": "line 4, rules[0]", "message": "has no verdict"},
        {"place": "line 4, rules[0]", "message": "has no when"},
    ]
    assert missing.status == 2
