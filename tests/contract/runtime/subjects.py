"""One artifact for each runtime, as small as shows what is promised."""

from __future__ import annotations

import math

from opsrail.connect.onnx import OnnxRuntime
from opsrail.connect.onnx_guard import LARGEST_ARTIFACT_BYTES
from opsrail.testing.contracts.runtime import Subject
from tests.unit.models.tiny_models import HONDA, WEIGHTS, tiny_bytes


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
