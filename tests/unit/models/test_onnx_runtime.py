from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from opsrail.connect import onnx_model
from opsrail.connect.onnx import OnnxRuntime
from opsrail.errors import ArtifactRefused, InvalidInput, MissingExtra, ModelUnavailable
from opsrail.values.canonical import digest
from opsrail.values.columns import Number, columns_to_json
from opsrail.values.models import Score
from tests.unit.models.tiny_models import (
    COLUMNS,
    HONDA,
    WEIGHTS,
    loaded,
    tiny_bytes,
    tiny_model,
    with_confidence,
)


def logistic(make: float, age: float, ratio: float) -> float:
    total = sum(w * x for w, x in zip(WEIGHTS, (make, age, ratio), strict=True))
    return 1.0 / (1.0 + math.exp(-total))


def test_a_row_of_named_features_is_scored() -> None:
    artifact = tiny_bytes(metadata=with_confidence([0.5], [0.9, 0.6]))

    (score,) = loaded(artifact).score([HONDA])

    assert score == Score(score.value, 0.9, digest(artifact))
    assert score.value == pytest.approx(logistic(0, 21, 0.06), abs=1e-6)


def test_rows_keep_their_order_and_do_not_touch_each_other() -> None:
    model = loaded(tiny_bytes())
    rows = [HONDA | {"Age": float(age)} for age in range(64)]

    together = [score.value for score in model.score(rows)]

    assert together == [model.score([row])[0].value for row in rows]
    assert together == pytest.approx([logistic(0, age, 0.06) for age in range(64)], abs=1e-6)


def test_no_rows_give_no_scores() -> None:
    assert loaded(tiny_bytes()).score([]) == []


def test_unknown_words_and_missing_numbers_are_scored_and_told() -> None:
    rows = [HONDA, HONDA | {"Make": "Lada", "Age": None}, HONDA | {"Age": math.nan}]

    scores = loaded(tiny_bytes()).score(rows)

    assert [score.unknown for score in scores] == [(), ("Make", "Age"), ("Age",)]
    assert scores[1].value == pytest.approx(logistic(-1, -1, 0.06), abs=1e-6)


def test_an_absent_feature_is_named_with_the_model() -> None:
    artifact = tiny_bytes()

    with pytest.raises(InvalidInput) as caught:
        loaded(artifact).score([HONDA, {"Make": "Honda", "Age": 21.0}])

    assert digest(artifact) in str(caught.value)
    assert [fault.place for fault in caught.value.faults] == ["rows[1].vehicle-history.fraud_ratio"]


def test_without_a_table_confidence_is_one_minus_entropy() -> None:
    (score,) = loaded(tiny_bytes()).score(
        [{"Make": "Honda", "Age": 0, "vehicle-history.fraud_ratio": 0}]
    )

    assert (score.value, score.confidence) == (0.5, 0.0)


def test_several_threads_may_score_at_once() -> None:
    model = loaded(tiny_bytes())
    rows = [HONDA | {"Age": float(age)} for age in range(200)]

    with ThreadPoolExecutor(8) as pool:
        together = [score for (score,) in pool.map(lambda row: model.score([row]), rows)]

    assert together == model.score(rows)


@pytest.mark.parametrize("place", [0, 40, -1])
def test_one_changed_byte_and_the_artifact_is_not_loaded(place: int) -> None:
    artifact = tiny_bytes()
    changed = bytearray(artifact)
    changed[place] ^= 1

    with pytest.raises(ArtifactRefused, match="it was changed"):
        OnnxRuntime().load(bytes(changed), digest(artifact))


@pytest.mark.parametrize("artifact", [b"", b"no model at all", b"\x80\x04\x95pickle"])
def test_bytes_that_are_no_model_are_refused(artifact: bytes) -> None:
    with pytest.raises(ArtifactRefused):
        loaded(artifact)


def test_a_model_that_does_not_say_its_columns_is_refused() -> None:
    with pytest.raises(ArtifactRefused, match=r"write opsrail\.columns into its metadata"):
        loaded(tiny_bytes(metadata={}))


def test_a_model_with_fewer_columns_than_its_input_is_refused() -> None:
    with pytest.raises(ArtifactRefused, match=r"export it with one float32 input \[rows, 2\]"):
        loaded(tiny_bytes(columns=COLUMNS[:2]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"edges": 1, "confidences": []}',
        '{"edges": ["x"], "confidences": [1, 1]}',
        '{"edges": [0.5], "confidences": [1]}',
    ],
)
def test_a_confidence_table_that_makes_no_sense_is_refused(text: str) -> None:
    metadata = with_confidence([], [1.0]) | {"opsrail.confidence": text}

    with pytest.raises(ArtifactRefused, match=r"its opsrail\.confidence cannot be read"):
        loaded(tiny_bytes(metadata=metadata))


def test_a_model_whose_answers_are_no_probabilities_is_refused_at_its_trial() -> None:
    with pytest.raises(ArtifactRefused, match="failed its trial run"):
        loaded(tiny_bytes(last_operator="Log"))  # of zeros: minus infinity


