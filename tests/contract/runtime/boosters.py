"""Small boosters, trained on the spot."""

from __future__ import annotations

import json
import math
from typing import Any

import lightgbm
import numpy as np
import xgboost

from opsrail.connect.booster_runtime import LARGEST_BOOSTER_BYTES
from opsrail.connect.lightgbm import FORM, LightgbmRuntime
from opsrail.connect.xgboost import FORM as XGBOOST_FORM
from opsrail.connect.xgboost import XgboostRuntime
from opsrail.testing.contracts.runtime import Subject
from opsrail.values.columns import Column, Number, category
from opsrail.values.containers import Signature, pack

WORDS = ["van", "truck", "car", "bus"]
COLUMNS: tuple[Column, ...] = (
    Number("age"),
    Number("amount_usd", math.nan),
    category("kind", WORDS),
)
FEATURES = [column.name for column in COLUMNS]


def training_rows(count: int = 800) -> tuple[Any, Any]:
    """Return numbers [rows, 3] and truths; every seventh amount is missing."""
    chance = np.random.default_rng(11)
    numbers = chance.random((count, 3))
    numbers[:, 2] = chance.integers(0, len(WORDS), count)
    signal = numbers[:, 0] + numbers[:, 1] * (numbers[:, 2] == 2) - 0.4 * (numbers[:, 2] == 1)
    truths = signal + chance.normal(0, 0.1, count) > 0.7
    numbers[::7, 1] = np.nan
    return numbers, truths.astype(int)


def rows_of(numbers: Any) -> list[dict[str, object]]:
    """Return rows of named features that training knew all of."""
    return [
        {"age": age, "amount_usd": amount, "kind": WORDS[int(kind)]}
        for age, amount, kind in numbers.tolist()
        if not math.isnan(amount)
    ]


def lightgbm_booster(**params: Any) -> Any:
    numbers, truths = training_rows()
    data = lightgbm.Dataset(numbers, truths, feature_name=FEATURES, categorical_feature=[2])
    settings = {"objective": "binary", "verbose": -1, "num_leaves": 8, "num_threads": 1}
    settings |= {"min_data_per_group": 5, "cat_smooth": 1}
    return lightgbm.train(settings | params, data, num_boost_round=20)


def lightgbm_text(**params: Any) -> bytes:
    text: str = lightgbm_booster(**params).model_to_string()
    return text.encode()


def lightgbm_subject() -> Subject:
    booster = lightgbm_booster()
    text = booster.model_to_string().encode()
    numbers, _ = training_rows()
    known = numbers[~np.isnan(numbers).any(axis=1)][:40]
    signature = Signature(COLUMNS)

    def changed(old: bytes, new: bytes) -> bytes:
        assert old in text
        return pack(text.replace(old, new, 1), FORM, signature)

    return Subject(
        LightgbmRuntime(),
        pack(text, FORM, signature),
        rows_of(known),
        booster.predict(known, num_threads=1).tolist(),
        tolerance=0.0,
        number="age",
        word="kind",
        gap="amount_usd",
        largest_bytes=LARGEST_BOOSTER_BYTES,
        refused={
            "no container": text,
            "regression": changed(b"binary sigmoid:1", b"regression"),
            "other columns": pack(text, FORM, Signature(COLUMNS[::-1])),
            "too few columns": pack(text, FORM, Signature(COLUMNS[:2])),
            "other form": pack(text, "xgboost-json", signature),
            "a child that is its own parent": changed(b"left_child=1 ", b"left_child=0 "),
            "a child that is not there": changed(b"left_child=1 ", b"left_child=99999 "),
            "a leaf that is not there": changed(b" -3 ", b" -3000000 "),
            "a feature that is not there": changed(b"split_feature=", b"split_feature=7"),
            "infinite leaves": changed(b"leaf_value=", b"leaf_value=1e999"),
            "many leaves": changed(b"num_leaves=8", b"num_leaves=2000000000"),
            "linear leaves": changed(b"is_linear=0", b"is_linear=1"),
            "negative counts": changed(b"internal_count=", b"internal_count=-"),
            "categories beyond": changed(b"cat_boundaries=0 ", b"cat_boundaries=0 999999999 "),
            "several classes": changed(b"num_class=1", b"num_class=3"),
        },
    )  # fmt: skip


def xgboost_booster(**params: Any) -> Any:
    numbers, truths = training_rows()
    data = xgboost.DMatrix(
        numbers,
        truths,
        feature_names=FEATURES,
        feature_types=["float", "float", "c"],
        enable_categorical=True,
        nthread=1,
    )
    settings = {
        "objective": "binary:logistic",
        "max_depth": 3,
        "max_cat_to_onehot": 1,
        "nthread": 1,
    }
    return xgboost.train(settings | params, data, num_boost_round=20)


def xgboost_bytes(form: str = "json", **params: Any) -> bytes:
    return bytes(xgboost_booster(**params).save_raw(form))


def xgboost_subject(form: str = "json") -> Subject:
    booster = xgboost_booster()
    content = bytes(booster.save_raw(form))
    numbers, _ = training_rows()
    known = numbers[~np.isnan(numbers).any(axis=1)][:40]
    signature = Signature(COLUMNS)
    tree = json.loads(bytes(booster.save_raw("json")))

    def changed(*path: str | int, to: object) -> bytes:
        twin: Any = json.loads(json.dumps(tree))
        at = twin
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to
        return pack(json.dumps(twin).encode(), XGBOOST_FORM, signature)

    learner = ("learner",)
    model = (*learner, "gradient_booster", "model")
    first = (*model, "trees", 0)
    return Subject(
        XgboostRuntime(),
        pack(content, XGBOOST_FORM, signature),
        rows_of(known),
        booster.inplace_predict(known.astype(np.float32)).tolist(),
        tolerance=0.0,
        number="age",
        word="kind",
        gap="amount_usd",
        largest_bytes=LARGEST_BOOSTER_BYTES,
        refused={
            "no container": content,
            "regression": changed(*learner, "objective", "name", to="reg:squarederror"),
            "margins": changed(*learner, "objective", "name", to="binary:logitraw"),
            "linear": changed(*learner, "gradient_booster", "name", to="gblinear"),
            "other columns": pack(content, XGBOOST_FORM, Signature(COLUMNS[::-1])),
            "other form": pack(content, FORM, signature),
            "a child that is its own parent": changed(*first, "left_children", 0, to=0),
            "a child that is not there": changed(*first, "left_children", 0, to=99999),
            "a child below all": changed(*first, "left_children", 0, to=-5),
            "a leaf with another mark": changed(*first, "left_children", -1, to=-257),
            "a feature that is not there": changed(*first, "split_indices", 0, to=9),
            "a number too large": changed(*first, "split_indices", 0, to=2**40),
            "a fraction of a node": changed(*first, "left_children", 0, to=1.5),
            "text as number": changed(*first, "split_conditions", 0, to="1"),
            "an infinite leaf": changed(*first, "split_conditions", 0, to=1e39),
            "more categories than memory": changed(*first, "categories", to=[2**31 - 1]),
            "categories of another node": changed(*first, "categories_nodes", to=[0]),
            "no trees": changed(*model, "trees", to=[]),
            "no nodes": changed(*first, "left_children", to=[]),
            "several classes": changed(*learner, "learner_model_param", "num_class", to="3"),
            "many features": changed(*learner, "learner_model_param", "num_feature", to="9" * 30),
            "a base score beyond": changed(
                *learner, "learner_model_param", "base_score", to="[5E0]"
            ),
            "a list for an object": changed("learner", to=[]),
        },
    )
