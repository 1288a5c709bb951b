"""What the store keeps of features: facts of case history that views are folded from, and values that were brought."""

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


class OutsideValue(NamedTuple):
    """One feature of one entity, as another system gave it just now.

    Attributes:
        value: None: there is none.
        status: `present`, `not-found` or `expired`, as that system says.
        event_at_ms: When it was true in the world, epoch ms; None: not told.
    """

    value: object
    status: str
    event_at_ms: int | None


class FeatureValueRow(NamedTuple):
    """What one source said about one entity at one moment; nothing is changed, a later row takes its place.

    Attributes:
        id: ULID.
        view: View name.
        number: View version.
        entity: Value of the entity key.
        event_at_ms: When it was true in the world, epoch ms.
        written_at_ms: When it was known, epoch ms: of two rows for one event time, the one written later holds, and of two
            written at once the one with the later id.
        content: Canonical JSON object of the view's features.
        source: What brought it: `push`, or the name of a file or query.
    """

    id: str
    view: str
    number: int
    entity: str
    event_at_ms: int
    written_at_ms: int
    content: str
    source: str


class ViewRow(NamedTuple):
    """One version of a feature view as it was first served: another definition under the same version is refused.

    Attributes:
        digest: `sha256:<hex>` over everything that can change a value.
        definition: JSON for people: entity, features, source, time to live.
    """

    name: str
    number: int
    digest: str
    definition: str
    created_at_ms: int
