"""Versions against each other, against who answered and against people, on both databases and from the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from opsrail.app import build
from opsrail.cli.main import main
from opsrail.config import Config
from opsrail.errors import InvalidInput, NotFound
from opsrail.lab.comparison import Comparison, compared
from opsrail.lab.comparison_picture import draw
from opsrail.ports import Store
from opsrail.values.decisions import Decision, ModelRef
from opsrail.values.registry import ModelVersionRow
from opsrail.values.reviews import ReviewRow
from opsrail.values.rows import Insert
from opsrail.values.shadows import ShadowScoreRow
from tests.support.history import EVERY_MS, FIRST_MS, decision, decision_id, review, stored

COUNT = 400
LAST_MS = FIRST_MS + COUNT * EVERY_MS
SIX = ModelRef("fraud", 6, "sha256:" + "a" * 64, "live", "local")
SEVEN = SIX._replace(number=7, stage="canary")


def verdict(score: float) -> str:
    return "approve" if score < 0.5 else "review" if score < 0.6 else "decline"


def score_of(number: int) -> float:
    return (number * 37 % 100) / 100


def said(number: int, *, model: int = 7, **changes: Any) -> ShadowScoreRow:
    """Return what a challenger said: in the country a little more than the champion."""
    score = min(1.0, score_of(number) + (0.2 if is_rural(number) else 0.0))
    given: dict[str, Any] = {
        "decision_id": decision_id(number),
        "model_name": "fraud",
        "model_number": model,
        "point": "fraud-risk",
        "score": score,
        "confidence": 0.9,
        "verdict": verdict(score),
        "code": None,
        "latency_us": 2_000,
        "cost_usd": 0.5,
        "at_ms": FIRST_MS + number * EVERY_MS,
    }
    return ShadowScoreRow(**{**given, **changes})


def is_rural(number: int) -> bool:
    return number % 5 == 0


def made(number: int, **changes: Any) -> Decision:
    facts = {"area": "rural" if is_rural(number) else "urban", "age": number % 60}
    given = {"model": SIX, "verdict": verdict(score_of(number)), "facts": facts}
    return decision(number, **{**given, **changes})


async def fill(store: Store) -> None:
    """Write decisions of version 6, what 7 and 8 said beside it, and what people ruled on every third."""
    versions = [
        ModelVersionRow("fraud", number, SIX.digest, "onnx", SIX.digest, "{}", "{}", FIRST_MS)
        for number in (6, 7, 8, 9)
    ]
    await store.commit([Insert(row) for row in versions])
    decisions = [made(number) for number in range(COUNT)]
    decisions[10] = made(
        10, model=SEVEN, verdict="decline", score=0.9
    )  # 7 answered this one itself
    decisions[12] = made(12, score=None, verdict="review", degraded=True, degraded_why="late")
    await stored(store, decisions)
    failed: dict[str, Any] = {
        "score": None,
        "confidence": None,
        "verdict": None,
        "code": "deadline-passed",
        "cost_usd": 0.0,
    }
    rows: list[tuple[Any, ...]] = [
        said(number) for number in range(COUNT) if number not in (10, 20)
    ]
    rows.append(said(20, **failed))
    rows += [said(number, model=8) for number in range(COUNT // 2)]
    rows += [ruling(number) for number in range(0, COUNT, 3)]
    await store.commit([Insert(row) for row in rows])


def ruling(number: int) -> ReviewRow:
    """People go by the challenger's score, and decline from 0.7 on."""
    score = said(number).score
    assert score is not None
    return review(number, ruling="decline" if score >= 0.7 else "approve")


async def found(
    store: Store, version: int = 7, against: Any = "champion", **options: Any
) -> Comparison:
    span = {"since_ms": FIRST_MS, "until_ms": LAST_MS, **options}
    return await compared(store, "fraud-risk", ("fraud", version), against, **span)


async def test_a_challenger_is_compared_with_whoever_answered(store: Store) -> None:
    await fill(store)
    numbers = [number for number in range(COUNT) if number not in (10, 12, 20)]
    theirs = [verdict(score_of(number)) for number in numbers]
    mine = [said(number).verdict for number in numbers]
    differ = [one != other for one, other in zip(mine, theirs, strict=True)]

    told = await found(store, fields=["area", "age"])

    assert (told.decisions, told.disagreement.unknown) == (COUNT, 3)
    assert (told.disagreement.rate.hits, told.disagreement.rate.of) == (sum(differ), len(numbers))
    assert [(one.field, one.segment) for one in told.disagreement.worst] == [("area", "rural")]
    assert told.mine.failed == {"deadline-passed": 1}
    assert told.mine.took is not None
    assert told.theirs.took is not None
    assert (told.mine.took.p50, told.theirs.took.p50) == (2.0, 2.5)
    assert told.mine.cost_usd == pytest.approx(0.5 * (COUNT - 2) + 0.25)
    assert told.shift is not None
    assert told.shift.scores == len(numbers)
    assert told.shift.ks > 0.03


async def test_two_challengers_are_compared_with_each_other(store: Store) -> None:
    await fill(store)

    told = await found(store, 8, ("fraud", 7))

    assert (told.mine.name, told.theirs.name) == ("fraud/8", "fraud/7")
    assert (
        told.disagreement.rate.of == COUNT // 2 - 1
    )  # number 20 has no score, 10 was answered by 7 itself
    assert told.disagreement.rate.hits == (said(10).verdict != "decline")


