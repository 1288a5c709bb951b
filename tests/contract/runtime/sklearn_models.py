"""Small scikit-learn models, trained on the spot."""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import skops.io
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from opsrail.connect.skops import FORM, SkopsRuntime
from opsrail.connect.skops_guard import LARGEST_SKOPS_BYTES
from opsrail.testing.contracts.runtime import Subject
from opsrail.values.columns import Column, Number, category
from opsrail.values.containers import Signature, pack
from tests.contract.runtime.boosters import WORDS, rows_of, training_rows

COLUMNS: tuple[Column, ...] = (Number("age"), Number("amount_usd", 0.0), category("kind", WORDS))
MODELS: dict[str, Callable[[], Any]] = {
    "linear": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "forest": lambda: RandomForestClassifier(10, max_depth=4, random_state=1, n_jobs=2),
    "boosted": lambda: GradientBoostingClassifier(n_estimators=10, random_state=1),
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=10, random_state=1),
}


@functools.cache
def fitted(kind: str) -> Any:
    numbers, truths = training_rows()
    return MODELS[kind]().fit(np.nan_to_num(numbers), truths)


def written(model: Any) -> bytes:
    return bytes(skops.io.dumps(model))


def packed(native: bytes) -> bytes:
    return pack(native, FORM, Signature(COLUMNS))


def rewritten(native: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """Return a skops file with some of its members changed."""
    with zipfile.ZipFile(io.BytesIO(native)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def without_schema(members: dict[str, bytes]) -> None:
    del members["schema.json"]


def with_schema(native: bytes, **entries: Any) -> bytes:
    def change(members: dict[str, bytes]) -> None:
        schema = json.loads(members["schema.json"]) | entries
        members["schema.json"] = json.dumps(schema).encode()

    return rewritten(native, change)


def with_text(native: bytes, old: str, new: str) -> bytes:
    def change(members: dict[str, bytes]) -> None:
        text = members["schema.json"].decode()
        assert old in text
        members["schema.json"] = text.replace(old, new, 1).encode()

    return rewritten(native, change)


def with_nodes(kind: str, field: str, number: int) -> bytes:
    """Return a forest whose first tree's first node says something else."""

    def change(members: dict[str, bytes]) -> None:
        for name, content in members.items():
            if name.endswith(".npy"):
                array = np.load(io.BytesIO(content), allow_pickle=False)
                if array.dtype.names and field in array.dtype.names:
                    array[field][0] = number
                    stream = io.BytesIO()
                    np.save(stream, array)
                    members[name] = stream.getvalue()
                    return
        raise AssertionError(f"no array has {field}")

    return rewritten(written(fitted(kind)), change)


def huge_array(native: bytes) -> bytes:
    """Return a file with an array that says it is a terabyte."""

    def change(members: dict[str, bytes]) -> None:
        stream = io.BytesIO()
        header = {"descr": "<f8", "fortran_order": False, "shape": (2**37,)}
        np.lib.format.write_array_header_1_0(stream, header)
        first = next(name for name in members if name.endswith(".npy"))
        members[first] = stream.getvalue()

    return rewritten(native, change)


def bomb(native: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", bytes(LARGEST_SKOPS_BYTES + 1))
    return stream.getvalue()


def subject(kind: str) -> Subject:
    model = fitted(kind)
    native = written(model)
    numbers, truths = training_rows()
    known = numbers[~np.isnan(numbers).any(axis=1)][:40]
    three = LogisticRegression().fit(np.nan_to_num(numbers), truths + (numbers[:, 0] > 0.9))
    loader = '"__loader__": "ObjectNode"'
    refused = {
        "no container": native,
        "a regressor": packed(written(LinearRegression().fit(np.nan_to_num(numbers), truths))),
        "a function": packed(written(make_pipeline(FunctionTransformer(np.log1p), three))),
        "three classes": packed(written(three)),
        "another type": packed(with_text(native, '"__module__": "sklearn.', '"__module__": "os.')),
        "a method": packed(with_text(native, loader, loader.replace("Object", "Method"))),
        "an operator": packed(with_text(native, loader, loader.replace("Object", "OperatorFunc"))),
        "an older protocol": packed(with_schema(native, protocol=0)),
        "no schema": packed(rewritten(native, without_schema)),
        "a file beside": packed(rewritten(native, lambda members: members.update({"../x": b""}))),
        "a huge array": packed(huge_array(native)),
        "a zip that grows": packed(bomb(native)),
        "one column less": pack(native, FORM, Signature(COLUMNS[:2])),
    }
    if kind in ("forest", "boosted"):
        for field, number in {"left_child": 0, "right_child": 10**9, "feature": 99}.items():
            refused[f"{field} that leads astray"] = packed(with_nodes(kind, field, number))
    if kind == "histogram":
        for field, number in {"left": 0, "right": 2**31, "feature_idx": 99}.items():
            refused[f"{field} that leads astray"] = packed(with_nodes(kind, field, number))
        refused["a tree by categories"] = packed(with_nodes(kind, "is_categorical", 1))
    return Subject(
        SkopsRuntime(),
        packed(native),
        rows_of(known),
        model.predict_proba(known)[:, 1].tolist(),
        tolerance=1e-12,
        batch_tolerance=1e-12,
        number="age",
        word="kind",
        gap="amount_usd",
        largest_bytes=LARGEST_SKOPS_BYTES,
        refused=refused,
    )
