"""Takes model versions from another registry and gives versions to it; what crosses is checked against its digests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opsrail.errors import ArtifactRefused, Fault, InvalidInput, NotFound
from opsrail.ports import ModelExchange, Store
from opsrail.registry.importer import Importer, Looked, Offered
from opsrail.registry.importing import Told, told_of
from opsrail.registry.registry import Registry
from opsrail.values.canonical import canonical, digest
from opsrail.values.columns import Column, Number
from opsrail.values.containers import Described
from opsrail.values.exchange import OutsideModel, OutsideName, Published
from opsrail.values.registry import ArtifactRow


class Exchange:
    """One other registry, beside ours.

    Args:
        outside: The other registry.
    """

    def __init__(
        self, outside: ModelExchange, importer: Importer, registry: Registry, store: Store
    ) -> None:
        self._outside = outside
        self._importer = importer
        self._registry = registry
        self._store = store

    async def close(self) -> None:
        """Close the connections to it."""
        await self._outside.close()

    async def fetch(self, name: OutsideName, expected_digest: str | None = None) -> OutsideModel:
        """Return a version that stands there.

        Args:
            expected_digest: `sha256:<hex>` of the model's file, where whoever trained it told it.

        Raises:
            NotFound: nothing has that name, version or alias there. Terminal.
            ArtifactRefused: it is kept as code alone, has another digest, or lies where the server serves nothing. Terminal.
            Denied: the server wants a key, or another one.
            Unavailable: it cannot be reached now, or is no such server.
            MissingExtra: the packages for it are not installed. Terminal.
        """
        model = await self._outside.fetch(name)
        if expected_digest is not None and (found := digest(model.content)) != expected_digest:
            raise ArtifactRefused(
                f"{OutsideName(model.name, model.version)}: its file {model.file} has digest {found}, expected was "
                f"{expected_digest}. Nothing was kept."
            )
        return model

    async def offered(self, model: OutsideModel, offered: Offered) -> Offered:
        """Return what is imported: what was said here, completed by what is told there.

        Args:
            offered: Name, ending, content and `by`, and what else was said here, which wins.

        Raises:
            InvalidInput: what it reads cannot be told from there and was not told here. Terminal.
        """
        described = await asyncio.to_thread(
            self._importer.described, offered.ending, offered.content
        )
        return replace(
            offered,
            told=_told(model, described, offered.told),
            metrics={**model.metrics, **(offered.metrics or {})},
            card={**card_of(model), **(offered.card or {})},
        )

    def check(self, model: OutsideModel, looked: Looked) -> None:
        """Raise ArtifactRefused when opsrail exported it once as another artifact than what was made of it now. Terminal."""
        if model.digest is not None and (found := digest(looked.artifact)) != model.digest:
            raise ArtifactRefused(
                f"{OutsideName(model.name, model.version)} says that it is artifact {model.digest}, its files make {found}; "
                "they were changed, or --signature says otherwise. Nothing was kept."
            )

    async def publish(self, name: str, number: int, to: OutsideName, *, by: str) -> Published:
        """Write a version there, unless the same artifact stands there under that name.

        Raises:
            NotFound: there is no such version here. Terminal.
            ArtifactRefused: it holds no model that another registry could keep, or its bytes were changed. Terminal.
            Denied, Unavailable, MissingExtra: as `fetch`. What was begun there is a run without a version.
        """
        version = await self._registry.version(name, number)
        row = await self._store.get(ArtifactRow, version.digest)
        if row is None:
            raise NotFound(f"the artifact {version.digest} of {name}/{number} is not kept any more")
        if digest(row.content) != version.digest:
            raise ArtifactRefused(
                f"the artifact of {name}/{number} is not the one that was registered; it was changed"
            )
        return await self._outside.publish(to, version, row.content, by)


def trained_on(model: OutsideModel) -> str | None:
    """Return the digest of what a model was trained on, as far as it is told there.

    What opsrail itself exported brings it. Else it is the digest of what the run says of its data sets: their names and
    MLflow's own digests, which are no digests of rows. None: the run logged no data set.
    """
    if model.training_digest is not None:
        return model.training_digest
    if not model.datasets:
        return None
    return digest(canonical([dict(one) for one in model.datasets]))


def card_of(model: OutsideModel) -> dict[str, Any]:
    """Return the card that follows from what is told there."""
    there = {
        "server": model.server,
        "name": model.name,
        "version": model.version,
        "file": model.file,
        "datasets": [dict(one) for one in model.datasets],
        **model.told,
    }
    card: dict[str, Any] = {"mlflow": there}
    if model.description.strip() and model.digest is None:
        card["purpose"] = model.description.strip()
    if model.revision:
        card["code_revision"] = model.revision
    return card


def _told(model: OutsideModel, described: Described, said: Told) -> Told:
    """Return the columns that are not the file's own to tell: said here, else told there."""
    if model.signature is not None:
        own = told_of(model.signature)
        return Told(
            {**own.columns, **said.columns},
            said.confidence or own.confidence,
            said.reference or own.reference,
        )
    if described.names or described.columns or not model.inputs:
        return said
    if len(said.columns) == described.count:
        return said
    found = _input_faults(model, described, said.columns)
    if found:
        raise InvalidInput(
            f"model {model.name!r} version {model.version} cannot be imported", found
        )
    columns: dict[str, Column] = {
        one.name: said.columns.get(one.name, Number(one.name)) for one in model.inputs
    }
    return replace(said, columns=columns)


def _input_faults(
    model: OutsideModel, described: Described, said: Mapping[str, Column]
) -> list[Fault]:
    if len(model.inputs) != described.count:
        why = f"names {len(model.inputs)} inputs, the file reads {described.count} numbers"
        return [Fault("signature", f"MLflow's {why}; say which, in their order: --signature")]
    return [
        Fault(
            f"columns.{one.name}",
            "is no number by MLflow's signature; name its words in the order of training: --signature with "
            f'{{"name": "{one.name}", "words": [...]}}',
        )
        for one in model.inputs
        if not one.is_number and one.name not in said
    ]
