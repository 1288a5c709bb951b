"""Reads an XGBoost model, JSON or UBJSON, and writes it anew from what was checked.

XGBoost's own reader trusts its file: it follows children without looking, and takes memory for as many categories as the
file says. So it never sees the stranger's bytes, only UBJSON that is written here: numbers of the type they must have, nodes
that form trees, categories that are counted.

Source:
    XGBoost 3.2, `src/tree/io_utils.h`, `src/gbm/gbtree_model.cc` and `doc/model.schema`, for what the reader wants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import orjson

from opsrail.connect import ubjson
from opsrail.connect.trees import MOST_NODES, check_tree
from opsrail.errors import ArtifactRefused

OBJECTIVES = frozenset(("binary:logistic", "reg:logistic"))
"""Those that answer with a probability."""
BASE_SCORE = re.compile(r"\[?([0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,3})?)\]?")
KINDS = frozenset(("float", "q", "int", "i", "c"))
NO_CHILD, NO_PARENT, DELETED = -1, 2**31 - 1, 2**31 - 1
LARGEST_CATEGORY = 100_000
MOST_FEATURES = 100_000
FLOATS = ("base_weights", "loss_changes", "split_conditions", "sum_hessian")
INTEGERS = ("left_children", "right_children", "parents", "split_indices")
FLAGS = ("default_left", "split_type")


@dataclass(frozen=True, slots=True)
class XgboostFile:
    """A checked model.

    Attributes:
        content: As XGBoost reads it, written by us.
        names: Of the features, in order; none: the file tells no names.
        count: Of the features.
        categorical: Places of the features that are categories.
        words: Categories of those that a data frame brought, in order of their numbers, by place; none where they are
            not text.
        edges: Numbers at which trees split each feature, by its place, ascending: up to and including one is one side.
        stopped_early: Rounds that training thought best, where it went on after them; None: it did not.
    """

    content: bytes
    names: tuple[str, ...]
    count: int
    categorical: tuple[int, ...]
    words: Mapping[int, Sequence[str]]
    edges: Mapping[int, tuple[float, ...]]
    stopped_early: int | None


def read_file(content: bytes) -> XgboostFile:
    """Return the model of a `.json` or `.ubj`.

    Raises:
        ArtifactRefused: it is damaged, or no tree model of two classes that answers with a probability. Terminal.
    """
    try:
        tree = _value(content)
        learner = tree["learner"]
        count, base = _learner(learner)
        names, kinds = (_texts(learner, key, count) for key in ("feature_names", "feature_types"))
        booster = learner["gradient_booster"]
        if booster["name"] != "gbtree":
            raise ArtifactRefused(
                f"The XGBoost model's booster is {str(booster['name'])[:40]!r}; only gbtree is read. Train it with that."
            )
        version = [int(part) for part in tree["version"]]
        model = _model(booster["model"], count)
        words = _words(booster["model"].get("cats", {}), count)
        best = int(learner.get("attributes", {}).get("best_iteration", -2)) + 1
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise _damaged(f"{type(error).__name__}: {error}") from error
    if not set(kinds) <= KINDS or len(version) != 3 or not 1 <= version[0] <= 9:
        raise _damaged("its version or a feature's type is not known")
    objective = learner["objective"]["name"]
    written = ubjson.written(_document(model, names, kinds, base, objective, version))
    categorical = tuple(place for place, kind in enumerate(kinds) if kind == "c")
    is_longer = 0 < best < len(model["iteration_indptr"]) - 1
    stopped_early = best if is_longer else None
    edges = _edges(model["trees"])
    return XgboostFile(written, tuple(names), count, categorical, words, edges, stopped_early)


def _edges(trees: Sequence[Mapping[str, Any]]) -> dict[int, tuple[float, ...]]:
    """Return where trees split: XGBoost sends numbers below a condition left, so the side ends one step before it."""
    arrays = ("split_indices", "split_conditions", "left_children", "split_type")
    places, ends, left, kinds = (np.concatenate([one[name] for one in trees]) for name in arrays)
    is_split = (left != NO_CHILD) & (kinds == 0)
    places, ends = places[is_split], np.nextafter(ends[is_split], np.float32(-np.inf))
    return {
        place: tuple(np.unique(ends[places == place]).astype(float).tolist())
        for place in np.unique(places).tolist()
    }


def _document(
    model: Mapping[str, Any],
    names: Sequence[str],
    kinds: Sequence[str],
    base: str,
    objective: str,
    version: Sequence[int],
) -> dict[str, Any]:
    features = model["trees"][0]["tree_param"]["num_feature"]
    learner = {
        "attributes": {},
        "feature_names": names,
        "feature_types": kinds,
        "gradient_booster": {"model": model, "name": "gbtree"},
        "learner_model_param": {
            "base_score": base,
            "boost_from_average": "1",
            "num_class": "0",
            "num_feature": features,
            "num_target": "1",
        },
        "objective": {"name": objective, "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    return {"learner": learner, "version": version}


def _value(content: bytes) -> Any:
    if content[:1] != b"{":
        raise _damaged("it is no object")
    if content[1:2] in (b'"', b" ", b"\n", b"\r", b"\t"):
        return orjson.loads(content)  # its error is a ValueError
    return ubjson.read(content)


def _learner(learner: Mapping[str, Any]) -> tuple[int, str]:
    """Return the number of features and the base score as text."""
    told, objective = learner["learner_model_param"], learner["objective"]["name"]
    if objective not in OBJECTIVES:
        raise ArtifactRefused(
            f"The XGBoost model's objective is {str(objective)[:80]!r}; only {' and '.join(sorted(OBJECTIVES))} answer with "
            "a probability. Train it with one of these."
        )
    if told["num_class"] not in ("0", "1") or told.get("num_target", "1") not in ("0", "1"):
        raise ArtifactRefused(
            "The XGBoost model has several classes; a decision point asks for one probability: train it on two classes."
        )
    count, base = int(told["num_feature"]), told["base_score"]
    found = BASE_SCORE.fullmatch(base)
    if found is None or not 0 < float(found[1]) < 1:
        raise _damaged("its base score is no probability between 0 and 1")
    if not 1 <= count <= MOST_FEATURES:
        raise _damaged(f"it has {count} features, not 1..{MOST_FEATURES}")
    return count, base


def _texts(learner: Mapping[str, Any], key: str, count: int) -> list[str]:
    told = learner.get(key, [])
    if not isinstance(told, list) or len(told) not in (0, count):
        raise _damaged(f"its {key} are not {count}")
    if not all(isinstance(text, str) and text for text in told):
        raise _damaged(f"one of its {key} is no text")
    if key == "feature_names" and len(set(told)) != len(told):
        raise _damaged("two features have one name")
    return told


def _model(model: Mapping[str, Any], features: int) -> dict[str, Any]:
    trees = model["trees"]
    told = model["gbtree_model_param"]
    parallel = int(told["num_parallel_tree"])
    if int(told["num_trees"]) != len(trees) or not 1 <= parallel <= len(trees):
        raise _damaged("its trees are not as many as it says")
    if any(int(group) for group in model["tree_info"]) or len(model["tree_info"]) != len(trees):
        raise _damaged("its trees are of several classes")
    written = [_tree(tree, place, features) for place, tree in enumerate(trees)]
    if sum(len(tree["split_indices"]) for tree in written) > MOST_NODES:
        raise _damaged(f"it has more than {MOST_NODES} nodes")
    rounds = len(trees) // parallel
    if rounds * parallel != len(trees):
        raise _damaged("its rounds are not whole")
    return {
        "gbtree_model_param": {"num_parallel_tree": str(parallel), "num_trees": str(len(trees))},
        "iteration_indptr": [place * parallel for place in range(rounds + 1)],
        "tree_info": [0] * len(trees),
        "trees": written,
    }


def _tree(tree: Mapping[str, Any], place: int, features: int) -> dict[str, Any]:
    told = f"Tree {place} of the XGBoost model"
    count = len(tree["left_children"])
    floats = {name: _array(tree, name, count, "f4", told) for name in FLOATS}
    whole = {name: _array(tree, name, count, "i4", told) for name in INTEGERS}
    flags = {
        name: _array(tree, name, count, "u1", told) for name in FLAGS if len(tree.get(name, ()))
    }
    if not 1 <= count <= MOST_NODES or not all(
        np.isfinite(array).all() for array in floats.values()
    ):
        raise ArtifactRefused(f"{told} has no nodes, or a number that is not finite.")
    if any(array.max() > 1 for array in flags.values()):
        raise ArtifactRefused(f"{told} decides in a way that is not known.")
    left, right = (whole[name].tolist() for name in ("left_children", "right_children"))
    _check_nodes(left, right, whole, features, told)
    param = tree["tree_param"]
    if param.get("size_leaf_vector", "0") not in ("0", "1") or int(param["num_nodes"]) != count:
        raise ArtifactRefused(f"{told} has not the nodes that it says.")
    return {
        **floats,
        **whole,
        "default_left": flags["default_left"],
        "split_type": flags.get("split_type", np.zeros(count, np.uint8)),
        **_categories(tree, flags.get("split_type"), told),
        "id": place,
        "tree_param": {
            "num_deleted": str(int(param.get("num_deleted", "0"))),
            "num_feature": str(features),
            "num_nodes": str(count),
            "size_leaf_vector": "1",
        },
    }


def _check_nodes(
    left: Sequence[int], right: Sequence[int], whole: Mapping[str, Any], features: int, told: str
) -> None:
    """Refuse nodes that form no tree. Those that pruning cut off stay, as leaves that nothing leads to."""
    if min(*left, *right) < NO_CHILD or any(
        (a < 0) != (b < 0) for a, b in zip(left, right, strict=True)
    ):
        raise ArtifactRefused(f"{told} has a node with one child, or a child that is none.")
    reached = check_tree(left, right, -1, told)
    parents, splits = whole["parents"].tolist(), whole["split_indices"].tolist()
    for node, is_reached in enumerate(reached):
        if not is_reached:
            if left[node] >= 0 or not (splits[node] == DELETED or 0 <= splits[node] < features):
                raise ArtifactRefused(f"{told} has a node that nothing leads to.")
            continue
        if not 0 <= splits[node] < features:
            raise ArtifactRefused(f"{told} asks for a feature that is not there.")
        if left[node] >= 0 and not parents[left[node]] == parents[right[node]] == node:
            raise ArtifactRefused(f"{told} has children that do not know their parent.")
    if parents[0] not in (NO_PARENT, -1):
        raise ArtifactRefused(f"{told} does not begin at its root.")


def _categories(tree: Mapping[str, Any], kinds: Any, told: str) -> dict[str, Any]:
    names = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
    types = ("i4", "i4", "i8", "i8")
    lists = [
        _array(tree, name, len(tree.get(name, ())), kind, told)
        for name, kind in zip(names, types, strict=True)
    ]
    values, nodes, segments, sizes = lists
    is_used = [] if kinds is None else np.flatnonzero(kinds).tolist()
    ends = np.cumsum(sizes).tolist()
    if (
        nodes.tolist() != is_used
        or len(sizes) != len(nodes)
        or segments.tolist() != [0, *ends][: len(nodes)]
        or (len(sizes) and sizes.min() < 1)
        or (ends[-1] if ends else 0) != len(values)
        or (len(values) and not 0 <= values.min() <= values.max() <= LARGEST_CATEGORY)
    ):
        raise ArtifactRefused(
            f"{told} has categories that are not its own, or above {LARGEST_CATEGORY}."
        )
    return dict(zip(names, lists, strict=True))


def _words(cats: Mapping[str, Any], count: int) -> dict[int, Sequence[str]]:
    """Return the categories of features that came as a data frame's: XGBoost's numbers are their places in these lists."""
    told = cats.get("enc", [])
    if len(told) not in (0, count):
        raise _damaged("its categories are not those of its features")
    return {place: _texts_of(one) for place, one in enumerate(told) if len(one["values"])}


def _texts_of(told: Mapping[str, Any]) -> Sequence[str]:
    """Return a feature's categories; none where they are not text."""
    if "offsets" not in told:
        return ()
    offsets = np.asarray(told["offsets"]).tolist()
    content = bytes(value & 0xFF for value in np.asarray(told["values"]).tolist())
    if any(not 0 <= a <= b <= len(content) for a, b in pairwise(offsets)):
        raise _damaged("its categories overlap")
    return [content[a:b].decode("utf-8") for a, b in pairwise(offsets)]


def _array(tree: Mapping[str, Any], name: str, count: int, kind: str, told: str) -> Any:
    """Return numbers as an array of one type; none of them may change by it, but for rounding to float32."""
    given = tree.get(name, [])
    array = np.asarray(given, dtype=None if len(given) else kind)
    is_whole = kind != "f4"
    if array.shape != (count,) or array.dtype.kind not in ("iub" if is_whole else "iuf"):
        raise ArtifactRefused(f"{told} needs {count} numbers as {name}.")
    if is_whole and count:
        info = np.iinfo(kind)
        if array.min() < info.min or array.max() > info.max:
            raise ArtifactRefused(f"{told} has a number in {name} that is too large.")
    with np.errstate(over="ignore"):
        return array.astype(kind)


def _damaged(why: str) -> ArtifactRefused:
    return ArtifactRefused(
        f"The artifact is no readable XGBoost model: {why[:200]}. Save it anew with `save_model`."
    )
