"""In which of its pools a model version is asked. Pure.

    high         the fastest
    normal, low  the cheapest that is predicted to answer in time

whatever the class, ahead of that: a pool that may be asked before one whose breaker is open, whose bulkhead is full or whose
processes are down; one where the version is loaded before one where it is not; one that is predicted to answer in time
before one that is not. The others follow as stand-ins, in the same order.

When a budget is spent, low requests pay for it: of a pool's, they go to other pools; of the point's, they go to the cheapest
pool alone; when none is left, nobody is asked. Normal and high requests are served all the same: their cost is told.

A pool of which nothing is known, or only old things, counts as one that answers in time: asking it is how that is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from opsrail.values.decisions import Criticality

BUDGET_SPENT = "budget-spent"
"""Code of why nobody is asked for a low request."""


class Outlook(NamedTuple):
    """One pool, as it looks before a request.

    Attributes:
        pool: Its name.
        cost_usd_per_s: Of one device while it works.
        is_warm: Whether the version is loaded there.
        is_blocked: Whether it would be turned away there now.
        predicted_s: Time until it would answer; None: not known.
        is_guess: Whether that was learned too long ago to rely on.
        is_spent: Whether the pool's budget is used up.
    """

    pool: str
    cost_usd_per_s: float = 0.0
    is_warm: bool = True
    is_blocked: bool = False
    predicted_s: float | None = None
    is_guess: bool = False
    is_spent: bool = False


def placed(
    outlooks: Sequence[Outlook], criticality: Criticality, left_s: float, *, is_point_spent: bool
) -> tuple[str, ...]:
    """Return the pools in which to ask, the best first; of equal ones, in the order given.

    Args:
        outlooks: Pools that the version may run in, as its card orders them.
        left_s: Time until the answer is due.
        is_point_spent: Whether the point's budget is used up.
    """
    allowed = list(outlooks)
    if criticality == "low":
        if is_point_spent and allowed:
            least_usd = min(outlook.cost_usd_per_s for outlook in allowed)
            allowed = [outlook for outlook in allowed if outlook.cost_usd_per_s == least_usd]
        allowed = [outlook for outlook in allowed if not outlook.is_spent]

    def rank(outlook: Outlook) -> tuple[bool, bool, bool, float, float]:
        predicted_s = outlook.predicted_s or 0.0
        is_late = predicted_s > left_s and not outlook.is_guess
        speed_s, cost_usd = predicted_s, outlook.cost_usd_per_s
        first, second = (speed_s, cost_usd) if criticality == "high" else (cost_usd, speed_s)
        return outlook.is_blocked, not outlook.is_warm, is_late, first, second

    return tuple(outlook.pool for outlook in sorted(allowed, key=rank))
