"""Pools as values: where model versions run, on what, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Hardware = Literal["cpu", "gpu", "remote"]
Isolation = Literal["none", "process"]
HARDWARE: tuple[str, ...] = get_args(Hardware)
ISOLATIONS: tuple[str, ...] = get_args(Isolation)
LOCAL = "local"
"""The pool that every process has: its own runtimes, on its own processors."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Where versions run.

    Attributes:
        name: As cards name it; `local` is always there.
        hardware: What it runs on, as the operator says; opsrail finds no devices.
        runtime: Name of what loads a version there; None: the version's own.
        isolation: `process`: in child processes; `none`: where the version's card does not ask for that, in this process.
        cost_usd_per_s: Of one device while it works.
        budget_usd_per_hour: What it may cost in an hour before low requests go elsewhere; 0: no limit.
        budget_usd_per_day: As above, in a day.
    """

    name: str = LOCAL
    hardware: Hardware = "cpu"
    runtime: str | None = None
    isolation: Isolation = "none"
    cost_usd_per_s: float = 0.0
    budget_usd_per_hour: float = 0.0
    budget_usd_per_day: float = 0.0
