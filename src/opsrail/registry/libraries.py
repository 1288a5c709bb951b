"""Which library runs the models of a runtime in this process, and in which version: another one may add up otherwise."""

from __future__ import annotations

import functools
from importlib import metadata

LIBRARIES = {
    "onnx": "onnxruntime",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "sklearn": "scikit-learn",
}


@functools.lru_cache(maxsize=64)
def library_of(runtime: str) -> str | None:
    """Return `name version`; None where no library of its own runs them, or it is not installed."""
    if (name := LIBRARIES.get(runtime)) is None:
        return None
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return None
