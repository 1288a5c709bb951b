"""Small ONNX models, made by hand, for tests of the runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from opsrail.connect.onnx import OnnxRuntime
from opsrail.ports import LoadedModel
from opsrail.values.canonical import digest
from opsrail.values.columns import Column, Number, category, columns_to_json

COLUMNS: tuple[Column, ...] = (
    category("Make", ["Honda", "Mazda"]),
    Number("Age", missing=-1.0),
    Number("vehicle-history.fraud_ratio"),
)
WEIGHTS = (0.5, -0.1, 2.0)
HONDA: dict[str, object] = {"Make": "Honda", "Age": 21.0, "vehicle-history.fraud_ratio": 0.06}


def tiny_model(
    *,
    columns: Sequence[Column] = COLUMNS,
    last_operator: str = "Sigmoid",
    domain: str = "",
    metadata: Mapping[str, str] | None = None,
    output_type: int = TensorProto.FLOAT,
) -> ModelProto:
    """Return last_operator(rows x weights): by default a logistic regression."""
    weights = np.array(WEIGHTS, dtype=np.float32).reshape(-1, 1)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "weights"], ["sums"]),
            helper.make_node(last_operator, ["sums"], ["score"], domain=domain),
        ],
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(WEIGHTS)])],
        [helper.make_tensor_value_info("score", output_type, [None, 1])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opsets = [helper.make_opsetid("", 21)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    written = {"opsrail.columns": columns_to_json(columns)} if metadata is None else dict(metadata)
    helper.set_model_props(model, written)
    return model


def tiny_bytes(**changes: Any) -> bytes:
    written: bytes = tiny_model(**changes).SerializeToString()
    return written


def loaded(artifact: bytes) -> LoadedModel:
    return OnnxRuntime().load(artifact, digest(artifact))


def with_confidence(edges: Sequence[float], confidences: Sequence[float]) -> dict[str, str]:
    table = {"edges": list(edges), "confidences": list(confidences)}
    return {"opsrail.columns": columns_to_json(COLUMNS), "opsrail.confidence": json.dumps(table)}
