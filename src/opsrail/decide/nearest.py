"""The smallest change of facts that turns a verdict: fewest facts first, then the smallest distance. Pure; blocking.

Where scores are constant inside cells (trees), each fact has one option a cell and the search is over all of them: sets of
facts by size, and in each set the options by distance. A set, or what is left of one, is passed over when the model's bounds
say that no score it reaches has the verdict. What that search finds, or does not find, is proven. First a descent that
changes one fact at a time finds some answer, so that there is one when time runs out.

Elsewhere options are a grid, the result is brought nearer by bisection, and nothing is proven.

Source:
    Wachter, Mittelstadt and Russell 2018, Counterfactual explanations without opening the black box, Harvard Journal of Law
    & Technology 31(2), for the idea; branch and bound after Land and Doig 1960, Econometrica 28, with `CellModel.reach` as
    the bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from opsrail.decide.options import Choice, Option, fine_of, shortest
from opsrail.values.models import Score

BISECTIONS = 40
CHUNK = 256
"""Rows scored in one call. Ours: a few batches of a decision."""
NEAR = 1e-12
HELD = 1e6
Changes = Mapping[str, Option]


class Reached(NamedTuple):
    """What a change comes to.

    Attributes:
        verdict: What policy says; None: the request's model refuses these facts together.
        is_wanted: Whether it is the one that is looked for.
        is_held: Whether something stands above the score and gives another: a rule, or the request's model.
    """

    verdict: str | None
    is_wanted: bool
    is_held: bool


class Question(Protocol):
    """What a search asks of model and policy."""

    def scores(self, changes: Sequence[Changes]) -> list[Score]:
        """Return the scores of the request with each of the changes."""
        ...

    def gap(self, score: Score) -> float:
        """Return how far a score is from having the wanted verdict, log odds; 0: it has it, if nothing stands above."""
        ...

    def may_have(self, score: Score) -> bool:
        """Return False when a request with this score has not the wanted verdict, whatever its facts are."""
        ...

    def reached(self, changes: Changes, score: Score) -> Reached:
        """Return what a change comes to, with rules and all."""
        ...

    def option(self, name: str, number: float, distance: float) -> Option | None:
        """Return a number as an option of a fact; None when the fact cannot be it."""
        ...

    def may_reach(self, changes: Changes, free: Sequence[str]) -> bool:
        """Return False when no score has the wanted verdict, whatever the free facts are."""
        ...


class Found(NamedTuple):
    """What a search found.

    Attributes:
        changes: By fact; None: nothing was found.
        is_exhausted: Whether all options that could be smaller were looked at, and no rule stood above one of them whose
            score would do: the rule might let another value of the same cell pass.
        row_count: Rows that were scored.
    """

    changes: Changes | None
    is_exhausted: bool
    row_count: int


class Search:
    """One search.

    Args:
        choices: What each fact may become.
        is_over: Whether the time is over.
        most_rows: How many rows may be scored, about.
    """

    def __init__(
        self,
        question: Question,
        choices: Sequence[Choice],
        is_over: Callable[[], bool],
        most_rows: int,
    ) -> None:
        self._question = question
        self._choices = [choice for choice in choices if choice.options]
        self._is_late = is_over
        self._most_rows = most_rows
        self._best: Changes | None = None
        self._best_size: tuple[float, float] = (math.inf, math.inf)
        self._least_held: tuple[int, float] | None = None
        self._row_count = 0

    def run(self) -> Found:
        """Return the smallest change that was found."""
        self._singles()
        names = [choice.name for choice in self._choices]
        if self._best is None and names and self._question.may_reach({}, names):
            self._descend()
            size = 2
            while size <= min(self._most(), len(self._choices)) and not self._is_over():
                self._sets(size, 0, ())
                size += 1
        is_exhausted = not self._is_over() and not self._is_held_below_best()
        if self._best is not None:
            self._best = self._nearer(self._best)
        return Found(self._best, is_exhausted, self._row_count)

    def _is_over(self) -> bool:
        return self._row_count >= self._most_rows or self._is_late()

    def _is_held_below_best(self) -> bool:
        held = self._least_held
        return held is not None and held < self._best_size

    def _most(self) -> int:
        """Return how many facts a change may have that is of interest."""
        return len(self._choices) if self._best is None else len(self._best)

    def _take(self, changes: Changes) -> None:
        if (size := size_of(changes)) < self._best_size:
            self._best, self._best_size = changes, size

    def _scores(self, changes: Sequence[Changes]) -> list[Score]:
        self._row_count += len(changes)
        return self._question.scores(changes)

    def _is_wanted(self, changes: Changes, score: Score) -> bool:
        if not self._question.may_have(score):
            return False
        reached = self._question.reached(changes, score)
        if reached.is_held and not self._question.gap(score):
            held = size_of(changes)
            self._least_held = min(held, self._least_held or held)
        return reached.is_wanted

    def _singles(self) -> None:
        """Look at each fact alone; of a fact without cells the first option is brought nearer before it is compared."""
        gaps: dict[str, float] = {}
        for choice in self._choices:
            changes = [{choice.name: option} for option in choice.options]
            scores = self._scores(changes)
            gaps[choice.name] = min(map(self._question.gap, scores))
            for one, score in zip(changes, scores, strict=True):
                if choice.is_whole and not self._could_be_best(one, 0, 0.0):
                    break
                if self._is_wanted(one, score):
                    self._take(one if choice.is_whole else self._nearer(one))
                    break
            if self._is_over():
                return
        self._choices.sort(key=lambda choice: gaps[choice.name])

    def _descend(self) -> None:
        """Change one fact after the other to what comes nearest to the verdict, then take back what was not needed."""
        changes: Changes = {}
        gap = self._gap(changes, self._scores([changes])[0])
        while not self._is_over():
            steps = [
                {**changes, choice.name: option}
                for choice in self._choices
                for option in choice.options
            ]
            scored = sorted(
                zip(steps, self._scores(steps), strict=True),
                key=lambda one: (self._question.gap(one[1]), size_of(one[0])),
            )
            looked_at = scored if gap >= HELD else scored[:CHUNK]
            told = [(self._gap(step, score), size_of(step), step) for step, score in looked_at]
            nearest, _, changes = min(told, key=lambda one: one[:2])
            if nearest >= gap:
                return
            gap = nearest
            if not gap:
                self._take(self._needed(changes))
                return

    def _gap(self, changes: Changes, score: Score) -> float:
        """Return how far a change is from the verdict: what something stands above is farther than any score."""
        reached = self._question.reached(changes, score)
        if reached.is_wanted:
            return 0.0
        return self._question.gap(score) + (HELD if reached.is_held else NEAR)

    def _needed(self, changes: Changes) -> Changes:
        for name in sorted(changes, key=lambda name: -changes[name].distance):
            fewer = {held: option for held, option in changes.items() if held != name}
            if fewer and self._question.reached(fewer, self._scores([fewer])[0]).is_wanted:
                changes = fewer
        return changes

    def _sets(self, size: int, first: int, chosen: tuple[Choice, ...]) -> None:
        """Go through all sets of so many facts that hold those chosen and further ones."""
        if self._is_over():
            return
        rest = self._choices[first:]
        if len(chosen) == size:
            self._options({}, sorted(chosen, key=lambda choice: len(choice.options)))
            return
        if len(chosen) + len(rest) < size:
            return
        names = [choice.name for choice in (*chosen, *rest)]
        if not self._question.may_reach({}, names):
            return
        for place, choice in enumerate(rest, start=first):
            self._sets(size, place + 1, (*chosen, choice))

    def _options(self, changes: dict[str, Option], left: Sequence[Choice]) -> None:
        """Go through the options of the facts that are left, as far as they could be nearer than the best."""
        if self._is_over() or not self._question.may_reach(
            changes, [choice.name for choice in left]
        ):
            return
        choice, rest = left[0], left[1:]
        if not rest:
            self._last(changes, choice)
            return
        for option in choice.options:
            further = {**changes, choice.name: option}
            nearest = sum(other.options[0].distance for other in rest)
            if not self._could_be_best(further, len(rest), nearest):
                return
            self._options(further, rest)

    def _last(self, changes: dict[str, Option], choice: Choice) -> None:
        steps = [{**changes, choice.name: option} for option in choice.options]
        for first in range(0, len(steps), CHUNK):
            chunk = [
                step for step in steps[first : first + CHUNK] if self._could_be_best(step, 0, 0.0)
            ]
            for step, score in zip(chunk, self._scores(chunk), strict=True):
                if self._is_wanted(step, score):
                    self._take(step)
                    return

    def _could_be_best(self, changes: Changes, more: int, nearest: float) -> bool:
        count, distance = size_of(changes)
        return (count + more, distance + nearest) < self._best_size

    def _nearer(self, changes: Changes) -> Changes:
        """Bring numbers without cells as near to what they were as the verdict lets them, the farthest first."""
        by_name = {choice.name: choice for choice in self._choices}
        for name in sorted(changes, key=lambda name: -changes[name].distance):
            choice = by_name[name]
            if not choice.is_whole and choice.scale is not None and choice.now is not None:
                changes = self._bisected(changes, choice)
        return changes

    def _bisected(self, changes: Changes, choice: Choice) -> Changes:
        near, far = _number(choice.now), _number(changes[choice.name].value)
        scale, step = choice.scale or 1.0, choice.step
        for _ in range(BISECTIONS):
            middle = (near + far) / 2
            if step is not None:
                middle = float(round(middle / step) * step)
            if middle in (near, far) or abs(far - near) < NEAR * scale:
                break
            nearer = self._with(changes, choice, middle)
            if nearer is not None:
                changes, far = nearer, middle
            else:
                near = middle
        return changes if step is not None else self._shorter(changes, choice, near, far)

    def _shorter(self, changes: Changes, choice: Choice, near: float, far: float) -> Changes:
        """Return the change with a number of fewer digits that is hardly farther, if it does as well."""
        fine = fine_of(far, _number(choice.now), choice.scale or 1.0)
        is_down = far < near
        ends = (far - fine, far) if is_down else (near, far + fine)
        number = shortest(*ends, is_down=is_down)
        shorter = None if number is None else self._with(changes, choice, number)
        return changes if shorter is None else shorter

    def _with(self, changes: Changes, choice: Choice, number: float) -> Changes | None:
        """Return the change with another number for one fact; None when it does not have the verdict."""
        distance = abs(number - _number(choice.now)) / (choice.scale or 1.0)
        option = self._question.option(choice.name, number, distance)
        if option is None:
            return None
        changed = {**changes, choice.name: option}
        score = self._scores([changed])[0]
        return changed if self._question.reached(changed, score).is_wanted else None


def size_of(changes: Changes) -> tuple[int, float]:
    """Return how large a change is: its facts, and their distances together."""
    return len(changes), sum(option.distance for option in changes.values())


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
