"""What is true or false is the number 1 or 0 to a model: imported, asked over HTTP, turned, replayed, judged again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import lightgbm
import numpy as np
import pytest

from opsrail.app import build
from opsrail.cases.loader import load_file
from opsrail.config import Config
from opsrail.values.columns import Number
from opsrail.web.asgi import create_asgi
from tests.integration.cli.conftest import Shell
from tests.support.forests import artifact_of

AUTOMATION = """
from pydantic import BaseModel
from opsrail import Automation, Band, Case, DecisionPoint, Policy

class Claim(BaseModel):
    age: float
    is_new: bool

risk = DecisionPoint(
    "risk", request=Claim, policy=Policy([Band("pay", below=0.5), Band("review", below=1.01)]), reason_codes=2,
)
claims = Automation("claims", case=Claim, outcome=Claim)

@claims.run
async def handle(case: Case, claim: Claim) -> Claim:
    await case.decide(risk, claim)
    return claim
"""
TRAINED = ("--training-digest", "sha256:" + "a" * 64)
SAMPLE = "age,is_new\n0.1,True\n0.9,False\n0.5,False\n"
HOST = "http://127.0.0.1:8321"


def lightgbm_text() -> bytes:
    chance = np.random.default_rng(5)
    numbers = np.column_stack([chance.random(400), chance.integers(0, 2, 400)])
    truths = (numbers[:, 1] + chance.normal(0, 0.2, 400) > 0.5).astype(int)
    data = lightgbm.Dataset(numbers, truths, feature_name=["age", "is_new"])
    settings = {"objective": "binary", "verbose": -1, "num_leaves": 4, "num_threads": 1}
    text: str = lightgbm.train(settings, data, num_boost_round=20).model_to_string()
    return text.encode()


def onnx_bytes() -> bytes:
    """Return one tree: logistic(-2) where `is_new` is at most 0.5, else logistic(2)."""
    tree: dict[str, list[Any]] = {
        "nodes_treeids": [0, 0, 0], "nodes_nodeids": [0, 1, 2], "nodes_featureids": [1, 0, 0],
        "nodes_values": [0.5, 0.0, 0.0], "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0], "nodes_hitrates": [2.0, 1.0, 1.0],
        "target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 0], "target_weights": [-2.0, 2.0],
    }  # fmt: skip
    reference = {"rows": [[0.5, 0.0]], "lows": [0.0, 0.0], "highs": [1.0, 1.0]}
    return artifact_of(tree, [Number("age"), Number("is_new")], reference)


FILES: dict[str, Callable[[], bytes]] = {"model.txt": lightgbm_text, "model.onnx": onnx_bytes}


@pytest.fixture(params=FILES)
def live(shell: Shell, request: pytest.FixtureRequest) -> Shell:
    """A folder in which a model of truths is live, imported against its point."""
    shell.write("automation.py", AUTOMATION)
    shell.write("first.csv", "age,is_new\n0.5,true\n")
    assert shell("run", "automation.py", "--input", "first.csv", "--json").status == 0
    shell.write(request.param, FILES[request.param]())
    shell.write("sample.csv", SAMPLE)
    offered = ("models", "import", request.param, "--name", "new", "--sample", "sample.csv")
    taken = shell(*offered, "--point", "risk", "automation.py", *TRAINED, "--json")
    assert taken.status == 0, taken.out + taken.err
    told = {column["name"]: column for column in taken.json["import"]["columns"]}
    assert told["is_new"]["kind"] == "number"
    assert [one["score"] > 0.5 for one in taken.json["import"]["trial"]] == [True, False, False]
    why = ("--stage", "live", "--reason", "first")
    assert shell("models", "promote", "risk", "new", "1", *why).status == 0
    return shell


async def test_a_truth_is_asked_over_http_and_its_change_is_told_as_one(live: Shell) -> None:
    app = build(Config(), live.folder / "opsrail-data", load_file(live.folder / "automation.py"))
    async with app.opened():
        transport = httpx.ASGITransport(create_asgi(app))
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            one, other = [
                (await client.post("/v1/decisions/risk", json={"age": 0.5, "is_new": truth})).json()
                for truth in (True, False)
            ]
            changed = await client.get(f"/v1/decisions/{one['id']}/nearest?towards=pay")
            parts = await client.get(f"/v1/decisions/{one['id']}/explanation")
            row = {"name": "is_new", "shape": [1], "datatype": "BOOL", "data": [True]}
            age = {"name": "age", "shape": [1], "datatype": "FP64", "data": [0.5]}
            tensors = await client.post("/v2/models/risk/infer", json={"inputs": [age, row]})

    assert (one["verdict"], other["verdict"]) == ("review", "pay")
    assert (one["degraded_why"], one["features"][0]["values"]["is_new"]) == (None, True)
    code = one["reason_codes"]["codes"][0]
    assert (code["feature"], code["value"]) == ("is_new", True)
    assert code["text"].startswith("is_new is yes")
    assert parts.json()["contributions"]["codes"][0]["feature"] == "is_new"
    nearest = changed.json()
    (change,) = nearest["change"]["changes"]
    assert (change["fact"], change["before"], change["after"]) == ("is_new", True, False)
    assert change["text"] == "is_new had been no instead of yes."
    assert nearest["is_proven"]
    scores = {told["name"]: told["data"] for told in tensors.json()["outputs"]}
    assert scores["score"] == [one["score"]]


def test_truths_are_replayed_and_judged_again_in_every_bit(live: Shell) -> None:
    rows = "".join(f"{n / 40},{'true' if n % 3 else 'false'}\n" for n in range(40))
    live.write("claims.csv", f"age,is_new\n{rows}")
    assert live("run", "automation.py", "--input", "claims.csv", "--json").status == 0

    replayed = live("lab", "replay", "--since", "1d", "--file", "automation.py", "--json")
    asked = ("lab", "backtest", "--point", "risk", "--since", "1d", "--model", "new/1")
    judged = live(*asked, "--file", "automation.py", "--json")

    told = replayed.json["replay"]
    assert (told["replayed"], told["same"]) == (41, 41), replayed
    history = judged.json["backtest"]
    assert (history["decisions"], history["scores"]) == (41, {"model": 41, "refused": 0})
    assert history["changed"] == 0
    assert {(one["was"], one["now"]) for one in history["moves"]} == {
        ("pay", "pay"),
        ("review", "review"),
    }
