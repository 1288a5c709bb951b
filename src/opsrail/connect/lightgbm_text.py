"""Reads a LightGBM model's text and writes it anew from what was checked.

LightGBM's own reader trusts its file: sizes that the file tells move its pointers, and a child that is its own parent keeps
it busy for ever. So it never sees the stranger's text, only what is written here: numbers that were read as numbers, nodes
that form trees, sizes that were counted.

Source:
    LightGBM 4.7, `src/io/tree.cpp` and `src/boosting/gbdt_model_text.cpp`, for what the reader wants.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from opsrail.connect.trees import MOST_NODES, check_tree
from opsrail.errors import ArtifactRefused

VERSIONS = frozenset(("v3", "v4"))
OBJECTIVE = re.compile(r"(binary|cross_entropy)(?: sigmoid:([0-9.eE+-]{1,24}))?")
NUMBER = r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?"
NUMBERS = re.compile(rf"{NUMBER}(?: {NUMBER})*")
INTEGERS = re.compile(r"-?[0-9]{1,10}(?: -?[0-9]{1,10})*")
INFO = re.compile(rf"none|\[({NUMBER}):({NUMBER})\]|-?[0-9]{{1,10}}(?::-?[0-9]{{1,10}})*")
NAME = re.compile(r"[^\s\"\\,:\[\]{}]+")
CATEGORICAL, DECISION_TYPES, ZERO_IS_MISSING = 1, 16, 1
ENDLESS = "inf"
LARGEST_UINT32 = 2**32 - 1
MOST_FEATURES = 100_000
INNER = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
COUNTS = {"internal_count": False, "leaf_count": True}
"""Optional lines that explanations rest on; True: one number a leaf."""


@dataclass(frozen=True, slots=True)
class LightgbmText:
    """A checked model.

    Attributes:
        text: As LightGBM reads it, written by us.
        names: Of the features, in order.
        scale: What the trees' sum is multiplied with to give log odds: the objective's sigmoid, in a random forest also
            one over the trees.
        words: Categories of the features that pandas numbered, as text, in order of their numbers.
        edges: Numbers at which trees split each feature, by its place, ascending: up to and including one is one side.
        is_whole: Whether that is all that tells numbers apart; zero may be taken for missing instead.
        lows: Least number of each feature in training, None where it is not told.
        highs: As above, the greatest.
    """

    text: str
    names: tuple[str, ...]
    scale: float
    words: Sequence[Sequence[str]]
    categorical: tuple[int, ...]
    edges: Mapping[int, tuple[float, ...]]
    is_whole: bool
    lows: tuple[float | None, ...]
    highs: tuple[float | None, ...]


def read_text(content: bytes) -> LightgbmText:
    """Return the model of a `model.txt`.

    Raises:
        ArtifactRefused: it is damaged, or no model of two classes that answers with a probability. Terminal.
    """
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise _damaged("it is not text") from error
    starts = [place for place, line in enumerate(lines) if line.startswith("Tree=")]
    ends = [place for place, line in enumerate(lines) if line == "end of trees"]
    if not lines or lines[0] != "tree" or not starts or len(ends) != 1 or ends[0] < starts[-1]:
        raise _damaged("it does not begin with `tree`, or its trees do not end")
    head = _fields(lines[1 : starts[0]])
    names, infos = _features(head)
    sigmoid = _sigmoid(head)
    blocks = []
    for place, (first, last) in enumerate(zip(starts, [*starts[1:], ends[0]], strict=True)):
        if lines[first] != f"Tree={place}":
            raise _damaged(f"tree {place} is called {lines[first][:40]!r}")
        blocks.append(_tree(_fields(lines[first + 1 : last]), place, len(names)))
    if sum(block.leaves for block in blocks) > MOST_NODES:
        raise _damaged(f"it has more than {MOST_NODES} leaves")
    ranges = [INFO.fullmatch(info) for info in infos]
    ends_of = [
        (float(found[1]), float(found[2])) if found and found[1] else (None, None)
        for found in ranges
    ]
    return LightgbmText(
        _written(head, names, infos, blocks),
        names,
        sigmoid / len(blocks) if "average_output" in head else sigmoid,
        _words(lines[ends[0] :]),
        tuple(place for place, info in enumerate(infos) if info != "none" and info[0] != "["),
        _edges([split for block in blocks for split in block.splits if not split[1] & CATEGORICAL]),
        all(split[1] >> 2 != ZERO_IS_MISSING for block in blocks for split in block.splits),
        tuple(low for low, _ in ends_of),
        tuple(high for _, high in ends_of),
    )


def _fields(lines: Sequence[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition("=")
        if name and fields.setdefault(name, value) != value:
            raise _damaged(f"it tells {name!r} twice")
    return fields


def _features(head: Mapping[str, str]) -> tuple[tuple[str, ...], list[str]]:
    names = head.get("feature_names", "").split(" ")
    infos = head.get("feature_infos", "").split(" ")
    if head.get("version") not in VERSIONS:
        raise _damaged(f"its version is {head.get('version')!r}, not v3 or v4")
    if head.get("max_feature_idx") != str(len(names) - 1) or len(infos) != len(names):
        raise _damaged("its features are not as many as it says")
    if len(names) > MOST_FEATURES or len(set(names)) != len(names):
        raise _damaged(f"it has more than {MOST_FEATURES} features, or two of one name")
    for word, pattern in ((names, NAME), (infos, INFO)):
        if wrong := next((one for one in word if not pattern.fullmatch(one)), None):
            raise _damaged(f"{wrong[:80]!r} is no name or range of a feature")
    if "" in (*names, *infos):
        raise _damaged("a feature has no name or range")
    return tuple(names), infos


def _sigmoid(head: Mapping[str, str]) -> float:
    if (head.get("num_class"), head.get("num_tree_per_iteration")) != ("1", "1"):
        raise ArtifactRefused(
            "The LightGBM model has several classes; a decision point asks for one probability: train it on two classes."
        )
    found = OBJECTIVE.fullmatch(head.get("objective", ""))
    if found is None:
        raise ArtifactRefused(
            f"The LightGBM model's objective is {head.get('objective', 'not told')[:80]!r}; only binary and cross_entropy "
            "answer with a probability. Train it with one of these."
        )
    sigmoid = float(found[2]) if found[2] and NUMBERS.fullmatch(found[2]) else 1.0
    if not 0 < sigmoid <= 100:
        raise _damaged(f"its sigmoid is {sigmoid}")
    return sigmoid


class _Tree(NamedTuple):
    """One tree's checked text, without the line that numbers it, and feature, kind and edge of each split."""

    leaves: int
    text: str
    splits: Sequence[tuple[int, int, float]]


