"""What can be said about a score: what each feature added to it, and where it may change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

Method = Literal["exact-tree", "exact-linear", "approximate"]
Space = Literal["log-odds", "probability"]
Against = Literal["reference", "training-cover", "even-branches", "zero", "missing"]
Direction = Literal["raised", "lowered"]
METHODS: tuple[str, ...] = get_args(Method)
SPACES: tuple[str, ...] = get_args(Space)
AGAINSTS: tuple[str, ...] = get_args(Against)
DIRECTIONS: tuple[str, ...] = get_args(Direction)


@dataclass(frozen=True, slots=True)
class Contributions:
    """What each feature added to one score. They are additive: `baseline` and all `parts` sum to the score.

    Attributes:
        method: `exact-tree`, `exact-linear`: the Shapley values, but for rounding; `approximate`: an estimate.
        space: Whether baseline and parts are log odds or probability; the model's own sum is taken where it has one.
        against: What a feature's absence means: `reference`: it stands as in the rows that the artifact brings;
            `training-cover`: a tree's branches weigh as much as training rows went down them; `even-branches`: both
            alike; `zero`: it is 0; `missing`: it is not known.
        baseline: The score when all features are absent so, in `space`.
        parts: By feature, in `space`; those of the features that the model reads, also when 0.
        typical: Where the reference is one row: its values by feature.
    """

    method: Method
    space: Space
    against: Against
    baseline: float
    parts: Mapping[str, float]
    typical: Mapping[str, object] = field(default_factory=dict)

    @property
    def score(self) -> float:
        """Return the score that baseline and parts come to. Probability."""
        total = self.baseline + math.fsum(self.parts.values())
        return total if self.space == "probability" else logistic(total)


class FeatureCells(NamedTuple):
    """Where a model's answer to one feature may change.

    Attributes:
        edges: Ascending; numbers up to and including an edge, and above the one before, share a cell.
        codes: For words: the number of each word the model was trained on; None for numbers.
        low: Least number in training, None when that is not told.
        high: Greatest number in training, None when that is not told.
        typical: What stands for the feature when it is absent; None when that is not told.
    """

    edges: tuple[float, ...]
    codes: Mapping[str, float] | None = None
    low: float | None = None
    high: float | None = None
    typical: object = None


class ModelCells(NamedTuple):
    """Where a model's score may change.

    Attributes:
        is_whole: Whether scores are constant inside each cell, as those of trees are.
        features: By name; those that the model reads.
    """

    is_whole: bool
    features: Mapping[str, FeatureCells]


class ReasonCode(NamedTuple):
    """One feature that moved a score.

    Attributes:
        code: Stable name for machines: `<feature>-raised` or `<feature>-lowered`.
        value: What it was: a number, text, truth or None.
        contribution: How much it added, in the space of its `ReasonCodes`.
        direction: `raised` or `lowered` the score.
        text: One sentence for people.
    """

    code: str
    feature: str
    value: object
    contribution: float
    direction: Direction
    text: str


class ReasonCodes(NamedTuple):
    """The features that moved a score most, as a decision records them.

    Attributes:
        method: See `Contributions`; None when there are no codes.
        space: As above.
        against: As above.
        baseline: As above.
        codes: What weighed most first.
        absent: Code of why there are none, e.g. `deadline-passed`; None when there are.
    """

    method: Method | None
    space: Space | None
    against: Against | None
    baseline: float | None
    codes: tuple[ReasonCode, ...]
    absent: str | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """Marks a field of a request, in `Annotated`, as one that its subject cannot change: no advice will name it.

    Attributes:
        why: One sentence for people, e.g. "Nobody can change their age."
    """

    why: str = "It cannot be changed."


def logistic(log_odds: float) -> float:
    """Return the probability of log odds, for any finite number."""
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1.0 + odds)


def log_odds(probability: float, floor: float = 1e-9) -> float:
    """Return the log odds of a probability, which is held `floor` away from 0 and 1 so that they stay finite."""
    held = min(max(probability, floor), 1.0 - floor)
    return math.log(held / (1.0 - held))
