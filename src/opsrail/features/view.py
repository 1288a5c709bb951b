"""A feature view: what history says about an entity, as its author declares it.

def initial() -> dict[str, int]:
    return {"claims": 0, "frauds": 0}

make_history = FeatureView(
    "make-history", version=1,
    entity=lambda request: request.make,
    initial=initial,
    fold=lambda state, fact: {"claims": state["claims"] + 1, "frauds": state["frauds"] + fact["fraud"]},
    read=lambda state: {"make_fraud_ratio": (state["frauds"] + 1) / (state["claims"] + 20)},
    fact=lambda claim, settlement: (claim.make, {"fraud": int(settlement.is_fraud)}),
)
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from opsrail.errors import AuthorError, Fault, InvalidInput

S = TypeVar("S")
Fact = Mapping[str, Any]
Values = Mapping[str, float | str]
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class FeatureView(Generic[S]):
    """A named, versioned fold over the facts of one entity. Change what it computes: give it the next version.

    All functions are plain, quick and without I/O; `fold` and `read` depend on their arguments alone.

    Args:
        name: Lower case, digits and `-`; at most 63 characters.
        version: 1 or more.
        entity: The request -> whose history is read, e.g. a make or a policyholder's id.
        initial: -> the state of an entity without history; a fresh one each call.
        fold: (state, fact) -> the next state; a fact is what `fact` returned, as JSON values.
        read: state -> features by name: numbers or text. The names are the same for every state.
        fact: (case input, outcome) or (case input, outcome, rulings) -> (entity, fact) for a settled case, or None when it
            teaches nothing. Facts are kept for good: leave out what may have to be erased.

    Raises:
        InvalidInput: something contradicts itself, or `read(initial())` fails; all faults at once. Terminal.
    """

    def __init__(
        self,
        name: str,
        *,
        version: int,
        entity: Callable[[Any], str],
        initial: Callable[[], S],
        fold: Callable[[S, Any], S],
        read: Callable[[S], Values],
        fact: Callable[..., tuple[str, Fact] | None] | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.entity = entity
        self.initial = initial
        self.fold = fold
        self.fact = fact
        self._read = read
        self.names: frozenset[str] = frozenset()
        functions = {"entity": entity, "initial": initial, "fold": fold, "read": read, "fact": fact}
        found = list(_faults(name, version, functions))
        if not found:
            try:
                self.names = frozenset(read(initial()))
            except Exception as fault:
                found.append(
                    Fault("read", f"read(initial()) failed: {type(fault).__name__}: {fault}")
                )
        if found:
            raise InvalidInput(f"feature view {name!r} cannot be defined", found)

    @property
    def ref(self) -> str:
        """Return `name@version`, as decision points name it."""
        return f"{self.name}@{self.version}"

    def read(self, state: S) -> dict[str, float | str]:
        """Return the features of a state.

        Raises:
            AuthorError: other names than those of an entity without history, or values that are no finite numbers or text.
        """
        values = dict(self._read(state))
        wrong = [name for name, value in values.items() if not _is_feature(value)]
        if wrong or values.keys() != self.names:
            what = (
                f"no finite number or text: {', '.join(wrong)}"
                if wrong
                else f"other names than {sorted(self.names)}"
            )
            raise AuthorError(
                f"feature view {self.ref}: read gave {what}; correct it and give it the next version"
            )
        return values

    def __repr__(self) -> str:
        return f"FeatureView({self.ref!r})"


def _is_feature(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, int | float) and abs(value) < float("inf"))


def _faults(name: str, version: object, functions: Mapping[str, Any]) -> Iterator[Fault]:
    if not NAME.fullmatch(name):
        yield Fault(
            "name", f"{name!r}: use a-z, 0-9 and -, starting with a letter, at most 63 characters"
        )
    if not isinstance(version, int) or not 1 <= version < 10**9:
        yield Fault("version", f"{version!r} is not a whole number from 1 on")
    for place, function in functions.items():
        if function is None and place == "fact":
            continue
        if not callable(function) or inspect.iscoroutinefunction(function):
            yield Fault(place, "must be a plain function")