def _tree(fields: Mapping[str, str], place: int, features: int) -> _Tree:
    told = f"Tree {place} of the LightGBM model"
    leaves = _integers(fields, "num_leaves", 1, told)[0]
    if fields.get("is_linear", "0") != "0":
        raise ArtifactRefused(
            f"{told} has linear leaves, which are not read; train it with linear_tree=false."
        )
    if not 1 <= leaves <= MOST_NODES:
        raise ArtifactRefused(f"{told} says that it has {leaves} leaves.")
    written = {"num_leaves": str(leaves), "num_cat": "0"}
    splits: Sequence[tuple[int, int, float]] = ()
    if leaves > 1:
        inner, splits = _inner(fields, leaves, features, told)
        written |= inner
    _floats(fields, "leaf_value", leaves, told)
    written["leaf_value"] = fields["leaf_value"]
    for name, is_leaf in COUNTS.items():
        if leaves > 1 and fields.get(name):
            counts = _integers(fields, name, leaves if is_leaf else leaves - 1, told)
            if min(counts) < 0:
                raise ArtifactRefused(f"{told} counts below 0.")
            written[name] = fields[name]
    written |= {"is_linear": "0", "shrinkage": "1"}
    return _Tree(leaves, "".join(f"{name}={value}\n" for name, value in written.items()), splits)


def _edges(splits: Sequence[tuple[int, int, float]]) -> dict[int, tuple[float, ...]]:
    found: dict[int, set[float]] = {}
    for feature, _, edge in splits:
        if edge != math.inf:
            found.setdefault(feature, set()).add(edge)
    return {feature: tuple(sorted(edges)) for feature, edges in found.items()}


