"""A feature view: what is known about an entity, as its author declares it: folded from settled cases, or kept as brought.

policyholder = FeatureView(
    "policyholder", version=2, entity="policy_id", ttl="90d",
    features={"claims_5y": int, "premium_usd": float, "region": str},
    source=FileSource("policyholders.parquet", event_at="as_of"),
)

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
from typing import Any, Generic, NamedTuple, TypeVar, cast

from opsrail.errors import AuthorError, Fault, InvalidInput
from opsrail.features.source import FeastSource, Pushed, Source
from opsrail.values.canonical import LARGEST_INTEGER
from opsrail.values.spans import Span, span_ms

S = TypeVar("S")
Fact = Mapping[str, Any]
Values = Mapping[str, float | str]
Value = float | int | str | None
KINDS: Mapping[type, str] = {float: "float", int: "int", str: "str"}
"""What a kept feature may be, and how a definition writes it."""
LONGEST_TEXT = 10_000
"""Characters of a feature that is text. Ours: no category is longer, and each value is kept for good."""
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class Kept(NamedTuple):
    """What a view keeps instead of folding facts.

    Attributes:
        features: Type of each: float, int or str. Each may also be None: not known.
        missing: What each is for an entity without a value.
        ttl_ms: Age from which a value counts as missing; None: never.
    """

    features: Mapping[str, type]
    missing: Mapping[str, Value]
    ttl_ms: int | None
    source: Source

    def is_expired(self, event_at_ms: int, moment_ms: int) -> bool:
        """Return whether a value counts as missing at a moment."""
        return self.ttl_ms is not None and moment_ms - event_at_ms > self.ttl_ms


class FeatureView(Generic[S]):
    """What is known about one entity, under a name and version. Change what it computes: give it the next version.

    With `fold` it is computed from the facts of settled cases. With `features` its values are kept as they were brought,
    each with the moment it was true and the moment it was written.

    All functions are plain, quick and without I/O; `fold` and `read` depend on their arguments alone.

    Args:
        name: Lower case, digits and `-`; at most 63 characters.
        version: 1 or more.
        entity: The request -> whose features are read, e.g. a make or a policyholder's id; or the name of the field of the
            request that says it, text or a whole number.
        initial: -> the state of an entity without history; a fresh one each call.
        fold: (state, fact) -> the next state; a fact is what `fact` returned, as JSON values.
        read: state -> features by name: numbers or text. The names are the same for every state.
        fact: (case input, outcome) or (case input, outcome, rulings) -> (entity, fact) for a settled case, or None when it
            teaches nothing. Facts are kept for good: leave out what may have to be erased.
        features: Of a kept view: name -> float, int or str.
        missing: Of a kept view: what a feature is for an entity without a value; None unless named.
        ttl: Of a kept view: age of its event time from which a value counts as missing, e.g. `"90d"`.
        source: Of a kept view: where its values come from; `Pushed()` unless given.

    Raises:
        InvalidInput: something contradicts itself, or `read(initial())` fails; all faults at once. Terminal.
    """

    def __init__(
        self,
        name: str,
        *,
        version: int,
        entity: str | Callable[[Any], str],
        initial: Callable[[], S] | None = None,
        fold: Callable[[S, Any], S] | None = None,
        read: Callable[[S], Values] | None = None,
        fact: Callable[..., tuple[str, Fact] | None] | None = None,
        features: Mapping[str, type] | None = None,
        missing: Mapping[str, Value] | None = None,
        ttl: Span | None = None,
        source: Source | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.entity_field = entity if isinstance(entity, str) else None
        self.entity = _field(entity) if isinstance(entity, str) else entity
        self.initial: Callable[[], S] = initial or _not_folded
        self.fold: Callable[[S, Any], S] = fold or _not_folded
        self.fact = fact
        self._read: Callable[[S], Values] = read or _not_folded
        self.kept: Kept | None = None
        self.names: frozenset[str] = frozenset()
        functions = {"initial": initial, "fold": fold, "read": read, "fact": fact}
        found = list(_faults(name, version, entity))
        if features is None:
            keeping = {"missing": missing, "ttl": ttl, "source": source}
            found += _fold_faults(functions, keeping)
        else:
            found += _kept_faults(functions, features, missing or {}, ttl, source)
        if not found:
            if features is not None:
                self.kept = _kept(features, missing or {}, ttl, source or Pushed())
                self.names = frozenset(features)
            else:
                found += self._tried()
        if found:
            raise InvalidInput(f"feature view {name!r} cannot be defined", found)

    def _tried(self) -> Iterator[Fault]:
        """Learn the features' names from an entity without history."""
        try:
            self.names = frozenset(self._read(self.initial()))
        except Exception as fault:
            yield Fault("read", f"read(initial()) failed: {type(fault).__name__}: {fault}")

    @property
    def folding(self) -> Mapping[str, Callable[..., Any]]:
        """Return the functions that a folded view's values depend on, by name; none of a kept view."""
        if self.kept is not None:
            return {}
        functions: dict[str, Callable[..., Any]] = {
            "initial": self.initial,
            "fold": self.fold,
            "read": self._read,
        }
        if self.fact is not None:
            functions["fact"] = self.fact
        return functions

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


