"""Where something happens more often than elsewhere: segments of requests, tested against the rest, all at once.

Each segment of each field is tested one-sided against all decisions outside of it (Fisher's exact test). Many are tested,
and by chance some look bad; which of them are told as worse is chosen so that of those told at most a stated share is
expected to be told wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from opsrail.errors import InvalidInput
from opsrail.lab.rates import CONFIDENCE, LEAST, Rate, rate

Words = NDArray[np.object_]
Flags = NDArray[np.bool_]
Shares = NDArray[np.float64]
PARTS = 4
FEW = 8
"""Numbers of so few different values are told apart by value. Ours: as counts of doors or cylinders are."""
FALSE_DISCOVERY = 0.05
NOT_TOLD = "(not told)"
NUMBERS = (int, float, np.integer, np.floating)


@dataclass(frozen=True, slots=True)
class SegmentRate:
    """How often it happened in one segment.

    Attributes:
        field: Name of the request's field.
        segment: Its value, or a range of numbers as `20..<35`.
        rate: Inside.
        rest: Outside.
        p_value: Probability of as many inside, were there no difference; None where it was not tested.
        q_value: The least share of false discoveries at which it would be told; None where it was not tested.
        is_worse: Whether it is told as happening more often than elsewhere.
    """

    field: str
    segment: str
    rate: Rate
    rest: Rate
    p_value: float | None
    q_value: float | None
    is_worse: bool


def worst_segments(
    hits: ArrayLike,
    fields: Mapping[str, Sequence[Any]],
    *,
    least: int = LEAST,
    false_discovery: float = FALSE_DISCOVERY,
    confidence: float = CONFIDENCE,
) -> list[SegmentRate]:
    """Return every segment, those told as worse first, then by how surely they are, then those with too few to be tested.

    Args:
        hits: Whether it happened. bool [n].
        fields: The fields of the n requests, by name; cut by `segments_of`.
        least: Decisions that a segment and the rest need to be tested.
        false_discovery: Expected share of wrongly told segments among those told, at most. Ratio.

    Raises:
        InvalidInput: a field has not n values. Terminal: fix the caller.

    Source:
        Fisher 1935; Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57. Their bound holds for
        independent tests and for those that depend positively (Benjamini and Yekutieli 2001). Segments of one field
        exclude each other, which is neither; Fisher's test errs on the safe side, and `tests/property/lab` checks the
        bound on simulated requests with such fields.
    """
    happened = np.asarray(hits, dtype=np.bool_)
    count, total = len(happened), int(happened.sum())
    found: list[SegmentRate] = []
    for field, values in fields.items():
        names, places = _named(segments_of(values))
        if len(places) != count:
            raise InvalidInput(f"field {field!r} has {len(places)} values for {count} decisions")
        inside = np.bincount(places, minlength=len(names))
        bad = np.bincount(places, weights=happened, minlength=len(names)).astype(np.int64)
        p_values = stats.hypergeom.sf(bad - 1, count, total, inside)
        for name, size, hit, p_value in zip(names, inside, bad, p_values, strict=True):
            is_tested = size >= least and count - size >= least
            told = rate(int(hit), int(size), confidence=confidence)
            rest = rate(total - int(hit), count - int(size), confidence=confidence)
            p = min(1.0, float(p_value)) if is_tested else None
            found.append(SegmentRate(field, name, told, rest, p, None, False))
    return _judged(found, false_discovery)


def _judged(found: Sequence[SegmentRate], false_discovery: float) -> list[SegmentRate]:
    tested = [one for one in found if one.p_value is not None]
    q_values = adjusted([one.p_value or 0.0 for one in tested]).tolist()
    judged = [
        replace(one, q_value=q_value, is_worse=q_value <= false_discovery)
        for one, q_value in zip(tested, q_values, strict=True)
    ]
    judged.sort(key=lambda one: (one.p_value, -(one.rate.ratio or 0.0), one.field, one.segment))
    return judged + [one for one in found if one.p_value is None]


def adjusted(p_values: ArrayLike) -> Shares:
    """Return for each of several tests the least false-discovery rate at which it is told.

    Args:
        p_values: float64 [n], any order.

    Returns:
        float64 [n], same order, each at least its p-value.

    Source:
        Benjamini and Hochberg 1995: the smallest m p(j) / j over all j from its rank on.

    Example:
        >>> adjusted([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.04, 0.04]
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values)[::-1]
    ranks = np.arange(len(values), 0, -1)
    least = np.minimum.accumulate(values[order] * (len(values) / np.maximum(ranks, 1)))
    found = np.empty_like(values)
    found[order] = np.minimum(least, 1.0)
    return found


def segments_of(values: Sequence[Any], *, parts: int = PARTS) -> Words:
    """Return the segment of each value: words and truths as they are, numbers cut at their quantiles into ranges.

    Args:
        values: [n]; None and NaN are a segment of their own.
        parts: Ranges of about equal count; fewer where many values are equal.

    Example:
        >>> segments_of([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], parts=2).tolist()[4:6]
        ['<5.5', '>=5.5']
        >>> segments_of(["a", None, True]).tolist()
        ['a', '(not told)', 'yes']
    """
    told = [_plain(value) for value in values]
    known = [value for value in told if value is not None]
    are_numbers = bool(known) and all(
        isinstance(value, NUMBERS) and not isinstance(value, bool) for value in known
    )
    if not are_numbers or len(set(known)) <= FEW:
        return np.array([_word(value) for value in told], dtype=object)
    numbers = np.array([np.nan if value is None else float(value) for value in told])
    edges = np.unique(np.nanquantile(numbers, np.arange(1, parts) / parts))
    edges = edges[edges > np.nanmin(numbers)]
    places = np.searchsorted(edges, numbers, side="right")
    names = _ranges(edges.tolist())
    return np.array(
        [
            NOT_TOLD if number != number else names[place]
            for number, place in zip(numbers, places, strict=True)
        ],
        dtype=object,
    )


def _ranges(edges: Sequence[float]) -> list[str]:
    """Return the names of the ranges between edges."""
    if not edges:
        return ["any"]
    inner = [f"{low:.6g}..<{high:.6g}" for low, high in pairwise(edges)]
    return [f"<{edges[0]:.6g}", *inner, f">={edges[-1]:.6g}"]


def _plain(value: Any) -> Any:
    """Return a value without numpy's wrapping; None for what is not told."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if value is None or value != value else value


def _word(value: Any) -> str:
    if value is None:
        return NOT_TOLD
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _named(words: Words) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different words in order, and the place of each among them."""
    names, places = np.unique(words.astype(str), return_inverse=True)
    return names.tolist(), places.astype(np.int64)
