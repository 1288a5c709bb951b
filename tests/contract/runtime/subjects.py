"""One artifact for each runtime, as small as shows what is promised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from opsrail.connect.onnx import OnnxRuntime
from opsrail.connect.onnx_guard import LARGEST_ARTIFACT_BYTES
from opsrail.connect.python import LARGEST_LINE_BYTES, PythonRuntime
from opsrail.decide.python_model import PythonModel
from opsrail.testing.contracts.runtime import Subject
from opsrail.values.canonical import canonical
from tests.unit.models.tiny_models import COLUMNS, HONDA, WEIGHTS, tiny_bytes


def onnx() -> Subject:
    ages = range(1, 17)
    rows = [HONDA | {"Age": float(age), "Make": ("Honda", "Mazda")[age % 2]} for age in ages]
    truths = [
        1 / (1 + math.exp(-(WEIGHTS[0] * (age % 2) + WEIGHTS[1] * age + WEIGHTS[2] * 0.06)))
        for age in ages
    ]
    return Subject(
        OnnxRuntime(),
        tiny_bytes(),
        rows,
        truths,
        number="vehicle-history.fraud_ratio",
        word="Make",
        gap="Age",
        largest_bytes=LARGEST_ARTIFACT_BYTES,
        refused={
            "another domain": tiny_bytes(domain="com.microsoft", last_operator="FusedGelu"),
            "no columns": tiny_bytes(metadata={}),
            "no probability": tiny_bytes(last_operator="Log"),
        },
    )


def by_age(row: Mapping[str, Any]) -> float:
    """Score older cars higher."""
    ages: dict[str, float] = {"Honda": 0.01, "Mazda": 0.02}
    return ages.get(row["Make"], 0.0) * float(row["Age"] or 0.0)


def python() -> Subject:
    ages = range(1, 17)
    model = PythonModel("by-age", by_age, columns=COLUMNS)
    rows = [HONDA | {"Age": float(age), "Make": ("Honda", "Mazda")[age % 2]} for age in ages]
    another = PythonModel("by-age", lambda row: 0.5)
    return Subject(
        PythonRuntime({model.digest: model.function}),
        model.artifact,
        rows,
        [0.01 * (1 + age % 2) * age for age in ages],
        number="vehicle-history.fraud_ratio",
        word="Make",
        gap="Age",
        largest_bytes=LARGEST_LINE_BYTES,
        refused={
            "another function": another.artifact,
            "another format": canonical({"format": "skops", "name": "by-age", "code": "0"}),
            "no code": canonical({"format": "python-function", "name": "by-age"}),
            "code": b"lambda row: 0.5",
        },
    )
