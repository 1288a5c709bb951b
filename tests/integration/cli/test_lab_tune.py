"""`opsrail lab tune` as a user calls it: on a file, and on an installation's own decisions up to a change."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from opsrail.app import NOTHING, build
from opsrail.config import Config
from opsrail.values.changes import ChangeRow
from opsrail.values.rows import Insert
from tests.integration.cli.conftest import Shell
from tests.support.history import decision, outcome, stored

RISK = ("--risk", "approved is fraud <= 5%")
POINT = ("lab", "tune", "--point", "fraud-risk", "--outcome", "fraud", "--since", "3650d")
COUNT = 900


@pytest.fixture
def scored(shell: Shell) -> Shell:
    """A folder with a file of 2,000 scores, fraud from 0.6 on."""
    rows = "".join(f"{place / 2000},{int(place >= 1200)}\n" for place in range(2000))
    shell.write("scored.csv", f"score,label\n{rows}")
    return shell


@pytest.fixture
def decided(shell: Shell) -> Shell:
    """An installation in which 900 decisions were made, and all labels are in."""

    async def fill() -> None:
        folder = shell.folder / "opsrail-data"
        folder.mkdir()
        async with build(Config(), folder, NOTHING).opened() as app:
            await stored(app.store, [decision(number) for number in range(COUNT)])
            bad = [float((number * 37 % 100) >= 60) for number in range(COUNT)]
            await app.store.commit(
                [Insert(outcome(number, bad[number], source="review")) for number in range(COUNT)]
            )

    asyncio.run(fill())
    return shell


def test_bands_are_found_in_a_file_told_and_drawn(scored: Shell) -> None:
    told = scored("lab", "tune", "--scores", "scored.csv", *RISK, "--picture", "curve.svg",
                  "--cost-approved", "500", "--usd-per-hour", "60", "--review-s", "600")  # fmt: skip
    again = scored("lab", "tune", "--scores", "scored.csv", *RISK, "--horizon", "20000", "--json")
    tuned = again.json["tuned"]

    assert told.status == again.status == 0
    assert "Promised with 0.95 confidence: approved is fraud <= 5%." in told.out
    assert "USD a decision" in told.out
    assert ElementTree.parse(scored.folder / "curve.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own
    assert [verdict for verdict, _ in tuned["bands"]] == ["approve", "review"]
    assert 0.6 <= tuned["bands"][0][1] <= 0.63
    assert tuned["guarantees"][0]["limit"] == 0.05
    assert tuned["horizon"] == tuned["guarantees"][0]["horizon"] == 20000
    assert tuned["automated"]["low"] < tuned["automated"]["value"] < tuned["automated"]["high"]
    assert again.json["change"] is None


def test_what_cannot_be_promised_ends_with_1_and_says_what_it_would_take(shell: Shell) -> None:
    shell.write("few.csv", "score,label\n" + "0.1,0\n" * 30)
    told = shell("lab", "tune", "--scores", "few.csv", *RISK)

    assert told.status == 1
    assert "Not promised: approved is fraud <= 5%" in told.out
    assert "more labels are needed" in told.out


def test_an_installations_decisions_are_tuned_and_a_change_waits_for_approval(
    decided: Shell,
) -> None:
    told = decided(*POINT, *RISK, "--write-change", "--by", "ann", "--json")
    assert told.status == 0, told.err

    async def kept() -> ChangeRow | None:
        async with build(Config(), decided.folder / "opsrail-data", NOTHING).opened() as app:
            return await app.store.get(ChangeRow, told.json["change"])

    change = asyncio.run(kept())
    assert change is not None
    assert (change.kind, change.state, change.author) == ("bands", "planned", "ann")
    to = json.loads(change.plan)["to"]
    assert [band["verdict"] for band in to["bands"]] == ["approve", "review"]
    assert to["guarantee"][0]["text"] == "approved is fraud <= 5%"
    assert "900 of 900 decisions have a score of fraud/1" in decided(*POINT, *RISK).out


def test_the_outcome_is_the_word_that_the_risks_use_unless_another_is_named(decided: Shell) -> None:
    point = ("lab", "tune", "--point", "fraud-risk", "--since", "3650d")
    named = decided(*point, "--outcome", "fraud", *RISK, "--json")
    unnamed = decided(*point, *RISK, "--json")

    assert named.status == unnamed.status == 0
    assert unnamed.json["tuned"] == named.json["tuned"]


def test_a_version_without_scores_and_a_point_without_decisions_are_told(decided: Shell) -> None:
    absent = decided(*POINT, "fraud@7", *RISK)
    nobody = decided("lab", "tune", "--point", "other", "--outcome", "fraud", *RISK)

    assert (absent.status, nobody.status) == (1, 1)
    assert "has a score of fraud/7" in absent.err
    assert "'other' decided nothing" in nobody.err


def test_faults_of_risks_and_files_come_at_once(scored: Shell, tmp_path: Path) -> None:
    scored.write("wrong.csv", "score,label\n2,1\n0.5,x\n")
    risks = scored(
        "lab", "tune", "--scores", "scored.csv", "--risk", "a", "--risk", "approved is b", "--json"
    )
    file = scored("lab", "tune", "--scores", "wrong.csv", *RISK)

    assert (risks.status, file.status) == (1, 1)
    assert len(risks.json["error"]["faults"]) == 2
    assert "line 2 score" in file.err
    assert "line 3 label" in file.err