def value_of(kind: type, value: object, *, is_text: bool = False) -> Value:
    """Return a kept feature's value as its type has it.

    Args:
        kind: float, int or str.
        is_text: Whether it stands in a file of text cells, where an empty one is None.

    Raises:
        ValueError: it is of another type, not finite, or too large. Says what is wrong.
    """
    if value is None or (is_text and value == ""):
        return None
    if kind is str:
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            raise ValueError(f"must be text of at most {LONGEST_TEXT:,} characters")
        value.encode()  # half of a surrogate pair is a ValueError
        return value
    number = float(value) if is_text and isinstance(value, str) else value
    if not isinstance(number, int | float) or not abs(number) < float("inf"):
        raise ValueError(f"must be a finite number, not {_shown(value)}")
    if kind is float:
        return float(number)
    whole = int(value) if is_text and isinstance(value, str) and _is_whole(value) else int(number)
    if whole != number or abs(whole) > LARGEST_INTEGER:
        raise ValueError(f"must be a whole number below 2**53, not {_shown(value)}")
    return whole


def _is_whole(text: str) -> bool:
    return text.strip().lstrip("+-").isdecimal()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _field(name: str) -> Callable[[Any], str]:
    """Return what reads an entity from a field of the request; whole numbers become text."""

    def entity(request: Any) -> str:
        value = getattr(request, name)
        return str(value) if type(value) is int else cast(str, value)

    return entity


def _not_folded(*_: object) -> Any:
    raise AuthorError("a kept view folds nothing; its values are pushed or read in")


def _kept(
    features: Mapping[str, type], missing: Mapping[str, Value], ttl: Span | None, source: Source
) -> Kept:
    absent = {
        name: value_of(kind, missing[name]) if name in missing else None
        for name, kind in features.items()
    }
    return Kept(dict(features), absent, None if ttl is None else span_ms(ttl), source)


def _faults(name: str, version: object, entity: object) -> Iterator[Fault]:
    if not NAME.fullmatch(name):
        yield Fault(
            "name", f"{name!r}: use a-z, 0-9 and -, starting with a letter, at most 63 characters"
        )
    if not isinstance(version, int) or not 1 <= version < 10**9:
        yield Fault("version", f"{version!r} is not a whole number from 1 on")
    if isinstance(entity, str) and not entity.isidentifier():
        yield Fault("entity", f"{entity!r} is no name of a field of the request")
    if not isinstance(entity, str) and not _is_plain(entity):
        yield Fault("entity", "must be a plain function, or the name of a field of the request")


def _fold_faults(functions: Mapping[str, Any], keeping: Mapping[str, Any]) -> Iterator[Fault]:
    for place, function in functions.items():
        if function is None and place == "fact":
            continue
        if not _is_plain(function):
            yield Fault(place, "must be a plain function; a view that keeps values has `features`")
    for place, given in keeping.items():
        if given is not None:
            yield Fault(place, "is for a view that keeps values, which has `features`")


def _kept_faults(
    functions: Mapping[str, Any],
    features: Mapping[str, type],
    missing: Mapping[str, Value],
    ttl: Span | None,
    source: Source | None,
) -> Iterator[Fault]:
    if isinstance(source, FeastSource):
        yield from source.faults(features)
    for place, function in functions.items():
        if function is not None:
            yield Fault(place, "is for a view that folds facts; leave it out, or `features`")
    if not features:
        yield Fault("features", "names none")
    for name, kind in features.items():
        if not str(name).strip():
            yield Fault("features", f"{name!r} is no name")
        if kind not in KINDS:
            yield Fault(f"features.{name}", f"is {kind!r}; give float, int or str")
    for name, value in missing.items():
        if name not in features:
            yield Fault(f"missing.{name}", "is none of the features")
        elif (kind := features[name]) in KINDS:
            try:
                value_of(kind, value)
            except ValueError as wrong:
                yield Fault(f"missing.{name}", str(wrong))
    try:
        if ttl is not None and span_ms(ttl) == 0:
            yield Fault("ttl", "is no time at all; leave it out to keep values for ever")
    except InvalidInput as wrong:
        yield Fault("ttl", wrong.summary)


def _is_plain(function: object) -> bool:
    return callable(function) and not inspect.iscoroutinefunction(function)
