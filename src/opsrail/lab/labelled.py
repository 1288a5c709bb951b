"""Scores and labels of a decision point out of a store: what `tune` needs of a history.

    found = await labelled(store, "fraud-risk", "fraud", model=("claims-fraud", 7), audits={"approve": 0.05})
    tune(found.scores, found.labels, ratios=found.ratios, risks=[...], outcome="fraud")

A version's scores are those with which it decided and those it gave as a shadow. Decisions that a rule took are left out:
bands do not decide them. What has no label counts as not looked at by chance only where `audits` says so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from opsrail.errors import Fault, InvalidInput, NotFound
from opsrail.lab.history import history
from opsrail.lab.joins import with_outcomes, with_pending, with_shadows
from opsrail.ports import Store

UNLIKELY = 1e-4
"""Ours: so improbable must it be that so few of an audit have labels, before it is said that some are missing."""
NAN = float("nan")
NEEDED = [
    "model_name", "model_number", "score", "verdict", "proposed", "autonomy", "policy_source", "policy_code", "ruling",
    "outcome", "ratio", "outcome_source", "shadow_score", "is_pending",
]  # fmt: skip
RULE, UNKNOWN_VALUES = "rule", "unknown-values"


class Version(NamedTuple):
    """A model version, as `name/number`."""

    name: str
    number: int


@dataclass(frozen=True)
class Labelled:
    """Decisions in the order of their ids. NaN is what is not known.

    Attributes:
        scores, labels, ratios: As `tune` takes them.
        version: Whose scores these are.
        decisions: All of the span; those that were taken by a rule and those without a score of the version are left out.
    """

    scores: list[float]
    labels: list[float]
    ratios: list[float]
    version: Version
    decisions: int
    by_rule: int
    without_score: int

    def sentence(self) -> str:
        """Return what is counted and what is left out."""
        whose = f"{self.version.name}/{self.version.number}"
        return (
            f"{len(self.scores):,} of {self.decisions:,} decisions have a score of {whose}; left out: "
            f"{self.by_rule:,} that a rule took, {self.without_score:,} without such a score."
        )


async def labelled(
    store: Store,
    point: str,
    outcome: str,
    *,
    model: tuple[str, int] | None = None,
    audits: Mapping[str, float] | None = None,
    ruled: str | None = None,
    since_ms: int = 0,
    until_ms: int | None = None,
    folder: Path | None = None,
) -> Labelled:
    """Return scores, labels and ratios of the decisions of a span.

    Args:
        outcome: Name of the outcome; its values are 1 and 0.
        model: Whose scores; None: of the version that decided, if it was one alone.
        audits: By verdict that policy gave, the chance with which such decisions are looked at. What has no label and a
            verdict that is not named here had no chance.
        ruled: Verdict that stands for the outcome where people ruled and nothing else is recorded; other rulings stand for
            its opposite.
        since_ms, until_ms: The span, epoch ms.
        folder: Of copies, see `history`.

    Raises:
        NotFound: nothing was decided in the span, or nothing with such a score. Terminal.
        InvalidInput: labels are no yes or no, several versions decided, or an audit has fewer labels than its chance gives.
    """
    table = await history(
        store, point, since_ms=since_ms, until_ms=until_ms, folder=folder, fields=()
    )
    if not table.num_rows:
        raise NotFound(f"{point!r} decided nothing in that time; look further back with --since")
    version = Version(*model) if model is not None else _alone(point, table)
    table = await with_pending(store, await with_outcomes(store, table, outcome))
    table = await with_shadows(store, table, *version)
    needed = table.select(NEEDED)
    return await asyncio.to_thread(
        lambda: _of_rows(point, outcome, version, needed.to_pylist(), audits or {}, ruled)
    )


def _of_rows(
    point: str,
    outcome: str,
    version: Version,
    rows: list[dict[str, Any]],
    audits: Mapping[str, float],
    ruled: str | None,
) -> Labelled:
    taken = [row for row in rows if row["policy_source"] != RULE]
    scores = [_score(row, version) for row in taken]
    scored = [row for row, score in zip(taken, scores, strict=True) if score is not None]
    if not scored:
        raise NotFound(
            f"no decision of {point!r} in that time has a score of {version.name}/{version.number}"
        )
    labels = [_label(row, ruled) for row in scored]
    if found := [*_value_faults(outcome, labels), *_audit_faults(scored, labels, audits)]:
        raise InvalidInput(f"the labels of {point!r} cannot be used", found)
    return Labelled(
        scores=[score for score in scores if score is not None],
        labels=labels,
        ratios=[_ratio(row, label, audits) for row, label in zip(scored, labels, strict=True)],
        version=version,
        decisions=len(rows),
        by_rule=len(rows) - len(taken),
        without_score=len(taken) - len(scored),
    )


def _alone(point: str, table: Any) -> Version:
    """Return the one version that decided."""
    names, numbers = (table.column(name).to_pylist() for name in ("model_name", "model_number"))
    seen = Counter(
        Version(name, number)
        for name, number in zip(names, numbers, strict=True)
        if name is not None
    )
    if len(seen) == 1:
        return next(iter(seen))
    told = ", ".join(f"{one.name}/{one.number} ({count:,})" for one, count in seen.most_common())
    if not told:
        raise NotFound(f"{point!r} was decided by no model in that time; ask for a longer one")
    raise InvalidInput(f"{point!r} was decided by {told} in that time; name one version")


def _score(row: Mapping[str, Any], version: Version) -> float | None:
    """Return what the version said; None where nothing, or where policy would not have heeded it."""
    is_its_own = (row["model_name"], row["model_number"]) == version
    score: float | None = row["score"] if is_its_own else row["shadow_score"]
    return None if is_its_own and row["policy_code"] == UNKNOWN_VALUES else score


def _label(row: Mapping[str, Any], ruled: str | None) -> float:
    if row["outcome"] is not None:
        return float(row["outcome"])
    if ruled is not None and row["ruling"] is not None:
        return float(row["ruling"] == ruled)
    return NAN


def _said(row: Mapping[str, Any]) -> str:
    """Return what policy said, also where a person was to decide."""
    return str(row["proposed"] or row["verdict"])


def _ratio(row: Mapping[str, Any], label: float, audits: Mapping[str, float]) -> float:
    if label == label:
        return float(1.0 if row["outcome"] is None else row["ratio"])
    # What people were asked about and have not answered was not left out by chance.
    is_automated = row["autonomy"] == "automate" and row["verdict"] == _said(row)
    return audits.get(_said(row), NAN) if is_automated and not row["is_pending"] else NAN


def _value_faults(outcome: str, labels: list[float]) -> Iterator[Fault]:
    strange = sorted({label for label in labels if label == label and label not in (0.0, 1.0)})
    if strange:
        told = ", ".join(f"{value:g}" for value in strange[:3])
        yield Fault(outcome, f"has values such as {told}; only 1 and 0 say whether it was so")


def _audit_faults(
    rows: list[dict[str, Any]], labels: list[float], audits: Mapping[str, float]
) -> Iterator[Fault]:
    """Yield the audits that have fewer labels than their chance gives: what is missing is not missing by chance."""
    from scipy.stats import binom

    for verdict, ratio in audits.items():
        place = f"audit {verdict}"
        if not 0 < ratio <= 1:
            yield Fault(place, f"{ratio:g} is not above 0 and up to 1")
            continue
        mine = [
            label
            for row, label in zip(rows, labels, strict=True)
            if _said(row) == verdict and (label != label or row["outcome_source"] == "audit")
        ]
        known = sum(label == label for label in mine)
        if not any(_said(row) == verdict for row in rows):
            yield Fault(place, "policy gave no such verdict in that time")
        elif binom.cdf(known, len(mine), ratio) < UNLIKELY:
            yield Fault(
                place,
                f"{known:,} of {len(mine):,} have a label, far fewer than {ratio:.4g} of them; what is missing is "
                f"not missing by chance. End the span where all are in, or give the chance that held.",
            )
