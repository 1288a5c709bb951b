"""An automation: one Python file's worth of operational work.

claims = Automation("claims-intake", case=Claim, outcome=Settlement)

@claims.action(retry=Retry(attempts=8))
async def pay(key: str, claim: Claim, *, amount: Decimal) -> None: ...

@claims.run
async def intake(case: Case, claim: Claim) -> Settlement: ...
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError

from opsrail.cases.context import Case
from opsrail.cases.steps import ACTION_RETRY, Action, Retry
from opsrail.errors import Fault, InvalidInput, UnknownName
from opsrail.features.view import FeatureView

P = ParamSpec("P")
In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=BaseModel)
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Objective:
    """What the automation is for, in the business's own figures.

    Attributes:
        kpi: Name of the figure, e.g. `time_to_resolution`.
        target: What it should be, e.g. `p50 < 4 h`.
        unacceptable: Outcomes that must stay below a share, e.g. {"paid_fraud": 0.01}.
    """

    kpi: str
    target: str
    unacceptable: Mapping[str, float] = field(default_factory=dict)


class Automation(Generic[In, Out]):
    """A definition: its case's input and outcome, its function, its actions.

    Args:
        name: Lower case, digits, `-` and `_`; at most 63 characters. Part of URLs and rows: never reuse it for
            something else. case: pydantic model of the input; every input is checked by it before anything is
            accepted. outcome: pydantic model of what the function returns.
        objective: What it is for.
        key: Field of the input that names the business case; the same value twice is the same case.
        history: Feature views that learn from its settled cases.

    Raises:
        InvalidInput: a name or model is wrong; all faults at once. Terminal.
    """

    def __init__(
        self,
        name: str,
        *,
        case: type[In],
        outcome: type[Out],
        objective: Objective | None = None,
        key: str | None = None,
        history: Sequence[FeatureView[Any]] = (),
    ) -> None:
        found = [
            *(
                []
                if NAME.fullmatch(name)
                else [Fault("name", f"{name!r}: use a-z, 0-9, - and _, starting with a letter")]
            ),
            *(
                Fault(place, "is not a pydantic model")
                for place, model in (("case", case), ("outcome", outcome))
                if not _is_model(model)
            ),
        ]
        if not found and key is not None and key not in case.model_fields:
            found.append(Fault("key", f"{case.__name__} has no field {key!r}"))
        if found:
            raise InvalidInput(f"automation {name!r} cannot be defined", found)
        self.name = name
        self.case = case
        self.outcome = outcome
        self.objective = objective
        self.key = key
        self.history = tuple(history)
        self.actions: dict[str, Action[Any]] = {}
        self._function: Callable[[Case, In], Awaitable[Out]] | None = None
        self._digest = ""

    @property
    def function(self) -> Callable[[Case, In], Awaitable[Out]]:
        """Return the author's function.

        Raises:
            UnknownName: none was declared. Terminal.
        """
        if self._function is None:
            raise UnknownName(
                f"automation {self.name!r} has no function; decorate one with @{_variable(self.name)}.run"
            )
        return self._function

    @property
    def has_function(self) -> bool:
        """Whether `.run` declared one."""
        return self._function is not None

    @property
    def digest(self) -> str:
        """Return 16 hex digits over the function's source: cases remember under which code they were accepted."""
        return self._digest

    def run(
        self, function: Callable[[Case, In], Awaitable[Out]]
    ) -> Callable[[Case, In], Awaitable[Out]]:
        """Declare the automation's function: `async def` taking the Case and its input, returning the outcome."""
        if not inspect.iscoroutinefunction(function):
            raise InvalidInput(
                f"automation {self.name!r}: {getattr(function, '__name__', function)!s} must be `async def f(case, input)`"
            )
        if self._function is not None:
            raise InvalidInput(
                f"automation {self.name!r} has two functions; one file may hold several automations instead"
            )
        self._function = function
        self._digest = hashlib.sha256(_source(function).encode()).hexdigest()[:16]
        return function

    def action(
        self, *, name: str | None = None, retry: Retry = ACTION_RETRY
    ) -> Callable[[Callable[Concatenate[str, P], Any]], Action[P]]:
        """Declare something the automation does to the world outside; the first parameter is the idempotency key."""

        def declare(function: Callable[Concatenate[str, P], Any]) -> Action[P]:
            called = name or getattr(function, "__name__", "")
            if not called or called in self.actions:
                raise InvalidInput(
                    f"automation {self.name!r}: action name {called!r} is empty or taken; give name="
                )
            declared: Action[P] = Action(self.name, called, function, retry)
            self.actions[called] = declared
            return declared

        return declare

    def written(self, given: In) -> str:
        """Return an input as the text that its row keeps.

        Raises:
            InvalidInput: it does not read back the same, e.g. NaN, or a validator that refuses its own result. Terminal.
        """
        text = given.model_dump_json()
        try:
            back: In | None = self.read(text)
        except ValidationError:
            back = None
        if back != given:
            raise InvalidInput(
                f"the input does not fit {self.name}: written down, it does not read back the same; is there NaN in it?"
            )
        return text

    def read(self, text: str) -> In:
        """Return the input that a row keeps; fields stand there by their own names, whatever alias they came under."""
        return self.case.model_validate_json(text, by_alias=True, by_name=True)

    def with_actions(self, functions: Mapping[str, Callable[..., Any]]) -> Automation[In, Out]:
        """Return the automation with other functions behind some of its actions (tests)."""
        twin = copy.copy(self)
        twin.actions = {
            name: replace(action, function=functions.get(name, action.function))
            for name, action in self.actions.items()
        }
        return twin


def _is_model(model: object) -> bool:
    return inspect.isclass(model) and issubclass(model, BaseModel)


def _variable(name: str) -> str:
    return name.replace("-", "_")


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except OSError:
        return function.__code__.co_code.hex()
