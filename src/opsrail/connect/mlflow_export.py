"""What of a model version is written to MLflow: its files, tags and description. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from opsrail.connect import mlmodel
from opsrail.connect.lightgbm import FORM as LIGHTGBM
from opsrail.connect.skops import FORM as SKOPS
from opsrail.connect.xgboost import FORM as XGBOOST
from opsrail.errors import ArtifactRefused
from opsrail.values.canonical import canonical, digest
from opsrail.values.columns import Column, columns_to_json
from opsrail.values.containers import Signature, unpack
from opsrail.values.models import ModelVersion

SIGNATURE = "opsrail/signature.json"
CARD = "opsrail/card.json"
FORMS = {"lightgbm": LIGHTGBM, "sklearn": SKOPS, "xgboost": XGBOOST}


def files_of(version: ModelVersion, artifact: bytes) -> Callable[[str], Mapping[str, bytes]]:
    """Return what makes the files by their path, given where they will lie.

    Raises:
        ArtifactRefused: the version holds no model that another registry could keep. Terminal.
    """
    kept, native, signature = _native(version, artifact)
    columns: tuple[Column, ...] = () if signature is None else signature.columns
    metadata = {"version": f"{version.name}/{version.number}", "digest": version.digest}

    def files(place: str) -> Mapping[str, bytes]:
        return {
            kept.file: native,
            SIGNATURE: _signature_file(signature),
            CARD: canonical(dict(version.card)),
            "requirements.txt": f"{kept.library}\n".encode(),
            "MLmodel": mlmodel.written(kept, columns, metadata, place),
        }

    return files


def tags_of(version: ModelVersion, artifact: bytes) -> dict[str, str]:
    """Return the tags of the version there."""
    return {
        "opsrail.digest": version.digest,
        "opsrail.file_digest": digest(_native(version, artifact)[1]),
        "opsrail.runtime": version.runtime,
        "opsrail.training_digest": version.training_digest,
        "opsrail.version": f"{version.name}/{version.number}",
    }


def description_of(version: ModelVersion) -> str:
    """Return the card as text for people: one line a field."""
    lines = [f"Exported by opsrail from {version.name}/{version.number}.", ""]
    for name, value in sorted(version.card.items()):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append(f"- **{name}**: {text[:1000]}")
    return "\n".join(lines)


def _native(version: ModelVersion, artifact: bytes) -> tuple[mlmodel.Kept, bytes, Signature | None]:
    """Return how MLflow keeps it, the library's own bytes, and the signature where it does not stand in them."""
    runtime = version.runtime
    if runtime == "onnx":
        return mlmodel.KEPT["onnx"], artifact, None
    if runtime not in FORMS:
        raise ArtifactRefused(
            f"{version.name}/{version.number} runs as {runtime!r} and holds no model that MLflow could keep; only files are "
            "exported: ONNX, LightGBM, XGBoost, skops."
        )
    _, signature, native = unpack(artifact, FORMS[runtime])
    name = runtime
    if runtime == "xgboost":
        is_json = native[:1] == b"{" and native[1:2] in b' \n"'
        name = "xgboost-json" if is_json else "xgboost-ubj"
    return mlmodel.KEPT[name], native, signature


def _signature_file(signature: Signature | None) -> bytes:
    """Return it as `models import --signature` reads it; an empty one where the file tells all itself."""
    told: dict[str, Any] = {}
    if signature is not None:
        told["columns"] = json.loads(columns_to_json(signature.columns))
        told["confidence"] = signature.confidence
        told["reference"] = signature.reference
    return canonical({name: value for name, value in told.items() if value is not None})
