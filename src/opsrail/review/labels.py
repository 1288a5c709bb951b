"""What rulings say of decisions: a point declares which outcomes its rulings tell, a review carries that to the desk.

It stands on the review's row, so that whoever rules, in whatever process, writes the label in the ruling's own commit: none
is missing and none is there twice. A ruling that the declaration does not name says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import NamedTuple

import orjson

from opsrail.ledger.entries import entry
from opsrail.values.outcomes import OUTCOME_RECORDED, OutcomeRow
from opsrail.values.rows import Insert, Write

Labels = Mapping[str, Mapping[str, float]]
"""Outcome name -> ruling -> value, e.g. {"fraud": {"decline": 1, "approve": 0}}."""


class Sampled(NamedTuple):
    """What a review's ruling will tell.

    Attributes:
        ratio: Probability with which such a decision was put to people, in (0, 1]; None: not by chance.
    """

    labels: Labels
    ratio: float | None = None

    def text(self) -> str | None:
        """Return it as the review's row keeps it; None when a ruling tells nothing and chance had no part in it."""
        if not self.labels and self.ratio is None:
            return None
        labels = {
            name: {ruling: float(value) for ruling, value in values.items()}
            for name, values in self.labels.items()
        }
        return orjson.dumps({"labels": labels, "sampled": self.ratio}).decode()


def told(text: str | None, ruling: str) -> Iterator[tuple[str, float, str, float]]:
    """Yield name, value, source and ratio of each outcome that a ruling tells.

    Args:
        text: `ReviewRow.labels`.
    """
    if text is None:
        return
    kept = orjson.loads(text)
    ratio = kept["sampled"]
    source = "review" if ratio is None else "audit"
    for name, values in kept["labels"].items():
        if ruling in values:
            yield name, values[ruling], source, 1.0 if ratio is None else ratio


def writes(row: OutcomeRow) -> list[Write]:
    """Return the writes that make an outcome durable with its ledger entry."""
    return [Insert(row), entry(OUTCOME_RECORDED, row.decision_id, row.at_ms, row.entered())]


def is_ratio(value: object) -> bool:
    """Return whether a value is a probability above 0."""
    return isinstance(value, int | float) and isfinite(value) and 0 < value <= 1
