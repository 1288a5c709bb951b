"""Small scenarios."""

from __future__ import annotations

from typing import Any

import pytest

from opsrail.lab import Devices, Line, Model, Point, Poisson, Policy, Scenario


@pytest.fixture
def base() -> Scenario:
    """One model of 1 ms and 1 ms a row on two devices, asked 100 times a second for ten seconds."""
    return scenario()


def scenario(
    *,
    rate_per_s: float = 100.0,
    point: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    devices: dict[str, Any] | None = None,
    **more: Any,
) -> Scenario:
    """Return a scenario that differs from the base in some values."""
    service = {"cpu": Line(fixed_ms=1.0, row_ms=1.0, noise_ratio=0.0)}
    given = {
        "arrivals": Poisson(rate_per_s=rate_per_s),
        "duration_s": 10.0,
        "points": (
            Point(**{"name": "risk", "model": "trees", "deadline_ms": 100.0} | (point or {})),
        ),
        "models": (Model(**{"name": "trees", "service": service} | (model or {})),),
        "devices": (Devices(**{"name": "cpu", "count": 2} | (devices or {})),),
        "policy": Policy(),
    }
    return Scenario(**given | more)
