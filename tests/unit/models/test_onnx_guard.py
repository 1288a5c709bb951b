from __future__ import annotations

from contextlib import suppress
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from opsrail.connect.onnx_guard import CHILDREN, LARGEST_ARTIFACT_BYTES, UNBOUNDED, check_artifact
from opsrail.errors import ArtifactRefused
from tests.unit.models.tiny_models import tiny_bytes, tiny_model

MESSAGES: dict[str, Any] = {
    "model": onnx.ModelProto,
    "opset": onnx.OperatorSetIdProto,
    "graph": onnx.GraphProto,
    "node": onnx.NodeProto,
    "attribute": onnx.AttributeProto,
    "tensor": onnx.TensorProto,
    "sparse": onnx.SparseTensorProto,
    "training": onnx.TrainingInfoProto,
    "function": onnx.FunctionProto,
    "property": onnx.StringStringEntryProto,
}


def test_every_way_to_a_tensor_or_a_domain_is_walked() -> None:
    kinds = {message.DESCRIPTOR.name: kind for kind, message in MESSAGES.items()}
    ways = {
        kind: {
            field.number: kinds[field.message_type.name]
            for field in message.DESCRIPTOR.fields
            if field.message_type
            and field.message_type.name in kinds
            and (kind == "model" or kinds[field.message_type.name] != "property")
        }
        for kind, message in MESSAGES.items()
    }

    assert {kind: way for kind, way in ways.items() if way} == CHILDREN


def test_a_plain_model_passes_and_its_rows_bound_its_work() -> None:
    assert check_artifact(tiny_bytes())


@pytest.mark.parametrize("operator", sorted(UNBOUNDED))
def test_work_is_not_bounded_by_the_rows_where_an_operator_loops_or_sizes_by_value(
    operator: str,
) -> None:
    model = tiny_model()
    model.graph.node.append(helper.make_node(operator, ["x"], ["y"]))

    assert not check_artifact(model.SerializeToString())


def test_a_loop_is_found_in_a_function_and_in_a_branch() -> None:
    loop = helper.make_node("Loop", ["x"], ["y"])
    inside, apart = tiny_model(), tiny_model()
    branch = helper.make_attribute("then_branch", helper.make_graph([loop], "b", [], []))
    inside.graph.node[0].attribute.append(branch)
    function = helper.make_function("ai.onnx.ml", "f", ["x"], ["y"], [loop], [])
    apart.functions.append(function)

    assert not check_artifact(inside.SerializeToString())
    assert not check_artifact(apart.SerializeToString())


def test_every_operator_that_runs_others_is_known() -> None:
    running = {
        schema.name
        for schema in onnx.defs.get_all_schemas()
        if schema.domain in ("", "ai.onnx.ml")
        and any(kind.type == kind.type.GRAPH for kind in schema.attributes.values())
    }

    assert running
    assert running <= UNBOUNDED


