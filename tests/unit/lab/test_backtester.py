"""A point's stored history, judged again: with the code's own policy, with others, with other models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from opsrail.decide.policy import Band, Policy, Rule
from opsrail.errors import InvalidInput, ModelCrashed, ModelUnavailable, NotFound
from opsrail.lab import history as module
from opsrail.lab import rescoring
from opsrail.lab.backtested import Backtest
from opsrail.lab.backtester import Backtester, Question
from opsrail.lab.policy_file import policy_of
from opsrail.lab.whatif import bands_policy, policy_of_code, wrong_of
from opsrail.registry.rollout import Stage
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.values.models import ModelVersion
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.rows import Insert, Update, Where
from opsrail.values.shadows import ShadowScoreRow
from tests.support.decisions import Claim, Road, fraud_point, fraud_policy, linear, request

SAME = "bands: [{verdict: approve, below: 0.5}, {verdict: review, below: 1.01}]\n"


class Case:
    """A road with a history of sixty decisions."""

    def __init__(self) -> None:
        self.road = Road()
        self.point = fraud_point()
        self.made: list[Decision] = []
        self.seen: list[int] = []

    async def begin(self, **card: Any) -> Case:
        await self.road.store.open()
        await self.road.live(linear(-2.0, age=0.05), **card)
        for number in range(60):
            amount = Decimal(20_000 if number % 10 == 9 else number)
            claim = Claim(make=f"m{number % 2}", amount=amount, age=number)
            self.made.append(await self.road.decider.decide(request(self.point, claim)))
            self.road.clock.at_s += 1
        self.road.clock.at_s += 7_200
        return self

    async def ask(self, policy: Any, folder: Path | None = None, **options: Any) -> Backtest:
        given: dict[str, Any] = {"since_ms": 0, "until_ms": self.road.clock.now_ms(), **options}
        asked = Question("fraud-risk", policy, **given)
        return await Backtester(
            self.road.store, self.road.registry, asked, folder, self.seen.append
        ).run()

    async def registered(self, artifact: bytes) -> ModelVersion:
        return await self.road.registered(artifact)


@pytest.fixture
async def case() -> Case:
    return await Case().begin()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 20)
    monkeypatch.setattr(module, "PAGE_ROWS", 10)


async def test_the_policy_that_decided_changes_nothing(case: Case, tmp_path: Path) -> None:
    as_code = await case.ask(policy_of_code(case.point), code=case.point)
    as_data = await case.ask(policy_of(SAME)[0], tmp_path)

    assert (as_code.decisions, as_code.changed, as_data.changed) == (60, 0, 0)
    assert as_code.segments[0].was == {"approve": 40 - 4, "review": 24}
    assert as_code.scores == {"recorded": 60, "none": 0}
    assert "Rules are not asked again: what they said then stands (6 decisions)." in as_code.notes
    assert case.seen[-1] == 60


async def test_other_bands_change_what_they_change_and_no_rule(case: Case) -> None:
    found = await case.ask(bands_policy("approve=0.9,review=1.01"), segments=("make",))
    scores = [one.score or 0.0 for one in case.made]
    ruled = [one.reasons[0].source == "rule" for one in case.made]
    expected = sum(
        not rule and 0.5 <= score < 0.9 for score, rule in zip(scores, ruled, strict=True)
    )

    assert found.changed == expected > 0
    assert {one.segment["make"]: one.decisions for one in found.segments[1:]} == {
        "m0": 30,
        "m1": 30,
    }


async def test_declared_rules_stand_instead_of_those_in_code(case: Case) -> None:
    text = (
        SAME + 'rules: [{name: r, verdict: decline, when: {field: make, operator: "=", value: m1}}]'
    )
    found = await case.ask(policy_of(text)[0])

    assert found.segments[0].now["decline"] == 30


async def test_rules_in_code_are_asked_row_by_row_where_other_code_decided(case: Case) -> None:
    old = Rule[Claim]("young", lambda facts: facts.age < 10, "decline", "Young.")
    other = fraud_point(policy=Policy([Band("approve", 1.01)], rules=[old]))
    found = await case.ask(policy_of_code(other), code=other)

    assert found.segments[0].now == {"approve": 50, "decline": 10}
    assert "Rules of the policy's code were asked row by row (60 decisions)." in found.notes


async def test_another_models_scores_are_asked_for_once(case: Case, tmp_path: Path) -> None:
    version = await case.registered(linear(2.0, age=-0.05))
    before = sum(case.road.runtime.batches)
    first = await case.ask(bands_policy("approve=0.5,review=1.01"), tmp_path, model=version)
    asked = sum(case.road.runtime.batches) - before
    again = await case.ask(bands_policy("approve=0.4,review=1.01"), tmp_path, model=version)

    model = await case.road.registry.model(version, 1.0)
    scores = [score.value for score in model.score([{"age": number} for number in range(60)])]
    assert first.segments[0].now["approve"] == sum(
        score < 0.5 and number % 10 != 9 for number, score in enumerate(scores)
    )
    assert first.scores == {"model": 60, "refused": 0}
    assert asked == 60
    assert sum(case.road.runtime.batches) - before - asked == 60  # the direct question above
    assert again.scores == first.scores


async def test_a_row_that_a_model_fails_on_has_no_score_and_keeps_no_other_from_one(
    case: Case,
) -> None:
    version = await case.registered(linear(2.0, age=-0.05))

    def fail(rows: Sequence[Any]) -> None:
        if any(row["age"] % 10 == 3 for row in rows):
            raise ModelUnavailable("its function failed")

    case.road.runtime.before = fail
    found = await case.ask(bands_policy("approve=0.5,review=1.01"), model=version)

    assert found.decisions == 60
    assert found.scores == {"model": 54, "refused": 6}
    assert (
        "The model refuses the row, or fails on it: there is no score (6 decisions)." in found.notes
    )


@pytest.mark.parametrize("fault", [ModelUnavailable, ModelCrashed])
async def test_a_model_that_fails_on_every_row_or_whose_process_dies_judges_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch, fault: type[ModelUnavailable]
) -> None:
    version = await case.registered(linear(2.0, age=-0.05))
    monkeypatch.setattr(rescoring, "FEW_ROWS", 10)

    def fail(rows: Sequence[Any]) -> None:
        if fault is ModelUnavailable or any(row["age"] == 3 for row in rows):
            raise fault("it is gone")

    case.road.runtime.before = fail
    with pytest.raises(fault, match="it is gone"):
        await case.ask(bands_policy("approve=0.5,review=1.01"), model=version)


async def test_the_model_that_decided_need_not_be_asked(case: Case) -> None:
    version = await case.road.registry.version("fraud", 1)
    before = sum(case.road.runtime.batches)
    found = await case.ask(bands_policy("approve=0.5,review=1.01"), model=version)

    assert (found.changed, found.scores) == (0, {"recorded": 60, "none": 0})
    assert sum(case.road.runtime.batches) == before


async def test_what_was_scored_before_an_interruption_is_not_scored_again(
    case: Case, tmp_path: Path
) -> None:
    version = await case.registered(linear(2.0, age=-0.05))
    batches = case.road.runtime.batches

    def interrupt(rows: Sequence[Any]) -> None:
        if len(batches) > before + 2:
            raise KeyboardInterrupt

    before = len(batches)
    case.road.runtime.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        await case.ask(bands_policy("approve=0.5,review=1.01"), tmp_path, model=version)
    case.road.runtime.before = lambda rows: None
    asked = sum(batches)
    found = await case.ask(bands_policy("approve=0.5,review=1.01"), tmp_path, model=version)

    assert found.decisions == 60
    assert sum(batches) - asked == 20


async def test_a_damaged_file_of_scores_is_made_again(case: Case, tmp_path: Path) -> None:
    version = await case.registered(linear(2.0, age=-0.05))
    first = await case.ask(bands_policy("approve=0.5,review=1.01"), tmp_path, model=version)
    for path in (tmp_path / "scores").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:50])

    again = await case.ask(bands_policy("approve=0.5,review=1.01"), tmp_path, model=version)
    assert again.moves == first.moves


@pytest.mark.parametrize("is_remote", [True, False], ids=["remote", "not repeatable"])
async def test_a_model_that_cannot_be_asked_again_is_judged_by_what_it_said(
    is_remote: bool,
) -> None:
    case = await Case().begin()
    case.road.runtime.is_remote = is_remote
    card: dict[str, Any] = {} if is_remote else {"repeatable": False}
    version = await case.road.registered(linear(2.0, age=-0.05), **card)
    said = [
        ShadowScoreRow(one.id, "fraud", version.number, "fraud-risk", 0.9, 0.9, None, None, 1, 0.0, 1)
        for one in case.made[:10]
    ]  # fmt: skip
    await case.road.store.commit([Insert(one) for one in said])
    await case.road.promoted(version, Stage.LIVE)
    case.made.append(await case.road.decider.decide(request(case.point, Claim(age=3))))
    asked = sum(case.road.runtime.batches)
    found = await case.ask(
        bands_policy("approve=0.5,review=1.01"),
        model=version,
        until_ms=case.road.clock.now_ms() + 1,
    )

    assert found.scores == {"recorded": 11, "absent": 50}
    assert found.changed == 9  # the tenth was a rule's
    assert "cannot be asked again" in found.notes[0]
    assert sum(case.road.runtime.batches) == asked


async def test_errors_rest_on_labels_by_their_weight(case: Case) -> None:
    def label(number: int, ratio: float) -> OutcomeRow:
        one = case.made[number]
        return OutcomeRow(f"{one.id}0", one.id, "fraud", number % 2, "audit", ratio, "ann", 1, 1)

    await case.road.store.commit([Insert(label(n, 0.5)) for n in range(30)])
    found = await case.ask(
        bands_policy("approve=1.01"), wrongs=(wrong_of("approve|fraud=10"),), handling_s=60.0
    )
    (now,) = found.errors_now

    assert (now.of, now.known) == (54, 27)
    assert now.rate == pytest.approx(12 / 27)
    assert found.money.errors_now == pytest.approx(10 * 54 * 12 / 27)


async def test_decisions_that_change_are_listed(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "changed.parquet"
    found = await case.ask(
        bands_policy("approve=0.9,review=1.01"), segments=("make",), changed=path
    )
    rows = pyarrow.parquet.read_table(path).to_pylist()

    assert len(rows) == found.changed > 0
    assert {(row["was"], row["now"]) for row in rows} == {("review", "approve")}
    assert {row["id"] for row in rows} <= {one.id for one in case.made}
    assert {row["facts.make"] for row in rows} == {"m0", "m1"}
    assert list(tmp_path.iterdir()) == [path]


async def test_only_the_span_asked_for_is_judged(case: Case) -> None:
    since_ms, until_ms = case.made[10].at_ms, case.made[40].at_ms
    found = await case.ask(bands_policy("approve=1.01"), since_ms=since_ms, until_ms=until_ms)
    none = await case.ask(bands_policy("approve=1.01"), since_ms=0, until_ms=1)

    assert (found.decisions, none.decisions, none.moves) == (30, 0, ())


async def test_bands_alone_need_no_record(case: Case) -> None:
    for one in case.made:
        await case.road.store.commit([Update(DecisionRow, (one.id,), {"record": "{}"})])

    assert (await case.ask(bands_policy("approve=1.01"))).decisions == 60


async def test_what_no_request_has_is_refused_before_anything_is_read(case: Case) -> None:
    text = (
        SAME + 'rules: [{name: r, verdict: decline, when: {field: mke, operator: "=", value: 1}}]'
    )
    with pytest.raises(InvalidInput) as told:
        await case.ask(policy_of(text)[0], segments=("area",))

    assert [fault.place for fault in told.value.faults] == ["rules[0].when.field", "segments"]
    assert case.seen == []


async def test_a_version_that_is_gone_is_named(case: Case) -> None:
    with pytest.raises(NotFound):
        await case.road.registry.version("fraud", 9)


async def test_requests_that_do_not_fit_the_code_keep_their_verdict(case: Case) -> None:
    made = case.made[0]
    record = made.record()
    record["features"][0]["values"] = {"age": "old"}
    await case.road.store.commit([Update(DecisionRow, (made.id,), {"record": json.dumps(record)})])
    other = fraud_point(policy=fraud_policy(on_error="decline"))
    found = await case.ask(policy_of_code(other), code=other)

    assert found.changed == 0
    assert (
        "The request does not fit the point's model now; the verdict stands (1 decisions)."
        in found.notes
    )


async def test_the_newest_rows_stand_in_the_same_history(case: Case) -> None:
    rows = await case.road.store.select(DecisionRow, Where("point", "=", "fraud-risk"), limit=100)

    assert [(row.source, row.reason) for row in rows] == [
        (one.reasons[0].source, one.reasons[0].code) for one in case.made
    ]
