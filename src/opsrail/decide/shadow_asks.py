"""One decision as a challenger is asked for it, and what it said as a row. Pure but for `timed`, which runs a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opsrail.clock import Clock
from opsrail.decide.chain import Link
from opsrail.decide.policy import Judgement, NoScore, Policy
from opsrail.decide.scheduler import Result, results_of
from opsrail.decide.shadow_figures import ShadowFigures
from opsrail.ports import LoadedModel
from opsrail.values.models import Score
from opsrail.values.shadows import ShadowScoreRow


class Asked(NamedTuple):
    """One decision that a challenger is to score along.

    Attributes:
        row: What the model takes, or why there is nothing to take.
        policy: Which judged the decision.
        judgement: What it said.
        answered: That verdict, where there was a score; None: without one nothing can be compared.
        figures: Where it is counted.
    """

    decision_id: str
    at_ms: int
    row: Mapping[str, object] | NoScore
    policy: Policy[Any]
    judgement: Judgement
    answered: str | None
    figures: ShadowFigures


class Timed(NamedTuple):
    """What a call gave: a score or a fault for each row, and how long it took."""

    results: Sequence[Result]
    took_s: float


def timed(model: LoadedModel, rows: list[Mapping[str, object]], clock: Clock) -> Timed:
    """Return what a model says of rows. Blocking: called in the challenger's thread."""
    begun_s = clock.monotonic_s()
    results, _ = results_of(model, rows)
    return Timed(results, clock.monotonic_s() - begun_s)


def row_of(asked: Asked, link: Link, result: Result | NoScore, latency_us: int) -> ShadowScoreRow:
    """Return what a challenger said as a row, with what policy would have said to it.

    Rules read the request alone: what one of them ruled stands for every score.
    """
    version, point = link.version, asked.figures.point
    named = (asked.decision_id, version.name, version.number, point)
    if not isinstance(result, Score):
        return ShadowScoreRow(*named, None, None, None, result.code, latency_us, 0.0, asked.at_ms)
    judgement = asked.judgement
    verdict = (judgement if judgement.is_ruled else asked.policy.by_score(result)).verdict
    cost_usd = link.cost_usd_of(result)
    said = (result.value, result.confidence, verdict)
    return ShadowScoreRow(*named, *said, None, latency_us, cost_usd, asked.at_ms)
