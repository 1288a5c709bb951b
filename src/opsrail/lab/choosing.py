"""The bands: which paths there are, where their tests begin, which of the steps passed are taken, where thresholds lie."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from opsrail.lab.ahead import Ahead
from opsrail.lab.labels import UNKNOWN, Flags, Floats, Labels
from opsrail.lab.reckoning import costs_along, curves_of, expected_cost, further_of, shares_of
from opsrail.lab.risk import Risk, Verdict
from opsrail.lab.sequence import Path, Tested, levels, start_step, steps_along
from opsrail.lab.tuned import Costs, Counted, Curve, Estimate, Further, Promise, Tuned

PLACING_RATIO = 0.05
"""Ours: of the decisions, drawn by chance to say where the score's quantiles lie, and not counted; 10 % were no better."""
START_QUANTILES = (0.2, 0.4, 0.6)
"""Ours: where runs begin, beside the limit itself; chosen on three data sets, see ADR 0022. Any are valid."""
ABOVE_ALL = 1.01


@dataclass(frozen=True)
class Question:
    """What `tune` was asked, checked."""

    risks: tuple[Risk, ...]
    outcome: str
    confidence: float
    costs: Costs | None
    objective: str
    starts: tuple[float, ...]
    verdicts: tuple[str, str, str]
    seed: int
    horizon: int | None = None


def chosen(question: Question, labels: Labels, chance: np.random.Generator) -> Tuned:
    """Return the bands and what is to be said of them."""
    placing = np.zeros(len(labels), dtype=bool)
    placing[chance.permutation(len(labels))[: math.floor(PLACING_RATIO * len(labels))]] = True
    tested = [
        _tested(question, path, level, labels, placing)
        for path, level in _paths(question.risks, 1 - question.confidence)
    ]
    counted = labels.where(~placing)
    taken = _taken(question, tested, counted)
    approve_below, decline_from = _thresholds(tested, taken, counted)
    shares = shares_of(labels.scores, approve_below, decline_from, 1 - question.confidence)
    cost = _cost(question, counted, approve_below, decline_from, shares)
    return Tuned(
        outcome=question.outcome,
        confidence=question.confidence,
        bands=_bands(approve_below, decline_from, question.verdicts),
        approve_below=approve_below,
        decline_from=decline_from,
        automated=shares["automated"],
        approved=shares["approved"],
        declined=shares["declined"],
        cost_usd=cost,
        people_cost_usd=None if question.costs is None else question.costs.review_usd,
        promises=_promises(question, tested, taken),
        further=_further(tested, taken, labels),
        curves=_curves(tested, taken),
        counted=_counted(labels, placing),
        verdicts=question.verdicts,
        seed=question.seed,
        horizon=question.horizon,
    )


def _paths(risks: Sequence[Risk], level: float) -> list[tuple[Path, float]]:
    """Return each path with its part of what may go wrong."""
    if any(len(risk.verdicts) == 2 for risk in risks):
        return [(Path(("approve", "decline")), level)]
    sides: list[Verdict] = [
        side for side in ("approve", "decline") if any(side in risk.verdicts for risk in risks)
    ]
    return [(Path((side,)), level / len(sides)) for side in sides]


def _tested(question: Question, path: Path, level: float, labels: Labels, placing: Flags) -> Tested:
    risks = tuple(risk for risk in question.risks if set(risk.verdicts) <= set(path.verdicts))
    # A score that is a probability is safe up to the limit; one that is not is met by the quantiles.
    begins = [min(risk.limit for risk in risks)]
    if placing.any():
        begins += np.quantile(path.keys(labels.scores[placing]), START_QUANTILES).tolist()
    else:
        begins.append(1.0)  # with fewer than 20 decisions: all of them, or none
    begins += path.keys(np.array(question.starts, dtype=np.float64)).tolist()
    asked = None
    if question.horizon is not None:
        asked = Ahead(question.horizon, level, len(begins), len(risks))
    steps = steps_along(path, labels.where(~placing), risks, asked)
    places = [start_step(steps.keys, begin) for begin in begins]
    starts = [(place, level / len(begins)) for place in places if place is not None]
    everywhere = np.sort(path.keys(labels.scores))
    automated = np.searchsorted(everywhere, steps.keys, side="right") / len(everywhere)
    passed = levels(steps.worst, starts)
    return Tested(path, risks, level, steps, passed, automated, len(begins), asked)


def _taken(question: Question, tested: Sequence[Tested], labels: Labels) -> list[int | None]:
    """Return the step of each path that is taken; None where none was passed."""
    gains = [
        one.automated
        if question.objective == "automation" or question.costs is None
        else -costs_along(question.costs, one.path, labels, one.automated)
        for one in tested
    ]
    if len(tested) == 1:
        return [_best(gains[0], tested[0].passed > 0)]
    return _apart(tested, gains)


def _best(gain: Floats, is_allowed: Flags) -> int | None:
    """Return the allowed step of the greatest gain, the loosest of equals."""
    places = np.flatnonzero(is_allowed)
    if not len(places):
        return None
    return int(places[len(places) - 1 - np.argmax(gain[places][::-1])])


