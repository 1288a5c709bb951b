"""Descriptions of remote models for tests."""

from __future__ import annotations

from typing import Any

from opsrail.ports import LoadedModel, ModelRuntime
from opsrail.values.canonical import canonical, digest


def description(url: str, **change: Any) -> dict[str, Any]:
    """Return a description of our own server's `fraud-risk`: claims with an id and an amount."""
    amount = {"name": "amount", "missing": None}
    return {
        "format": "opsrail.remote/1",
        "url": url,
        "model": "fraud-risk",
        "inputs": [
            {"name": "claim_id", "datatype": "BYTES", "text": "claim_id"},
            {"name": "amount", "datatype": "FP64", "columns": [amount], "flat": True},
        ],
        "score": {"name": "score"},
        "confidence": {"name": "confidence"},
        "timeout_ms": 5_000,
        **change,
    }


def loaded(runtime: ModelRuntime, told: dict[str, Any]) -> LoadedModel:
    """Return the model that a description stands for."""
    artifact = canonical(told)
    return runtime.load(artifact, digest(artifact))
