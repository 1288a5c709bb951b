"""One scikit-learn model in memory: what `opsrail.connect.skops` loads."""

from __future__ import annotations

import functools
import threading
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import skops.io
import threadpoolctl
from sklearn.base import BaseEstimator

from opsrail.connect.contained import ContainedModel
from opsrail.connect.trees import MOST_NODES, check_tree
from opsrail.errors import ArtifactRefused
from opsrail.values.containers import Signature

TREE = "sklearn.tree._tree.Tree"
PREDICTOR = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"
LEAF = -1
DTYPE = "numpy.dtype"
"""A number's width; the guard lets it pass and skops, which reads it from an empty array, does not trust it by itself."""
_limited = threading.local()


@functools.cache
def _libraries() -> Any:
    """Return the native libraries of this process that keep threads; to find them takes milliseconds."""
    return threadpoolctl.ThreadpoolController()


def open_model(
    native: bytes, signature: Signature, digest: str, trusted: Collection[str]
) -> SkopsModel:
    """Return the model of a checked file, after one trial run.

    Raises:
        ArtifactRefused: it is no model of two classes with probabilities, reads other columns, or holds a tree that is none.
            Terminal: nothing was loaded.
    """
    found = load_file(native, digest, trusted)
    try:
        _check_parts(found)
        _check_model(found, signature, digest)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused(
            f"Model {digest} lacks a part that it needs: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    model = SkopsModel(found, signature, digest)
    model.try_out()
    return model


def load_file(native: bytes, digest: str, trusted: Collection[str]) -> Any:
    """Return the object of a checked file.

    Raises:
        ArtifactRefused: skops cannot make it. Terminal.
    """
    try:
        return skops.io.loads(native, trusted=sorted({DTYPE, *trusted}))
    except (Exception, RecursionError) as error:  # skops and what it makes raise whatever they like
        raise ArtifactRefused(
            f"Model {digest} cannot be loaded: {type(error).__name__}: {str(error)[:300]}"
        ) from error


class SkopsModel(ContainedModel):
    """One model in memory. `score` may be called from several threads at once."""

    def __init__(self, model: Any, signature: Signature, digest: str) -> None:
        super().__init__(signature, digest, "float64")
        self._model = model

    def _answer(self, numbers: Any) -> Any:
        """Return both classes' probabilities. float64 [rows, 2]."""
        if not hasattr(_limited, "limit"):
            # Holds for the calling thread alone, from here on: OpenMP counts threads for each thread that asks.
            _limited.limit = _libraries().limit(limits=1, user_api="openmp")
        return self._model.predict_proba(numbers)


def _check_model(model: Any, signature: Signature, digest: str) -> None:
    names = [column.name for column in signature.columns]
    if not isinstance(model, BaseEstimator) or not hasattr(model, "predict_proba"):
        raise ArtifactRefused(
            f"Model {digest} is a {type(model).__name__}, which gives no probability; train a classifier that has "
            "predict_proba."
        )
    if len(model.classes_) != 2:
        raise ArtifactRefused(
            f"Model {digest} knows {len(model.classes_)} classes; a decision point asks for the probability of one of two."
        )
    told = getattr(model, "feature_names_in_", None)
    if model.n_features_in_ != len(names) or (told is not None and list(told) != names):
        raise ArtifactRefused(
            f"Model {digest} reads {model.n_features_in_ if told is None else list(told)}, its signature says {names}; "
            "import it anew."
        )
    for part in _parts(model):
        if isinstance(part, BaseEstimator):
            # Names are checked here, once; scikit-learn would warn at each call that an array has none.
            for owned in (name for name in ("feature_names_in_",) if name in vars(part)):
                delattr(part, owned)
            if "n_jobs" in vars(part):
                part.n_jobs = 1


def _parts(root: Any) -> Iterator[Any]:
    """Yield a model and every object that it holds, each once."""
    seen: set[int] = set()
    left = [root]
    while left:
        part = left.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type(None)):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, dict):
            left += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set):
            left += part
        elif isinstance(part, np.ndarray):
            left += part.ravel().tolist() if part.dtype.hasobject else []
        elif hasattr(part, "__dict__"):
            left += vars(part).values()


def _check_parts(model: Any) -> None:
    """Refuse trees whose numbers lead out of memory or in a circle."""
    nodes = 0
    for owner in _parts(model):
        for part in vars(owner).values() if hasattr(owner, "__dict__") else ():
            if _name(part) == TREE:
                nodes += _check_sklearn_tree(part, owner)
        if _name(owner) == PREDICTOR:
            nodes += _check_predictor(owner)
        if "_predictors" in getattr(owner, "__dict__", ()):
            _check_width(owner)
    if nodes > MOST_NODES:
        raise ArtifactRefused(
            f"The model has {nodes} nodes, more than {MOST_NODES}; train a smaller one."
        )


def _check_sklearn_tree(tree: Any, owner: Any) -> int:
    told = "A tree of the scikit-learn model"
    if tree.node_count != tree.capacity or tree.node_count < 1 or tree.n_outputs != 1:
        raise ArtifactRefused(f"{told} has not the nodes that it says.")
    left, right = tree.children_left.tolist(), tree.children_right.tolist()
    if (
        any((a == LEAF) != (b == LEAF) for a, b in zip(left, right, strict=True))
        or min(*left, *right, 0) < LEAF
    ):
        raise ArtifactRefused(f"{told} has a node with one child.")
    if not all(check_tree(left, right, LEAF, told)):
        raise ArtifactRefused(f"{told} has nodes that nothing leads to.")
    asked = tree.feature[tree.children_left != LEAF]
    width = getattr(owner, "n_features_in_", 0)
    if tree.n_features != width or (len(asked) and not 0 <= asked.min() <= asked.max() < width):
        raise ArtifactRefused(f"{told} asks for a feature that is not there.")
    return len(left)


def _check_predictor(predictor: Any) -> int:
    told = "A tree of the scikit-learn model"
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    if nodes["is_categorical"].any():
        raise ArtifactRefused(
            f"{told} splits by categories, which are not read; train it without categorical_features, or export it as ONNX."
        )
    left, right = (
        np.where(is_leaf, LEAF, nodes[side].astype(np.int64)).tolist() for side in ("left", "right")
    )
    if not all(check_tree(left, right, LEAF, told)):
        raise ArtifactRefused(f"{told} has nodes that nothing leads to.")
    return len(left)


def _check_width(owner: Any) -> None:
    """Refuse a gradient boosting model whose trees ask for features that it does not read."""
    width = owner.n_features_in_
    for predictor in (one for stage in owner._predictors for one in stage):
        nodes = predictor.nodes
        asked = nodes["feature_idx"][~nodes["is_leaf"].astype(bool)]
        if _name(predictor) != PREDICTOR or (
            len(asked) and not 0 <= asked.min() <= asked.max() < width
        ):
            raise ArtifactRefused(
                "A tree of the scikit-learn model asks for a feature that is not there."
            )


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
