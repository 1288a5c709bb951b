"""A recorded decision as its page tells it: features with their age, what weighed, how long each stage took. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from opsrail.values.decisions import (
    REQUEST_VIEW,
    AsOf,
    Decision,
    OutsideAsOf,
    ValueAsOf,
    ViewRead,
)
from opsrail.values.document_names import without_paths
from opsrail.values.explanations import ReasonCode

BREADTH = 100.0
"""Units of a bar's breadth."""
STAGES = ("route", "features", "score", "verdict")


class FeatureLine(NamedTuple):
    """One feature as the model took it.

    Attributes:
        view: `view@version`; the request's own fields have `request`.
        at_ms: When it was true or known last, epoch ms; None: it is the request's own, or nobody told.
        age_ms: How old it was when it was used; None as above.
        state: What is to be said of it, e.g. `expired`; empty: nothing.
    """

    view: str
    entity: str
    name: str
    value: Any
    at_ms: int | None
    age_ms: int | None
    state: str


class Weight(NamedTuple):
    """How much one feature moved the score.

    Attributes:
        breadth: Of its bar, in `BREADTH`ths of the largest.
    """

    feature: str
    text: str
    contribution: float
    direction: str
    breadth: float


class Stage(NamedTuple):
    """One stage of the road.

    Attributes:
        x, breadth: Of its bar, in `BREADTH`ths of the whole.
    """

    name: str
    took_ms: float
    x: float
    breadth: float


def feature_lines(decision: Decision) -> list[FeatureLine]:
    """Return every feature, those of the request first."""
    return [
        line
        for read in decision.features
        for line in _lines(read, decision.at_ms, frozenset(decision.unknown))
    ]


def weights(codes: Sequence[ReasonCode]) -> list[Weight]:
    """Return what moved the score, what weighed most first."""
    largest = max((abs(code.contribution) for code in codes), default=0.0) or 1.0
    return [
        Weight(
            code.feature,
            code.text,
            code.contribution,
            code.direction,
            BREADTH * abs(code.contribution) / largest,
        )
        for code in codes
    ]


def stages(latency_ms: Mapping[str, float]) -> list[Stage]:
    """Return where the time went, in the order of the road; what no stage took is `between`."""
    total_ms = latency_ms.get("total", 0.0)
    known = [(name, latency_ms[name]) for name in STAGES if name in latency_ms]
    known += [(n, ms) for n, ms in latency_ms.items() if n not in STAGES and n != "total"]
    rest_ms = total_ms - sum(ms for _, ms in known)
    if rest_ms > 0:
        known.append(("between", rest_ms))
    whole_ms = max(total_ms, sum(ms for _, ms in known)) or 1.0
    drawn, x = [], 0.0
    for name, took_ms in known:
        breadth = BREADTH * took_ms / whole_ms
        drawn.append(Stage(name, took_ms, x, breadth))
        x += breadth
    return drawn


def held_back(reviews: Sequence[Any], actor: str) -> bool:
    """Return whether who looks has yet to say what they think of it, unswayed: they hold a blind review of it.

    Args:
        reviews: Rows of the decision's reviews.
    """
    return any(
        review.blind and review.state in ("open", "claimed") and review.assignee == actor
        for review in reviews
    )


def _lines(read: ViewRead, used_at_ms: int, unknown: frozenset[str]) -> Iterator[FeatureLine]:
    view = REQUEST_VIEW if read.view == REQUEST_VIEW else read.name
    for name, value in read.values.items():
        at_ms, state = _provenance(read, name)
        if name in unknown:
            state = f"{state}, unknown to the model" if state else "unknown to the model"
        age_ms = None if at_ms is None else used_at_ms - at_ms
        yield FeatureLine(view, read.entity, name, without_paths(value), at_ms, age_ms, state)


def _provenance(read: ViewRead, name: str) -> tuple[int | None, str]:
    past = read.as_of
    if isinstance(past, AsOf):
        facts = "1 fact" if past.fact_count == 1 else f"{past.fact_count:,} facts"
        return past.at_ms, f"from {facts}"
    if isinstance(past, ValueAsOf):
        return past.event_at_ms, "expired" if past.is_expired else ""
    if isinstance(past, OutsideAsOf):
        status = past.statuses.get(name, "present")
        told = past.event_at_ms.get(name)
        return told, f"from {past.source}" + ("" if status == "present" else f": {status}")
    return None, "" if read.view == REQUEST_VIEW else "no history known"
