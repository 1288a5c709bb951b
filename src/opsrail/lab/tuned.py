"""What `tune` found: bands, what is promised of them and what is not, as plain values that print and become JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

HOUR_S = 3_600
ASSUMPTION = (
    "Decisions to come are drawn like those that were counted: the same kind of requests, the same model, "
    "the same meaning of the label."
)


class Estimate(NamedTuple):
    """A figure with its interval, which holds with the confidence of the whole."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What errors and people cost. All at least 0.

    Attributes:
        approved_usd: Of approving what turns out to be the outcome, e.g. a fraud paid.
        declined_usd: Of declining what does not.
        usd_per_hour: Of a reviewer.
        review_s: That a review takes, seconds.
    """

    approved_usd: float = 0.0
    declined_usd: float = 0.0
    usd_per_hour: float = 0.0
    review_s: float = 0.0

    @property
    def review_usd(self) -> float:
        """What a review costs; the person's ruling is taken to be right."""
        return self.usd_per_hour * self.review_s / HOUR_S


@dataclass(frozen=True, slots=True)
class Promise:
    """One risk at the bands that were chosen, or where they came nearest to be.

    Attributes:
        risk: In words, as it was stated.
        given, verdicts, truth: What it is a share of; see `Risk`.
        limit: Ratio.
        is_kept: Whether it is promised.
        bad, of: Counted, where it is promised or came nearest to be.
        bound: The share that is exceeded with probability at most `level`, were these bands given beforehand; with a horizon
            the share counted among the decisions to come. Ratio.
        p_value: Of "the share is above its limit"; with a horizon the level that the step needs.
        level: What the p-value had to stay within.
        threshold: Of the score, where this was counted.
    """

    risk: str
    given: str
    verdicts: tuple[str, ...]
    truth: bool | None
    limit: float
    is_kept: bool
    bad: int
    of: int
    bound: float
    p_value: float
    level: float
    threshold: float

    @property
    def is_watched(self) -> bool:
        """Whether the check that goes on when it is live can count it: a share of one verdict."""
        return self.given == "verdict" and len(self.verdicts) == 1

    @property
    def counted_truth(self) -> bool | None:
        """What counts against one verdict: True the outcome, False its opposite; None where that hangs on the verdict."""
        if self.truth is None and len(self.verdicts) == 1:
            return self.verdicts == ("approve",)
        return self.truth

    @property
    def share(self) -> float | None:
        """Counted, ratio; None where nothing was."""
        return self.bad / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Further:
    """What it would take to automate more.

    Attributes:
        verdicts: Of the path.
        automated_ratio: Share of decisions that would be automated.
        threshold: Of the score.
        risk: The one that needs most.
        share: Counted of it there, ratio.
        more_labels: About how many more labelled decisions, as they come, if that share stays; None: none would be enough.
    """

    verdicts: tuple[str, ...]
    automated_ratio: float
    threshold: float
    risk: str
    share: float
    more_labels: int | None


@dataclass(frozen=True, slots=True)
class Curve:
    """One risk over how much is automated, for a picture. All tuples have the same length.

    Attributes:
        automated: Ratio of all decisions, ascending.
        shares, bounds: Counted, and exceeded with probability at most `level` at each by itself.
        is_promised: By step.
        chosen: Ratio of all decisions that the chosen bands automate on this path; None: nothing is.
    """

    risk: str
    verdicts: tuple[str, ...]
    limit: float
    level: float
    automated: tuple[float, ...]
    thresholds: tuple[float, ...]
    shares: tuple[float, ...]
    bounds: tuple[float, ...]
    is_promised: tuple[bool, ...]
    chosen: float | None


@dataclass(frozen=True, slots=True)
class Counted:
    """Which decisions spoke.

    Attributes:
        decisions: All that were given.
        labelled: With a label.
        placing: Of all, drawn by chance to place the starts, and not counted for any risk.
        blind: Without a label and without a chance of one; they count as what must not happen.
        least_ratio: Least chance to be looked at.
    """

    decisions: int
    labelled: int
    placing: int
    blind: int
    least_ratio: float


