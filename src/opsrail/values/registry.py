"""What the store keeps of models: immutable versions, their artifacts, and which version serves which decision point."""

from __future__ import annotations

from typing import NamedTuple


class ModelVersionRow(NamedTuple):
    """An immutable model version.

    Attributes:
        digest: `sha256:<hex>` of the artifact's bytes.
        runtime: Name of the adapter that loads it, e.g. `onnx`.
        training_digest: `sha256:<hex>` of the training rows.
        metrics: JSON object of figures, e.g. {"auc": 0.763}.
        card: JSON object: what it is for, data, limits.
    """

    name: str
    number: int
    digest: str
    runtime: str
    training_digest: str
    metrics: str
    card: str
    created_at_ms: int


class ArtifactRow(NamedTuple):
    """Bytes by their digest (`sha256:<hex>`)."""

    digest: str
    content: bytes


class RolloutRow(NamedTuple):
    """Which model version stands at which stage for a decision point.

    Attributes:
        stage: `shadow`, `canary`, `live` or `retired`.
        share: Part of requests a canary answers, in [0, 1]; 1 for live.
        revision: Grows with each change of the point, for compare and set.
    """

    point: str
    stage: str
    model_name: str
    model_number: int
    share: float
    revision: int
    at_ms: int


class RolloutChangeRow(NamedTuple):
    """One change of a point's rollout: what was live when, for ever.

    Attributes:
        share: Part of requests the version answers from then on.
        standing: JSON: `[{"stage", "name", "number", "share", "since_ms"}]` of every version that stands at a stage but
            `retired` after the change, so that one row tells what held at any moment until the next.
    """

    point: str
    revision: int
    stage: str
    model_name: str
    model_number: int
    changed_by: str
    reason: str
    at_ms: int
    share: float
    standing: str


class CardRow(NamedTuple):
    """One wording of a version's card; the version itself never changes.

    Attributes:
        revision: From 1; 0 is the card that the version was registered with.
        card: JSON object, whole.
    """

    name: str
    number: int
    revision: int
    card: str
    by: str
    reason: str
    at_ms: int