def _inner(
    fields: Mapping[str, str], leaves: int, features: int, told: str
) -> tuple[dict[str, str], list[tuple[int, int, float]]]:
    inner = leaves - 1
    splits = _integers(fields, "split_feature", inner, told)
    kinds = _integers(fields, "decision_type", inner, told)
    edges = _thresholds(fields, inner, told)
    left, right = (_integers(fields, name, inner, told) for name in ("left_child", "right_child"))
    if min(splits) < 0 or max(splits) >= features:
        raise ArtifactRefused(f"{told} asks for a feature that is not there.")
    if not all(0 <= kind < DECISION_TYPES and kind >> 2 < 3 for kind in kinds):
        raise ArtifactRefused(f"{told} decides in a way that is not known.")
    if any(
        kind & CATEGORICAL and edge == math.inf for edge, kind in zip(edges, kinds, strict=True)
    ):
        raise ArtifactRefused(f"{told} asks for categories that are not there.")
    if not all(check_tree(left, right, -1, told)):
        raise ArtifactRefused(f"{told} has nodes that nothing leads to.")
    if sorted(~child for child in (*left, *right) if child < 0) != list(range(leaves)):
        raise ArtifactRefused(f"{told} does not lead to each of its leaves once.")
    written = {name: fields[name] for name in INNER}
    categorical = [int(edge) for edge, kind in zip(edges, kinds, strict=True) if kind & CATEGORICAL]
    if fields.get("num_cat", "0") != "0" or categorical:
        written |= _categories(fields, categorical, told)
    return written, list(zip(splits, kinds, edges, strict=True))


def _categories(fields: Mapping[str, str], used: Sequence[int], told: str) -> dict[str, str]:
    count = _integers(fields, "num_cat", 1, told)[0]
    if not 1 <= count <= MOST_NODES or not all(0 <= place < count for place in used):
        raise ArtifactRefused(f"{told} asks for categories that are not there.")
    bounds = _integers(fields, "cat_boundaries", count + 1, told)
    if bounds[0] != 0 or any(b <= a for a, b in pairwise(bounds)):
        raise ArtifactRefused(f"{told} has categories that overlap.")
    sets = _integers(fields, "cat_threshold", bounds[-1], told)
    if min(sets) < 0 or max(sets) > LARGEST_UINT32:
        raise ArtifactRefused(f"{told} has sets of categories that are none.")
    names = ("num_cat", "cat_boundaries", "cat_threshold")
    return {name: fields[name] for name in names}


def _integers(fields: Mapping[str, str], name: str, count: int, told: str) -> list[int]:
    text = fields.get(name, "")
    found = [int(word) for word in text.split(" ")] if INTEGERS.fullmatch(text) else []
    if len(found) != count:
        raise ArtifactRefused(f"{told} needs {count} whole numbers as {name}.")
    return found


def _floats(fields: Mapping[str, str], name: str, count: int, told: str) -> list[float]:
    text = fields.get(name, "")
    found = [float(word) for word in text.split(" ")] if NUMBERS.fullmatch(text) else []
    if len(found) != count or not all(map(math.isfinite, found)):
        raise ArtifactRefused(f"{told} needs {count} finite numbers as {name}.")
    return found


def _thresholds(fields: Mapping[str, str], count: int, told: str) -> list[float]:
    """Return the edges; `inf`, which LightGBM writes where a gap goes one way and every number the other, as infinity."""
    words = fields.get("threshold", "").split(" ")
    finite = " ".join("0" if word == ENDLESS else word for word in words)
    found = _floats({"threshold": finite}, "threshold", count, told)
    return [math.inf if word == ENDLESS else edge for word, edge in zip(words, found, strict=True)]


def _words(rest: Sequence[str]) -> Sequence[Sequence[str]]:
    """Return the categories that pandas numbered, feature by feature."""
    for line in rest:
        if line.startswith("pandas_categorical:"):
            try:
                told: Any = json.loads(line.partition(":")[2]) or []
                return [[str(word) for word in words] for words in told]
            except (RecursionError, TypeError, ValueError) as error:
                raise _damaged("its categories cannot be read") from error
    return ()


def _written(
    head: Mapping[str, str], names: Sequence[str], infos: Sequence[str], blocks: Sequence[_Tree]
) -> str:
    trees = [f"Tree={place}\n{block.text}\n\n" for place, block in enumerate(blocks)]
    lines = [
        "tree",
        f"version={head['version']}",
        "num_class=1",
        "num_tree_per_iteration=1",
        "label_index=0",
        f"max_feature_idx={len(names) - 1}",
        f"objective={head['objective']}",
        *(["average_output"] if "average_output" in head else []),
        f"feature_names={' '.join(names)}",
        f"feature_infos={' '.join(infos)}",
        f"tree_sizes={' '.join(str(len(tree.encode())) for tree in trees)}",
    ]
    return "\n".join([*lines, "", "".join(trees) + "end of trees\n"])


def _damaged(why: str) -> ArtifactRefused:
    return ArtifactRefused(
        f"The artifact is no readable LightGBM model: {why}. Save it anew with `save_model`."
    )
