"""Shapes of bodies and answers about feature views, for the OpenAPI description. Shapes of answers only ever grow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from opsrail.app.work import Number, Whole
from opsrail.features.keeping import LONGEST_ENTITY, MOST_PUSHED
from opsrail.web.answers import Moment, Shape, ViewRead
from opsrail.web.reading import KEPT

MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
"""How a moment is written. Source: RFC 3339, section 5.6, capital letters alone."""


class Value(BaseModel):
    """What was true of an entity at a moment: every feature of the view, null where it is not known."""

    model_config = ConfigDict(extra="forbid")
    entity: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ENTITY, pattern=KEPT)]
    event_at: Annotated[str, StringConstraints(pattern=f"^{MOMENT}$")]
    values: dict[str, Whole | Number | str | None]


class Push(BaseModel):
    """Values to be kept, all of them or none."""

    model_config = ConfigDict(extra="forbid")
    values: Annotated[list[Value], Field(min_length=1, max_length=MOST_PUSHED)]


class Taken(Shape):
    """What became of a push."""

    kept: int
    there: int


class Definition(Shape):
    """How a view is defined; what else there is depends on its kind."""

    kind: Literal["folded", "kept"]
    entity: str
    features: dict[str, str] | list[str]


class View(Shape):
    """A feature view as it was first served under its version."""

    name: str
    version: int
    digest: str
    definition: Definition
    served_at: Moment


class Views(Shape):
    """All versions of all views that were served here."""

    views: list[View]


class Read(Shape):
    """What a view knows of an entity, or knew at a moment."""

    features: ViewRead
    at: Moment | None
