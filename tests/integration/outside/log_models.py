"""Run in MLflow's own environment: models are logged as teams log them, with MLflow's own client; prints what they predict.

log_models.py log URL ONNX_FILE       trains, logs, registers
log_models.py score URL NAME VERSION  what MLflow itself makes of a registered version
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import lightgbm
import mlflow
import numpy as np
import onnx
import pandas as pd
import requests
import xgboost
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

COLUMNS = ["age", "amount_usd", "trips"]
OPTIONS: dict[str, Any] = {"pip_requirements": []}


def rows(count: int) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(7).random((count, len(COLUMNS))), columns=COLUMNS)


def wait_for(url: str) -> None:
    """The server starts while this imports what it needs."""
    while True:
        try:
            requests.get(f"{url}/health", timeout=10)
            return
        except requests.RequestException:
            time.sleep(0.1)


def log(url: str, onnx_file: str) -> dict[str, Any]:
    wait_for(url)
    mlflow.set_tracking_uri(url)
    x = rows(200)
    y = (x.age + x.amount_usd > 1).astype(int)
    said = {**OPTIONS, "signature": infer_signature(x, y)}
    tags = {"mlflow.source.git.commit": "0123456789abcdef0123456789abcdef01234567", "team": "fraud"}
    with mlflow.start_run(tags=tags):
        mlflow.log_params({"rounds": 5})
        mlflow.log_metrics({"auc": 0.91, "undefined": float("nan")})
        mlflow.log_input(mlflow.data.from_pandas(x, name="claims-1994"), context="training")
        booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(x, y), 5)
        mlflow.lightgbm.log_model(booster, name="a", registered_model_name="boosted", **said)
        line = LogisticRegression().fit(x.to_numpy(), y)
        mlflow.sklearn.log_model(line, name="b", registered_model_name="linear", **said)
        mlflow.sklearn.log_model(
            line, name="c", registered_model_name="pickled", serialization_format="pickle", **said
        )
        trees = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(x, y), 5)
        mlflow.xgboost.log_model(trees, name="d", registered_model_name="trees", **said)
        mlflow.xgboost.log_model(
            trees, name="e", registered_model_name="trees", model_format="json", **said
        )
        mlflow.onnx.log_model(
            onnx.load(onnx_file), name="f", registered_model_name="graph", **OPTIONS
        )
    client = mlflow.MlflowClient()
    client.set_registered_model_alias("boosted", "champion", "1")
    client.update_model_version(
        "boosted", "1", description="Finds claims that a person should see."
    )
    asked = rows(5)
    return {
        "rows": asked.to_dict("records"),
        "boosted": [float(one) for one in np.asarray(booster.predict(asked))],
        "linear": line.predict_proba(asked.to_numpy())[:, 1].tolist(),
        "trees": [float(one) for one in trees.predict(xgboost.DMatrix(asked))],
    }


def score(url: str, *names: str) -> dict[str, Any]:
    mlflow.set_tracking_uri(url)
    return {name: scored(name, "1") for name in names}


def scored(name: str, version: str) -> dict[str, Any]:
    model = mlflow.pyfunc.load_model(f"models:/{name}/{version}")
    found = np.asarray(model.predict(rows(5)))
    there = mlflow.MlflowClient().get_model_version(name, version)
    run = mlflow.get_run(there.run_id)
    scores = found[:, 1] if found.ndim == 2 else found
    return {
        "scores": [float(one) for one in scores],
        "tags": dict(there.tags),
        "description": there.description,
        "metrics": dict(run.data.metrics),
        "status": run.info.status,
    }


if __name__ == "__main__":
    what, url, *rest = sys.argv[1:]
    print("\n" + json.dumps(log(url, *rest) if what == "log" else score(url, *rest)))
