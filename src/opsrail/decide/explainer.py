"""Explains recorded decisions on demand: asks the very model version that was asked then, with what it was told then.

Nothing here is on the decision road. One question is worked on at a time, in a thread of its own and within a budget, so
that whoever asks for explanations cannot take the processor from decisions.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ValidationError

from opsrail.clock import Clock
from opsrail.decide.approximate import contributions_of
from opsrail.decide.aside import Aside
from opsrail.decide.held import HeldPoints
from opsrail.decide.point import DecisionPoint
from opsrail.decide.reasons import code_of, label_of
from opsrail.decide.turning import Nearest, Turning, turned
from opsrail.errors import (
    DeadlinePassed,
    Fault,
    InvalidInput,
    ModelUnavailable,
    NotExplainable,
    UnknownName,
)
from opsrail.features.features import Features
from opsrail.features.request import request_row
from opsrail.features.view import FeatureView
from opsrail.ports import LoadedModel
from opsrail.registry.registry import Registry
from opsrail.values.decisions import Decision, ViewRead
from opsrail.values.explanations import Contributions, ReasonCode

SAME_SCORE = 1e-5
"""How far a score may stand from the recorded one and still be the same: rounding of another machine. Ours."""
MOST_WAITING = 8
LONGER = "To search longer, raise decide.explain_ms in the settings"
SEARCH_SHARE = 0.85
"""Share of the budget after which a search ends with what it found. Ours: the rest is for the model's own pace."""

WORK_S, REST_S = 0.001, 0.001
"""How long a search holds the interpreter at a time, about, and how long it then leaves it to decisions. Ours: see
docs/decisions.md for what it does to them."""


class Explained(NamedTuple):
    """What each feature added to a recorded score.

    Attributes:
        contributions: None when they cannot be told; `absent` says why.
        codes: One for each feature that moved the score, what weighed most first.
        absent: Code and text of why there are none.
    """

    contributions: Contributions | None
    codes: tuple[ReasonCode, ...]
    absent: tuple[str, str] | None

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        told = self.contributions
        if told is None or self.absent is not None:
            code, text = self.absent or ("", "")
            return {"contributions": None, "absent": {"code": code, "text": text}}
        return {
            "contributions": {
                "method": told.method,
                "space": told.space,
                "against": told.against,
                "baseline": told.baseline,
                "score": told.score,
                "codes": [code._asdict() for code in self.codes],
            },
            "absent": None,
        }


class Asked(NamedTuple):
    """What a decision was asked: the request, and the features as the model took them.

    Attributes:
        facts: None where the point is not defined here, or its request model has changed since.
    """

    facts: BaseModel | None
    row: Mapping[str, object]


class _Pace:
    """When a search has to rest, so that decisions get the interpreter, and when it is over."""

    def __init__(self, clock: Clock, limit_s: float, closed: threading.Event) -> None:
        self._now_s = clock.monotonic_s
        self._rested_s = clock.monotonic_s()
        self._ends_s = self._rested_s + limit_s
        self._closed = closed

    def is_over(self) -> bool:
        """Return whether the search ends; rests first, if it is time for that."""
        if self._now_s() - self._rested_s >= WORK_S:
            self._closed.wait(REST_S)
            self._rested_s = self._now_s()
        return self._closed.is_set() or self._now_s() > self._ends_s


