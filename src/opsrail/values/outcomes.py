"""What the store keeps of outcomes: what turned out true of a decision, later."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

OutcomeSource = Literal["review", "audit", "late", "import"]
OUTCOME_SOURCES: tuple[str, ...] = get_args(OutcomeSource)
OUTCOME_NAME = r"[a-z][a-z0-9-]{0,62}"
OUTCOME_RECORDED = "outcome.recorded"
"""Kind of the ledger entry that stands beside each row, about its decision."""


class OutcomeRow(NamedTuple):
    """One thing that turned out about one decision. Nothing is changed: a correction is a later row of the same name.

    Attributes:
        id: ULID; of two rows of one decision and name the later id holds.
        name: What turned out, lower case with `-`, e.g. `fraud` or `resolution-hours`.
        value: 1 and 0 for yes and no, or a quantity.
        source: Where it comes from: `review` (a person ruled), `audit` (a random sample that people saw unmarked),
            `late` (the world told) or `import`.
        ratio: Probability with which such a decision was looked at, above 0 and up to 1; 1 where every one is told of.
        known_at_ms: When it could be known, epoch ms.
        at_ms: When it was written down, epoch ms.
    """

    id: str
    decision_id: str
    name: str
    value: float
    source: str
    ratio: float
    by: str
    known_at_ms: int
    at_ms: int

    def entered(self) -> dict[str, Any]:
        """Return what its ledger entry says beside kind, subject (the decision) and moment."""
        return {
            "by": self.by,
            "known_at_ms": self.known_at_ms,
            "name": self.name,
            "outcome": self.id,
            "ratio": self.ratio,
            "source": self.source,
            "value": self.value,
        }
