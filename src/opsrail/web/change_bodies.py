"""What a change may ask for over HTTP, by its kind: everything that a schema can say stands in the schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    StringConstraints,
    WrapValidator,
)

from opsrail.app.work import Json, Number
from opsrail.registry.affected import DAYS
from opsrail.registry.rollout import Stage
from opsrail.registry.wishes import (
    LARGEST_BYTES,
    LONGEST_HOLD_S,
    MOST_STEPS,
    NAME_CHARACTERS,
    POINT,
    REASON_CHARACTERS,
)
from opsrail.values.canonical import canonical
from opsrail.values.guarantees import GuaranteeSpec
from opsrail.values.guards import GuardSpec
from opsrail.values.settings import LONGEST_DEADLINE_MS, MOST_SEGMENTS, Autonomy
from opsrail.values.versions import VERSION
from opsrail.web.reading import KEPT, SAYS_SOMETHING

MOST_BANDS = 50
MOST_GUARANTEES = 20
Person = Annotated[
    str, StringConstraints(min_length=1, max_length=NAME_CHARACTERS, pattern=SAYS_SOMETHING)
]
Why = Annotated[
    str, StringConstraints(min_length=1, max_length=REASON_CHARACTERS, pattern=SAYS_SOMETHING)
]
Verdict = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=KEPT)]
Scalar = str | bool | Number | None
Conditions = Annotated[
    dict[str, Scalar],
    Field(max_length=20, description="Request fields with the values that they must have"),
]
Guard = Annotated[GuardSpec, WrapValidator(lambda given, _: given)]
"""Told as what it is, and read later: whether a version exists is said before what is wrong with its guard."""


class Part(BaseModel):
    """A part of a wish."""

    model_config = ConfigDict(extra="forbid")


class BandGiven(Part):
    """Scores up to, and not including, `below` get this verdict."""

    verdict: Verdict
    below: Annotated[float, Field(gt=0, le=1_000)]


class StepGiven(Part):
    """A share of the requests, and how long it holds at least."""

    share: Annotated[float, Field(gt=0, lt=1)]
    hold_s: Annotated[float, Field(ge=0, le=LONGEST_HOLD_S)]


class SegmentGiven(Part):
    """Requests for which one level of autonomy holds."""

    where: Conditions
    level: Autonomy


class Promotion(Part):
    """A version that goes to another stage."""

    model: Annotated[
        str,
        StringConstraints(pattern=f"^{VERSION.pattern}$"),
        Field(description="`name/number`"),
    ]
    stage: Stage = Stage.LIVE
    share: Annotated[float | None, Field(gt=0, le=1, description="Of a canary")] = None
    steps: Annotated[
        list[StepGiven] | None,
        Field(min_length=1, max_length=MOST_STEPS, description="On the way to live"),
    ] = None
    guard: Guard | None = None


class GuaranteeGiven(GuaranteeSpec):
    """What is promised of bands; more may stand beside it."""

    __pydantic_extra__: dict[str, Json] = Field(init=False)


class Bands(Part):
    """Other bands; null: as the code says."""

    bands: Annotated[list[BandGiven] | None, Field(min_length=1, max_length=MOST_BANDS)]
    guarantee: (
        GuaranteeGiven | Annotated[list[GuaranteeGiven], Field(max_length=MOST_GUARANTEES)] | None
    ) = None


class Deadline(Part):
    """Another deadline; null: as the code says."""

    deadline_ms: Annotated[int | None, Field(ge=1, le=LONGEST_DEADLINE_MS)]


class Levels(Part):
    """All segments anew; null: none."""

    autonomy: Annotated[list[SegmentGiven] | None, Field(max_length=MOST_SEGMENTS)]


class Level(Part):
    """One segment at another level."""

    level: Autonomy
    where: Annotated[Conditions, Field(default_factory=dict)]


def _bounded(tree: dict[str, Any]) -> dict[str, Any]:
    if len(canonical(tree)) > LARGEST_BYTES:
        raise ValueError(f"is longer than {LARGEST_BYTES:,} bytes")
    return tree


class Wish(Part):
    """What shall be changed, where, who wants it and why."""

    point: Annotated[str, StringConstraints(pattern=f"^{POINT.pattern}$")]
    by: Person | None = None
    reason: Why
    backtest: (
        Annotated[
            dict[str, Json],
            Field(max_length=100, description="What the history says of it, shown to who approves"),
            AfterValidator(_bounded),
        ]
        | None
    ) = None
    days: Annotated[int, Field(ge=1, le=365)] = DAYS
    dry_run: bool = False


class PromoteWish(Wish):
    """A version shall go to another stage."""

    kind: Literal["promote"]
    content: Promotion


class BandsWish(Wish):
    """Bands shall move."""

    kind: Literal["bands"]
    content: Bands


class DeadlineWish(Wish):
    """The deadline shall be another."""

    kind: Literal["deadline"]
    content: Deadline


class AutonomyWish(Wish):
    """More or less shall be left to the machine."""

    kind: Literal["autonomy"]
    content: Levels | Level


class Plan(
    RootModel[
        Annotated[PromoteWish | BandsWish | DeadlineWish | AutonomyWish, Discriminator("kind")]
    ]
):
    """What shall be changed; `kind` says what `content` holds."""
