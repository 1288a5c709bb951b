"""Settings of a decision point: what holds instead of what its code says, and how much is left to the machine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

import orjson

from opsrail.errors import Fault, InvalidInput
from opsrail.values.bands import Band, band_faults
from opsrail.values.canonical import canonical

Autonomy = Literal["observe", "assist", "automate"]
AUTONOMIES: tuple[str, ...] = get_args(Autonomy)
"""From the least to the most that is left to the machine."""
LONGEST_DEADLINE_MS = 600_000
MOST_SEGMENTS = 100
NAMES = ("bands", "deadline_ms", "autonomy")


class Segment(NamedTuple):
    """Requests for which one level of autonomy holds.

    Attributes:
        where: Fields of the request with the values they must have, as JSON; empty: every request.
        level: `observe`: people decide, the model only predicts; `assist`: people see what policy says and confirm;
            `automate`: policy's verdict holds.
    """

    where: Mapping[str, Any]
    level: Autonomy


class PointSettings(NamedTuple):
    """What holds for a decision point instead of its code.

    Attributes:
        revision: Of the last change.
        bands: None: as in the code.
        deadline_ms: None: as in the code.
        autonomy: The first segment that a request belongs to counts; without one it is automated.
    """

    revision: int
    bands: tuple[Band, ...] | None = None
    deadline_ms: int | None = None
    autonomy: tuple[Segment, ...] = ()


def level_of(segments: Sequence[Segment], values: Mapping[str, Any]) -> Autonomy:
    """Return how much is left to the machine for a request.

    Args:
        values: The request's fields as JSON.
    """
    for segment in segments:
        if all(name in values and values[name] == value for name, value in segment.where.items()):
            return segment.level
    return "automate"


def settings_of(content: str, revision: int) -> PointSettings:
    """Return settings from what the store keeps. Raises InvalidInput: it was not written by opsrail."""
    try:
        tree = orjson.loads(content)
    except orjson.JSONDecodeError as wrong:
        raise InvalidInput("a point's settings cannot be read", [Fault("", str(wrong))]) from wrong
    if found := list(settings_faults(tree)):
        raise InvalidInput("a point's settings cannot be read", found)
    bands, deadline_ms = tree.get("bands"), tree.get("deadline_ms")
    segments = tree.get("autonomy") or ()
    return PointSettings(
        revision,
        None if bands is None else tuple(Band(each["verdict"], each["below"]) for each in bands),
        deadline_ms,
        tuple(Segment(each["where"], each["level"]) for each in segments),
    )


def content_of(tree: Mapping[str, Any]) -> str:
    """Return settings as the store keeps them: what is None is left out."""
    return canonical({name: value for name, value in tree.items() if value is not None}).decode()


def settings_faults(tree: object) -> Iterator[Fault]:
    """Yield everything that is wrong with settings as plain JSON values."""
    if not isinstance(tree, dict):
        yield Fault("", f"is {type(tree).__name__}, not an object")
        return
    for name in tree.keys() - set(NAMES):
        yield Fault(str(name)[:63], f"is no setting; there are: {', '.join(NAMES)}")
    if (bands := tree.get("bands")) is not None:
        yield from _bands_faults(bands)
    if (deadline_ms := tree.get("deadline_ms")) is not None:
        is_whole = isinstance(deadline_ms, int) and not isinstance(deadline_ms, bool)
        if not is_whole or not 1 <= deadline_ms <= LONGEST_DEADLINE_MS:
            yield Fault("deadline_ms", f"{deadline_ms!r} is outside 1..{LONGEST_DEADLINE_MS}")
    if (autonomy := tree.get("autonomy")) is not None:
        yield from _autonomy_faults(autonomy)


def _bands_faults(bands: object) -> Iterator[Fault]:
    if not isinstance(bands, list):
        yield Fault("bands", "is no list of {verdict, below}")
        return
    read = []
    for position, each in enumerate(bands):
        is_band = isinstance(each, dict) and each.keys() == {"verdict", "below"}
        below = each["below"] if is_band else None
        if not isinstance(below, int | float) or isinstance(below, bool) or math.isnan(below):
            yield Fault(f"bands[{position}]", "is not {verdict: a name, below: a number}")
        else:
            read.append(Band(each["verdict"], below))
    if len(read) == len(bands):
        yield from band_faults(read)


def _autonomy_faults(autonomy: object) -> Iterator[Fault]:
    if not isinstance(autonomy, list):
        yield Fault("autonomy", "is no list of {where, level}")
        return
    if len(autonomy) > MOST_SEGMENTS:
        yield Fault("autonomy", f"has {len(autonomy)} segments; at most {MOST_SEGMENTS}")
    for position, each in enumerate(autonomy[:MOST_SEGMENTS]):
        place = f"autonomy[{position}]"
        if not isinstance(each, dict) or each.keys() != {"where", "level"}:
            yield Fault(place, "is not {where: {field: value}, level}")
            continue
        if each["level"] not in AUTONOMIES:
            yield Fault(f"{place}.level", f"{each['level']!r} is none of {', '.join(AUTONOMIES)}")
        if not isinstance(each["where"], dict):
            yield Fault(f"{place}.where", "is no object of fields and values")
        elif position < len(autonomy) - 1 and not each["where"]:
            yield Fault(f"{place}.where", "is empty, so no later segment is ever reached")
