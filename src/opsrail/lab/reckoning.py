"""What bands are expected to do: how much is automated, what it costs, what more it would take, and the curve."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from opsrail.lab.ahead import times_needed
from opsrail.lab.bounds import count_needed, lower, uniform_width, upper
from opsrail.lab.labels import Floats, Labels
from opsrail.lab.risk import Risk
from opsrail.lab.sequence import Path, Tested, steps_along
from opsrail.lab.tuned import Costs, Curve, Estimate, Further

APPROVED_WRONGLY = Risk("", "verdict", ("approve",), True, 0.5)
DECLINED_WRONGLY = Risk("", "verdict", ("decline",), False, 0.5)
CURVE_POINTS = 240
"""A quarter of them for decisions to come, whose bounds take longer."""
FURTHER_STEPS = 10
FURTHER_MOST = 4


def shares_of(
    scores: Floats, approve_below: float | None, decline_from: float | None, level: float
) -> dict[str, Estimate]:
    """Return which shares of decisions to come are automated, approved and declined.

    The intervals hold for thresholds chosen by the same decisions, all at once, but with probability `level`.
    """
    approved = 0.0 if approve_below is None else float(np.mean(scores < approve_below))
    declined = 0.0 if decline_from is None else float(np.mean(scores >= decline_from))
    width = uniform_width(len(scores), level)
    ends = (approve_below is not None) + (decline_from is not None)
    if approve_below is not None and approve_below == decline_from:
        whole = Estimate(1.0, 1.0, 1.0)
    else:
        whole = _within(approved + declined, ends * width)
    return {
        "automated": whole,
        "approved": _within(approved, width * (approve_below is not None)),
        "declined": _within(declined, width * (decline_from is not None)),
    }


def _within(value: float, width: float) -> Estimate:
    return Estimate(value, max(0.0, value - width), min(1.0, value + width))


def expected_cost(
    costs: Costs,
    labels: Labels,
    approve_below: float | None,
    decline_from: float | None,
    shares: Mapping[str, Estimate],
    confidence: float,
) -> Estimate:
    """Return what a decision costs on average, USD, with an interval.

    The interval takes each part at its worst together: the shares of verdicts, and the share of errors in each band
    (Clopper and Pearson). The errors are counted on the decisions that chose the bands, so it is a little too kind.
    """
    level = (1 - confidence) / 3
    whole = shares["automated"]
    review = Estimate(1 - whole.value, 1 - whole.high, 1 - whole.low)
    parts = [_times(costs.review_usd, review, Estimate(1, 1, 1))]
    bands = (
        (APPROVED_WRONGLY, approve_below, shares["approved"], costs.approved_usd),
        (DECLINED_WRONGLY, decline_from, shares["declined"], costs.declined_usd),
    )
    for risk, end, share, usd in bands:
        if end is None:
            continue
        is_approval = risk is APPROVED_WRONGLY
        is_in = labels.scores < end if is_approval else labels.scores >= end
        if not is_in.any():
            continue
        steps = steps_along(Path(risk.verdicts), labels.where(is_in), [risk])
        bad, of = steps.bad[0, -1:], steps.of[0, -1:]
        ratio = float(bad[0] / of[0]) if of[0] else 0.0
        wrong = Estimate(ratio, *(float(one(bad, of, level / 2)[0]) for one in (lower, upper)))
        parts.append(_times(usd, share, wrong))
    return Estimate(*(math.fsum(part[end] for part in parts) for end in range(3)))


def _times(usd: float, share: Estimate, ratio: Estimate) -> tuple[float, float, float]:
    low, value, high = (
        usd * a * b
        for a, b in ((share.low, ratio.low), (share.value, ratio.value), (share.high, ratio.high))
    )
    return value, low, high


def costs_along(costs: Costs, path: Path, labels: Labels, automated: Floats) -> Floats:
    """Return what a decision costs on average up to each step, less what people would. USD, float64 [steps]."""
    total = -costs.review_usd * automated
    for risk, verdict, usd in (
        (APPROVED_WRONGLY, "approve", costs.approved_usd),
        (DECLINED_WRONGLY, "decline", costs.declined_usd),
    ):
        if verdict in path.verdicts:
            steps = steps_along(path, labels, [risk])
            ratio = steps.bad[0] / np.maximum(1, steps.of[0])
            share = (
                automated
                if len(path.verdicts) == 1
                else automated * _part(path, labels, verdict, steps.keys)
            )
            total = total + usd * share * ratio
    return total


def _part(path: Path, labels: Labels, verdict: str, keys: Floats) -> Floats:
    """Return which part of what is automated at each step gets a verdict. float64 [steps]."""
    all_keys = path.keys(labels.scores)
    mine = all_keys[path.is_approval(labels.scores) == (verdict == "approve")]
    counts = [np.searchsorted(np.sort(one), keys, side="right") for one in (mine, all_keys)]
    part: Floats = counts[0] / np.maximum(1, counts[1])
    return part


def further_of(tested: Tested, taken: int | None, labelled: int) -> Iterator[Further]:
    """Yield what it would take to automate more, up to where no number of labels is enough.

    Args:
        taken: The step that is taken now.
        labelled: How many labels there are.
    """
    automated = tested.automated
    now = 0.0 if taken is None else float(automated[taken])
    tenths = np.arange(math.floor(now * FURTHER_STEPS) + 1, FURTHER_STEPS + 1) / FURTHER_STEPS
    places = np.searchsorted(automated, tenths - 1e-9).tolist()
    if taken is None:
        nearest = int(np.argmin(tested.steps.worst))
        places = [nearest, *(place for place in places if place > nearest)]
    told = 0
    for step in places:
        if step >= len(automated) or (taken is not None and step <= taken) or told == FURTHER_MOST:
            continue
        more = _needed(tested, step, labelled)
        if more is not None:
            told += 1
            yield more
            if more.more_labels is None:
                return


def _needed(tested: Tested, step: int, labelled: int) -> Further | None:
    """Return what the risk that needs most needs at a step; None where all have enough, or nobody was looked at."""
    worst: Further | None = None
    for row, risk in enumerate(tested.risks):
        bad, of = int(tested.steps.bad[row, step]), int(tested.steps.of[row, step])
        if not of:
            continue
        times = _times_needed(tested, row, step)
        more = None if times is None else math.ceil(labelled * (times - 1))
        if more is not None and more <= (
            0 if worst is None or worst.more_labels is None else worst.more_labels
        ):
            continue
        if worst is None or worst.more_labels is not None:
            verdicts, key = tested.path.verdicts, float(tested.steps.keys[step])
            threshold = 1 - key if verdicts == ("decline",) else key
            automated = float(tested.automated[step])
            worst = Further(verdicts, automated, threshold, risk.text, bad / of, more)
    return worst


def _times_needed(tested: Tested, row: int, step: int) -> float | None:
    """Return about how many times the labels it takes at a step, with one start's level: rather too many than too few."""
    bad, of = int(tested.steps.bad[row, step]), int(tested.steps.of[row, step])
    limit, level = tested.risks[row].limit, tested.level / tested.start_count
    if tested.asked is not None:
        such = tested.steps.among[row].at(np.array([step]))
        return times_needed(bad, of, limit, such, tested.asked, level)
    needed = count_needed(bad / of, limit, level)
    return None if needed is None else needed / of


def curves_of(tested: Tested, taken: int | None) -> Iterator[Curve]:
    """Yield the curve of each risk along a path, thinned for a picture; what is taken is among its points."""
    automated = tested.automated
    wanted = np.linspace(0, 1, CURVE_POINTS if tested.asked is None else CURVE_POINTS // 4)
    places = np.searchsorted(automated, wanted).clip(0, len(automated) - 1)
    places = np.unique(np.append(places, [] if taken is None else [taken]).astype(np.int64))
    keys = tested.steps.keys[places]
    thresholds = 1 - keys if tested.path.verdicts == ("decline",) else keys
    for row, risk in enumerate(tested.risks):
        bad, of = tested.steps.bad[row, places], tested.steps.of[row, places]
        yield Curve(
            risk=risk.text,
            verdicts=tested.path.verdicts,
            limit=risk.limit,
            level=tested.level,
            automated=tuple(automated[places].tolist()),
            thresholds=tuple(thresholds.tolist()),
            shares=tuple((bad / np.maximum(1, of)).tolist()),
            bounds=tuple(tested.bounds(row, places, tested.level).tolist()),
            is_promised=tuple((tested.passed[places] > 0).tolist()),
            chosen=None if taken is None else float(automated[taken]),
        )
