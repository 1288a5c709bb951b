"""What each fact of a request may become: one option for each cell of the model that the request's type lets it reach.

An option is the value of its cell that is nearest to what the fact is; of those within a thousandth of the fact's scale and
a twentieth of the way, the one with the fewest digits. Numbers whose score has no cells get evenly spaced options. The type
is read from the model's JSON schema, and every option is a value that the model itself accepts.
"""

from __future__ import annotations

import functools
import math
import struct
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, Decimal
from typing import Any, NamedTuple

import orjson
from pydantic import BaseModel, ValidationError

from opsrail.features.request import request_row
from opsrail.values.explanations import FeatureCells, Fixed

GRID = 16
"""Steps between the least and the greatest number of a fact without cells. Ours: bisection finds the rest."""
FINE = 1e-3
"""Share of a fact's scale within which a shorter number is as good, at most. Ours: no advice turns on it."""
MOST_WORDS = 200
UNKNOWN_TYPE = "It is no number, truth or word of a known list."


class Option(NamedTuple):
    """What one fact may become.

    Attributes:
        told: As the request's JSON has it.
        value: As the model takes it.
        distance: How far it is from what the fact is; numbers by their scale, all else 1.
    """

    told: object
    value: object
    distance: float


class Choice(NamedTuple):
    """One fact, and what it may become.

    Attributes:
        now: What it is, as the model takes it.
        options: Nearest first.
        is_whole: Whether they stand for all that it may become.
        scale: Of a number: what counts as distance 1; else None.
        step: Of a number that only takes multiples; else None.
    """

    name: str
    now: object
    options: tuple[Option, ...]
    is_whole: bool
    scale: float | None = None
    step: float | None = None


@dataclass
class Shape:
    """What a fact may be, by its type."""

    is_number: bool = False
    is_truth: bool = False
    is_text: bool = False
    words: list[object] = field(default_factory=list)
    low: float = -math.inf
    high: float = math.inf
    step: float | None = None


def choice_of(
    request: type[BaseModel],
    values: Mapping[str, Any],
    name: str,
    now: object,
    cells: FeatureCells,
    *,
    is_whole: bool,
    numbers: Sequence[float] = (),
) -> Choice | str:
    """Return what a fact may become, or in one sentence why it stays as it is.

    Args:
        values: The request as JSON.
        now: The fact as the model takes it.
        is_whole: Whether the cells alone tell where something changes.
        numbers: At which a rule may change its mind.
    """
    fixed = [one for one in request.model_fields[name].metadata if isinstance(one, Fixed)]
    if fixed:
        return fixed[0].why
    shape = shape_of(request, name)
    scale = None
    if _is_word(shape, cells):
        words = [word for word in _words(shape, cells) if word != now]
        found: list[tuple[object, float]] = [(word, 1.0) for word in words[:MOST_WORDS]]
        is_whole = is_whole and len(words) <= MOST_WORDS and not shape.is_number
    elif shape.is_number and (now is None or isinstance(now, int | float)):
        scale = scale_of(shape, cells, now)
        reached = [*_numbers(shape, cells, now, scale, numbers, is_whole=is_whole)]
        is_whole = is_whole and None not in reached
        given = [number for number in reached if number is not None]
        found = [(number, 1.0 if now is None else abs(number - now) / scale) for number in given]
    else:
        return UNKNOWN_TYPE
    options = [option_of(request, values, name, one, distance) for one, distance in found]
    is_whole = is_whole and all(
        option is not None and option.value == told
        for option, (told, _) in zip(options, found, strict=True)
    )
    kept = {
        repr(option.told): option
        for option in options
        if option is not None and option.value != now
    }
    ordered = sorted(kept.values(), key=lambda option: (option.distance, repr(option.told)))
    return Choice(name, now, tuple(ordered), is_whole, scale, shape.step)


