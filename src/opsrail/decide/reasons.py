"""Reason codes: which features moved a score most, said so that it can stand in a notice to the person concerned.

A code names a feature, its value, and whether it raised or lowered the score. Named are the features that pushed the score
to the side of the limit on which it stands: in the first band those that lowered it, in every other those that raised it
above the limit before. So the codes of an adverse verdict are its principal reasons; nothing that spoke for it hides them.

Source:
    12 CFR 1002.9(b)(2) (US Regulation B): a notice gives the specific principal reasons; its official interpretation,
    9(b)(2)-1: more than four are not likely to help. Regulation (EU) 2024/1689, Article 86: the main elements of the
    decision. The form of codes with texts is that of credit scores' reason codes.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from opsrail.decide.policy import Policy
from opsrail.values.explanations import (
    Contributions,
    Direction,
    ReasonCode,
    ReasonCodes,
)

MOST_CODES = 10
LONGEST_VALUE = 60


def reason_codes(
    told: Contributions,
    row: Mapping[str, object],
    request: type[BaseModel],
    policy: Policy[BaseModel],
    score: float,
    most: int,
) -> ReasonCodes:
    """Return the features that pushed a score to where it stands, what weighed most first.

    Args:
        row: The features by name, as the model took them.
        request: Gives fields their titles, where they have one.
        most: How many codes, at most.
    """
    direction: Direction = (
        "lowered" if policy.band(score).below == policy.bands[0].below else "raised"
    )
    sign = 1.0 if direction == "raised" else -1.0
    pushed = sorted(
        ((sign * part, name) for name, part in told.parts.items() if sign * part > 0),
        key=lambda one: (-one[0], one[1]),
    )
    codes = tuple(
        code_of(told, name, row.get(name), label_of(request, name)) for _, name in pushed[:most]
    )
    return ReasonCodes(told.method, told.space, told.against, told.baseline, codes)


def code_of(told: Contributions, name: str, value: object, label: str) -> ReasonCode:
    """Return the code of one feature."""
    part = told.parts[name]
    direction: Direction = "raised" if part > 0 else "lowered"
    value = value if isinstance(value, bool | int | float | str) else None
    typical = told.typical.get(name)
    if isinstance(value, bool) and typical in (0, 1):
        typical = bool(typical)  # a model has truths as numbers
    compared = "" if typical is None or typical == value else f" (typical: {shown(typical)})"
    text = f"{label} is {shown(value)}{compared}, which {direction} the score."
    return ReasonCode(f"{name}-{direction}", name, value, part, direction, text)


def absent_codes(why: str) -> ReasonCodes:
    """Return no codes, and why."""
    return ReasonCodes(None, None, None, None, (), why)


def label_of(request: type[BaseModel], name: str) -> str:
    """Return what people call a feature: the field's title, else its name."""
    field = request.model_fields.get(name)
    return name if field is None or not field.title else field.title


def shown(value: object) -> str:
    """Return a value as a sentence may show it."""
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."
