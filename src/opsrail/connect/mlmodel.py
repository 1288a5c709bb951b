"""MLflow's description of a model, the file `MLmodel`: which file in which flavour is taken, and how ours is written. Pure.

Taken are files that hold a model and no code: ONNX, LightGBM's text, XGBoost's JSON and UBJSON, skops. Whatever MLflow
keeps as a pickle is refused: to read it is to run it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from opsrail.errors import ArtifactRefused, MissingExtra
from opsrail.values.columns import Column
from opsrail.values.exchange import OutsideInput

LARGEST_BYTES = 1_000_000
"""Of an MLmodel file. Ours: those of a thousand columns have 100 kB."""
PLACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}){0,4}")
ENDINGS: Mapping[str, Mapping[str, str]] = {
    "onnx": {".onnx": ".onnx"},
    "lightgbm": {".lgb": ".txt", ".txt": ".txt", ".skops": ".skops"},
    "xgboost": {".json": ".json", ".ubj": ".ubj"},
    "sklearn": {".skops": ".skops"},
}
"""Ending of what opsrail takes, by flavour and the file's ending there."""
WAY_OUT = {
    "sklearn": "log it with serialization_format='skops', or as ONNX",
    "lightgbm": "log its booster (mlflow.lightgbm.log_model(model.booster_, ...)), which is kept as text",
    "xgboost": "log it with model_format='ubj' or 'json'",
}
NUMBERS = frozenset({"double", "float", "integer", "long", "boolean"})


class Taken(NamedTuple):
    """What is taken of an MLflow model.

    Attributes:
        file: Path of the model's file beside `MLmodel`.
        ending: Of its kind, as `models import` knows it.
        inputs: What it is said to read; none: not told, or a tensor.
        told: What else stands there, for the card.
        has_signature: Whether opsrail wrote it, with a signature file beside it.
    """

    flavour: str
    file: str
    ending: str
    inputs: tuple[OutsideInput, ...]
    told: dict[str, Any]
    has_signature: bool


def taken(content: bytes, what: str) -> Taken:
    """Return what is taken of the model that an `MLmodel` file describes.

    Args:
        what: The model's name, for messages.

    Raises:
        ArtifactRefused: it is no such file, or the model is kept only in ways that run code when they are read. Terminal.
        MissingExtra: PyYAML is not installed. Terminal.
    """
    tree = _tree(content, what)
    flavours = tree.get("flavors")
    if not isinstance(flavours, dict):
        raise ArtifactRefused(f"{what}: its MLmodel file names no flavours; log it anew.")
    refused = []
    for flavour, endings in ENDINGS.items():
        held = flavours.get(flavour)
        if not isinstance(held, dict):
            continue
        file = str(held.get("pickled_model" if flavour == "sklearn" else "data", ""))
        dot = file.rfind(".")
        ending = endings.get(file[dot:]) if dot >= 0 else None
        if ending is None or not PLACE.fullmatch(file):
            refused.append(
                f"{flavour} keeps it as {file[:80]!r}: {WAY_OUT.get(flavour, 'log it anew')}"
            )
            continue
        signature = tree.get("signature")
        told = {
            "flavour": flavour,
            "mlflow": str(tree.get("mlflow_version", "")),
            "utc_time_created": str(tree.get("utc_time_created", "")),
            "signature": signature if isinstance(signature, dict) else {},
        }
        metadata = tree.get("metadata")
        is_ours = isinstance(metadata, dict) and "opsrail" in metadata
        return Taken(flavour, file, ending, tuple(_inputs(signature)), told, is_ours)
    why = "; ".join(refused) or f"its flavours are {', '.join(map(str, flavours))}"
    raise ArtifactRefused(
        f"{what} is not taken: nothing is ever unpickled, and no flavour here is ONNX, LightGBM's text, XGBoost's JSON or "
        f"UBJSON, or skops ({why})."
    )


def _tree(content: bytes, what: str) -> dict[str, Any]:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingExtra("MLflow's model registry", "mlflow") from error
    if len(content) > LARGEST_BYTES:
        raise ArtifactRefused(f"{what}: its MLmodel file has more than {LARGEST_BYTES:,} bytes.")
    try:
        tree = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as wrong:
        raise ArtifactRefused(f"{what}: its MLmodel file is no YAML.") from wrong
    if not isinstance(tree, dict):
        raise ArtifactRefused(f"{what}: its MLmodel file is no mapping.")
    return tree


def _inputs(signature: object) -> Iterator[OutsideInput]:
    """Yield the columns of a signature; none for tensors, and where one cannot be read."""
    told = signature.get("inputs") if isinstance(signature, dict) else None
    try:
        columns = json.loads(told) if isinstance(told, str) else []
    except (ValueError, RecursionError):
        return
    if not isinstance(columns, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in columns
    ):
        return
    for one in columns:
        is_number = one.get("type") in NUMBERS
        yield OutsideInput(one["name"], is_number, one.get("required", True) is False)


class Kept(NamedTuple):
    """A model's native file, as MLflow keeps it.

    Attributes:
        library: Package that reads it there.
        options: Of its flavour.
    """

    flavour: str
    file: str
    library: str
    options: Mapping[str, Any]


KEPT: Mapping[str, Kept] = {
    "onnx": Kept("onnx", "model.onnx", "onnx", {"providers": ["CPUExecutionProvider"]}),
    "lightgbm": Kept(
        "lightgbm", "model.lgb", "lightgbm", {"model_class": "lightgbm.basic.Booster"}
    ),
    "xgboost-json": Kept(
        "xgboost", "model.json", "xgboost", {"model_class": "xgboost.core.Booster", "model_format": "json"}
    ),
    "xgboost-ubj": Kept(
        "xgboost", "model.ubj", "xgboost", {"model_class": "xgboost.core.Booster", "model_format": "ubj"}
    ),
    "sklearn": Kept(
        "sklearn", "model.skops", "scikit-learn", {"serialization_format": "skops", "skops_trusted_types": []}
    ),
}  # fmt: skip


def written(
    kept: Kept, columns: tuple[Column, ...], metadata: Mapping[str, Any], place: str
) -> bytes:
    """Return the `MLmodel` file of a model that opsrail exports: its flavour, and `python_function`, by which MLflow scores.

    What its inputs are is what the file reads: numbers, also for words; which number a word has stands in opsrail's own
    signature beside it.

    Args:
        place: Where it lies.
    """
    import yaml

    is_sklearn = kept.flavour == "sklearn"
    data = {"pickled_model" if is_sklearn else "data": kept.file}
    scored = {
        "model_path" if is_sklearn else "data": kept.file,
        "loader_module": f"mlflow.{kept.flavour}",
    }
    inputs = [{"type": "double", "name": one.name, "required": False} for one in columns]
    tree = {
        "artifact_path": place,
        "flavors": {
            kept.flavour: {"code": None, **data, **kept.options},
            "python_function": scored | ({"predict_fn": "predict_proba"} if is_sklearn else {}),
        },
        "metadata": {"opsrail": dict(metadata)},
        "signature": {"inputs": json.dumps(inputs), "outputs": None, "params": None},
    }
    return yaml.safe_dump(tree, allow_unicode=True).encode()