async def test_a_challenger_and_who_answered_are_compared_with_people(store: Store) -> None:
    await fill(store)
    ruled = {number: str(ruling(number).ruling) for number in range(0, COUNT, 3)}
    mine = {number: said(number).verdict for number in ruled}
    compared_with = {n: one for n, one in mine.items() if one != "review"}
    wrong = [number for number, one in compared_with.items() if one != ruled[number]]

    told = await found(store, 7, "people", fields=["area"])

    assert told.disagreement.rate.of == len(compared_with)
    assert told.disagreement.rate.hits == len(wrong)
    assert told.disagreement.referred == len(ruled) - len(compared_with)
    assert told.champion is not None
    assert told.errors is not None
    champion = {n: verdict(score_of(n)) for n in compared_with if n != 12}
    both = [number for number, one in champion.items() if one != "review"]
    assert told.errors.decisions == told.champion.rate.of == len(both)
    assert told.champion.rate.hits == sum(champion[number] != ruled[number] for number in both)
    only = {n for n in both if mine[n] != ruled[n]} ^ {n for n in both if champion[n] != ruled[n]}
    assert told.errors.only_mine == len({n for n in only if mine[n] != ruled[n]})
    assert told.errors.only_theirs == len({n for n in only if champion[n] != ruled[n]})
    assert {scores.name for scores in told.scores} == {"ruled approve", "ruled decline"}


async def test_where_people_decide_what_policy_proposed_is_compared(store: Store) -> None:
    await stored(store, [made(1, verdict="review", proposed="approve", autonomy="observe")])
    await store.commit([Insert(said(1)), Insert(review(1, ruling="approve"))])

    told = await found(store, 7, "people")

    assert told.champion is not None
    assert (told.champion.rate.hits, told.champion.rate.of) == (0, 1)
    assert not told.disagreement.is_enough


async def test_the_verdict_for_people_may_have_another_name(store: Store) -> None:
    await stored(store, [made(number, verdict="desk") for number in range(3)])
    told = ("desk", "approve", "decline")
    rows = [said(number, verdict=verdict) for number, verdict in enumerate(told)]
    rulings = [review(number, ruling="approve") for number in range(3)]
    await store.commit([Insert(row) for row in (*rows, *rulings)])

    plain = await found(store, 7, "people")
    named = await found(store, 7, "people", referred="desk")

    assert (plain.disagreement.rate.of, plain.disagreement.referred) == (3, 0)
    assert (named.disagreement.rate.of, named.disagreement.referred) == (2, 1)


async def test_who_said_nothing_and_fields_that_are_not_there_are_refused(store: Store) -> None:
    await fill(store)

    with pytest.raises(NotFound, match=r"fraud/9 said nothing .* --stage shadow"):
        await found(store, 9)
    with pytest.raises(InvalidInput) as caught:
        await found(store, 7, fields=["area", "aera", "AGE"])
    assert [fault.place for fault in caught.value.faults] == ["aera", "AGE"]


async def test_the_picture_is_a_document_whatever_words_are_in_it(store: Store) -> None:
    random = np.random.default_rng(1)
    for number in range(200):
        facts = {"area": ["<b>&'\"", "line\nbreak\x07", "x" * 90][number % 3]}
        await stored(store, [made(number, facts=facts)])
    scores = random.random(200)
    await store.commit(
        [Insert(said(n, score=s, verdict=verdict(s))) for n, s in enumerate(scores.tolist())]
    )

    drawn = draw(await found(store, 7, fields=["area"]))

    root = ET.fromstring(drawn)  # noqa: S314 - our own
    texts = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("area = <b>&'\"" in text for text in texts)
    assert "Verdict against verdict" in texts
    assert ET.fromstring(draw(await found(store, 7, "people"))) is not None  # noqa: S314 - our own


# -- from the command line -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compare")

    async def make() -> None:
        async with build(Config(), folder).opened() as app:
            await fill(app.store)

    asyncio.run(make())
    return folder


def run(folder: Path, *args: str) -> int:
    return main(["lab", "compare", *args, "--data", str(folder)])


OF_THEN = ("--point", "fraud-risk", "--since", "5000w")


def test_the_command_tells_and_draws(
    installation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "out.svg"
    draws = ("--segments", "area", "--picture", str(picture))

    assert run(installation, "fraud@7", *OF_THEN, *draws) == 0

    told = capsys.readouterr().out
    assert "fraud/7 against champion at fraud-risk: 400 decisions" in told
    assert "They disagree more than elsewhere in 1 of 2 segments" in told
    assert "deadline-passed 1" in told
    assert picture.read_text(encoding="utf-8").startswith("<svg ")


def test_the_command_prints_json(installation: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(installation, "fraud/7", "--against", "people", *OF_THEN, "--json") == 0

    told = json.loads(capsys.readouterr().out)["comparison"]
    assert told["theirs"]["name"] == "people"
    assert told["disagreement"]["rate"]["of"] > 100
    assert "scores" not in told


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (("fraud", *OF_THEN), 2, "claims-fraud/7"),
        (("fraud@7", "--since", "30d"), 1, "stands at no decision point"),
        (("fraud@9", *OF_THEN), 1, "said nothing"),
        (("fraud@99", *OF_THEN), 1, "there is no model version fraud/99"),
        (("fraud@7", "--against", "frraud/6", *OF_THEN), 1, "there is no model version frraud/6"),
        (("fraud@7", *OF_THEN, "--segments", "aera"), 1, "aera: no request of that time"),
        (("fraud@7", "--point", "fraud-risk", "--since", "soon"), 1, "soon"),
    ],
)
def test_the_command_says_what_is_wrong(
    installation: Path,
    capsys: pytest.CaptureFixture[str],
    args: tuple[str, ...],
    status: int,
    says: str,
) -> None:
    assert run(installation, *args) == status

    assert says in capsys.readouterr().err
