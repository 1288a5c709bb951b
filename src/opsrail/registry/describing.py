"""A version whole, and what differs between two: what `opsrail models show|diff` and `/v1/models` tell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from opsrail.clock import rfc3339
from opsrail.errors import ArtifactRefused, NotFound, Unavailable
from opsrail.ports import ColumnedModel, Store
from opsrail.registry.card_book import CardBook, CardView
from opsrail.registry.pools import ISOLATION
from opsrail.registry.registry import Registry
from opsrail.values.columns import Category, Column, columns_to_json
from opsrail.values.containers import MAGIC, columns_of
from opsrail.values.models import ModelVersion
from opsrail.values.registry import ArtifactRow, RolloutRow
from opsrail.values.rows import Where, equals

SAME = ("digest", "runtime", "training_digest", "created_at")
"""What two versions are compared by, beside metrics, features and card."""


class Describer:
    """Tells of versions, over a store and a registry."""

    def __init__(self, store: Store, registry: Registry, cards: CardBook) -> None:
        self._store = store
        self._registry = registry
        self._cards = cards

    async def whole(self, name: str, number: int) -> dict[str, Any]:
        """Return one version with its signature, card, gaps and where it stands, as plain JSON values.

        Raises:
            NotFound: there is no such version. Terminal.
        """
        version = await self._registry.version(name, number)
        view = await self._cards.of(version)
        stands = await self._store.select(
            RolloutRow, *equals(model_name=name, model_number=number), limit=10_000
        )
        columns, fault = await self._columns(version)
        return {
            **_record(version, view, columns, fault),
            "stands": [rollout_record(row) for row in stands],
        }

    async def several(self, name: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return versions of a model, in the order asked for, as `whole` does but for where they stand; three queries.

        Raises:
            NotFound: there is no such version. Terminal.
        """
        among = Where("number", "in", tuple(numbers))
        found = {
            one.number: one for one in await self._registry.versions(*equals(name=name), among)
        }
        if missing := [number for number in numbers if number not in found]:
            raise NotFound(
                f"there is no model version {name}/{missing[0]}; see `opsrail models list`"
            )
        views = await self._cards.of_model(name, list(found.values()))
        digests = tuple({one.digest for one in found.values()})
        rows = await self._store.select(ArtifactRow, Where("digest", "in", digests))
        artifacts = {row.digest: row for row in rows}
        told = []
        for number in numbers:
            version, view = found[number], views[number]
            columns, fault = await self._read(version, artifacts.get(version.digest))
            told.append(_record(version, view, columns, fault))
        return told

    async def card(self, name: str, number: int) -> CardView:
        """Return a version's card as it is worded now. Raises NotFound when there is no such version."""
        return await self._cards.of(await self._registry.version(name, number))

    async def differences(self, first: tuple[str, int], second: tuple[str, int]) -> dict[str, Any]:
        """Return what differs between two versions, as plain JSON values. Raises NotFound."""
        return differences(await self.whole(*first), await self.whole(*second))

    async def _columns(
        self, version: ModelVersion
    ) -> tuple[list[dict[str, Any]] | None, str | None]:
        """Return what a version reads (None: it does not say), and what is wrong with its artifact, if anything is."""
        return await self._read(version, await self._store.get(ArtifactRow, version.digest))

    async def _read(
        self, version: ModelVersion, row: ArtifactRow | None
    ) -> tuple[list[dict[str, Any]] | None, str | None]:
        if row is None:
            return None, f"artifact {version.digest} is not in the store; restore it from a backup"
        try:
            return await asyncio.to_thread(self._signature, version, row.content), None
        except (ArtifactRefused, Unavailable) as refused:
            return None, str(refused)

    def _signature(self, version: ModelVersion, artifact: bytes) -> list[dict[str, Any]] | None:
        shelf = self._registry.pools.local
        if artifact.startswith(MAGIC):
            shelf.check_digest(version, artifact)
            return columns_record(columns_of(artifact))
        if version.card.get(ISOLATION) == "process":
            shelf.check_digest(version, artifact)
            return None  # it must not be loaded here
        model = shelf.held(version) or shelf.loaded(version, artifact)
        return columns_record(model.columns) if isinstance(model, ColumnedModel) else None


def _record(
    version: ModelVersion, view: CardView, columns: list[dict[str, Any]] | None, fault: str | None
) -> dict[str, Any]:
    return {
        **version_record(version),
        "card": dict(view.card),
        "card_revision": view.revision,
        "card_missing": view.gaps,
        "features": columns,
        "artifact_fault": fault,
    }


def version_record(version: ModelVersion) -> dict[str, Any]:
    """Return a version as plain JSON values."""
    plain = asdict(version)
    plain["created_at"] = rfc3339(plain.pop("created_at_ms"))
    return plain


def rollout_record(row: RolloutRow) -> dict[str, Any]:
    """Return where a version stands as plain JSON values."""
    plain = row._asdict()
    return {**plain, "stage": str(row.stage), "at": rfc3339(plain.pop("at_ms"))}


def columns_record(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Return what a model reads, in its order, as plain JSON values."""
    told = json.loads(columns_to_json(columns))
    return [
        {
            "name": column.name,
            "kind": "words" if isinstance(column, Category) else "number",
            "missing": one["missing"],
            "words": column.codes and sorted(column.codes, key=lambda word: column.codes[word])
            if isinstance(column, Category)
            else None,
        }
        for column, one in zip(columns, told, strict=True)
    ]


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return what differs between two versions as `Describer.whole` tells of them. Pure."""
    return {
        "first": f"{first['name']}/{first['number']}",
        "second": f"{second['name']}/{second['number']}",
        "version": _changed({n: first[n] for n in SAME}, {n: second[n] for n in SAME}),
        "metrics": _figures(first["metrics"], second["metrics"]),
        "features": _changed(_by_name(first), _by_name(second)),
        "features_in_order": _names(first) == _names(second),
        "card": _changed(first["card"], second["card"]),
        "card_missing": _changed(
            dict.fromkeys(first["card_missing"], True), dict.fromkeys(second["card_missing"], True)
        ),
    }


def _changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has another value, by name; None where one has none."""
    return {
        name: {"first": first.get(name), "second": second.get(name)}
        for name in (*first, *(name for name in second if name not in first))
        if first.get(name) != second.get(name)
    }


def _figures(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, Any]:
    found = _changed(first, second)
    for pair in found.values():
        both = pair["first"] is not None and pair["second"] is not None
        pair["change"] = pair["second"] - pair["first"] if both else None
    return found


def _by_name(whole: Mapping[str, Any]) -> dict[str, Any]:
    return {column["name"]: column for column in whole["features"] or ()}


def _names(whole: Mapping[str, Any]) -> list[str]:
    return [column["name"] for column in whole["features"] or ()]