class Explainer:
    """Explains decisions of one installation.

    Args:
        features: Tells whose history a view reads; None: decisions that rest on views get no smallest change.
        budget_ms: Time that one explanation may take.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Clock,
        features: Features | None = None,
        *,
        budget_ms: int = 2_000,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._features = features
        self._budget_s = budget_ms / 1000
        self._aside = Aside("opsrail-explain", clock, MOST_WAITING)
        self._closed = threading.Event()
        self._held = HeldPoints()

    async def contributions(
        self, decision: Decision, point: DecisionPoint[Any] | None = None
    ) -> Explained:
        """Return what each feature added to a decision's score, or why that cannot be told.

        Args:
            point: The decision's point, where its code is at hand: the request's fields are then read by their types.
                Without, as they stand in the record, which is enough for numbers and text.

        Raises:
            Overloaded: too many explanations are asked for. Ask again.
        """
        try:
            model = await self._model(decision)
            asked = asked_of(decision, point)
            told = await self._aside.run(
                functools.partial(contributions_of, model, asked.row), self._budget_s
            )
            _check_same(decision, told.score)
        except TimeoutError:
            text = f"it took longer than {self._budget_s:g} s. {LONGER}"
            return Explained(None, (), (DeadlinePassed.code, text))
        except (NotExplainable, ModelUnavailable) as fault:
            return Explained(None, (), (fault.code, str(fault)))
        request = BaseModel if point is None else point.request
        moved = sorted(
            (name for name, part in told.parts.items() if part),
            key=lambda name: (-abs(told.parts[name]), name),
        )
        codes = (
            code_of(told, name, asked.row.get(name), label_of(request, name)) for name in moved
        )
        return Explained(told, tuple(codes), None)

    async def nearest(
        self, decision: Decision, point: DecisionPoint[Any], towards: str | None = None
    ) -> Nearest:
        """Return the smallest change of facts that turns a decision's verdict, or why none is told.

        Args:
            towards: The verdict that it should turn to; None: any other.

        Raises:
            InvalidInput: the policy never gives that verdict. Terminal.
            Overloaded: too many explanations are asked for. Ask again.
        """
        point = await self._today(point)
        wanted = _wanted(decision, point, towards)
        pace = _Pace(self._clock, SEARCH_SHARE * self._budget_s, self._closed)
        try:
            turning = await self._turning(decision, point, wanted)
            return await self._aside.run(
                lambda: _turned(turning, decision, towards, pace.is_over), self._budget_s
            )
        except TimeoutError:
            text = f"it took longer than {self._budget_s:g} s. {LONGER}"
            return Nearest(towards, absent=(DeadlinePassed.code, text))
        except (NotExplainable, ModelUnavailable) as fault:
            return Nearest(towards, absent=(fault.code, str(fault)))

    async def _today(self, point: DecisionPoint[Any]) -> DecisionPoint[Any]:
        """Return the point as its settings hold it now."""
        if self._registry.held.is_changed:
            await self._registry.held.read()
        settings = self._registry.held.of(point.name)
        return point if settings is None else self._held.of(point, settings)

    def close(self) -> None:
        """End the thread, and the search that it may be at."""
        self._closed.set()
        self._aside.close()

    async def _turning(
        self, decision: Decision, point: DecisionPoint[Any], wanted: frozenset[str]
    ) -> Turning:
        model = await self._model(decision)
        asked = asked_of(decision, point)
        if asked.facts is None:
            raise NotExplainable(
                f"decision {decision.id} was asked with another request model than {point.request.__name__} is now"
            )
        try:
            entities = [(read, self._view(read.name).entity) for read in decision.features[1:]]
        except UnknownName as unknown:
            raise NotExplainable(f"decision {decision.id}: {unknown}") from unknown
        values = decision.features[0].values
        return Turning(model, point, values, asked.facts, asked.row, entities, wanted)

    def _view(self, ref: str) -> FeatureView[Any]:
        if self._features is None:
            raise UnknownName(f"feature view {ref!r} is not at hand; give the automation's file")
        return self._features.view(ref)

    async def _model(self, decision: Decision) -> LoadedModel:
        """Return the very version that was asked; its bytes are checked against the digest when they are loaded."""
        if decision.model is None or decision.score is None:
            raise NotExplainable(
                f"decision {decision.id} rests on no score ({decision.degraded_why}); its reasons say what it rests on"
            )
        asked = decision.model
        version = await self._registry.version(asked.name, asked.number)
        if version.digest != asked.digest:
            raise NotExplainable(
                f"decision {decision.id} was scored by {asked.digest}; {asked.name}/{asked.number} is {version.digest} here"
            )
        return await self._registry.model(version, self._budget_s)


def asked_of(decision: Decision, point: DecisionPoint[Any] | None) -> Asked:
    """Return what a decision was asked, from its record.

    Raises:
        NotExplainable: the record's request is not what the point's model takes.
    """
    request, views = decision.features[0], decision.features[1:]
    if point is None or point.request_version != request.version:
        return Asked(None, joined(request.values, views))
    try:
        facts = point.request.model_validate_json(orjson.dumps(dict(request.values)))
    except ValidationError as wrong:
        raise NotExplainable(
            f"decision {decision.id}: its request does not fit {point.request.__name__}: {wrong.error_count()} faults"
        ) from wrong
    return Asked(facts, joined(request_row(facts), views))


def joined(request: Mapping[str, object], views: Sequence[ViewRead]) -> dict[str, object]:
    """Return one row of features: the request's fields and what the views gave."""
    row = dict(request)
    for read in views:
        row.update(read.values)
    return row


def _wanted(decision: Decision, point: DecisionPoint[Any], towards: str | None) -> frozenset[str]:
    """Return the verdicts that would do. Raises InvalidInput."""
    verdicts = point.policy.verdicts
    if towards is None:
        said = decision.verdict if decision.proposed is None else decision.proposed
        return frozenset(verdicts) - {said}
    if towards not in verdicts:
        wrong = f"{towards[:63]!r} is none of {', '.join(verdicts)}"
        raise InvalidInput(
            f"point {point.name!r} never gives that verdict", [Fault("towards", wrong)]
        )
    return frozenset([towards])


def _turned(
    turning: Turning, decision: Decision, towards: str | None, is_over: Callable[[], bool]
) -> Nearest:
    """Return the smallest change, if the model answers as it did then. Blocking."""
    try:
        _check_same(decision, turning.scores([{}])[0].value)
        return turned(turning, towards, is_over)
    except (ModelUnavailable, NotExplainable):
        raise
    except Exception as fault:  # of the model's own code
        raise NotExplainable(
            f"model {turning.model.digest} answers no row with other facts ({type(fault).__name__}: {fault})"
        ) from fault


def _check_same(decision: Decision, score: float) -> None:
    if decision.score is None or abs(score - decision.score) > SAME_SCORE:
        raise NotExplainable(
            f"decision {decision.id} has the score {decision.score}; asked again, its model gives {score:.6g}, so the "
            "record alone does not tell what it was asked: give the automation's file"
        )
