"""What is typed on the page of a review: read from its forms, and what was wrong with it by field. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from opsrail.errors import Fault, InvalidInput
from opsrail.review.ruling import Wish, refuse_unless_sound
from opsrail.review.unasked import ASKED
from opsrail.values.reviews import ReviewRow
from opsrail.web.console.forms import Form
from opsrail.web.console.schema_form import PREFIX
from opsrail.web.console.schema_values import read_fields

NAMED = frozenset(("reason", "question", "to", "answer", "queue", "person"))
"""Fields of the page that are not the schema's and show their own faults."""
TYPED = NAMED | {"why"}


def named_of(faults: Sequence[Fault]) -> Mapping[str, str]:
    """Return what is wrong in the fields that are not the schema's, by name; of all others nothing."""
    return defaultdict(str, {each.place: each.message for each in faults if each.place in NAMED})


def sent_fields(row: ReviewRow, wish: Form, by: str) -> dict[str, Any] | None:
    """Return what was filled in beside the verdict; None: the review has no form.

    Raises:
        InvalidInput: what was typed is no value of its field; with whatever else is wrong with the ruling. Terminal.
    """
    if row.form is None:
        return None
    made = from_json(row.form)
    values, faults = read_fields(made["schema"], made["values"], typed_of(wish))
    if faults:
        given = Wish(wish.get("verdict", ""), by, one_text(wish, "reason"), values)
        raise InvalidInput(
            f"review {row.id} was not ruled", [*faults, *_besides(row, given, faults)]
        )
    return values


def _besides(row: ReviewRow, wish: Wish, known: Sequence[Fault]) -> Iterator[Fault]:
    """Yield what else is wrong with a ruling than what is known of its fields.

    What policy said of a blind review is not told here: its person may have said nothing yet.
    """
    try:
        refuse_unless_sound(row._replace(verdict=ASKED) if row.blind else row, wish)
    except InvalidInput as wrong:
        known_places = [fault.place for fault in known]
        for fault in wrong.faults:
            if not any(_is_around(place, fault.place) for place in known_places):
                yield fault


def _is_around(one: str, other: str) -> bool:
    """Return whether two places are the same, or one lies within the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def typed_of(wish: Form) -> dict[str, list[str]]:
    """Return what was typed, by field: the form's fields, the reason and the like."""
    names = {name for name in wish if name.startswith(f"{PREFIX}.") or name in TYPED}
    return {name: wish.getlist(name) for name in names}


def one_text(wish: Form, name: str) -> str:
    """Return a text of several lines as it was typed, with plain line ends."""
    return wish.get(name, "").replace("\r\n", "\n").strip()