def test_an_answer_that_is_no_probability_makes_the_model_unavailable() -> None:
    model = loaded(tiny_bytes(last_operator="Identity"))

    with pytest.raises(ModelUnavailable, match="outside \\[0, 1\\], or NaN"):
        model.score([HONDA | {"Age": -500.0}])


def test_a_model_that_fails_makes_itself_unavailable() -> None:
    model = tiny_model()
    model.graph.initializer.append(helper.make_tensor("shape", TensorProto.INT64, [2], [2, 1]))
    two_rows = helper.make_node("Reshape", ["sums", "shape"], ["pair"])
    model.graph.node[1].CopyFrom(two_rows)
    model.graph.node.append(helper.make_node("Sigmoid", ["pair"], ["score"]))
    artifact = model.SerializeToString()

    with pytest.raises(ModelUnavailable, match=f"Model {digest(artifact)} failed: "):
        loaded(artifact).score([HONDA])


def test_a_model_without_a_float_output_is_refused() -> None:
    model = tiny_model()
    model.graph.node[1].CopyFrom(
        helper.make_node("Cast", ["sums"], ["score"], to=TensorProto.DOUBLE)
    )
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("score", TensorProto.DOUBLE, [None, 1])
    )

    with pytest.raises(ArtifactRefused, match="0 float32 outputs"):
        loaded(model.SerializeToString())


def test_a_model_that_answers_once_for_all_rows_is_refused() -> None:
    model = tiny_model()
    model.graph.node[1].CopyFrom(helper.make_node("ReduceMean", ["sums"], ["score"], keepdims=1))

    with pytest.raises(ArtifactRefused, match=r"answered \[1, 1\] to 2 rows"):
        loaded(model.SerializeToString())


def test_of_two_classes_the_second_is_the_score() -> None:
    model = tiny_model()
    both = helper.make_node("Softmax", ["pair"], ["score"], axis=1)
    pair = helper.make_node("Concat", ["zeros", "sums"], ["pair"], axis=1)
    zeros = helper.make_node("Sub", ["sums", "sums"], ["zeros"])
    model.graph.node[1].CopyFrom(zeros)
    model.graph.node.extend([pair, both])
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 2])
    )

    (score,) = loaded(model.SerializeToString()).score([HONDA])

    assert score.value == pytest.approx(logistic(0, 21, 0.06), abs=1e-6)


def test_without_its_packages_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "opsrail.connect.onnx_model", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    artifact = tiny_bytes()

    with pytest.raises(MissingExtra, match=r"pip install 'opsrail\[models\]'"):
        OnnxRuntime().load(artifact, digest(artifact))


def test_serving_does_not_need_the_onnx_package(monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = tiny_bytes(columns=(*COLUMNS[:2], Number("ratio")))
    monkeypatch.setitem(sys.modules, "onnx", None)

    (score,) = loaded(artifact).score([{"Make": "Mazda", "Age": 1, "ratio": 0.0}])

    assert score.unknown == ()


def graph_of(nodes: Sequence[Any], *tensors: Any) -> bytes:
    """Return a model of three columns, whose nodes make `score` of `features`."""
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.ones((3, 1), dtype=np.float32), "weights"), *tensors],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"opsrail.columns": columns_to_json(COLUMNS)})
    written: bytes = model.SerializeToString()
    return written


SUMS = helper.make_node("MatMul", ["features", "weights"], ["sums"])


def test_a_model_whose_rows_touch_each_other_is_refused() -> None:
    artifact = graph_of(
        [
            SUMS,
            helper.make_node("ReduceMean", ["sums"], ["mean"], axes=[0]),
            helper.make_node("Sub", ["sums", "mean"], ["apart"]),
            helper.make_node("Sigmoid", ["apart"], ["score"]),
        ]
    )

    with pytest.raises(ArtifactRefused, match="otherwise beside another one than alone"):
        loaded(artifact)


def test_a_model_that_loops_for_ever_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_model, "TRIAL_S", 0.2)
    value, truth = helper.make_tensor_value_info, TensorProto.BOOL
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["goes_on"], ["still"]),
            helper.make_node("Identity", ["before"], ["after"]),
        ],
        "body",
        [
            value("turn", TensorProto.INT64, []),
            value("goes_on", truth, []),
            value("before", TensorProto.FLOAT, None),
        ],
        [value("still", truth, []), value("after", TensorProto.FLOAT, None)],
    )
    artifact = graph_of(
        [
            SUMS,
            helper.make_node("Loop", ["turns", "begins", "sums"], ["looped"], body=body),
            helper.make_node("Sigmoid", ["looped"], ["score"]),
        ],
        numpy_helper.from_array(np.array(2**62), "turns"),
        numpy_helper.from_array(np.array(True), "begins"),
    )

    with pytest.raises(ArtifactRefused, match="terminate"):
        loaded(artifact)
