"""What would have had to be otherwise for a recorded decision's verdict to be another: its request, model and policy.

Facts that the request's type fixes stay, and so do those on which a view's history hangs: another entity has another one.
Features that views gave stay as they were. Every change that is told was judged as a whole, by the model and the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ValidationError

from opsrail.decide.code import names_and_numbers
from opsrail.decide.nearest import Changes, Found, Reached, Search, size_of
from opsrail.decide.options import Choice, Option, choice_of, option_of
from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import Judgement
from opsrail.decide.reasons import label_of
from opsrail.features.request import request_row
from opsrail.ports import CellModel, LoadedModel, is_remote
from opsrail.values.decisions import ViewRead
from opsrail.values.explanations import FeatureCells, ModelCells, log_odds
from opsrail.values.models import Score

MOST_ROWS_WHOLE, MOST_ROWS, MOST_ROWS_REMOTE = 2_000_000, 20_000, 1_000
"""Rows that one search scores. Ours: with cells the time ends it; without, more hardly brings it nearer; a remote model has
others to answer."""
HISTORY = "The history that was read hangs on it."
NO_CELLS = FeatureCells(())
Entities = Sequence[tuple[ViewRead, Callable[[Any], str]]]
"""What each view gave, and what says whose history that is."""


class Change(NamedTuple):
    """One fact that would have to be otherwise.

    Attributes:
        fact: Name of the request's field.
        before: As the request had it, JSON.
        after: As it would have to be, JSON.
        distance: Numbers by their scale (the range in training, else from the model's first edge to its last); else 1.
        text: One sentence for people.
    """

    fact: str
    before: object
    after: object
    distance: float
    text: str


class Held(NamedTuple):
    """A fact that was not changed, and why."""

    fact: str
    why: str


class Nearest(NamedTuple):
    """The smallest change that turns a verdict.

    Attributes:
        towards: The verdict that was asked for; None: any other.
        verdict: What it turns to; None where no change is told.
        score: What the model says then.
        changes: The largest first; empty where the policy of today gives the verdict as it is.
        distance: Of all changes together.
        is_proven: That no change is smaller, or that there is none.
        held: Facts that might matter and stay as they are.
        ruled: Name and reason of the rule that gives the verdict now, whatever the score; None: the score does.
        row_count: Rows that the model scored for this.
        absent: Code and text of why no change is told.
    """

    towards: str | None
    verdict: str | None = None
    score: float | None = None
    changes: tuple[Change, ...] = ()
    distance: float = 0.0
    is_proven: bool = False
    held: tuple[Held, ...] = ()
    ruled: tuple[str, str] | None = None
    row_count: int = 0
    absent: tuple[str, str] | None = None

    def sentences(self) -> list[str]:
        """Return it in plain sentences."""
        told = []
        if self.ruled is not None:
            told.append(
                f"Rule {self.ruled[0]!r} gives the verdict, whatever the score: {self.ruled[1]}"
            )
        if self.absent is not None:
            told.append(f"No change is told: {self.absent[1]}.")
        elif not self.changes:
            told.append(f"Under the policy of today the verdict is {self.verdict!r} as it is.")
        else:
            told.append(
                f"The verdict would be {self.verdict!r}, with the score {self.score:.4g}, if:"
            )
            told += [change.text for change in self.changes]
            told.append(
                "Proven: nothing smaller turns it."
                if self.is_proven
                else "Not proven: something smaller may turn it."
            )
        return [*told, *(f"{held.fact} was not changed: {held.why}" for held in self.held)]

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        change = {
            "verdict": self.verdict,
            "score": self.score,
            "changes": [change._asdict() for change in self.changes],
            "distance": self.distance,
        }
        return {
            "towards": self.towards,
            "change": None if self.absent else change,
            "is_proven": self.is_proven,
            "held": [held._asdict() for held in self.held],
            "ruled": None
            if self.ruled is None
            else dict(zip(("rule", "text"), self.ruled, strict=True)),
            "row_count": self.row_count,
            "absent": None
            if self.absent is None
            else dict(zip(("code", "text"), self.absent, strict=True)),
            "sentences": self.sentences(),
        }


@dataclass
class Turning:
    """A recorded decision that is asked again with other facts; a `nearest.Question`.

    Attributes:
        values: The request as JSON.
        facts: The same, as the point's model has it.
        row: All features as the model takes them.
    """

    model: LoadedModel
    point: DecisionPoint[Any]
    values: Mapping[str, Any]
    facts: BaseModel
    row: Mapping[str, object]
    entities: Entities
    wanted: frozenset[str]

    def __post_init__(self) -> None:
        policy, lows = self.point.policy, [0.0]
        lows += [band.below for band in policy.bands[:-1]]
        self._bands = [
            (low, band.below)
            for low, band in zip(lows, policy.bands, strict=True)
            if band.verdict in self.wanted
        ]
        others = {rule.verdict for rule in policy.rules} | {policy.on_unknown}
        if policy.rules:
            others.add(policy.on_error)
        self.is_by_score = not others & self.wanted
        self._reach = self.model.reach if isinstance(self.model, CellModel) else None
        self._takes_unknown = policy.on_unknown in self.wanted

    def scores(self, changes: Sequence[Changes]) -> list[Score]:
        """Return the scores of the request with each of the changes."""
        return self.model.score([self._row(one) for one in changes]) if changes else []

    def gap(self, score: Score) -> float:
        """Return how far a score is from a wanted band, log odds; 0 inside."""
        gaps = (
            0.0
            if low <= score.value < below
            else abs(log_odds(score.value) - log_odds(low if score.value < low else below)) + 1e-9
            for low, below in self._bands
        )
        return min(gaps, default=100.0)

    def may_have(self, score: Score) -> bool:
        """Return whether a request with this score may have a wanted verdict."""
        return not self.is_by_score or not self.gap(score)

    def option(self, name: str, number: float, distance: float) -> Option | None:
        """Return a number as an option of a fact."""
        return option_of(self.point.request, self.values, name, number, distance)

    def may_reach(self, changes: Changes, free: Sequence[str]) -> bool:
        """Return whether the score may come into a wanted band."""
        if self._takes_unknown:
            return True
        least, most = (0.0, 1.0) if self._reach is None else self._reach(self._row(changes), free)
        return any(low <= most and least < below for low, below in self._bands)

    def reached(self, changes: Changes, score: Score) -> Reached:
        """Return what model and policy make of the request with a change."""
        told = {**self.values, **{name: option.told for name, option in changes.items()}}
        try:
            facts = self.point.request.model_validate_json(orjson.dumps(told))
            if not self.has_same_history(facts):
                return Reached(None, False, True)
        except ValidationError:
            return Reached(None, False, True)
        row = request_row(facts)
        for read, _ in self.entities:
            row.update(read.values)
        if row != self._row(changes):  # the request's model made something else of it
            score = self.model.score([row])[0]
        judgement = self.judged(facts, score)
        is_wanted = judgement.verdict in self.wanted
        is_held = not is_wanted and judgement.reasons[0].source != "band"
        return Reached(judgement.verdict, is_wanted, is_held)

    def judged(self, facts: BaseModel, score: Score) -> Judgement:
        """Return what policy says."""
        return self.point.policy.judge(facts, score, self.point.fallback)

    def has_same_history(self, facts: BaseModel) -> bool:
        """Return whether a request reads the same entities' history."""
        try:
            return all(entity(facts) == read.entity for read, entity in self.entities)
        except Exception:  # of the author's own code
            return False

    def choices(self) -> tuple[list[Choice], list[Held]]:
        """Return what each fact that matters may become, and which stay as they are."""
        cells = self.model.cells() if isinstance(self.model, CellModel) else ModelCells(False, {})
        hints = [names_and_numbers(rule.when) for rule in self.point.policy.rules]
        given = {name for read, _ in self.entities for name in read.values}
        choices: list[Choice] = []
        held: list[Held] = []
        for name in self.point.request.model_fields:
            is_read = name in cells.features if cells.features else name in self.row
            numbers = [number for names, known in hints if name in names for number in known]
            is_ruled = any(name in names for names, _ in hints)
            if name in given or not (is_read or is_ruled):
                continue
            found = choice_of(
                self.point.request,
                self.values,
                name,
                self.row.get(name),
                cells.features.get(name, NO_CELLS),
                is_whole=cells.is_whole and is_read,
                numbers=numbers,
            )
            if isinstance(found, Choice) and not self._keeps_history(found):
                found = HISTORY
            if isinstance(found, Choice):
                choices.append(found)
            else:
                held.append(Held(name, found))
        return choices, held

    def _keeps_history(self, choice: Choice) -> bool:
        """Return whether a fact may change without asking for another entity's history."""
        for option in choice.options if self.entities else ():
            try:
                facts = self.point.request.model_validate_json(
                    orjson.dumps({**self.values, choice.name: option.told})
                )
            except ValidationError:
                continue
            if not self.has_same_history(facts):
                return False
        return True

    def _row(self, changes: Changes) -> dict[str, object]:
        return {**self.row, **{name: option.value for name, option in changes.items()}}


def turned(turning: Turning, towards: str | None, is_over: Callable[[], bool]) -> Nearest:
    """Return the smallest change of facts that turns a verdict. Blocking.

    Raises:
        ModelUnavailable: the model failed.
    """
    score = turning.scores([{}])[0]
    judgement = turning.judged(turning.facts, score)
    reason = judgement.reasons[0]
    ruled = (reason.code, reason.text) if reason.source != "band" else None
    if judgement.verdict in turning.wanted:
        return Nearest(towards, judgement.verdict, score.value, is_proven=True, ruled=ruled)
    choices, held = turning.choices()
    is_whole = all(choice.is_whole for choice in choices if choice.name in turning.row)
    most_rows = MOST_ROWS_WHOLE if is_whole else MOST_ROWS
    if is_remote(turning.model):
        most_rows = MOST_ROWS_REMOTE
    found = Search(turning, choices, is_over, most_rows).run()
    names = [choice.name for choice in choices]
    is_proven = turning.is_by_score and found.is_exhausted and is_whole
    if found.changes is None:
        is_proven = is_proven or (turning.is_by_score and not turning.may_reach({}, names))
        absent = _absent(turning, found, is_proven=is_proven)
        return Nearest(
            towards, is_proven=is_proven, held=tuple(held), ruled=ruled,
            row_count=found.row_count, absent=absent,
        )  # fmt: skip
    final = turning.scores([found.changes])[0]
    reached = turning.reached(found.changes, final)
    return Nearest(
        towards, reached.verdict, final.value, _told(turning, found.changes), size_of(found.changes)[1],
        is_proven, tuple(held), ruled, found.row_count,
    )  # fmt: skip


def _absent(turning: Turning, found: Found, *, is_proven: bool) -> tuple[str, str]:
    """Return why there is no change to tell."""
    wanted = " or ".join(map(repr, sorted(turning.wanted)))
    if is_proven:
        return "no-change", f"no change of the facts that may change turns the verdict to {wanted}"
    if found.is_exhausted:
        return "no-change", f"none was found that turns the verdict to {wanted}; there may be one"
    return (
        "not-found",
        f"the time was over before one was found that turns the verdict to {wanted}; there may be one. "
        f"To search longer, raise decide.explain_ms in the settings",
    )


def _told(turning: Turning, changes: Changes) -> tuple[Change, ...]:
    told = []
    for name, option in sorted(changes.items(), key=lambda one: (-one[1].distance, one[0])):
        before, label = turning.values.get(name), label_of(turning.point.request, name)
        text = f"{label} had been {_shown(option.told)} instead of {_shown(before)}."
        told.append(Change(name, before, option.told, option.distance, text))
    return tuple(told)


def _shown(value: object) -> str:
    return (
        "not known"
        if value is None
        else "yes"
        if value is True
        else "no"
        if value is False
        else str(value)
    )
