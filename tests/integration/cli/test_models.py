"""Versions on the command line: shown whole, compared, their cards with gaps, and what was live when."""

from __future__ import annotations

import pytest

from opsrail.values.columns import Number
from tests.integration.cli.conftest import Shell
from tests.integration.cli.test_decisions import AUTOMATION
from tests.unit.models.tiny_models import COLUMNS, tiny_bytes

TRAINED = ("--training-digest", "sha256:" + "0" * 64)
CARD = "owner: Ann\nrisk_tier: medium\nintended_use: Ranks claims.\n"


@pytest.fixture
def two(shell: Shell) -> Shell:
    """A folder with two versions of one model: the second has a card and another figure."""
    shell.write("automation.py", AUTOMATION)
    shell.write("claims.csv", "Make,Age\nMazda,0\n")
    shell.write("tiny.onnx", tiny_bytes())
    shell.write("second.onnx", tiny_bytes(columns=(COLUMNS[0], Number("Years"), COLUMNS[2])))
    shell.write("card.yaml", CARD)
    assert shell("run", "automation.py", "--input", "claims.csv").status == 0
    first = shell(
        "models", "register", "tiny", "tiny.onnx", *TRAINED, "--metric", "auc=0.7", "--json"
    )
    assert first.status == 0, first
    options = ("--metric", "auc=0.75", "--card", "card.yaml", "--code-revision", "8f3a1c2")
    second = shell("models", "register", "tiny", "second.onnx", *TRAINED, *options, "--json")
    assert second.status == 0, second
    return shell


def test_a_version_is_shown_whole_and_compared(two: Shell) -> None:
    shown = two("models", "show", "tiny", "2", "--json").json["model"]
    found = two("models", "diff", "tiny/1", "tiny/2", "--json").json["diff"]
    told = two("models", "diff", "tiny/1", "tiny/2")

    assert (shown["card"]["owner"], shown["card"]["code_revision"]) == ("Ann", "8f3a1c2")
    assert "caveats" in shown["card_missing"]
    assert [one["name"] for one in shown["features"][:2]] == ["Make", "Years"]
    assert found["metrics"]["auc"]["change"] == pytest.approx(0.05)
    assert set(found["version"]) == {"digest", "created_at"}
    assert set(found["features"]) == {"Age", "Years"}
    assert found["card"]["owner"] == {"first": None, "second": "Ann"}
    assert "+0.05" in told.out
    assert two("models", "diff", "tiny", "tiny/2").status == 2


def test_a_card_shows_its_gaps_and_is_worded_anew(two: Shell) -> None:
    bare = two("models", "card", "tiny", "1")
    two.write("better.yaml", CARD + "caveats: Not for motorcycles.\n")
    why = ("--revise", "better.yaml", "--reason", "caveats added", "--by", "ben")
    revised = two("models", "card", "tiny", "2", *why, "--json")
    two.write("lower.yaml", CARD.replace("medium", "low"))
    refused = two(
        "models", "card", "tiny", "2", "--revise", "lower.yaml", "--reason", "x", "--json"
    )
    page = two("models", "card", "tiny", "2", "--markdown")

    assert "13 of 13 things that a card should tell are MISSING" in bare.out
    assert (revised.json["card"]["revision"], revised.json["card"]["by"]) == (1, "ben")
    assert [fault["place"] for fault in refused.json["error"]["faults"]] == ["card.risk_tier"]
    assert "Not for motorcycles." in page.out
    assert "**MISSING**: groups and circumstances" in page.out


def test_what_was_live_when_is_told(two: Shell) -> None:
    live = ("--stage", "live", "--reason", "first", "--json")
    first = two("models", "promote", "risk", "tiny", "1", *live).json["change"]
    canary = ("--stage", "canary", "--share", "0.05", "--reason", "try", "--json")
    second = two("models", "promote", "risk", "tiny", "2", *canary).json["change"]
    then = two("models", "history", "risk", "--at", first["at"], "--json").json
    now = two("models", "history", "risk", "--json").json
    early = two("models", "history", "risk", "--at", "2020-05-03 14:03")
    wrong = two("models", "history", "risk", "--at", "noon", "--json")
    future = two("models", "history", "risk", "--at", "2199-01-01", "--json")

    assert (then["at"]["live"]["model_number"], then["at"]["canary"]) == (1, None)
    assert (then["at"]["until"], len(then["changes"])) == (second["at"], 1)
    assert (now["at"]["canary"]["model_number"], now["at"]["canary"]["share"]) == (2, 0.05)
    assert [change["stage"] for change in now["changes"]] == ["canary", "live"]
    assert "No version was live at risk." in early.out
    assert wrong.json["error"]["faults"][0]["place"] == "--at"
    assert (future.status, future.json["error"]["faults"][0]["place"]) == (1, "--at")
    assert "2199-01-01T00:00:00.000Z has not come" in future.json["error"]["faults"][0]["message"]
    assert two("models", "history", "nothing", "--json").json["error"]["code"] == "not-found"
