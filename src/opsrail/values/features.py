"""What the store keeps of features: facts out of case history, from which views are folded."""

from __future__ import annotations

from typing import NamedTuple


class FactRow(NamedTuple):
    """One immutable contribution of one settled case (or imported history) to one feature view of one entity.

    Attributes:
        id: ULID: the order in which facts are folded.
        view: View name.
        number: View version.
        entity: Value of the entity key, e.g. a make or a policyholder's id.
        fact: JSON of what the view's fold takes.
        case_id: The case it came from, NULL for imported history.
        at_ms: When it became known.
    """

    id: str
    view: str
    number: int
    entity: str
    fact: str
    case_id: str | None
    at_ms: int
