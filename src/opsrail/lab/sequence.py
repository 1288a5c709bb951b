"""Which thresholds may be promised: a path from strict to loose, tested step by step until a step is not sure enough.

A *path* is an order in which decisions are automated, fixed before any tested label is looked at: by ascending score for
approvals, by descending for declines, by how far the score is from both ends where one share is about both. A *step* is one
more distinct score. At each step the p-value of "some risk is above its limit" is the largest of the risks' own (an
intersection-union test needs no correction, Berger 1982), and a step is *passed* when it is at most the level at hand.

The test begins at a few *starts*, thresholds fixed beforehand, each with a part of the level. A run that reaches the next
start takes that start's part along (fallback procedure, Wiens 2003; multi-start in Learn then Test). A run ends at the
first step that fails. All steps passed are promised together: the first threshold of each start's run that must not be
passed is one fixed number, whatever the data, so the chance to pass any such is at most the sum of the parts, however
many steps there are. The proof stands in docs/adr/0022-thresholds-with-a-guarantee.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opsrail.lab.ahead import Ahead, Among, tail_ahead, upper_ahead
from opsrail.lab.bounds import Counts, Shares, tail, upper
from opsrail.lab.labels import Flags, Floats, Labels
from opsrail.lab.risk import Risk, Verdict


@dataclass(frozen=True)
class Path:
    """An order in which decisions are automated.

    Attributes:
        verdicts: Which it gives.
    """

    verdicts: tuple[Verdict, ...]

    def keys(self, scores: Floats) -> Floats:
        """Return how early each score is automated; lower is earlier. float64 [n]."""
        if self.verdicts == ("approve",):
            return scores
        if self.verdicts == ("decline",):
            return 1 - scores
        return np.minimum(scores, 1 - scores)

    def is_approval(self, scores: Floats) -> Flags:
        """Return which are approved when they are automated. bool [n]."""
        if self.verdicts == ("approve", "decline"):
            return scores < 0.5
        return np.full(len(scores), self.verdicts == ("approve",))


@dataclass(frozen=True)
class Steps:
    """A path over some decisions, strict to loose.

    Attributes:
        keys: The largest key automated at each step. float64 [steps], ascending, distinct.
        bad: By risk, how many counted against it. int64 [risks, steps].
        of: By risk, of how many. int64 [risks, steps].
        p_values: By risk. float64 [risks, steps].
        among: By risk, of which decisions it is a share.
    """

    keys: Floats
    bad: Counts
    of: Counts
    p_values: Floats
    among: tuple[Among, ...]

    @property
    def worst(self) -> Floats:
        """The p-value of "some risk is above its limit". float64 [steps]."""
        found: Floats = self.p_values.max(axis=0)
        return found


@dataclass(frozen=True)
class Tested:
    """A path after its test.

    Attributes:
        level: All that may go wrong on it.
        passed: Level at which each step was passed, 0 where it was not. float64 [steps].
        automated: Share of all decisions automated at each step. float64 [steps].
        start_count: How many starts share the level.
        asked: Of decisions to come; None: of the share behind them.
    """

    path: Path
    risks: tuple[Risk, ...]
    level: float
    steps: Steps
    passed: Floats
    automated: Floats
    start_count: int
    asked: Ahead | None

    def bounds(self, row: int, places: Counts, level: float) -> Shares:
        """Return what the share of a risk exceeds with probability `level`, at steps given beforehand. float64 [places]."""
        bad, of = self.steps.bad[row, places], self.steps.of[row, places]
        if self.asked is None:
            return upper(bad, of, level)
        such = self.steps.among[row]
        coming = np.rint(self.asked.horizon * such.low[places] / max(1, such.of)).astype(np.int64)
        return upper_ahead(bad, of, coming, level)


def steps_along(
    path: Path, labels: Labels, risks: Sequence[Risk], asked: Ahead | None = None
) -> Steps:
    """Return the counts and p-values of each step of a path; with `asked`, those that hold for decisions to come."""
    keys = path.keys(labels.scores)
    order = np.argsort(keys, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(keys[order]) > 0, True))
    counted = [_counts(path, labels.where(order), risk, ends) for risk in risks]
    bad = np.array([one for one, _ in counted]).reshape(len(risks), len(ends))
    of = np.array([one for _, one in counted]).reshape(len(risks), len(ends))
    among = tuple(_among(path, labels.where(order), risk, ends) for risk in risks)
    p_values = [
        tail(*counts, risk.limit) if asked is None else tail_ahead(*counts, risk.limit, such, asked)
        for counts, risk, such in zip(counted, risks, among, strict=True)
    ]
    return Steps(keys[order][ends], bad, of, np.array(p_values).reshape(bad.shape), among)


def _among(path: Path, labels: Labels, risk: Risk, ends: Counts) -> Among:
    """Return how many decisions a risk is a share of at each step, labelled or not."""
    if risk.given == "all":
        return Among.all_of(len(labels), len(ends))
    approvals = path.is_approval(labels.scores)
    if risk.given == "verdict":
        is_meant = np.where(approvals, "approve" in risk.verdicts, "decline" in risk.verdicts)
        count = np.cumsum(is_meant)[ends]
        return Among(count, count, len(labels))
    wanted = np.where(approvals, risk.wanted("approve"), risk.wanted("decline"))
    kept = labels.kept(float(labels.ratios.min()))
    low = np.full(len(ends), np.count_nonzero(kept & (labels.truths == wanted)))
    high = low + np.count_nonzero(kept & labels.is_blind)
    return Among(low, high, int(np.count_nonzero(kept)))


def _counts(path: Path, labels: Labels, risk: Risk, ends: Counts) -> tuple[Counts, Counts]:
    """Return how many of those automated at each step are bad in the sense of a risk, and of how many."""
    approvals = path.is_approval(labels.scores)
    is_meant = np.where(approvals, "approve" in risk.verdicts, "decline" in risk.verdicts)
    wanted = np.where(approvals, risk.wanted("approve"), risk.wanted("decline"))
    is_bad = is_meant & (labels.is_blind | (labels.truths == wanted))
    if risk.given == "verdict":
        least = np.minimum.accumulate(np.where(is_meant, labels.ratios, 1.0))
        return _at_least_ratio(labels, is_bad, is_meant, least, ends)
    kept = labels.kept(float(labels.ratios.min()))
    bad = np.cumsum(kept & is_bad)[ends]
    if risk.given == "all":
        return bad, np.full(len(ends), np.count_nonzero(kept))
    # What nothing is known of counts among those of the truth only once it is automated: that is the worst it can be.
    known = np.count_nonzero(kept & (labels.truths == wanted))
    return bad, known + np.cumsum(kept & is_meant & labels.is_blind)[ends]


def _at_least_ratio(
    labels: Labels, is_bad: Flags, is_meant: Flags, least: Floats, ends: Counts
) -> tuple[Counts, Counts]:
    """Return the counts at each step, all rows up to there thinned to the least ratio up to there."""
    bad, of = np.zeros(len(ends), np.int64), np.zeros(len(ends), np.int64)
    for ratio in np.unique(least[ends]):
        here = least[ends] == ratio
        kept = labels.kept(float(ratio))
        bad[here] = np.cumsum(kept & is_bad)[ends][here]
        of[here] = np.cumsum(kept & is_meant)[ends][here]
    return bad, of


def levels(worst: Floats, starts: Sequence[tuple[int, float]]) -> Floats:
    """Return the level at which each step was passed; 0 where it was not.

    Args:
        worst: p-value of each step, strict to loose. float64 [steps].
        starts: Step at which a run may begin, and its part of the level; any order, several may share a step.
    """
    parts = np.zeros(len(worst))
    for step, part in starts:
        parts[step] += part
    found = np.zeros(len(worst))
    carried = 0.0
    for step in np.flatnonzero((parts > 0) | (worst <= parts.sum())).tolist():
        if step == 0 or found[step - 1] == 0:
            carried = 0.0
        if 0 < carried >= worst[step]:
            found[step] = carried
            carried += parts[step]
        elif worst[step] <= parts[step]:
            found[step] = carried = parts[step]
    return found


def start_step(keys: Floats, start: float) -> int | None:
    """Return the step that automates every key up to a start, as data would have it; None where none is."""
    step = int(np.searchsorted(keys, start, side="right")) - 1
    return step if step >= 0 else None
