"""Models of every runtime answer at a decision point, and their decisions are recorded like any other's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from opsrail.app import App, build
from opsrail.cases.loader import Definitions, load_file
from opsrail.config import Config
from opsrail.decide.decider import Request
from opsrail.registry.importer import Offered
from opsrail.registry.importing import Told
from opsrail.registry.rollout import Stage
from opsrail.registry.samples import read_sample
from opsrail.values.columns import Column, Number, category
from opsrail.values.decisions import Decision
from opsrail.values.models import ModelVersion
from tests.contract.runtime import boosters, sklearn_models
from tests.contract.runtime.boosters import WORDS

TRAINED = "sha256:" + "a" * 64
FILE = """
from pydantic import BaseModel
from opsrail import Band, DecisionPoint, Number, Policy, PythonModel

class Claim(BaseModel):
    age: float
    amount_usd: float
    kind: str

risk = DecisionPoint(
    "risk", request=Claim, deadline_ms=30_000,
    policy=Policy(bands=[Band("pay", below=0.5), Band("review", below=1.01)]), reason_codes=2,
)

def by_age(row):
    return row["age"] FACTOR

rules = PythonModel("claims-rules", by_age, columns=[Number("age")])
"""
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    ".txt": (boosters.lightgbm_text, "exact-tree"),
    ".json": (boosters.xgboost_bytes, "exact-tree"),
    ".skops": (
        lambda: sklearn_models.written(sklearn_models.fitted("histogram")),
        "approximate",
    ),
}


def written(folder: Path, factor: str = "* 1") -> Definitions:
    path = folder / "claims.py"
    path.write_text(FILE.replace("FACTOR", factor), encoding="utf-8")
    return load_file(path)


async def decided(app: App, age: float = 0.25, kind: str = "car") -> Decision:
    point = app.definitions.points["risk"]
    facts = point.request(age=age, amount_usd=0.5, kind=kind)
    return await app.decider.decide(Request(point, facts, "0" * 32, "test"))


async def live(app: App, version: ModelVersion) -> None:
    await app.registry.promote("risk", version, Stage.LIVE, by="ana", reason="first")


@pytest.mark.parametrize("ending", FILES)
async def test_an_imported_model_answers_and_explains(tmp_path: Path, ending: str) -> None:
    make, method = FILES[ending]
    columns: dict[str, Column] = {
        "age": Number("age"),
        "amount_usd": Number("amount_usd"),
        "kind": category("kind", WORDS),
    }
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "age,amount_usd,kind\n0.1,0.2,car\n0.9,0.4,van\n0.5,0.3,car\n", encoding="utf-8"
    )
    offered = Offered("fraud", make(), ending, TRAINED, "ana", Told(columns), read_sample(rows))
    async with build(Config(), tmp_path / "data", written(tmp_path)).opened() as app:
        looked = await app.importer.look(offered)
        version = await app.importer.keep(offered, looked)
        await live(app, version)

        known, strange = await decided(app), await decided(app, kind="plane")

    (alone,) = app.registry.try_out(looked.artifact, looked.runtime).score(
        [{"age": 0.25, "amount_usd": 0.5, "kind": "car"}]
    )
    assert known.score == alone.value
    assert known.model is not None
    assert known.model.digest == version.digest
    assert (known.unknown, strange.unknown) == ((), ("kind",))
    assert known.reason_codes is not None
    assert known.reason_codes.method == method
    assert known.reason_codes.codes


async def test_a_function_answers_until_its_code_changes(tmp_path: Path) -> None:
    async def register(app: App) -> ModelVersion:
        (model,) = app.definitions.models
        return await app.registry.register(
            "claims-rules",
            model.artifact,
            runtime="python",
            training_digest=f"sha256:{model.code}",
            by="ana",
        )

    async with build(Config(), tmp_path / "data", written(tmp_path)).opened() as app:
        await live(app, await register(app))
        first = await decided(app)
    async with build(Config(), tmp_path / "data", written(tmp_path, "* 2")).opened() as app:
        changed = await decided(app)
        await live(app, await register(app))
        second = await decided(app)

    assert (first.score, first.degraded) == (0.25, False)
    assert (changed.score, changed.degraded_why) == (None, "model-unavailable")
    assert (second.score, second.model and second.model.number) == (0.5, 2)
