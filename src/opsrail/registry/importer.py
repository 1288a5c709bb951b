"""Takes a model's file in: makes its artifact, tries it, registers it, and says what was inferred and what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import BaseModel

from opsrail.errors import Fault, InvalidInput, OpsrailError
from opsrail.ports import LoadedModel, ModelFormat
from opsrail.registry.cards import gaps
from opsrail.registry.description import description_faults
from opsrail.registry.fitting import fit_faults
from opsrail.registry.importing import Inferred, Told, signature_of
from opsrail.registry.registry import Registry
from opsrail.registry.samples import Sample
from opsrail.values.columns import Category, Column
from opsrail.values.containers import Described
from opsrail.values.models import ModelVersion, Score

TRIED = 5
"""Rows of the sample whose scores are shown."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A file and all that is said of it.

    Attributes:
        ending: Of the file's name, e.g. `.onnx`.
        request: Of the decision point that it is for, None: it is not checked against one.
        features: What the point's views give, the type of each.
    """

    name: str
    content: bytes
    ending: str
    training_digest: str
    by: str
    told: Told = field(default_factory=Told)
    sample: Sample | None = None
    request: type[BaseModel] | None = None
    features: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] | None = None
    card: Mapping[str, object] | None = None


class Looked(NamedTuple):
    """What came of looking at a file.

    Attributes:
        trial: Scores of the sample's first rows; none without a sample.
        card_missing: What a card should tell and this one does not.
    """

    runtime: str
    artifact: bytes
    columns: tuple[Column, ...]
    reference: Mapping[str, Any]
    origins: Mapping[str, str]
    notes: tuple[str, ...]
    trial: tuple[Score, ...]
    card_missing: tuple[str, ...]


class WouldBe(NamedTuple):
    """The version that a file would become; one that is not new stands already."""

    name: str
    number: int
    is_new: bool


class Importer:
    """Makes versions of files.

    Args:
        formats: By the endings of files.
    """

    def __init__(self, formats: Mapping[str, ModelFormat], registry: Registry) -> None:
        self._formats = formats
        self._registry = registry

    async def look(self, offered: Offered) -> Looked:
        """Make the artifact and try it; nothing is kept.

        Raises:
            InvalidInput: everything that is missing or wrong in signature, sample, point and description. Terminal.
            ArtifactRefused: the file is damaged or holds what is not allowed. Terminal.
            MissingExtra: a package that reads such files is not installed. Terminal.
        """
        return await asyncio.to_thread(self._look, offered)

    def described(self, ending: str, content: bytes) -> Described:
        """Return what a file tells of its model. Blocking; raises as `look`."""
        form = self._formats.get(ending)
        if form is None:
            known = ", ".join(self._formats)
            raise InvalidInput(f"{ending!r} is no ending of a model's file: {known}")
        return form.describe(content)

    async def keep(self, offered: Offered, looked: Looked) -> ModelVersion:
        """Register what was looked at; the same file, told the same, gives the version it has. Raises as `register`."""
        return await self._registry.register(
            offered.name,
            looked.artifact,
            runtime=looked.runtime,
            training_digest=offered.training_digest,
            by=offered.by,
            metrics=offered.metrics,
            card=offered.card,
        )

    async def take(
        self, offered: Offered, looked: Looked, *, is_kept: bool
    ) -> ModelVersion | WouldBe:
        """Keep what was looked at, or return which version it would be. Raises as `keep`."""
        if is_kept:
            return await self.keep(offered, looked)
        same, number = await self._registry.place(offered.name, looked.artifact, offered.card)
        return WouldBe(offered.name, number, same is None)

    def _look(self, offered: Offered) -> Looked:
        metrics, card = offered.metrics or {}, offered.card or {}
        found = description_faults(offered.name, offered.training_digest, metrics, card, offered.by)
        form = self._formats.get(offered.ending)
        if form is None:
            known = ", ".join(self._formats)
            found.append(
                Fault("file", f"{offered.ending!r} is no ending of a model's file: {known}")
            )
            raise _unusable(offered, found)
        try:
            described = form.describe(offered.content)
        except OpsrailError:
            if found:
                raise _unusable(offered, found) from None
            raise
        inferred = signature_of(described, offered.told, offered.sample)
        found += inferred.faults
        if offered.request is not None:
            found += fit_faults(inferred.readable, offered.request, offered.features)
        if found or inferred.signature is None:
            raise _unusable(offered, found)
        artifact = form.artifact(offered.content, inferred.signature)
        model = self._registry.try_out(artifact, described.runtime)
        return Looked(
            described.runtime,
            artifact,
            inferred.signature.columns,
            inferred.signature.reference or {},
            inferred.origins,
            inferred.notes,
            _trial(model, inferred, offered.sample),
            tuple(gaps(card)),
        )


def looked_record(looked: Looked) -> dict[str, Any]:
    """Return what was inferred as plain JSON values."""
    return {
        "runtime": looked.runtime,
        "bytes": len(looked.artifact),
        "columns": [
            column_record(looked, place, column) for place, column in enumerate(looked.columns)
        ],
        "notes": list(looked.notes),
        "card_missing": list(looked.card_missing),
        "trial": [
            {"score": one.value, "confidence": one.confidence, "unknown": list(one.unknown)}
            for one in looked.trial
        ],
    }


def column_record(looked: Looked, place: int, column: Column) -> dict[str, Any]:
    """Return one column as plain JSON values."""
    codes = column.codes if isinstance(column, Category) else None
    ends = [looked.reference.get(end) for end in ("lows", "highs")]
    missing = column.missing
    return {
        "name": column.name,
        "kind": "number" if codes is None else "words",
        "missing": "nan" if missing is not None and missing != missing else missing,
        "words": None if codes is None else sorted(codes, key=lambda word: codes[word]),
        "low": ends[0][place] if ends[0] else None,
        "high": ends[1][place] if ends[1] else None,
        "from": looked.origins[column.name],
    }


def _trial(model: LoadedModel, inferred: Inferred, sample: Sample | None) -> tuple[Score, ...]:
    if sample is None or inferred.signature is None:
        return ()
    return tuple(model.score(sample.read_by(inferred.signature.columns)[:TRIED]))


def _unusable(offered: Offered, found: Sequence[Fault]) -> InvalidInput:
    return InvalidInput(f"model {offered.name!r} cannot be imported", found)
