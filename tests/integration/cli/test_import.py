"""`opsrail models import`: files as training leaves them become versions, with a signature made or checked."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from opsrail.app import build
from opsrail.config import Config
from opsrail.registry.cards import FACTS, SECTIONS
from tests.contract.runtime import boosters, sklearn_models
from tests.contract.runtime.boosters import WORDS
from tests.integration.cli.conftest import Shell
from tests.unit.models.tiny_models import tiny_bytes

TRAINED = ("--training-digest", "sha256:" + "a" * 64)
ROWS = "age,amount_usd,kind,policy\n" + "".join(
    f"0.{number},{number * 0.05},{WORDS[number % 4]},P\n" for number in range(1, 9)
)
KIND = {"name": "kind", "words": WORDS}
WHOLE = [{"name": "age"}, {"name": "amount_usd", "missing": 0}, KIND]
POINTS = """
from pydantic import BaseModel
from opsrail import Band, DecisionPoint, FeatureView, Number, Policy, PythonModel

class Claim(BaseModel):
    age: float
    kind: str

class Other(BaseModel):
    age: str
    amount_usd: float

amounts = FeatureView(
    "amounts", version=1, entity=lambda claim: claim.kind, initial=lambda: 0.5, fold=lambda state, fact: state,
    read=lambda state: {"amount_usd": state},
)
bands = Policy(bands=[Band("pay", below=0.5), Band("review", below=1.01)])
risk = DecisionPoint("risk", request=Claim, deadline_ms=30_000, policy=bands, features=["amounts@1"])
other = DecisionPoint("other", request=Other, deadline_ms=30_000, policy=bands)

def by_age(row):
    return min(1.0, row["age"])

