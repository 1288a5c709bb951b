"""Policy over columns: what a policy says of a million requests and scores at once, as `Policy.judge` says it of one.

What cannot be known from columns is taken over from what was recorded, where that is said with `KEEP`: the verdicts of rules
whose code has not changed, of the point's fallback, and of requests with values that the model was never trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as compute

from opsrail.decide.policy import Band, Policy
from opsrail.lab.conditions import Condition, met

KEEP = "keep"
UNKNOWN_VALUES, RULE_FAILED = "unknown-values", "rule-failed"
BY_FALLBACK = ("fallback", "fallback-failed")


@dataclass(frozen=True)
class DataRule:
    """A rule as data; the first whose condition is met gives the verdict."""

    name: str
    verdict: str
    when: Condition


@dataclass(frozen=True)
class DataPolicy:
    """A policy as data.

    Attributes:
        rules: `KEEP`: what rules said when the decision was made stands; else these instead, first to last.
        without_score: Verdict where there is no score; `KEEP`: as recorded, where there was none then either, else `review`.
        on_unknown: Verdict for values that the model was never trained on; None: the bands decide; `KEEP`: as recorded.
        on_error: Verdict where a kept rule failed; `KEEP`: as recorded.

    Raises:
        InvalidInput: the bands leave a score without a verdict, or contradict each other. Terminal.
    """

    bands: tuple[Band, ...]
    rules: str | tuple[DataRule, ...] = KEEP
    without_score: str = KEEP
    on_unknown: str | None = KEEP
    on_error: str = KEEP
    review: str = "review"

    def __post_init__(self) -> None:
        Policy(self.bands)  # refuses what is not total

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Return what its rules ask of requests."""
        return () if isinstance(self.rules, str) else tuple(rule.when for rule in self.rules)


@dataclass(frozen=True)
class Judged:
    """What a policy says of each row.

    Attributes:
        verdicts: Text [rows].
        is_ruled: Where a rule spoke. bool [rows].
    """

    verdicts: Any
    is_ruled: Any


def judged(
    policy: DataPolicy,
    table: pyarrow.Table,
    scores: Any,
    is_unknown: Any,
    *,
    ruled: Any = None,
    unknown_verdict: str | None = None,
) -> Judged:
    """Return the verdict on every row.

    Args:
        table: Columns `verdict` (policy's own), `score`, `policy_source`, `policy_code`, and those that conditions name.
        scores: float64 [rows]; NaN: there is none.
        is_unknown: Whether the score rests on values the model was never trained on. bool [rows].
        ruled: Verdicts of rules that were asked row by row, None where none matched, object [rows]; None: by `policy.rules`.
        unknown_verdict: What `KEEP` means for unknown values where the score is not the recorded one.
    """
    recorded = _texts(table.column("verdict"))
    source, code = _texts(table.column("policy_source")), _texts(table.column("policy_code"))
    was_silent = np.asarray(table.column("score").is_null())
    by_rule = _by_rules(policy, table, recorded, source, code) if ruled is None else ruled
    is_ruled = by_rule != None  # noqa: E711 - of each element
    has_score = ~np.isnan(scores)
    verdicts = _in_bands(policy.bands, scores)
    silent = policy.review if policy.without_score == KEEP else policy.without_score
    verdicts[~has_score] = silent
    if policy.without_score == KEEP:
        stands = ~has_score & was_silent
        verdicts[stands] = recorded[stands]
    unknown = has_score & is_unknown
    if policy.on_unknown == KEEP:
        stands = unknown & (code == UNKNOWN_VALUES)
        verdicts[stands] = recorded[stands]
        if unknown_verdict is not None:
            verdicts[unknown] = unknown_verdict
    elif policy.on_unknown is not None:
        verdicts[unknown] = policy.on_unknown
    verdicts[is_ruled] = by_rule[is_ruled]
    return Judged(verdicts, is_ruled)


def _by_rules(
    policy: DataPolicy, table: pyarrow.Table, recorded: Any, source: Any, code: Any
) -> Any:
    """Return what rules say of each row, None where none speaks."""
    found: Any = np.full(table.num_rows, None, object)
    if isinstance(policy.rules, str):
        is_ruled = source == "rule"
        found[is_ruled] = recorded[is_ruled]
        failed = code == RULE_FAILED
        found[failed] = recorded[failed] if policy.on_error == KEEP else policy.on_error
        return found
    for rule in reversed(policy.rules):
        found[met(rule.when, table)] = rule.verdict
    return found


def _in_bands(bands: Sequence[Band], scores: Any) -> Any:
    """Return the verdict of the first band whose `below` is above each score; NaN gets the last."""
    names = np.array([band.verdict for band in bands], object)
    belows = np.array([band.below for band in bands])
    places = np.searchsorted(belows, scores, side="right")
    return names[np.minimum(places, len(names) - 1)]


def _texts(column: pyarrow.ChunkedArray) -> Any:
    """Return texts as objects [rows]; few different ones, so that they are shared."""
    encoded = column.combine_chunks().dictionary_encode()
    words = np.array([*encoded.dictionary.to_pylist(), None], object)
    return words[np.asarray(compute.fill_null(encoded.indices, len(words) - 1))]
