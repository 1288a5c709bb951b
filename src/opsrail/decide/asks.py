"""What a lane holds: asks, in classes and states, and the batches they run in. No logic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsrail.values.decisions import Criticality

HIGH, NORMAL, LOW = RANKS = (0, 1, 2)
RANK_OF: Mapping[Criticality, int] = {"high": HIGH, "normal": NORMAL, "low": LOW}
"""Criticality classes by name; the lower rank goes first."""

QUEUED, RUNNING, DONE, SHED, LATE, LEFT = ("queued", "running", "done", "shed", "late", "left")
"""States of an ask. The first two are under way; the others are ends."""


def rank_of(declared: Criticality, wanted: Criticality | None) -> int:
    """Return the rank of a request: what its point declares, or what the caller wants if that is lower."""
    rank = RANK_OF[declared]
    return rank if wanted is None else max(rank, RANK_OF[wanted])


class Ask:
    """One row to be scored.

    Attributes:
        key: What equal asks share.
        payload: Whatever its owner needs to serve and answer it.
        rank: `HIGH`, `NORMAL` or `LOW`.
        due_s: Deadline that gives it its place.
        last_s: Deadline until which it stays: the latest of all who joined.
        arrived_s: When it came.
        state: `QUEUED` and so on.
        blames_model: With `late`: the model was too slow, not the queue too long.
        after_s: With `shed`: seconds after which to come again.
    """

    __slots__ = (
        "after_s", "arrived_s", "blames_model", "due_s", "key", "last_s", "payload", "rank", "seq",
        "state",
    )  # fmt: skip

    def __init__(
        self, key: object, payload: Any, rank: int, due_s: float, now_s: float, seq: int
    ) -> None:
        self.key = key
        self.payload = payload
        self.rank = rank
        self.due_s = self.last_s = due_s
        self.arrived_s = now_s
        self.seq = seq
        self.state = QUEUED
        self.blames_model = False
        self.after_s = 0.0


class Batch:
    """Asks that run together on one device.

    Attributes:
        begun_s: When it was cut.
        expected_s: When it ought to end; later once it is over its time.
        predicted_s: Seconds it ought to take.
        is_hung: Whether it is far over its time.
    """

    __slots__ = ("asks", "begun_s", "expected_s", "is_done", "is_hung", "predicted_s")

    def __init__(self, asks: list[Ask], begun_s: float, predicted_s: float) -> None:
        self.asks = asks
        self.begun_s = begun_s
        self.predicted_s = predicted_s
        self.expected_s = begun_s + predicted_s
        self.is_hung = False
        self.is_done = False