def shape_of(request: type[BaseModel], name: str) -> Shape:
    """Return what a field may be, as its JSON schema says."""
    schema = _schema_of(request)
    shape = Shape()
    _read(schema["properties"][name], schema.get("$defs", {}), shape)
    return shape


@functools.lru_cache(maxsize=64)
def _schema_of(request: type[BaseModel]) -> dict[str, Any]:
    """Return a model's schema; making it takes a millisecond, and every field asks for it."""
    return request.model_json_schema(by_alias=False)


def scale_of(shape: Shape, cells: FeatureCells, now: float | None) -> float:
    """Return what counts as distance 1: the range in training; else from the first to the last edge; else of the type."""
    if cells.low is not None and cells.high is not None and cells.high > cells.low:
        return cells.high - cells.low
    if len(cells.edges) > 1:
        first, last = cells.edges[0], cells.edges[-1]
        if last - first > FINE * FINE * max(abs(first), abs(last), FINE):  # more than rounding
            return last - first
    if math.isfinite(width := shape.high - shape.low) and width > 0:
        return width
    return max(abs(now or 0.0), 1.0)


def fine_of(edge: float, now: float | None, scale: float) -> float:
    """Return within how much of an edge a shorter number is as good: never more than a twentieth of the way there."""
    if now is None:
        return FINE * scale
    return min(FINE * scale, max(abs(edge - now) / 20, FINE * FINE * scale))


def shortest(low: float, high: float, *, is_down: bool) -> float | None:
    """Return the number with the fewest digits above `low` and up to `high`, also as float32; None: there is none.

    Args:
        is_down: Of equally short ones take the greatest, else the least.
    """
    if not math.isfinite(high - low):
        return None
    if rounded(high) > high:
        high = _before(high)
    if not (width := high - low) > 0:
        return None
    first = math.ceil(math.log10(max(abs(low), abs(high), width)))
    for exponent in range(first, first - 24, -1):
        step = Decimal(1).scaleb(exponent)
        anchor = Decimal(high if is_down else low)
        end = (anchor / step).to_integral_value(ROUND_FLOOR)
        for steps in (end, end - 1) if is_down else (end + 1, end + 2):  # the first may round away
            number = float(steps * step)
            if low < number <= high and low < rounded(number) <= high:
                return number
    last = high if is_down else -_before(-low)
    return last if low < rounded(last) <= high else None


def rounded(number: float) -> float:
    """Return a number as float32 holds it, since many models compute with that."""
    try:
        (held,) = struct.unpack("<f", struct.pack("<f", number))
    except OverflowError:
        return number
    return float(held)


def _numbers(
    shape: Shape,
    cells: FeatureCells,
    now: float | None,
    scale: float,
    numbers: Sequence[float],
    *,
    is_whole: bool,
) -> Iterator[float | None]:
    low = max(shape.low, -math.inf if cells.low is None else cells.low)
    high = min(shape.high, math.inf if cells.high is None else cells.high)
    edges = sorted({*cells.edges, *map(rounded, numbers), *map(_before, numbers)})
    if is_whole and not edges:
        return
    if not is_whole:
        yield from _grid(low, high, now, scale, shape.step)
    here = {bisect_left(edges, number) for number in (() if now is None else (now, rounded(now)))}
    for place in range(len(edges) + 1):
        if here == {place}:
            continue
        after = max(edges[place - 1] if place else -math.inf, math.nextafter(low, -math.inf))
        until = min(edges[place] if place < len(edges) else math.inf, high)
        if not after < until or after == until == math.inf or -after == until == math.inf:
            continue  # nothing, or no end to be near to: the grid stands for that
        is_down = place < min(here, default=0) or after == -math.inf
        number = _nearest(after, until, now, scale, shape.step, is_down=is_down)
        if number is not None or shape.step is None:
            yield number


