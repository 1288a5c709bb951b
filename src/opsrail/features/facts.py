"""Facts: what a settled case teaches feature views, as rows for the commit that settles it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel

from opsrail.errors import AuthorError, InvalidInput
from opsrail.features.view import FeatureView
from opsrail.values.canonical import canonical
from opsrail.values.features import FactRow
from opsrail.values.rows import Insert


def facts_of(
    views: Sequence[FeatureView[Any]],
    case_input: BaseModel,
    outcome: BaseModel,
    rulings: Sequence[Any] = (),
    *,
    case_id: str,
    at_ms: int,
    new_id: Callable[[], str],
) -> list[Insert]:
    """Return the facts that a settled case adds, one a view at most; they belong into the commit that settles it.

    Args:
        rulings: What people ruled in the case, in order; given to views whose `fact` takes a third argument.
        new_id: Gives ULIDs. Take them right before the commit: facts are folded in the order of their ids.

    Raises:
        AuthorError: a view's `fact` failed or gave what is no JSON. Terminal: the case is set aside until it is corrected.
    """
    inserts = []
    for view in views:
        if view.fact is None:
            continue
        try:
            taught = view.fact(*(case_input, outcome, rulings)[: _parameters(view.fact)])
            if taught is not None:
                row = fact_row(view, *taught, fact_id=new_id(), case_id=case_id, at_ms=at_ms)
                inserts.append(Insert(row))
        except Exception as fault:
            raise AuthorError(
                f"case {case_id}: feature view {view.ref} cannot take its fact: {type(fault).__name__}: {fault}; "
                f"correct its `fact` function, then `opsrail cases retry {case_id}`"
            ) from fault
    return inserts


def fact_row(
    view: FeatureView[Any],
    entity: object,
    fact: object,
    *,
    fact_id: str,
    case_id: str | None,
    at_ms: int,
) -> FactRow:
    """Return the row of one fact.

    Raises:
        InvalidInput: the entity is no text, or the fact no JSON object. Terminal.
    """
    if not isinstance(entity, str) or not isinstance(fact, Mapping):
        what = f"{type(entity).__name__} and {type(fact).__name__}"
        raise InvalidInput(f"feature view {view.ref}: a fact is (entity text, object), not {what}")
    text = canonical(dict(fact)).decode()
    return FactRow(fact_id, view.name, view.version, entity, text, case_id, at_ms)


def folded(view: FeatureView[Any], state: Any, rows: Sequence[FactRow]) -> Any:
    """Return the state after these facts.

    Raises:
        AuthorError: the view's fold failed; the fact is named. Decisions fall back until it is corrected.
    """
    for row in rows:
        try:
            state = view.fold(state, orjson.loads(row.fact))
        except Exception as fault:
            raise AuthorError(
                f"feature view {view.ref}: fold failed at fact {row.id}: {type(fault).__name__}: {fault}; "
                f"correct it and give it the next version"
            ) from fault
    return state


def takes_rulings(view: FeatureView[Any]) -> bool:
    """Return whether a view's `fact` is given what people ruled."""
    return view.fact is not None and _parameters(view.fact) > 2


def _parameters(function: Callable[..., Any]) -> int:
    """Return how many positional arguments a `fact` function takes: 2, or 3 with the rulings."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return 3
    return sum(1 for parameter in parameters if parameter.kind in kinds)
