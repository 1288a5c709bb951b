"""Reads the one tree ensemble or linear model that an ONNX artifact holds, so that its scores can be explained.

Read is the operator that does the work, by the fields of the wire format: `TreeEnsembleClassifier`, `TreeEnsembleRegressor`,
`LinearClassifier` or `LinearRegressor` of `ai.onnx.ml`, fed with the model's input as it is or through one `Scaler`.
Anything else gives None: such a model is explained as a black box.

Source:
    onnx.proto of ONNX 1.23 for the field numbers; operator attributes: ONNX operator documentation, ai.onnx.ml 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from opsrail.connect.onnx_guard import field_at, fields

FLOAT_RUN = re.compile(rb"(?:\x3d[\x00-\xff]{4})+")
INT_RUN = re.compile(rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])+")
MODES = rb"BRANCH_LEQ|BRANCH_LT|BRANCH_GTE|BRANCH_GT|BRANCH_EQ|BRANCH_NEQ|LEAF"
MODE_RUN = re.compile(rb"(?:\x4a[\x04-\x0a](?:" + MODES + rb"))+")
MODE = re.compile(rb"\x4a[\x04-\x0a](" + MODES + rb")")
CORES = frozenset(
    ("TreeEnsembleClassifier", "TreeEnsembleRegressor", "LinearClassifier", "LinearRegressor")
)
PASSING = frozenset(("Identity", "Cast"))
NAME, WHOLE, TEXT, FLOATS, TEXTS = 1, 3, 4, 7, 9
"""Fields of AttributeProto."""


class Node(NamedTuple):
    """One operator. Attributes hold numpy arrays (float32, int64), lists of bytes, or one value."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


class Core(NamedTuple):
    """The operator that works, and how its input is scaled before: (x - offset) * scale; float32 [columns] or [1]."""

    node: Node
    offset: Any
    scale: Any


def core_of(artifact: bytes) -> Core | None:
    """Return the operator that does the work; None when the graph is of another shape.

    Args:
        artifact: Checked before, by `check_artifact` and the runtime.
    """
    nodes, inputs, initial = _graph(artifact)
    cores = [node for node in nodes if node.kind in CORES]
    if len(cores) != 1 or len(names := set(inputs) - initial) != 1:
        return None
    core = cores[0]
    offset, scale = np.zeros(1, np.float32), np.ones(1, np.float32)
    made = {name: node for node in nodes for name in node.outputs}
    at, on_the_way = core.inputs[0], [core]
    while at not in names:
        node = made.get(at)
        if node is None or (node.kind not in PASSING and node.kind != "Scaler"):
            return None
        if node.kind == "Scaler":
            if len(scale) != 1 or scale[0] != 1 or offset[0] != 0:
                return None
            offset, scale = node.attributes["offset"], node.attributes["scale"]
        on_the_way.append(node)
        at = node.inputs[0]
    known = {id(node) for node in on_the_way}
    bypassed = [node for node in nodes if id(node) not in known and names & set(node.inputs)]
    return None if bypassed else Core(core, offset, scale)


def _graph(artifact: bytes) -> tuple[list[Node], list[str], set[str]]:
    """Return a model's nodes, the names of its inputs, and of its tensors."""
    nodes: list[Node] = []
    inputs: list[str] = []
    initial: set[str] = set()
    for graph in _messages(memoryview(artifact), 7):
        nodes += [_node(part) for part in _messages(graph, 1)]
        inputs += [name for part in _messages(graph, 11) for name in _texts(part, 1)]
        initial |= {name for part in _messages(graph, 5) for name in _texts(part, 8)}
    return nodes, inputs, initial


def _node(message: memoryview) -> Node:
    kind = "".join(_texts(message, 4))
    is_read = kind in CORES or kind == "Scaler"
    attributes = [_attribute(part) for part in _messages(message, 5)] if is_read else []
    return Node(kind, tuple(_texts(message, 1)), tuple(_texts(message, 2)), dict(attributes))


def _attribute(message: memoryview) -> tuple[str, Any]:
    """Return an attribute's name and value. Runs of numbers are read as arrays: a forest has one field a number."""
    name = ""
    value: int | bytes | None = None
    floats: list[Any] = []
    ints: list[Any] = []
    texts: list[bytes] = []
    at = 0
    while at < len(message):
        if run := FLOAT_RUN.match(message, at):
            pairs = np.frombuffer(run.group(), dtype=np.uint8).reshape(-1, 5)
            floats.append(np.ascontiguousarray(pairs[:, 1:]).view("<f4").ravel())
            at = run.end()
        elif run := INT_RUN.match(message, at):
            ints.append(_varints(np.frombuffer(run.group(), dtype=np.uint8)))
            at = run.end()
        elif run := MODE_RUN.match(message, at):
            texts += MODE.findall(run.group())
            at = run.end()
        else:
            field, content, at = field_at(message, at)
            if isinstance(content, int):
                value = content if field == WHOLE else value
            elif field == NAME:
                name = bytes(content).decode()
            elif field == TEXT:
                value = bytes(content)
            elif field == TEXTS:
                texts.append(bytes(content))
            elif field == FLOATS:  # packed, as other writers do
                floats.append(np.frombuffer(content, dtype="<f4"))
    for run_of in (floats, ints):
        if run_of:
            return name, np.concatenate(run_of)
    return name, texts or value


def _varints(run: Any) -> Any:
    """Return the numbers of a run of varint fields, each one byte of tag and at most ten of number. int64 [numbers]."""
    last = np.flatnonzero(run < 0x80)  # of the tag, of the number, of the tag, ...
    first, end = last[0::2] + 1, last[1::2]
    numbers = np.zeros(len(end), dtype=np.uint64)
    for place in range(int((end - first).max()) + 1):
        has = first + place <= end
        part = (run[(first + place)[has]] & 0x7F).astype(np.uint64)
        numbers[has] |= part << np.uint64(7 * place)
    return numbers.view(np.int64)


def _messages(message: memoryview, field: int) -> list[memoryview]:
    return [
        content
        for number, content in fields(message, None)
        if number == field and not isinstance(content, int)
    ]


def _texts(message: memoryview, field: int) -> list[str]:
    return [bytes(content).decode() for content in _messages(message, field)]
