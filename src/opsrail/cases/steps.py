"""What an author hands to a case: steps with limits, and actions on the world outside."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_type_hints

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic_core import from_json, to_json

from opsrail.errors import Fault, InvalidInput, NotDurable

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently something is tried again.

    Attributes:
        attempts: Tries in all, >= 1.
        base_s: Upper bound of the first wait; doubles each time; the wait is a random part of it (full jitter).
        cap_s: Upper bound of any wait.
        timeout_s: Limit of one attempt. A plain `def` runs in a thread that cannot be stopped: its attempt is given
            up, not ended.
    """

    attempts: int = 3
    base_s: float = 0.2
    cap_s: float = 30.0
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        faults = [
            Fault(f"retry.{name}", message)
            for name, wrong, message in (
                ("attempts", self.attempts < 1, f"{self.attempts} is below 1"),
                ("base_s", self.base_s < 0, f"{self.base_s} is negative"),
                ("cap_s", self.cap_s < self.base_s, f"{self.cap_s} is below base_s {self.base_s}"),
                ("timeout_s", self.timeout_s <= 0, f"{self.timeout_s} is not positive"),
            )
            if wrong
        ]
        if faults:
            raise InvalidInput("the retry limits contradict themselves", faults)


STEP_RETRY = Retry()
ACTION_RETRY = Retry(attempts=8, base_s=0.5, cap_s=300.0, timeout_s=30.0)


@dataclass(frozen=True)
class Step(Generic[P, T]):
    """A function with its limits; calling it calls the function, so that it is tested like any other."""

    function: Callable[P, Any]
    retry: Retry

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        return self.function(*args, **kwargs)


def step(*, retry: Retry = STEP_RETRY) -> Callable[[Callable[P, T]], Step[P, T]]:
    """Give a step its own limits: `@step(retry=Retry(attempts=5, timeout_s=10))`."""
    return lambda function: Step(function, retry)


@dataclass(frozen=True)
class Action(Generic[P]):
    """Something done to the world outside, at least once, always under one idempotency key.

    The function's first parameter is that key; hand it to the far side. It may be `async def` or `def` (runs in a
    thread). What it returns is kept with the action; raise `Terminal` to stop trying, anything else is tried again.
    """

    automation: str
    name: str
    function: Callable[Concatenate[str, P], Any]
    retry: Retry

    def __call__(self, key: str, *args: P.args, **kwargs: P.kwargs) -> Any:
        return self.function(key, *args, **kwargs)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a function's result is written to the journal and read back; made once per function."""

    name: str
    place: str
    adapter: TypeAdapter[Any] | None
    is_async: bool

    def read(self, text: str | bytes) -> Any:
        """Return the value that the journal text stands for."""
        return (
            from_json(text) if self.adapter is None else self.adapter.validator.validate_json(text)
        )

    def write(self, value: Any) -> tuple[str, Any]:
        """Return the journal text of a result, and what it reads back as: what every later run will see.

        Raises:
            NotDurable: it cannot be written, or would read back as something else. Terminal: fix the function.
        """
        try:
            text = (
                to_json(value).decode()
                if self.adapter is None
                else self.adapter.serializer.to_json(value).decode()
            )
            back = self.read(text)
        except (ValueError, TypeError) as wrong:
            raise NotDurable(self._advice(value, str(wrong))) from wrong
        if back != value and not (value != value):
            raise NotDurable(self._advice(value, f"it reads back as {type(back).__name__}"))
        return text, back

    def _advice(self, value: Any, why: str) -> str:
        return (
            f"{self.name} ({self.place}) returned {type(value).__name__}, which the journal cannot keep: {why}. "
            f"Return plain values or a pydantic model, and annotate the return type"
        )


@functools.lru_cache(maxsize=4096)
def shape_of(function: Callable[..., Any]) -> Shape:
    """Return how a function's result is kept, from its return annotation."""
    code = getattr(function, "__code__", None)
    place = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)
    name = getattr(function, "__name__", type(function).__name__)
    return Shape(
        name, place, _adapter(function, name, place), inspect.iscoroutinefunction(function)
    )


@functools.lru_cache(maxsize=4096)
def plain_step(function: Callable[..., Any]) -> Step[..., Any]:
    """Return a function as a step with the usual limits; made once per function."""
    return Step(function, STEP_RETRY)


def _adapter(function: Callable[..., Any], name: str, place: str) -> TypeAdapter[Any] | None:
    try:
        returns = get_type_hints(function).get("return", Any)
    except (NameError, TypeError):
        return None
    if returns is Any or returns is object:
        return None
    try:
        return TypeAdapter(returns)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation) as wrong:
        raise NotDurable(
            f"{name} ({place}) returns {returns!r}, which the journal cannot keep; return plain values or a pydantic model"
        ) from wrong