@dataclass(frozen=True)
class Tuned:
    """Bands with a guarantee.

    Attributes:
        outcome: What turns out true or not.
        confidence: With which all that is promised holds together. Ratio.
        bands: Verdict and upper end, as a policy has them, the last above 1; everything to review where nothing is promised.
        approve_below: Scores below are approved; None: none are.
        decline_from: Scores from there on are declined; None: none are.
        automated, approved, declined: Share of decisions to come.
        cost_usd: Of a decision, on average; None without costs.
        people_cost_usd: Were every decision reviewed.
        verdicts: The policy's names for approve, review and decline.
        seed: Of the draws; the same input and seed give the same answer.
        horizon: Of how many decisions to come it is promised; None: of the share behind them.
    """

    outcome: str
    confidence: float
    bands: tuple[tuple[str, float], ...]
    approve_below: float | None
    decline_from: float | None
    automated: Estimate
    approved: Estimate
    declined: Estimate
    cost_usd: Estimate | None
    people_cost_usd: float | None
    promises: tuple[Promise, ...]
    further: tuple[Further, ...]
    curves: tuple[Curve, ...]
    counted: Counted
    verdicts: tuple[str, str, str]
    seed: int
    horizon: int | None = None

    @property
    def is_kept(self) -> bool:
        """Whether something may be automated at all."""
        return self.approve_below is not None or self.decline_from is not None

    def guarantees(self) -> list[dict[str, Any]]:
        """Return what is promised, one JSON object a risk, for a change and for the check that goes on when it is live.

        `outcome`, `truth`, `among`, `limit`, `confidence` and `text` are what that check goes by; the rest tells where it
        comes from.
        """
        names = {"approve": self.verdicts[0], "decline": self.verdicts[2]}
        return [
            {
                "outcome": self.outcome,
                "among": names[one.verdicts[0]] if one.is_watched else None,
                "limit": one.limit,
                "confidence": self.confidence,
                "text": one.risk,
                "given": one.given,
                "verdicts": [names[verdict] for verdict in one.verdicts],
                "truth": one.counted_truth,
                "bad": one.bad,
                "of": one.of,
                "bound": one.bound,
                "automated_ratio": list(self.automated),
                "assumption": ASSUMPTION,
                "counted": asdict(self.counted),
                "seed": self.seed,
                "horizon": self.horizon,
            }
            for one in self.promises
            if one.is_kept
        ]

    def content(self) -> dict[str, Any]:
        """Return the content of a change of kind `bands`: the bands, and those promises that can be watched live."""
        watched = {one.risk for one in self.promises if one.is_watched}
        return {
            "bands": [{"verdict": verdict, "below": below} for verdict, below in self.bands],
            "guarantee": [one for one in self.guarantees() if one["text"] in watched],
        }

    def record(self) -> dict[str, Any]:
        """Return all of it as a JSON object, the curves left out."""
        said = {"bands": [list(band) for band in self.bands]}
        rest = {
            name: value
            for name, value in asdict(self).items()
            if name not in ("bands", "curves", "automated", "approved", "declined", "cost_usd")
        }
        figures = {
            name: None if found is None else found._asdict()
            for name, found in (
                ("automated", self.automated),
                ("approved", self.approved),
                ("declined", self.declined),
                ("cost_usd", self.cost_usd),
            )
        }
        return {**rest, **said, **figures, "guarantees": self.guarantees(), "said": self.said()}

    def said(self) -> list[str]:
        """Return it in sentences: what is promised, what is not and what it would take."""
        return list(_sentences(self))


def _sentences(tuned: Tuned) -> Iterator[str]:
    for one in tuned.promises:
        yield _promised(one, tuned) if one.is_kept else _not_promised(one, tuned)
    unwatched = [one.risk for one in tuned.promises if one.is_kept and not one.is_watched]
    if unwatched:
        yield f"Not watched when it is live, for a change to carry: {'; '.join(unwatched)}."
    if any(one.is_kept and one.is_watched for one in tuned.promises) and tuned.horizon is not None:
        yield "When it is live, the share in the long run is held against the limit, not that of so many decisions."
    counted = tuned.counted
    if counted.blind:
        yield (
            f"{counted.blind:,} of {counted.decisions:,} decisions have no label and no chance of one. They count as "
            f"what must not happen, for nobody knows. Audit a random sample of such decisions and give its chance as "
            f"the ratio."
        )
    if (
        tuned.approve_below is not None
        and tuned.decline_from is not None
        and not tuned.declined.value
    ):
        yield (
            f"None of the decisions given scores {tuned.decline_from:g} or more; the band to decline is there "
            f"because a risk speaks of both verdicts."
        )
    for more in tuned.further:
        yield _wished(more)


def _promised(one: Promise, tuned: Tuned) -> str:
    together = ", with all that is promised here" if len(tuned.promises) > 1 else ""
    return (
        f"Promised with {tuned.confidence:.4g} confidence{together}{_ahead(tuned)}: {one.risk}. Counted: {one.bad:,} of "
        f"{one.of:,} ({_percent(one.share)}), which alone bounds {_share(tuned)} at {one.bound:.2%}."
    )


def _not_promised(one: Promise, tuned: Tuned) -> str:
    if not one.of:
        return f"Not promised: {one.risk}. No label speaks of it."
    told = (
        f"Not promised{_ahead(tuned)}: {one.risk}. At its best {one.bad:,} of {one.of:,} were so ({_percent(one.share)}), "
        f"and {_share(tuned)} may be up to {one.bound:.2%}."
    )
    if one.bound > one.limit:
        return told
    return (
        f"{told} That is within the limit, but only these labels say where to stand (score {one.threshold:.4g}), and no run "
        "from a place fixed before them gets there: name a threshold that was known before as a start, or count more labels."
    )


def _ahead(tuned: Tuned) -> str:
    return "" if tuned.horizon is None else f" for the next {tuned.horizon:,} decisions"


def _share(tuned: Tuned) -> str:
    return "the share" if tuned.horizon is None else "the share among those to come"


def _wished(more: Further) -> str:
    where = f"To automate {more.automated_ratio:.0%} ({' and '.join(more.verdicts)}, score {more.threshold:.4g})"
    if more.more_labels is None:
        enough = f"no number of labels is enough for `{more.risk}`"
        return f"{where} {enough}: the share is {more.share:.2%} there."
    needed = f"about {more.more_labels:,} more labels are needed for `{more.risk}`"
    return f"{where} {needed}, if the share stays at {more.share:.2%}."


def _percent(share: float | None) -> str:
    return "nothing" if share is None else f"{share:.2%}"
