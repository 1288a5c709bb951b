"""What we need from other systems: features, models of another registry, messages to people, text of page images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from opsrail.values.documents import TextLine
from opsrail.values.exchange import OutsideModel, OutsideName, Published
from opsrail.values.features import OutsideValue
from opsrail.values.models import ModelVersion
from opsrail.values.notices import Notice


class FeatureSource(Protocol):
    """Another system that knows features of entities, asked at the moment of a decision. Cancelled when time is over."""

    name: str

    async def read(self, entity: str) -> Mapping[str, OutsideValue]:
        """Return what it knows of an entity now, by feature.

        Raises:
            FeaturesUnavailable: it did not answer, not in time, or not with these features. The decision falls back.
        """
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class ModelExchange(Protocol):
    """Another registry of models. Each method may raise Unavailable, Denied and NotFound, with what the server said."""

    async def fetch(self, name: OutsideName) -> OutsideModel:
        """Return a version with its file, never one to be unpickled. Raises ArtifactRefused when it is not taken."""
        ...

    async def publish(
        self, name: OutsideName, version: ModelVersion, artifact: bytes, by: str
    ) -> Published:
        """Write a version under that name; the same artifact is not written twice. Raises ArtifactRefused: it holds none."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class Notifier(Protocol):
    """Tells a person or another system."""

    async def send(self, notice: Notice, address: str) -> None:
        """Send it, maybe again under the same id. Raises Unavailable: try again; Terminal: never."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


class PageReader(Protocol):
    """Reads the text of one page image. Blocking and heavy: called in a child process."""

    name: str

    def read(self, image: bytes) -> tuple[TextLine, ...]:
        """Return the lines, top to bottom. Raises ArtifactRefused when the image is damaged or too large."""
