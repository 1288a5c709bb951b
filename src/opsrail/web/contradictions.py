"""What no schema can say of a body: whether its parts agree with each other, with the code, and with what is there.

A field that does not fit its description is 422, and all such fields are told at once. What a trade refuses of a body that
fits is a contradiction: 409, with all faults too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from opsrail.app import App
from opsrail.decide.point import NAME
from opsrail.errors import Contradictory, InvalidInput, NotFound
from opsrail.values.decisions import DecisionRow
from opsrail.values.registry import RolloutChangeRow
from opsrail.values.rows import equals


@contextmanager
def contradictions() -> Iterator[None]:
    """Turn what is invalid, though its body fits its description, into a contradiction. Raises Contradictory."""
    try:
        yield
    except Contradictory:
        raise
    except InvalidInput as wrong:
        if _is_of_fields(wrong.__cause__):
            raise
        raise Contradictory(wrong.summary, wrong.faults) from wrong


def _is_of_fields(cause: BaseException | None) -> bool:
    """Return whether a part that was read late does not fit its description; rules between fields are not of that kind."""
    if not isinstance(cause, ValidationError):
        return False
    return any(error["type"] != "value_error" for error in cause.errors(include_url=False))


async def known_point(app: App, name: str) -> None:
    """Refuse a decision point that neither the code nor the store knows. Raises NotFound."""
    if name in app.definitions.points:
        return
    if NAME.fullmatch(name):
        for table in (DecisionRow, RolloutChangeRow):
            if await app.store.select(table, *equals(point=name), limit=1):
                return
    known = ", ".join(app.definitions.points) or "none"
    raise NotFound(f"no decision point {name[:63]!r} here; there are: {known}")
