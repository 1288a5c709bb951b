"""What a backtest came to: how many verdicts change, for whom, what that costs, and what it gets wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Wrong(NamedTuple):
    """What counts as a wrong verdict, and what one costs.

    Attributes:
        verdict: E.g. `approve`.
        outcome: Name of what turned out, e.g. `fraud`.
        is_true: Whether it is wrong where that turned out true, or where it did not.
        cost_usd: Of one.
    """

    verdict: str
    outcome: str
    is_true: bool
    cost_usd: float = 0.0

    @property
    def text(self) -> str:
        """Return it as it is written: `approve|fraud`, `decline|not fraud`."""
        return f"{self.verdict}|{'' if self.is_true else 'not '}{self.outcome}"


class Move(NamedTuple):
    """Decisions with one verdict then and one now."""

    was: str
    now: str
    decisions: int


class Slice(NamedTuple):
    """Decisions that share the values of their segments.

    Attributes:
        segment: Value by field; empty: all together.
        changed: With another verdict now.
        was, now: Decisions by verdict.
    """

    segment: Mapping[str, Any]
    decisions: int
    changed: int
    was: Mapping[str, int]
    now: Mapping[str, int]


class People(NamedTuple):
    """What people have to look at.

    Attributes:
        verdict: The one that sends to them.
        was, now: Decisions with that verdict.
        handling_s: Of one review, mean seconds; None: not known.
        handling_from: `measured` (from claim to ruling, in this history), `given` or `unknown`.
        was_hours, now_hours: None where the handling time is not known.
    """

    verdict: str
    was: int
    now: int
    handling_s: float | None
    handling_from: str
    was_hours: float | None
    now_hours: float | None


class ErrorRate(NamedTuple):
    """How often one verdict is wrong.

    Attributes:
        wrong: As `Wrong.text`.
        of: Decisions with that verdict.
        known: Of them, with a known truth; the others are left out, never counted as right.
        rate: Among all, from those that are known, each weighed by one over the probability that it was looked at; None:
            none is known.
        low, high: Of the 95% interval.
        expected: Wrong ones among `of`, if the unknown ones are like the known ones of the same verdict.
        cost_usd: Of those.
    """

    wrong: str
    of: int
    known: int
    rate: float | None
    low: float
    high: float
    expected: float | None
    cost_usd: float | None


class Money(NamedTuple):
    """US dollars, then and now; what is not known is not in it.

    Attributes:
        people: Of reviewers' hours.
        errors: Of wrong verdicts.
        models: Of calls; `now` is what was recorded then, as long as the model is the same.
    """

    people_was: float | None
    people_now: float | None
    errors_was: float | None
    errors_now: float | None
    models_was: float


class Backtest(NamedTuple):
    """A history, judged again.

    Attributes:
        decisions: How many.
        changed: With another verdict now.
        moves: From which verdict to which, those that stay among them.
        segments: Whole first, then by segment, the most changed first.
        scores: How many scores are `recorded`, from the `model`, of rows that it refuses or fails on (`refused`), and
            `none` at all.
        policies: Decisions by the version of the policy that they were made under.
        notes: What was taken over from the record, and why.
    """

    decisions: int
    changed: int
    moves: tuple[Move, ...]
    segments: tuple[Slice, ...]
    people: People
    errors_was: tuple[ErrorRate, ...]
    errors_now: tuple[ErrorRate, ...]
    money: Money
    scores: Mapping[str, int]
    policies: Mapping[str, int]
    notes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        listed = ("moves", "segments", "errors_was", "errors_now")
        return {
            **self._asdict(),
            **{name: [one._asdict() for one in getattr(self, name)] for name in listed},
            "people": self.people._asdict(),
            "money": self.money._asdict(),
            "scores": dict(self.scores),
            "policies": dict(self.policies),
            "notes": list(self.notes),
        }