def _apart(tested: Sequence[Tested], gains: Sequence[Floats]) -> list[int | None]:
    """Return the steps of approvals and declines with the greatest gain of which none overlaps the other."""
    approve, decline = tested
    alone = [_best(gains[0], approve.passed > 0), _best(gains[1], decline.passed > 0)]
    if alone[0] is None or alone[1] is None:
        return alone
    approved, declined = np.flatnonzero(approve.passed > 0), np.flatnonzero(decline.passed > 0)
    # Strict declines begin high, looser ones lower: beside each approval there is room for the first few of them.
    begins = 1 - decline.steps.keys[declined] - 2.3e-16  # the key was rounded once
    room = np.searchsorted(-begins, -approve.steps.keys[approved], side="left")
    is_best = np.append(-np.inf, np.maximum.accumulate(gains[1][declined]))
    both = gains[0][approved] + is_best[room]
    place = len(both) - 1 - int(np.argmax(both[::-1]))
    single = max(gains[0][alone[0]], gains[1][alone[1]])
    if both[place] < single:
        return [alone[0], None] if gains[0][alone[0]] == single else [None, alone[1]]
    beside = gains[1][declined[: room[place]]]
    return [int(approved[place]), int(declined[np.argmax(beside)])]


def _thresholds(
    tested: Sequence[Tested], taken: Sequence[int | None], labels: Labels
) -> tuple[float | None, float | None]:
    """Return below what is approved, and from where on declined."""
    approve_below, decline_from = None, None
    for one, step in zip(tested, taken, strict=True):
        if step is None:
            continue
        is_in = one.path.keys(labels.scores) <= one.steps.keys[step]
        scores, rest = labels.scores[is_in], labels.scores[~is_in]
        if one.path.verdicts == ("approve",):
            approve_below = (
                shortest(float(scores.max()), float(rest.min())) if len(rest) else ABOVE_ALL
            )
        elif one.path.verdicts == ("decline",):
            decline_from = shortest(float(rest.max()), float(scores.min())) if len(rest) else 0.0
        elif not len(rest):
            approve_below = decline_from = 0.5
        else:
            inside, outside = (
                float(end) for end in (one.path.keys(scores).max(), one.path.keys(rest).min())
            )
            approve_below = shortest(inside, float(np.nextafter(outside, inside)))
            decline_from = round(1 - approve_below, 15)
    if approve_below is not None and decline_from is not None:
        decline_from = max(decline_from, approve_below)
    return approve_below, decline_from


def shortest(above: float, up_to: float) -> float:
    """Return the number with the fewest decimals in (above, up_to], the greatest of them."""
    for digits in range(1, 17):
        found = math.floor(up_to * 10.0**digits) / 10.0**digits
        if above < found <= up_to:
            return found
    return up_to


def _bands(
    approve_below: float | None, decline_from: float | None, verdicts: tuple[str, str, str]
) -> tuple[tuple[str, float], ...]:
    """Return the bands as a policy has them: ascending, none empty, the last above 1."""
    approve, review, decline = verdicts
    ends = [
        (approve, approve_below or 0.0),
        (review, ABOVE_ALL if decline_from is None else decline_from),
    ]
    if decline_from is not None:
        ends.append((decline, ABOVE_ALL))
    bands: list[tuple[str, float]] = []
    for verdict, end in ends:
        if end > (bands[-1][1] if bands else 0.0):
            bands.append((verdict, end))
    return tuple(bands)


def _promises(
    question: Question, tested: Sequence[Tested], taken: Sequence[int | None]
) -> tuple[Promise, ...]:
    """Return what is promised of each risk, in the order in which they were stated."""
    found: dict[Risk, Promise] = {}
    for one, step in zip(tested, taken, strict=True):
        shown = int(np.argmin(one.steps.worst)) if step is None else step
        level = one.level if step is None else float(one.passed[step])
        key = float(one.steps.keys[shown])
        threshold = 1 - key if one.path.verdicts == ("decline",) else key
        for row, risk in enumerate(one.risks):
            bad, of = one.steps.bad[row, shown], one.steps.of[row, shown]
            found[risk] = Promise(
                risk=risk.text,
                given=risk.given,
                verdicts=risk.verdicts,
                truth=risk.truth,
                limit=risk.limit,
                is_kept=step is not None,
                bad=int(bad),
                of=int(of),
                bound=float(one.bounds(row, np.array([shown]), level)[0]),
                p_value=float(one.steps.p_values[row, shown]),
                level=level,
                threshold=threshold,
            )
    return tuple(found[risk] for risk in question.risks)


def _counted(labels: Labels, placing: Flags) -> Counted:
    return Counted(
        decisions=len(labels),
        labelled=int(np.count_nonzero(labels.truths != UNKNOWN)),
        placing=int(np.count_nonzero(placing)),
        blind=int(np.count_nonzero(labels.is_blind)),
        least_ratio=float(labels.ratios.min()),
    )


def _cost(
    question: Question,
    counted: Labels,
    approve_below: float | None,
    decline_from: float | None,
    shares: Mapping[str, Estimate],
) -> Estimate | None:
    if question.costs is None:
        return None
    return expected_cost(
        question.costs, counted, approve_below, decline_from, shares, question.confidence
    )


def _further(
    tested: Sequence[Tested], taken: Sequence[int | None], labels: Labels
) -> tuple[Further, ...]:
    labelled = int(np.count_nonzero(labels.truths != UNKNOWN))
    return tuple(
        more
        for one, step in zip(tested, taken, strict=True)
        for more in further_of(one, step, labelled)
    )


def _curves(tested: Sequence[Tested], taken: Sequence[int | None]) -> tuple[Curve, ...]:
    return tuple(
        curve for one, step in zip(tested, taken, strict=True) for curve in curves_of(one, step)
    )
