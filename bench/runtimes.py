"""The same task in each model runtime: 100 trees over twenty numbers, from named rows to scores, in one thread.

A round is a fresh process that loads each model once and scores batches of 1, 8 and 64, all runtimes in each turn.
Measured is the CPU of the process in a call of `LoadedModel.score`: rows of named features are read and checked, scored, and
given a confidence. Beside it stands what the library's own Python call takes for the same rows as an array that is ready
(`..._library_...`): the model alone.

GradientBoosting is trained once and exported as ONNX and as skops; LightGBM and XGBoost train a hundred trees of their own
on the same rows. Every runtime's scores are compared with those of the library that trained the model.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import lightgbm
import numpy as np
import onnxruntime
import skl2onnx
import skops.io
import xgboost
from sklearn.ensemble import GradientBoostingClassifier

from bench.figures import Report, machine, summary
from bench.rounds import ours
from bench.tabular import NAMES, SEED, TREES, trained_rows
from opsrail.connect.catalog import formats, runtimes
from opsrail.decide.python_model import PythonModel
from opsrail.ports import LoadedModel
from opsrail.values.canonical import digest
from opsrail.values.columns import Number
from opsrail.values.containers import Signature

BATCHES = (1, 8, 64)
TURNS = 15
TURN_S = 0.02
AGREEMENT = 1e-5
SIGNATURE = Signature(tuple(Number(name) for name in NAMES))
FILES = {"onnx": ".onnx", "lightgbm": ".txt", "xgboost": ".ubj", "sklearn": ".skops"}
Call = Callable[[], Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3)


def run(asked: argparse.Namespace) -> Report:
    """Train once, run the rounds, put medians and spreads together."""
    taken_on = machine()
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder))
        rounds = [ours("bench.runtimes", folder) for _ in range(asked.rounds)]
    figures: dict[str, float] = {}
    for name in rounds[0]:
        figures |= summary(name, "us", [one[name] for one in rounds])
    return Report("runtimes", figures, machine=taken_on)


def train(folder: Path) -> None:
    """Write a model of each kind. Seconds."""
    numbers, truths = trained_rows()
    model = GradientBoostingClassifier(n_estimators=TREES, max_depth=3, random_state=SEED)
    model.fit(numbers, truths)
    graph = skl2onnx.to_onnx(model, numbers[:1], options={"zipmap": False}, target_opset=21)
    (folder / "model.onnx").write_bytes(graph.SerializeToString(deterministic=True))
    (folder / "model.skops").write_bytes(skops.io.dumps(model))
    leaves = {"objective": "binary", "num_leaves": 8, "max_depth": 3, "verbose": -1, "seed": SEED}
    rows = lightgbm.Dataset(numbers, truths.astype(int), feature_name=list(NAMES))
    lightgbm.train(leaves, rows, TREES).save_model(folder / "model.txt")
    matrix = xgboost.DMatrix(numbers, truths, feature_names=list(NAMES))
    deep = {"objective": "binary:logistic", "max_depth": 3, "seed": SEED}
    xgboost.train(deep, matrix, TREES).save_model(folder / "model.ubj")


def by_first(row: Any) -> float:
    """Score a row by its first number: what a function costs that does nothing."""
    return float(row["x0"])


def loaded(folder: Path) -> dict[str, LoadedModel]:
    """Return a model of each runtime, as `opsrail models import` makes it."""
    function = PythonModel("first", by_first, columns=SIGNATURE.columns)
    known = runtimes(functions={function.digest: function.function})
    artifacts = {
        name: formats()[ending].artifact((folder / f"model{ending}").read_bytes(), SIGNATURE)
        for name, ending in FILES.items()
    }
    artifacts["python"] = function.artifact
    return {name: known[name].load(one, digest(one)) for name, one in artifacts.items()}


def libraries(folder: Path) -> dict[str, Callable[[Any], Any]]:
    """Return what each library's own call answers to an array of float32."""
    session: Any = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    light = lightgbm.Booster(model_file=folder / "model.txt")
    boosted = xgboost.Booster({"nthread": 1}, model_file=folder / "model.ubj")
    types = skops.io.get_untrusted_types(file=folder / "model.skops")
    forest = skops.io.load(folder / "model.skops", trusted=types)
    name = session.get_inputs()[0].name
    return {
        "onnx": lambda rows: session.run(["probabilities"], {name: rows})[0][:, 1],
        "lightgbm": lambda rows: light.predict(rows, num_threads=1),
        "xgboost": lambda rows: boosted.inplace_predict(rows, validate_features=False),
        "sklearn": lambda rows: forest.predict_proba(rows)[:, 1],
    }


def measure(folder: Path) -> dict[str, float]:
    """Run one round: microseconds of CPU a call, medians over turns."""
    chance = np.random.default_rng(SEED + 1)
    array = chance.random((max(BATCHES), len(NAMES)), dtype=np.float32)
    rows = [dict(zip(NAMES, row, strict=True)) for row in array.tolist()]
    models, own = loaded(folder), libraries(folder)
    for name, call in own.items():
        scores = [score.value for score in models[name].score(rows)]
        assert np.abs(np.array(scores) - call(array)).max() <= AGREEMENT, name
    calls: dict[str, Call] = {}
    for count in BATCHES:
        for name, model in models.items():
            calls[f"{name}_{count}"] = partial(model.score, rows[:count])
        for name, call in own.items():
            calls[f"{name}_library_{count}"] = partial(call, array[:count])
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, timed in calls.items():
            took[name].append(_turn_us(timed))
    return {name: median(turns) for name, turns in took.items()}


def _turn_us(call: Call) -> float:
    """Return the CPU that a call takes, over as many as fit a turn."""
    count, begun_s = 0, time.process_time()
    while (spent_s := time.process_time() - begun_s) < TURN_S:
        call()
        count += 1
    return 1e6 * spent_s / count


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
