"""Starts child processes before requests come that need them: a forecast of each model's work drives how many are warm.

Work is forecast, not requests: the milliseconds that children were busy. So nothing need be known of how long a request
takes. Work that was refused for want of a child is not seen; a model that is busy beyond `UTILISATION` gets one more each
time it is looked at, until it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from opsrail.clock import Clock
from opsrail.registry.forecast import Forecast
from opsrail.registry.pools import Pools, place_of
from opsrail.registry.priced import supervised

LOOK_S = 1.0
"""How often. Ours: the forecast counts by the second."""
UTILISATION = 0.7
"""Part of its time that a child should be busy, at most. Ours: at 0.7 of one server a request waits as long as two take."""


@dataclass(slots=True)
class _Seen:
    forecast: Forecast
    busy_s: float


class Prewarming:
    """Sets how many processes each model has that may have several. One a process."""

    def __init__(self, pools: Pools, clock: Clock) -> None:
        self._pools = pools
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.look(self._clock.monotonic_s())
            await self._clock.sleep(LOOK_S)

    def look(self, now_s: float) -> None:
        """Take in what each model did since the last look, and have as many processes as it will need."""
        here = set()
        for pool, version, model in self._pools.held():
            processes = supervised(model)
            if processes is None or not processes.is_scalable:
                continue
            place, busy_s = place_of(version, pool), processes.busy_s
            here.add(place)
            seen = self._seen.get(place)
            if seen is None:
                seen = _Seen(Forecast(1000 * UTILISATION, now_s=now_s), busy_s)
                self._seen[place] = seen
            seen.forecast.observe(now_s, round(1000 * (busy_s - seen.busy_s)))
            seen.busy_s = busy_s
            processes.scale(seen.forecast.wanted(now_s, LOOK_S + processes.start_s))
        for place in self._seen.keys() - here:
            del self._seen[place]
