"""A deadline: the moment by which an answer is due. Handed down as an argument, never looked up."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_RATIO = 0.6
"""Ours: what a model gets of the time that is left while another can still be asked after it. Together with `fair_s` it lets
the first be blamed for being late, and leaves the second time to answer."""
FAIR_RATIO = 0.5
"""Ours: a model that had less than half of the time its point declares is not to blame for being late."""


@dataclass(slots=True)
class Deadline:
    """When an answer is due.

    Attributes:
        at_s: Monotonic seconds; only differences mean anything.
        fair_s: Time from which on being late says something about the model, and not about who asked, or how busy this
            process was before the model was asked.
    """

    at_s: float
    fair_s: float

    def left_s(self, now_s: float) -> float:
        """Return the seconds left, 0 when it is past."""
        return max(0.0, self.at_s - now_s)

    def leaving_time(self, now_s: float) -> Deadline:
        """Return an earlier deadline, for a model after which others may be asked."""
        left_s = self.left_s(now_s)
        return Deadline(now_s + max(FIRST_RATIO * left_s, min(left_s, self.fair_s)), self.fair_s)


def deadline_of(point_ms: int, budget_ms: int | None, now_s: float) -> Deadline:
    """Return the deadline of a request: the caller's budget, or what the point declares."""
    allowed_ms = point_ms if budget_ms is None else budget_ms
    return Deadline(now_s + allowed_ms / 1000, FAIR_RATIO * point_ms / 1000)