def external(tensor: TensorProto, location: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location


@pytest.mark.parametrize("location", ["/etc/passwd", "../weights", "weights", "*/_ORT_MEM_ADDR_/*"])
def test_weights_outside_the_artifact_are_refused(location: str) -> None:
    model = tiny_model()
    external(model.graph.initializer[0], location)

    with pytest.raises(ArtifactRefused, match="keeps tensors outside itself"):
        check_artifact(model.SerializeToString())


def test_an_external_flag_without_a_place_is_refused() -> None:
    model = tiny_model()
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL

    with pytest.raises(ArtifactRefused, match="keeps tensors outside itself"):
        check_artifact(model.SerializeToString())


def test_weights_outside_are_found_in_a_branch_of_a_branch() -> None:
    model = tiny_model()
    inner, outer = model.graph.node[0], helper.make_node("If", ["x"], ["y"])
    tensor = TensorProto(name="far")
    external(tensor, "weights")
    inner.attribute.append(helper.make_attribute("value", tensor))
    outer.attribute.append(
        helper.make_attribute("then_branch", helper.make_graph([inner], "b", [], []))
    )
    model.graph.node.append(outer)

    with pytest.raises(ArtifactRefused, match="keeps tensors outside itself"):
        check_artifact(model.SerializeToString())


@pytest.mark.parametrize("domain", ["com.microsoft", "my.own", "ai.onnx.training", "\u00e9"])
def test_operators_outside_the_standard_are_refused(domain: str) -> None:
    with pytest.raises(ArtifactRefused, match="uses operators of domain"):
        check_artifact(tiny_bytes(domain=domain))


def test_a_function_of_its_own_domain_is_refused() -> None:
    model = tiny_model()
    function = helper.make_function("my.own", "f", ["x"], ["y"], [], [helper.make_opsetid("", 21)])
    model.functions.append(function)

    with pytest.raises(ArtifactRefused, match=r"domain b'my\.own'"):
        check_artifact(model.SerializeToString())


def test_settings_for_the_runtime_are_refused() -> None:
    with pytest.raises(ArtifactRefused, match="remove its property ort_config"):
        check_artifact(tiny_bytes(metadata={"ort_config": "{}"}))


def test_the_runtimes_own_format_is_refused() -> None:
    with pytest.raises(ArtifactRefused, match="own format"):
        check_artifact(b"\x00\x00\x00\x00ORTM" + bytes(20))


def test_an_artifact_that_is_too_large_is_refused() -> None:
    with pytest.raises(ArtifactRefused, match="more than 209715200"):
        check_artifact(bytes(LARGEST_ARTIFACT_BYTES + 1))


def test_graphs_nested_without_end_are_refused() -> None:
    graph = onnx.GraphProto().SerializeToString()
    for _ in range(60):
        graph = field(1, field(5, field(6, graph)))

    with pytest.raises(ArtifactRefused, match="nested deeper than 100 levels"):
        check_artifact(field(7, graph))


@pytest.mark.parametrize(
    "artifact",
    [
        b"\x0b",  # the start of a group
        b"\x3a\x05ab",  # longer than what is left
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a number without end
        b"\xba\x80\x80\x80\x10\x00",  # a tag beyond 32 bits
        b"\x39\x00",  # a fixed number cut short
    ],
)
def test_bytes_that_are_no_model_are_refused(artifact: bytes) -> None:
    with pytest.raises(ArtifactRefused, match="not a readable ONNX model"):
        check_artifact(artifact)


@given(st.integers(0, 400), st.integers(0, 255))
def test_no_changed_byte_breaks_the_check_itself(place: int, byte: int) -> None:
    artifact = bytearray(tiny_bytes())
    artifact[place % len(artifact)] = byte

    with suppress(ArtifactRefused):  # any other error fails the test
        check_artifact(bytes(artifact))


@given(st.binary())
def test_no_bytes_break_the_check_itself(artifact: bytes) -> None:
    with suppress(ArtifactRefused):  # any other error fails the test
        check_artifact(artifact)


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1)),
    st.lists(st.floats(width=32)),
    st.lists(st.binary(max_size=40)),
    st.booleans(),
)
def test_what_is_skipped_in_runs_never_hides_a_tensor(
    ints: list[int], floats: list[float], texts: list[bytes], is_outside: bool
) -> None:
    attribute = onnx.AttributeProto(name="forest", ints=ints, floats=floats, strings=texts)
    attribute.t.name = "far"
    if is_outside:
        external(attribute.t, "weights")
    plain = onnx.AttributeProto(ints=ints, floats=floats, strings=texts).SerializeToString()
    model = field(7, field(1, field(5, plain + attribute.SerializeToString() + plain)))

    if is_outside:
        with pytest.raises(ArtifactRefused, match="keeps tensors outside itself"):
            check_artifact(model)
    else:
        check_artifact(model)


def field(number: int, content: bytes) -> bytes:
    """Return one length-delimited field, number < 16."""
    length, size = b"", len(content)
    while size > 0x7F:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content
