"""Live figures over HTTP: what the decision road does now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail import __version__
from opsrail.access.roles import EVERYWHERE
from opsrail.clock import rfc3339
from opsrail.decide.figures import Window
from opsrail.web.answers import Moment, Shape
from opsrail.web.door import (
    Answer,
    Door,
    Operation,
    answer,
    permit,
)
from opsrail.web.reading import query_of


class StageStats(Shape):
    """How long one stage took, milliseconds, within 7 %."""

    decisions: int
    p50: float
    p95: float
    p99: float


class WindowStats(Shape):
    """What happened in the last seconds."""

    seconds: float
    decisions: int
    per_s: float
    latency_ms: dict[str, StageStats]
    verdicts: dict[str, int]
    degraded: dict[str, int]
    cache: dict[str, int]
    hit_ratio: float | None
    cost_usd: float


class ScoreCacheStats(Shape):
    """What the cache of scores did since the process began, and holds now."""

    hits: int
    misses: int
    shared: int
    entries: int
    size_bytes: int
    evicted: int
    hit_ratio: float


class ModelStats(Shape):
    """How one model fares in this process."""

    model: str
    breaker: str
    closed_in_s: float
    in_flight: int
    refused: int


class GuardStats(Shape):
    """How the guard of this process fares; `faults` by rollout or guarantee."""

    rollouts: int
    turns: int
    acts: int
    faults: dict[str, str]


class SamplingStats(Shape):
    """Spot checks and control cases that this process opened; `faults` by `audit:POINT` and `controls:QUEUE`."""

    audits: int
    controls: int
    faults: dict[str, str]


class NoticesStats(Shape):
    """How sending notices fares in this process; `faults` by channel."""

    sent: int
    failed: int
    dropped: int
    faults: dict[str, str]


class Stats(Shape):
    """Live figures of this process; `windows` are named by their length, e.g. `10s`."""

    version: str
    at: Moment
    counted_s: float
    windows: dict[str, WindowStats]
    points: dict[str, dict[str, WindowStats]]
    cache: ScoreCacheStats
    models: list[ModelStats]
    guard: GuardStats
    sampling: SamplingStats
    notices: NoticesStats | None


class LiveStats:
    """Serves `/v1/stats`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served."""
        told = {200: Answer("Rates, latencies by stage, cache, models.", Stats)}
        summary = "Say what the decision road does now."
        return [
            Operation(
                "GET", "/v1/stats", "stats", summary, self.stats, told, permission="health.read"
            )
        ]

    async def stats(self, request: Request) -> Response:
        """Answer with the figures of this process."""
        query_of(request)
        permit(request, "health.read", EVERYWHERE)
        app = self._door.app
        clock, decider = app.clock, app.decider
        figures, now_s = decider.figures, clock.monotonic_s()
        return answer(
            {
                "version": __version__,
                "at": rfc3339(clock.now_ms()),
                "counted_s": figures.age_s(now_s),
                "windows": _named(figures.windows(now_s)),
                "points": {
                    point: _named(figures.windows(now_s, point)) for point in figures.points
                },
                **plain(decider.stats()),
                "guard": plain(app.guard.stats()),
                "sampling": plain(app.sampler.stats()),
                "notices": None if app.sender is None else plain(app.sender.stats()),
            }
        )


def plain(value: Any) -> Any:
    """Return a value as JSON takes it: named tuples by name, with what they reckon from their fields."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        reckoned = [
            name for name, member in vars(type(value)).items() if isinstance(member, property)
        ]
        fields = value._asdict() | {name: getattr(value, name) for name in reckoned}
        return {name: plain(part) for name, part in fields.items()}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return value


def _named(windows: Mapping[int, Window]) -> dict[str, Any]:
    return {f"{length_s}s": plain(window) for length_s, window in windows.items()}
