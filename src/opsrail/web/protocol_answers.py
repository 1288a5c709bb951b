"""Shapes of what is answered under `/v2`, as the Open Inference Protocol has them, for the OpenAPI description."""

from __future__ import annotations

from typing import Any

from opsrail.web.answers import Shape


class ProtocolError(Shape):
    """What went wrong, as the Open Inference Protocol says it."""

    error: str
    code: str
    correlation_id: str
    retry_after_s: int | None = None


class ServerLive(Shape):
    """Whether the server lives."""

    live: bool


class ServerReady(Shape):
    """Whether the server can serve."""

    ready: bool


class ModelReady(Shape):
    """Whether a decision point's model is loaded."""

    name: str
    ready: bool


class ServerMetadata(Shape):
    """Who serves, and what beyond the protocol."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(Shape):
    """One tensor of a model; -1 stands for the number of rows."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Shape):
    """A decision point as a model."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OutputTensor(TensorMetadata):
    """One output, with its elements as JSON."""

    data: list[Any] | None = None


class Inference(Shape):
    """What a decision point answers to the rows of a request."""

    model_name: str
    model_version: str = ""
    id: str = ""
    outputs: list[OutputTensor]
