"""What a decision, a ruling, a shadow or an outcome says of the version that made it: numbers in [0, 1]. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from opsrail.registry.rollout import is_in_canary
from opsrail.values.decisions import DecisionRow
from opsrail.values.guards import Outcome
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import EXPIRY, ReviewRow

CHAMPION, CANDIDATE = 0, 1
KEPT = frozenset(("hit", "shared"))
"""States of the cache in which no model was asked: a fresh version's cold cache is not its fault."""
Version = tuple[str, int]
ArmKey = Callable[[str, Mapping[str, Any]], str]
"""Returns what the canary's choice hung on, of a point and a decision's record."""


class Arms(NamedTuple):
    """Who is compared.

    Attributes:
        share: Part of the requests that the candidate answers now; 1 once it is live.
    """

    champion: Version | None
    candidate: Version
    share: float


class Seen(NamedTuple):
    """What one decision says.

    Attributes:
        arm: Whose decision it is.
        latency_us, cost_usd: None where no model was asked, so that they say nothing of it.
        at_ms: When it was made, epoch ms: what comes in gusts is counted by spans of time.
    """

    arm: int
    verdict: str
    has_no_score: bool
    is_fallback: bool
    latency_us: int | None
    cost_usd: float | None
    at_ms: int


def key_of(point: str, record: Mapping[str, Any]) -> str:
    """Return what the canary's choice hung on where the point names no entity: the case, else the correlation id."""
    del point
    key: str = record["case_id"] or record["correlation_id"]
    return key


def seen(row: DecisionRow, arms: Arms, arm_key: ArmKey = key_of) -> Seen | None:
    """Return what a decision says, None when it belongs to neither arm."""
    record = orjson.loads(row.record)
    arm = arm_of(row, record, arms, arm_key)
    if arm is None:
        return None
    was_asked = record["cache"] not in KEPT
    return Seen(
        arm,
        row.verdict,
        row.score is None,
        row.degraded,
        row.latency_us if was_asked else None,
        float(record["cost_usd"]) if was_asked else None,
        row.at_ms,
    )


def arm_of(
    row: DecisionRow, record: Mapping[str, Any], arms: Arms, arm_key: ArmKey = key_of
) -> int | None:
    """Return whose decision it is: of the version that was asked first, whoever answered in the end.

    A version that cannot answer must not hide behind its stand-in. Where the live version stood in, the candidate was asked;
    where a third one did, the canary's choice is made again.
    """
    if row.model_name is None or row.model_number is None:
        return None  # the rollout could not be read: nobody's fault
    version = (row.model_name, row.model_number)
    steps = record.get("fallback") or ()
    models = [
        step["what"] for step in steps if step["model"] is not None and step["what"] != "pool"
    ]
    if not models or row.score is None:  # it is the version that was asked first
        if version == arms.candidate:
            return CANDIDATE
        return CHAMPION if version == arms.champion else None
    if arms.share >= 1:
        return CANDIDATE
    if models[0] == "live":
        return CANDIDATE
    return (
        CANDIDATE if is_in_canary(row.point, arm_key(row.point, record), arms.share) else CHAMPION
    )


def is_override(review: ReviewRow, record: Mapping[str, Any]) -> bool | None:
    """Return whether a person ruled otherwise than policy said; None where nobody ruled, or policy only asked.

    Where people decide by the point's settings (`proposed`), what counts is what policy would have said.
    """
    said = record.get("proposed") or review.verdict or record.get("verdict")
    if said is None or said == "review" or review.ruling is None or review.ruled_by == EXPIRY:
        return None
    return review.ruling != said


def scaled(outcome: Outcome, value: float) -> float:
    """Return an outcome's number in [0, 1], 1 the worst."""
    part = min(1.0, max(0.0, (value - outcome.low) / (outcome.high - outcome.low)))
    return part if outcome.worse == "higher" else 1.0 - part


def is_drawn(row: OutcomeRow, floor_ratio: float) -> bool:
    """Return whether an outcome is among those that stand for all decisions alike.

    Of outcomes known with different probabilities, each is kept with the chance `floor_ratio / ratio`, by a hash of the
    decision: what is kept is a sample in which every decision had the same chance.
    """
    if row.ratio <= floor_ratio:
        return True
    drawn = int.from_bytes(hashlib.sha256(f"drawn\0{row.decision_id}".encode()).digest()[:8])
    return drawn * row.ratio < floor_ratio * 2**64


class Quantile:
    """The 99th percentile of what was counted so far, read off bins that are 9 % wide.

    Attributes:
        count: Numbers counted.
    """

    PER_DOUBLING = 8
    LEAST_COUNT = 200
    """Numbers before which there is none: two beyond the 99th percentile are expected. Ours."""

    def __init__(self, bins: Mapping[str, int] | None = None) -> None:
        self._bins = {int(number): times for number, times in (bins or {}).items()}
        self.count = sum(self._bins.values())

    def add(self, numbers: Sequence[int]) -> None:
        """Count numbers above 0."""
        for number in numbers:
            place = _bin(max(1, number))
            self._bins[place] = self._bins.get(place, 0) + 1
            self.count += 1

    def read(self) -> float | None:
        """Return the upper edge of the bin that it lies in."""
        return None if self.count < self.LEAST_COUNT else self._beyond(0.01)

    def median(self) -> float | None:
        """Return the upper edge of the middle one's bin, None without numbers."""
        return self._beyond(0.5)

    def _beyond(self, part: float) -> float | None:
        beyond = 0
        for place in sorted(self._bins, reverse=True):
            beyond += self._bins[place]
            if beyond > self.count * part:
                return float(2.0 ** ((place + 1) / self.PER_DOUBLING))
        return None

    def merge(self, other: Quantile) -> None:
        """Count what another one counted."""
        for place, times in other._bins.items():
            self._bins[place] = self._bins.get(place, 0) + times
        self.count += other.count

    def state(self) -> dict[str, int]:
        """Return the bins, as JSON values."""
        return {str(place): times for place, times in sorted(self._bins.items())}


def _bin(number: int) -> int:
    """Return the bin of a whole number: eighths of a doubling."""
    return math.floor(math.log2(number) * Quantile.PER_DOUBLING)
