"""Loaded models of one pool, each loaded and warmed once, off the event loop, its bytes checked against its digest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

from opsrail.clock import Clock
from opsrail.errors import ArtifactRefused, ModelStarting, ModelUnavailable, OpsrailError
from opsrail.ports import ClosableModel, LoadedModel, ModelRuntime, RowReader, warm_up
from opsrail.values.canonical import digest
from opsrail.values.models import ModelVersion
from opsrail.values.registry import ArtifactRow

log = logging.getLogger("opsrail.registry")
RETRY_AFTER_S = 10.0
"""Ours: a model that failed to load is tried again after this long, not at every request."""
PATIENCE_S = 5.0
"""How long, from its beginning, a load is waited for by those who can do without: the start of a server, and requests. Ours:
a child with ONNX Runtime is warm in 0.2 s, one that imports more in some; what takes longer may as well hang."""


@dataclass(slots=True)
class _Place:
    """What is known of one artifact."""

    version: ModelVersion
    is_apart: bool
    patience_until_s: float
    load: asyncio.Task[LoadedModel] = field(init=False)
    failed_at_s: float | None = None
    is_dropped: bool = False


class Shelf:
    """Models by digest. A request that cannot wait for a load leaves it running for the next.

    Versions of one digest share one model. Where one of them has to run in processes of its own and what is loaded does not,
    it is loaded anew for all of them; until then those that need not are answered by what is there.

    Args:
        runtime_of: Returns what loads a version here; raises ModelUnavailable when there is none.
        is_apart: Whether a version may run in processes of its own alone.
        finished: Returns a loaded model as it is to be asked.
        executor: Where models are loaded; None: in the event loop's own threads.
    """

    def __init__(
        self,
        store: RowReader,
        runtime_of: Callable[[ModelVersion], ModelRuntime],
        clock: Clock,
        finished: Callable[[LoadedModel], LoadedModel] = lambda model: model,
        executor: Executor | None = None,
        is_apart: Callable[[ModelVersion], bool] = lambda version: False,
    ) -> None:
        self._is_apart = is_apart
        self._executor = executor
        self._store = store
        self._runtime_of = runtime_of
        self._clock = clock
        self._finished = finished
        self._places: dict[str, _Place] = {}
        self._models: dict[str, LoadedModel] = {}
        self._apart: set[str] = set()  # of them, those in processes of their own

    def held(self, version: ModelVersion) -> LoadedModel | None:
        """Return the model if it is loaded."""
        if self._is_apart(version) and version.digest not in self._apart:
            return None
        return self._models.get(version.digest)

    def is_begun(self, version: ModelVersion) -> bool:
        """Return whether a version's load was begun, be it that it failed."""
        return self._place(version) is not None

    def is_settled(self, version: ModelVersion) -> bool:
        """Return whether a version's load was begun and is over, be it that it failed."""
        place = self._place(version)
        return place is not None and (place.load.done() or self.held(version) is not None)

    def versions(self) -> list[ModelVersion]:
        """Return the versions that are loaded."""
        return [place.version for key, place in self._places.items() if key in self._models]

    async def take(
        self, version: ModelVersion, wait_s: float, *, is_patient: bool = True
    ) -> LoadedModel:
        """Return the model, loading it when it is not yet here.

        Args:
            is_patient: Whether to wait also for a load that takes longer than PATIENCE_S, or whose last attempt did.

        Raises:
            ModelUnavailable: it cannot be loaded, or not within `wait_s` (ModelStarting); loading goes on.
        """
        if (model := self.held(version)) is not None:
            return model
        label = f"{version.name}/{version.number}"
        load = self.begin(version)
        if not is_patient and (place := self._place(version)) is not None:
            wait_s = min(wait_s, place.patience_until_s - self._clock.monotonic_s())
        await asyncio.wait({load}, timeout=max(0.0, wait_s))
        if not load.done():
            raise ModelStarting(
                f"model {label} is still being loaded; ask again in a moment", after_s=1.0
            )
        if load.cancelled():
            raise ModelUnavailable(f"model {label}: loading was stopped", after_s=1.0)
        if (fault := load.exception()) is not None:
            raise ModelUnavailable(
                f"model {label} cannot be loaded: {fault}", after_s=RETRY_AFTER_S
            ) from fault
        return load.result()

    def begin(self, version: ModelVersion) -> asyncio.Task[LoadedModel]:
        """Return the load of a version, begun when it is not under way or done, or failed some time ago."""
        place = self._place(version)
        if place is None or self._may_retry(place):
            until_s = self._patience_until_s(place)
            place = _Place(version, self._is_apart(version), until_s)
            self._places[version.digest] = place
            place.load = asyncio.get_running_loop().create_task(
                self._load(place), name=f"load {version.name}/{version.number}"
            )
            place.load.add_done_callback(
                lambda task: task.cancelled() or task.exception()
            )  # whoever waits hears of it
        return place.load

    def check(self, version: ModelVersion, artifact: bytes) -> None:
        """Load an artifact and drop it again; blocking. Raises as `loaded`."""
        _close(self.loaded(version, artifact))

    def drop(self, version: ModelVersion) -> Awaitable[None]:
        """Forget a model at once; what is returned releases what it holds. It is loaded again when it is next asked for."""
        if (place := self._places.pop(version.digest, None)) is not None:
            place.is_dropped = True
            place.load.cancel()
        self._apart.discard(version.digest)
        return _closed(self._models.pop(version.digest, None))

    async def close(self) -> None:
        """Drop all."""
        for place in list(self._places.values()):
            await self.drop(place.version)

    def loaded(self, version: ModelVersion, artifact: bytes) -> LoadedModel:
        """Return an artifact's model; blocking.

        Raises:
            ArtifactRefused: the bytes are not those of the digest, or the runtime refuses them. Terminal.
            ModelUnavailable: there is no such runtime in this process.
        """
        self.check_digest(version, artifact)
        return self._runtime_of(version).load(artifact, version.digest)

    @staticmethod
    def check_digest(version: ModelVersion, artifact: bytes) -> None:
        """Raise ArtifactRefused when the bytes are not those of the version."""
        if (actual := digest(artifact)) != version.digest:
            raise ArtifactRefused(
                f"artifact {version.digest} is damaged: its bytes give {actual}; restore it from a backup"
            )

    def _place(self, version: ModelVersion) -> _Place | None:
        """Return the load that serves a version too: one in processes of its own serves those that need none."""
        place = self._places.get(version.digest)
        return None if place is None or place.is_apart < self._is_apart(version) else place

    def _patience_until_s(self, last: _Place | None) -> float:
        """Return until when a load that begins now is waited for by the impatient: one that was late before, no more."""
        if last is not None and (last.failed_at_s or 0.0) > last.patience_until_s:
            return last.patience_until_s
        return self._clock.monotonic_s() + PATIENCE_S

    def _may_retry(self, place: _Place) -> bool:
        failed_at_s = place.failed_at_s
        return failed_at_s is not None and self._clock.monotonic_s() - failed_at_s >= RETRY_AFTER_S

    async def _load(self, place: _Place) -> LoadedModel:
        version = place.version
        try:
            row = await self._store.get(ArtifactRow, version.digest)
            if row is None:
                raise ArtifactRefused(
                    f"artifact {version.digest} of {version.name}/{version.number} is not in the store"
                )
            load = partial(self._warmed, place, row.content)
            model = await asyncio.get_running_loop().run_in_executor(self._executor, load)
        except BaseException as fault:
            place.failed_at_s = self._clock.monotonic_s()
            if isinstance(fault, Exception):
                log.error("model %s/%d cannot be loaded: %s", version.name, version.number, fault)
            if isinstance(fault, OpsrailError) or not isinstance(fault, Exception):
                raise
            raise ModelUnavailable(f"{type(fault).__name__}: {fault}") from fault
        return self._kept(place, model)

    def _kept(self, place: _Place, model: LoadedModel) -> LoadedModel:
        """Return what is there from now on: what was loaded, unless it was dropped or runs in processes of its own."""
        key = place.version.digest
        if key not in self._places or (key in self._apart and not place.is_apart):
            _close(model)
            if key not in self._places:
                raise ModelUnavailable("nobody waits for it any more")
            return self._models[key]
        self._models[key] = model
        if place.is_apart:
            self._apart.add(key)
        return model

    def _warmed(self, place: _Place, artifact: bytes) -> LoadedModel:
        model = self.loaded(place.version, artifact)
        try:
            warm_up(model)
            if place.is_dropped:  # while this thread loaded it, which nobody could stop
                raise ModelUnavailable("nobody waits for it any more")
        except BaseException:
            _close(model)
            raise
        return self._finished(model)


async def _closed(model: LoadedModel | None) -> None:
    if model is not None:
        await asyncio.to_thread(_close, model)


def _close(model: LoadedModel) -> None:
    if isinstance(model, ClosableModel):
        model.close()
