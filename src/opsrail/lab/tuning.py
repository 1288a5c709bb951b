"""Thresholds with a guarantee: the bands that automate the most while what must not happen stays under its limit.

    tuned = tune(scores, labels, risks=["approved is fraud <= 1%"], confidence=0.95)
    tuned.bands, tuned.said()

`risk.py` reads the risks, `labels.py` says who speaks, `sequence.py` tests (`bounds.py` the share, `ahead.py` what may be
counted among decisions to come), `choosing.py` picks the bands among those passed and says what they cost, `tuned.py` is
what comes out, `curve.py` draws it. Needs `opsrail[lab]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from opsrail.errors import Fault, InvalidInput, MissingExtra
from opsrail.lab.risk import Words, read_risks
from opsrail.lab.tuned import Costs, Tuned

CONFIDENCE = 0.95
MOST_HORIZON = 1_000_000_000
"""Ours: beyond it the share counted is the share behind it."""
Objective = Literal["automation", "cost"]


def tune(
    scores: Any,
    labels: Any,
    *,
    risks: Sequence[str],
    confidence: float = CONFIDENCE,
    ratios: Any = None,
    costs: Costs | None = None,
    outcome: str | None = None,
    objective: Objective = "automation",
    starts: Sequence[float] = (),
    verdicts: tuple[str, str, str] = ("approve", "review", "decline"),
    seed: int = 0,
    horizon: int | None = None,
) -> Tuned:
    """Return the bands that automate the most with every stated risk under its limit, with a stated confidence, jointly.

    A verdict that no risk speaks of is not automated. With risks of approvals alone, or of declines alone, or of both apart,
    each side has its own threshold and an equal part of what may go wrong; a risk about both, e.g.
    `automated is wrong <= 2%`, makes one threshold that is as far from 0 as from 1.

    Args:
        scores: What the model said, float [n] in [0, 1]; labelled or not, as they come.
        labels: What turned out: 1 (or True) the outcome, 0 not, NaN or None not known. [n], same order.
        risks: In words, see `opsrail.lab.risk`.
        confidence: Chance that all that is promised holds. Ratio, 0.5 <= confidence < 1.
        ratios: Chance with which each such decision was looked at, above 0 and up to 1, known beforehand, also of those that
            were not looked at. NaN or None: no chance. [n]. None: all labelled ones had chance 1, the others none. What has
            neither label nor chance counts as what must not happen.
        costs: For the expected cost, and for `objective="cost"`.
        outcome: What the labels tell, e.g. `fraud`; None: the word that the risks use.
        objective: Among the bands that may be promised: those that automate the most, or those that cost least.
        starts: Thresholds that were known before these labels, e.g. today's; the test then begins there, too.
        verdicts: The policy's names for approve, review and decline.
        seed: Of the draws for starts and thinning.
        horizon: Promise of so many decisions to come, labelled or not, what may be counted among them, 1 to 1e9; None: of
            the share behind them, which is what the count comes to in the long run.

    Raises:
        InvalidInput: arguments are wrong, all faults of one kind at once. Terminal.
        MissingExtra: numpy or scipy is not installed. Terminal.

    Source:
        Learn then Test: Angelopoulos, Bates, Candes, Jordan, Lei 2021, Annals of Applied Statistics 2025; the order of tests
        and its proof: docs/adr/0022-thresholds-with-a-guarantee.md.

    Example:
        >>> import numpy as np
        >>> scores = np.linspace(0, 1, 2000)
        >>> tuned = tune(scores, scores > 0.7, risks=["approved is fraud <= 1%"])
        >>> tuned.approve_below
        0.7
    """
    _check(confidence, costs, objective, starts, verdicts, horizon)
    stated, named = read_risks(risks, Words(outcome, approve=verdicts[0], decline=verdicts[2]))
    try:
        from opsrail.lab.choosing import Question, chosen
        from opsrail.lab.labels import read_labels
    except ModuleNotFoundError as missing:
        raise MissingExtra("Tuning", "lab") from missing
    import numpy as np

    chance = np.random.default_rng(seed)
    read = read_labels(scores, labels, ratios, chance)
    question = Question(
        stated, named, confidence, costs, objective, tuple(starts), verdicts, seed, horizon
    )
    return chosen(question, read, chance)


def _check(
    confidence: float,
    costs: Costs | None,
    objective: str,
    starts: Sequence[float],
    verdicts: tuple[str, str, str],
    horizon: int | None,
) -> None:
    faults = []
    if not 0.5 <= confidence < 1:
        faults.append(Fault("confidence", f"{confidence:g} is not from 0.5 up to, without, 1"))
    if objective not in ("automation", "cost"):
        faults.append(Fault("objective", f"{objective!r} is neither 'automation' nor 'cost'"))
    if objective == "cost" and costs is None:
        faults.append(Fault("costs", "are needed for the objective 'cost'"))
    for name in Costs.__slots__ if costs is not None else ():
        if not 0 <= getattr(costs, name) < float("inf"):
            faults.append(Fault(f"costs.{name}", "is not a number from 0 on"))
    faults += [
        Fault(f"starts[{place}]", f"{start:g} is not a score from 0 to 1")
        for place, start in enumerate(starts)
        if not 0 <= start <= 1
    ]
    if horizon is not None and not 1 <= horizon <= MOST_HORIZON:
        faults.append(Fault("horizon", f"{horizon:g} is not a count from 1 to {MOST_HORIZON:,}"))
    if len(set(verdicts)) != 3:
        faults.append(Fault("verdicts", "must be three different names: approve, review, decline"))
    if faults:
        raise InvalidInput("the question cannot be answered", faults)
