"""Model versions: an artifact under a name and a number, kept once and never changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from opsrail.clock import Clock
from opsrail.errors import Conflict, NotFound, StaleWrite
from opsrail.ports import LoadedModel, Store
from opsrail.registry.cards import is_routed_alike
from opsrail.registry.description import check_description, registered, version_of
from opsrail.registry.pools import Pools
from opsrail.values.canonical import canonical, digest
from opsrail.values.models import ModelVersion
from opsrail.values.registry import ArtifactRow, ModelVersionRow
from opsrail.values.rows import Insert, Where, Write, equals

ATTEMPTS = 20
"""How often a registration looks for the next free number; each loss means another registration of that name was written."""
MOST_VERSIONS = 100_000
"""Of one name."""


class Versions:
    """Model versions of one installation.

    Attributes:
        pools: Where versions run.
    """

    def __init__(self, store: Store, pools: Pools, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.pools = pools
        self._versions: dict[tuple[str, int], ModelVersion] = {}

    async def register(
        self,
        name: str,
        artifact: bytes,
        *,
        runtime: str,
        training_digest: str,
        by: str,
        metrics: Mapping[str, float] | None = None,
        card: Mapping[str, object] | None = None,
    ) -> ModelVersion:
        """Keep an artifact as the next version of a model; the same bytes again give the version they have, unchanged.

        Told other costs, pools, isolation or tier, they are the next version: no later wording changes these.

        Args:
            artifact: The model's bytes, as the runtime loads them.
            training_digest: `sha256:<hex>` of the training rows.
            by: Who registers it.
            metrics: Finite figures by name.
            card: What it is for, what it was made from, its limits; `cost_usd` is what one call costs, `pools` names the
                pools it may run in, `isolation` is `process` where it may run in child processes alone.

        Raises:
            InvalidInput: all faults of the description at once. Terminal; nothing was kept.
            ArtifactRefused: the runtime does not load it. Terminal; nothing was kept.
            ModelUnavailable: this process has no such runtime or pool, or the model's process died.
        """
        check_description(name, training_digest, metrics or {}, card or {}, by)
        content_digest = digest(artifact)
        await asyncio.to_thread(self.pools.check, content_digest, runtime, card or {}, artifact)
        for _ in range(ATTEMPTS):
            same, number = await self.place(name, artifact, card)
            if same is not None:
                return same
            figures = canonical(dict(metrics or {})).decode()
            told = canonical(dict(card or {})).decode()
            at_ms = self._clock.now_ms()
            row = ModelVersionRow(
                name, number, content_digest, runtime, training_digest, figures, told, at_ms
            )
            stored = await self._store.count(ArtifactRow, *equals(digest=content_digest))
            writes: list[Write] = (
                [] if stored.get((), 0) else [Insert(ArtifactRow(content_digest, artifact))]
            )
            try:
                await self._store.commit([*writes, Insert(row), registered(row, by)])
            except StaleWrite:
                continue
            return version_of(row)
        raise Conflict(
            f"model {name!r}: {ATTEMPTS} other registrations came first; register it again"
        )

    async def place(
        self, name: str, artifact: bytes, card: Mapping[str, object] | None = None
    ) -> tuple[ModelVersion | None, int]:
        """Return the version that an artifact is already, if it is one, and the number that it has or would get."""
        known = await self._store.select(
            ModelVersionRow, *equals(name=name), order=("number",), limit=MOST_VERSIONS
        )
        content_digest = digest(artifact)
        for row in known:
            version = version_of(row) if row.digest == content_digest else None
            if version is not None and is_routed_alike(version.card, card or {}):
                return version, version.number
        return None, known[-1].number + 1 if known else 1

    def try_out(self, artifact: bytes, runtime: str) -> LoadedModel:
        """Return the model of an artifact that is not registered. Blocking; raises as `register`."""
        return self.pools.try_out(artifact, runtime)

    async def version(self, name: str, number: int) -> ModelVersion:
        """Return one version. Raises NotFound when there is none."""
        if (known := self._versions.get((name, number))) is not None:
            return known
        row = await self._store.get(ModelVersionRow, name, number)
        if row is None:
            raise NotFound(f"there is no model version {name}/{number}; see `opsrail models list`")
        return self._versions.setdefault((name, number), version_of(row))

    async def versions(self, *where: Where, limit: int = 1000) -> list[ModelVersion]:
        """Return versions by name and number."""
        return [
            version_of(row)
            for row in await self._store.select(ModelVersionRow, *where, limit=limit)
        ]
