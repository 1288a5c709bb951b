"""Random tree ensembles, as the attributes of ONNX operators and as whole artifacts."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from opsrail.values.columns import Column, Number, columns_to_json

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT")
EDGES = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0)


def random_trees(
    seed: int,
    *,
    columns: int,
    trees: int,
    depth: int,
    modes: Sequence[str] = MODES,
    scale: float = 1.0,
) -> dict[str, list[Any]]:
    """Return attributes of a TreeEnsembleRegressor of one target; hit rates are true shares of rows."""
    chance = random.Random(seed)
    written: dict[str, list[Any]] = {
        name: []
        for name in (
            *(
                [
                    "nodes_treeids",
                    "nodes_nodeids",
                    "nodes_featureids",
                    "nodes_values",
                    "nodes_modes",
                ]
            ),
            *(["nodes_truenodeids", "nodes_falsenodeids", "nodes_hitrates"]),
            *(["target_treeids", "target_nodeids", "target_ids", "target_weights"]),
        )
    }

    def grow(tree: int, node: int, left: int, rows: float) -> int:
        """Write a node and what is below it; return the next free number."""
        place = len(written["nodes_modes"])
        is_leaf = left == 0 or chance.random() < 0.2
        mode = "LEAF" if is_leaf else chance.choice(modes)
        values = tree, node, chance.randrange(columns), chance.choice(EDGES), mode, 0, 0, rows
        for name, value in zip(list(written)[:8], values, strict=True):
            written[name].append(value)
        if is_leaf:
            for name, paid in zip(
                list(written)[8:], (tree, node, 0, scale * chance.uniform(-1, 1)), strict=True
            ):
                written[name].append(paid)
            return node + 1
        share = chance.choice((0.125, 0.25, 0.5, 0.75))
        written["nodes_truenodeids"][place] = node + 1
        after = grow(tree, node + 1, left - 1, rows * share)
        written["nodes_falsenodeids"][place] = after
        return grow(tree, after, left - 1, rows * (1 - share))

    for tree in range(trees):
        grow(tree, 0, depth, 1024.0)
    return written


def read(written: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Return the attributes as the artifact's reader gives them."""
    types = {int: np.int64, float: np.float32}
    return {
        name: [mode.encode() for mode in held]
        if name == "nodes_modes"
        else np.array(held, dtype=types[type(held[0])])
        for name, held in written.items()
    }


def artifact_of(
    written: Mapping[str, list[Any]],
    columns: int | Sequence[Column],
    reference: Mapping[str, Any] | None = None,
) -> bytes:
    """Return a model that answers logistic(sum of the trees)."""
    told = (
        [Number(f"f{place}") for place in range(columns)] if isinstance(columns, int) else columns
    )
    attributes: dict[str, Any] = dict(written)
    nodes = [
        helper.make_node(
            "TreeEnsembleRegressor", ["x"], ["sum"], domain="ai.onnx.ml", n_targets=1, **attributes
        ),
        helper.make_node("Sigmoid", ["sum"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "forest",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, len(told)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    metadata = {"opsrail.columns": columns_to_json(told)}
    if reference is not None:
        metadata["opsrail.reference"] = json.dumps(reference)
    helper.set_model_props(model, metadata)
    return bytes(model.SerializeToString())