def _nearest(
    after: float,
    until: float,
    now: float | None,
    scale: float,
    step: float | None,
    *,
    is_down: bool,
) -> float | None:
    """Return the number of a cell that is nearest to those below it, or (`is_down`) to those above."""
    if step is not None:
        end = math.floor(until / step) if is_down else math.floor(after / step) + 1
        number = end * step
        return number if after < number <= until else None
    for width in (fine_of(until if is_down else after, now, scale), FINE * scale, scale):
        low, high = (
            (max(after, until - width), until) if is_down else (after, min(until, after + width))
        )
        if (found := shortest(low, high, is_down=is_down)) is not None:
            return found
    return None


def _grid(
    low: float, high: float, now: float | None, scale: float, step: float | None
) -> Iterator[float]:
    """Yield evenly spaced numbers; around what the fact is when nothing bounds it."""
    middle = 0.0 if now is None else now
    first = low if math.isfinite(low) else middle - 4 * scale
    last = high if math.isfinite(high) else middle + 4 * scale
    for place in range(GRID + 1):
        number = first + (last - first) * place / GRID
        if step is not None:
            number = min(max(round(number / step) * step, first), last)
        yield number


def _before(number: float) -> float:
    """Return the greatest float32 below a number, so that a rule that says `>=` finds its edge."""
    held = rounded(number)
    if held < number:
        return held
    (bits,) = struct.unpack("<i", struct.pack("<f", held))
    lower = bits - 1 if held > 0 else bits + 1 if held < 0 else -(2**31) + 1
    return float(struct.unpack("<f", struct.pack("<i", lower))[0])


def option_of(
    request: type[BaseModel], values: Mapping[str, Any], name: str, told: object, distance: float
) -> Option | None:
    """Return a value as an option; None when the field refuses it. One that other fields forbid may go with others."""
    if isinstance(told, float) and told.is_integer() and abs(told) < 2**53:
        told = int(told)
    try:
        facts = request.model_validate_json(orjson.dumps({**values, name: told}))
    except ValidationError as wrong:
        if any(error["loc"] for error in wrong.errors(include_url=False, include_input=False)):
            return None
        return Option(told, told, distance)
    row = request_row(facts)
    if name not in row:
        return None
    return Option(facts.model_dump(mode="json")[name], row[name], distance)


def _is_word(shape: Shape, cells: FeatureCells) -> bool:
    return bool(shape.words or shape.is_truth or (shape.is_text and cells.codes is not None))


def _words(shape: Shape, cells: FeatureCells) -> list[object]:
    """Return words and truths that the type takes and, where the model tells which it was trained on, that it knows."""
    low = -math.inf if cells.low is None else cells.low
    high = math.inf if cells.high is None else cells.high
    truths = [truth for truth in (True, False) if low <= truth <= high] if shape.is_truth else []
    words = [*shape.words, *truths]
    if cells.codes is None:
        return words
    return [word for word in words or cells.codes if word in cells.codes]


def _read(schema: Mapping[str, Any], defs: Mapping[str, Any], shape: Shape) -> None:
    """Add what a piece of a schema allows."""
    if (ref := schema.get("$ref")) is not None:
        _read(defs[ref.rpartition("/")[2]], defs, shape)
    for word in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(word, ()):
            _read(part, defs, shape)
    if "enum" in schema or "const" in schema:
        shape.words += schema.get("enum", [schema.get("const")])
        return
    kind = schema.get("type")
    if kind in ("integer", "number"):
        step = schema.get("multipleOf", 1 if kind == "integer" else None)
        shape.step = step if not shape.is_number or shape.step == step else None
        shape.is_number = True
        shape.low = max(schema.get("minimum", -math.inf), shape.low)
        shape.high = min(schema.get("maximum", math.inf), shape.high)
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        if above is not None:
            shape.low = max(shape.low, math.nextafter(above, math.inf))
        if below is not None:
            shape.high = min(shape.high, math.nextafter(below, -math.inf))
    shape.is_truth = shape.is_truth or kind == "boolean"
    shape.is_text = shape.is_text or kind == "string"
