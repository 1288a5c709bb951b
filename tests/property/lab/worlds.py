"""Scores whose risk is known exactly, so that a promise can be held against the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Decisions of a few kinds: kind k scores `scores[k]`, comes with chance `weights[k]`, is bad with `bad[k]`.

    `jitter` spreads the scores of a kind a little, so that there are hardly any ties and the order of kinds stays.
    """

    scores: Floats
    weights: Floats
    bad: Floats
    jitter: float = 0.0
    looked: Floats | None = None

    def drawn(
        self, count: int, chance: np.random.Generator
    ) -> tuple[Floats, Floats, Floats | None]:
        """Return scores, labels (NaN where nobody looked) and ratios."""
        kinds = chance.choice(len(self.scores), count, p=self.weights)
        labels = (chance.random(count) < self.bad[kinds]).astype(float)
        scores = self.scores[kinds] + self.jitter * chance.random(count)
        if self.looked is None:
            return scores, labels, None
        ratios = self.looked[kinds]
        return scores, np.where(chance.random(count) < ratios, labels, np.nan), ratios

    def shares(self, below: float | None, least: float | None) -> dict[str, float]:
        """Return the true shares of bands, by what a risk calls them; those of nothing are 0."""
        approved = self._part(0.0 if below is None else below)
        declined = 1 - self._part(2.0 if least is None else least)
        masses = {"approved": approved, "declined": declined}
        bad = {name: float((self.weights * part * self.bad).sum()) for name, part in masses.items()}
        all_of = {name: float((self.weights * part).sum()) for name, part in masses.items()}
        good_declined = all_of["declined"] - bad["declined"]
        return {
            "approved is bad": _ratio(bad["approved"], all_of["approved"]),
            "declined is good": _ratio(good_declined, all_of["declined"]),
            "approved among bad": _ratio(bad["approved"], float((self.weights * self.bad).sum())),
            "approved and bad": bad["approved"],
            "automated is wrong": _ratio(bad["approved"] + good_declined, sum(all_of.values())),
        }

    def _part(self, below: float) -> Floats:
        """Return which part of each kind scores below."""
        if not self.jitter:
            return (self.scores < below).astype(float)
        return np.clip((below - self.scores) / self.jitter, 0.0, 1.0)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 1e-12 else 0.0


def even(bad: list[float], *, jitter: float = 0.0, looked: list[float] | None = None) -> World:
    """Return a world of equally frequent kinds, scores even in (0, 1)."""
    count = len(bad)
    return World(
        scores=(np.arange(count) + 0.25) / count,
        weights=np.full(count, 1 / count),
        bad=np.array(bad),
        jitter=jitter / count,
        looked=None if looked is None else np.array(looked),
    )
