"""Models on their way from and to another registry: which one is meant, and what is told of it there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from opsrail.errors import InvalidInput

SCHEME = "mlflow:"
REFERENCE = re.compile(
    r"mlflow:(?P<name>[^/@:]{1,256})(?:/(?P<version>\d{1,18})|@(?P<alias>[^/@:]{1,256}))?"
)


class OutsideName(NamedTuple):
    """A model in another registry.

    Attributes:
        version: Its number there; empty: not said.
        alias: A name that stands for a version there; empty: not said.
    """

    name: str
    version: str = ""
    alias: str = ""

    def __str__(self) -> str:
        tail = f"/{self.version}" if self.version else f"@{self.alias}" if self.alias else ""
        return f"{SCHEME}{self.name}{tail}"


def outside_name(text: str) -> OutsideName:
    """Return what `mlflow:NAME/VERSION`, `mlflow:NAME@ALIAS` or `mlflow:NAME` names. Raises InvalidInput: it is none."""
    found = REFERENCE.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f"{text[:300]!r} names no model of an MLflow server; write mlflow:NAME/VERSION or mlflow:NAME@ALIAS"
        )
    return OutsideName(found["name"], found["version"] or "", found["alias"] or "")


class OutsideInput(NamedTuple):
    """One input of a model, as another registry tells it.

    Attributes:
        is_number: Whether numbers stand in it.
        may_be_missing: Whether it may be left out.
    """

    name: str
    is_number: bool
    may_be_missing: bool


@dataclass(frozen=True, slots=True)
class OutsideModel:
    """A model version as another registry holds it.

    Attributes:
        server: `scheme://host:port`.
        ending: Of the file's kind, as `models import` knows it, e.g. `.onnx`.
        file: Its path beside the model's description there.
        inputs: What it is said to read, in order; none: not told, or a tensor.
        signature: opsrail's own signature file, where opsrail exported the model.
        digest: What opsrail said of the artifact when it exported it; None: it did not.
        metrics: Finite figures.
        notes: What whoever imports it should know.
        told: What else is told there, as JSON values, for the card.
    """

    server: str
    name: str
    version: str
    ending: str
    file: str
    content: bytes = field(repr=False)
    inputs: Sequence[OutsideInput] = ()
    signature: bytes | None = None
    digest: str | None = None
    training_digest: str | None = None
    description: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    datasets: Sequence[Mapping[str, Any]] = ()
    revision: str | None = None
    notes: Sequence[str] = ()
    told: Mapping[str, Any] = field(default_factory=dict)


class Published(NamedTuple):
    """What became of an export.

    Attributes:
        is_new: False: the same artifact stood there already, and nothing was written.
    """

    server: str
    name: str
    version: str
    run_id: str
    is_new: bool
