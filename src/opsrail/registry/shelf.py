"""Loaded models in memory, each loaded once, off the event loop, its bytes checked against its digest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from opsrail.clock import Clock
from opsrail.errors import ArtifactRefused, ModelUnavailable, OpsrailError
from opsrail.ports import LoadedModel, ModelRuntime, Store
from opsrail.values.canonical import digest
from opsrail.values.models import ModelVersion
from opsrail.values.registry import ArtifactRow

RETRY_AFTER_S = 10.0
"""Ours: a model that failed to load is tried again after this long, not at every request."""


class Shelf:
    """Models by digest. A request that cannot wait for a load leaves it running for the next."""

    def __init__(self, store: Store, runtimes: Mapping[str, ModelRuntime], clock: Clock) -> None:
        self._store = store
        self._runtimes = runtimes
        self._clock = clock
        self._loads: dict[str, asyncio.Task[LoadedModel]] = {}
        self._failed_at_s: dict[str, float] = {}
        self._models: dict[str, LoadedModel] = {}

    def held(self, version: ModelVersion) -> LoadedModel | None:
        """Return the model if it is loaded."""
        return self._models.get(version.digest)

    async def take(self, version: ModelVersion, wait_s: float) -> LoadedModel:
        """Return the model, loading it when it is not yet here.

        Raises:
            ModelUnavailable: it cannot be loaded, or not within `wait_s`; loading goes on.
        """
        label = f"{version.name}/{version.number}"
        load = self._loads.get(version.digest)
        if load is None or self._may_retry(version.digest):
            load = asyncio.get_running_loop().create_task(self._load(version), name=f"load {label}")
            load.add_done_callback(
                lambda task: task.cancelled() or task.exception()
            )  # whoever waits hears of it
            self._loads[version.digest] = load
        await asyncio.wait({load}, timeout=max(0.0, wait_s))
        if not load.done():
            raise ModelUnavailable(
                f"model {label} is still being loaded; ask again in a moment", after_s=1.0
            )
        if load.cancelled():
            raise ModelUnavailable(f"model {label}: loading was stopped", after_s=1.0)
        if (fault := load.exception()) is not None:
            raise ModelUnavailable(
                f"model {label} cannot be loaded: {fault}", after_s=RETRY_AFTER_S
            ) from fault
        return load.result()

    def check(self, artifact: bytes, expected_digest: str, runtime: str) -> LoadedModel:
        """Load an artifact and return the model; blocking.

        Raises:
            ArtifactRefused: the bytes are not those of the digest, or the runtime refuses them. Terminal.
            ModelUnavailable: there is no such runtime in this process.
        """
        if (actual := digest(artifact)) != expected_digest:
            raise ArtifactRefused(
                f"artifact {expected_digest} is damaged: its bytes give {actual}; register it again"
            )
        if runtime not in self._runtimes:
            known = ", ".join(sorted(self._runtimes)) or "none"
            raise ModelUnavailable(
                f"no runtime {runtime!r} in this process (known: {known}); install its extra"
            )
        return self._runtimes[runtime].load(artifact, expected_digest)

    def _may_retry(self, model_digest: str) -> bool:
        failed_at_s = self._failed_at_s.get(model_digest)
        return failed_at_s is not None and self._clock.monotonic_s() - failed_at_s >= RETRY_AFTER_S

    async def _load(self, version: ModelVersion) -> LoadedModel:
        self._failed_at_s.pop(version.digest, None)
        try:
            row = await self._store.get(ArtifactRow, version.digest)
            if row is None:
                raise ArtifactRefused(
                    f"artifact {version.digest} of {version.name}/{version.number} is not in the store"
                )
            model = await asyncio.to_thread(
                self.check, row.content, version.digest, version.runtime
            )
        except BaseException as fault:
            self._failed_at_s[version.digest] = self._clock.monotonic_s()
            if isinstance(fault, OpsrailError) or not isinstance(fault, Exception):
                raise
            raise ModelUnavailable(f"{type(fault).__name__}: {fault}") from fault
        self._models[version.digest] = model
        return model