rules = PythonModel("claims-rules", by_age, columns=[Number("age")])
"""


@pytest.fixture
async def installed(shell: Shell) -> Shell:
    """A folder with an installation and files to import."""
    data = shell.folder / "opsrail-data"
    async with build(Config(), data).opened():
        pass
    shell.write("rows.csv", ROWS)
    shell.write("kind.json", json.dumps({"columns": [KIND]}))
    shell.write("whole.json", json.dumps(WHOLE))
    shell.write("points.py", POINTS)
    shell.write("model.txt", boosters.lightgbm_text())
    return shell


MODELS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "model.txt": (lambda: boosters.lightgbm_text(), "kind.json", "lightgbm"),
    "model.json": (lambda: boosters.xgboost_bytes("json"), "kind.json", "xgboost"),
    "model.ubj": (lambda: boosters.xgboost_bytes("ubj"), "kind.json", "xgboost"),
    "model.skops": (
        lambda: sklearn_models.written(sklearn_models.fitted("forest")),
        "whole.json",
        "sklearn",
    ),
    "model.onnx": (lambda: tiny_bytes(metadata={}), "whole.json", "onnx"),
}


@pytest.mark.parametrize("file", MODELS)
def test_each_kind_of_file_becomes_a_version_once(installed: Shell, file: str) -> None:
    make, signature, runtime = MODELS[file]
    installed.write(file, make())
    command = ("models", "import", file, "--name", "fraud", "--sample", "rows.csv", *TRAINED)

    first = installed(*command, "--signature", signature, "--point", "risk", "points.py", "--json")
    again = installed(*command, "--signature", signature, "--json")

    assert first.status == 0, first.out + first.err
    told = first.json["import"]
    assert told["runtime"] == first.json["model"]["runtime"] == runtime
    assert [column["name"] for column in told["columns"]] == ["age", "amount_usd", "kind"]
    assert told["columns"][2]["words"] == WORDS
    assert told["columns"][0]["low"] is not None
    assert told["notes"][-1] == "Not read by the model: policy."
    assert len(told["trial"]) == 5
    assert all(0 <= row["score"] <= 1 for row in told["trial"])
    assert told["card_missing"] == [*FACTS, *SECTIONS]
    assert again.json["model"] == first.json["model"]


def test_all_faults_are_told_at_once_and_nothing_is_kept(installed: Shell) -> None:
    installed.write("bad.csv", ROWS + "young,,7,P\n")

    ended = installed(
        "models", "import", "model.txt", "--name", "Fraud!", "--sample", "bad.csv",
        "--point", "other", "points.py", *TRAINED, "--json",
    )  # fmt: skip
    listed = installed("models", "list", "--json")

    places = [fault["place"] for fault in ended.json["error"]["faults"]]
    assert ended.status == 1
    assert places == ["name", "columns.age", "columns.kind"]
    assert listed.json["models"] == []


def test_a_point_that_does_not_give_what_the_model_reads_is_told(installed: Shell) -> None:
    ended = installed(
        "models", "import", "model.txt", "--name", "fraud", "--signature", "kind.json",
        "--point", "other", "points.py", *TRAINED, "--json",
    )  # fmt: skip

    assert {fault["place"]: fault["message"] for fault in ended.json["error"]["faults"]} == {
        "point.age": "may be text; the model reads a number",
        "point.kind": "is given by neither the request nor a feature view",
    }


def test_a_dry_run_keeps_nothing(installed: Shell) -> None:
    ended = installed(
        "models", "import", "model.txt", "--name", "fraud", "--signature", "kind.json",
        "--sample", "rows.csv", *TRAINED, "--dry-run",
    )  # fmt: skip

    assert ended.status == 0
    assert "Row 1 scores 0." in ended.out
    assert ended.out.endswith("Nothing was kept: --dry-run.\n")
    assert installed("models", "list", "--json").json["models"] == []


@pytest.mark.parametrize("kind", ["import a file", "import a function", "register"])
def test_a_model_may_be_the_first_thing_in_a_folder(shell: Shell, kind: str) -> None:
    shell.write("points.py", POINTS)
    shell.write("model.onnx", tiny_bytes())
    name = "claims-rules"
    command = {
        "import a file": ("import", "model.onnx", "--name", name, *TRAINED),
        "import a function": ("import", "points.py", "--name", name),
        "register": ("register", name, "model.onnx", *TRAINED),
    }[kind]

    kept = shell("models", *command, "--json")
    listed = shell("models", "list", "--json")

    assert kept.status == 0, kept.out + kept.err
    assert [model["name"] for model in listed.json["models"]] == [name]


def test_a_dry_run_needs_no_installation_and_makes_none(shell: Shell) -> None:
    shell.write("model.onnx", tiny_bytes())
    shell.write("broken.onnx", "nothing")
    command = ("models", "import", "model.onnx", "--name", "fraud", *TRAINED)

    told = shell(*command, "--dry-run")
    told_json = shell(*command, "--dry-run", "--json")
    broken = shell(
        "models", "import", "broken.onnx", "--name", "fraud", *TRAINED, "--dry-run", "--json"
    )
    was_made = (shell.folder / "opsrail-data").exists()
    kept = shell(*command, "--json")
    again = shell(*command, "--dry-run", "--json")

    assert (told.status, was_made, kept.status) == (0, False, 0)
    assert told.out.endswith("It would become fraud/1. Nothing was kept: --dry-run.\n")
    assert told_json.json["model"] is None
    assert told_json.json["would_be"] == {"name": "fraud", "number": 1, "is_new": True}
    assert (broken.status, broken.json["error"]["code"]) == (1, "artifact-refused")
    assert again.json["would_be"] == {"name": "fraud", "number": 1, "is_new": False}


def test_words_that_training_did_not_know_are_noted(installed: Shell) -> None:
    installed.write("new.csv", ROWS + "0.5,0.5,plane,P\n")

    ended = installed(
        "models", "import", "model.txt", "--name", "fraud", "--signature", "kind.json",
        "--sample", "new.csv", *TRAINED, "--json",
    )  # fmt: skip

    note = "kind: 11.1% of the sample are words that training did not know: plane."
    assert note in ended.json["import"]["notes"]


def test_an_onnx_file_that_brings_its_columns_is_left_as_it_is(installed: Shell) -> None:
    installed.write("own.onnx", tiny_bytes())
    described = ("--name", "tiny", *TRAINED, "--json")

    imported = installed("models", "import", "own.onnx", *described)
    registered = installed("models", "register", "tiny", "own.onnx", *TRAINED, "--json")

    assert imported.json["model"] == registered.json["model"]
    assert {one["from"] for one in imported.json["import"]["columns"]} == {"file"}


def test_a_file_of_an_unknown_kind_or_with_hostile_content_is_refused(installed: Shell) -> None:
    installed.write("model.pkl", b"\x80\x04.")
    installed.write("evil.json", b'{"learner": []}')

    pickled = installed("models", "import", "model.pkl", "--name", "x", *TRAINED, "--json")
    hostile = installed("models", "import", "evil.json", "--name", "x", *TRAINED, "--json")

    assert pickled.json["error"]["code"] == "invalid-input"
    assert "'.pkl' is no ending" in pickled.json["error"]["faults"][0]["message"]
    assert hostile.json["error"]["code"] == "artifact-refused"


def test_a_function_of_a_file_becomes_a_version_and_its_change_the_next(installed: Shell) -> None:
    command = ("models", "import", "points.py", "--name", "claims-rules", "--json")

    first, same = installed(*command), installed(*command)
    installed.write("points.py", POINTS.replace("min(1.0", "min(0.9"))
    changed = installed(*command)
    unknown = installed("models", "import", "points.py", "--name", "nobody", "--json")
    sampled = installed(*command, "--sample", "rows.csv")

    assert first.json["model"]["runtime"] == "python"
    assert same.json["model"] == first.json["model"]
    assert (first.json["model"]["number"], changed.json["model"]["number"]) == (1, 2)
    assert unknown.json["error"]["code"] == "not-found"
    assert (sampled.status, sampled.json["error"]["code"]) == (2, "usage")
