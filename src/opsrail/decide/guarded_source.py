"""A feature source behind a breaker: one that fails is left alone for a while, and decisions fall back at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from opsrail.clock import Clock
from opsrail.decide.breaker import Breaker, Limits, Outcome
from opsrail.errors import FeaturesUnavailable
from opsrail.ports import FeatureSource
from opsrail.values.features import OutsideValue

FAIR_RATIO = 0.1
"""Part of the source's own time limit that a call must have had before its giving up counts against the source. Ours: a
deadline that leaves less says nothing of it."""


class GuardedSource:
    """One feature source of one view.

    Args:
        view: For messages.
        timeout_s: The source's own limit for one answer.
    """

    def __init__(
        self,
        source: FeatureSource,
        view: str,
        timeout_s: float,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        self.name = source.name
        self._source = source
        self._view = view
        self._fair_s = FAIR_RATIO * timeout_s
        self._clock = clock
        self._breaker = Breaker(limits)

    async def read(self, entity: str) -> Mapping[str, OutsideValue]:
        begun_s = self._clock.monotonic_s()
        permit = self._breaker.admit(begun_s)
        if permit is None:
            wait_s = self._breaker.closed_in_s(begun_s)
            raise FeaturesUnavailable(
                f"{self.name}, asked for {self._view}, failed too often and is left alone for {wait_s:.1f} s more"
            )
        outcome = Outcome.VOID
        try:
            values = await self._source.read(entity)
            outcome = Outcome.GOOD
            return values
        except FeaturesUnavailable:
            outcome = Outcome.BAD
            raise
        except asyncio.CancelledError:
            waited_s = self._clock.monotonic_s() - begun_s
            outcome = Outcome.BAD if waited_s >= self._fair_s else Outcome.VOID
            raise
        finally:
            self._breaker.settle(permit, outcome, self._clock.monotonic_s())

    async def close(self) -> None:
        await self._source.close()
