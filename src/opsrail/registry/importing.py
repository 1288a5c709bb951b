"""Makes or checks a model's signature: from what its file tells, what its importer says, and sample rows.

Nothing is guessed that would change a score without anyone noticing: which number a word has is told by the file or by the
importer, never taken from the sample.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opsrail.errors import ArtifactRefused, Fault, InvalidInput
from opsrail.registry.samples import Sample
from opsrail.values.columns import Category, Column, Number, category, columns_from_json
from opsrail.values.containers import Described, Signature

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Told:
    """What the importer says of a model: the columns that the file does not tell, and what was measured."""

    columns: Mapping[str, Column] = field(default_factory=dict)
    confidence: Mapping[str, Any] | None = None
    reference: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Inferred:
    """A signature in the making.

    Attributes:
        signature: None when there are faults.
        readable: The columns that are known, whatever else is at fault.
        origins: Where each column's reading comes from, by feature: `file`, `told`, `sample`.
        faults: What must be mended before it can be used.
        notes: What whoever imports should know.
    """

    signature: Signature | None
    readable: tuple[Column, ...]
    origins: Mapping[str, str]
    faults: tuple[Fault, ...]
    notes: tuple[str, ...]


def told_of(text: bytes) -> Told:
    """Return what a signature file says.

    It is `{"columns": [...], "confidence": {...}, "reference": {...}}`, each optional, or the list of columns alone.
    A column is `{"name": "age", "missing": null}` or `{"name": "make", "words": ["Honda", "Mazda"]}` in the order of
    training; with `codes` instead of `words` where the numbers are others.

    Raises:
        InvalidInput: it is something else; all faults. Terminal.
    """
    try:
        told: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the signature is no JSON: {error}") from error
    entries = (
        told
        if isinstance(told, list)
        else told.get("columns", [])
        if isinstance(told, dict)
        else None
    )
    if not isinstance(entries, list):
        raise InvalidInput("the signature is neither a list of columns nor an object that has one")
    columns: dict[str, Column] = {}
    found: list[Fault] = []
    for place, entry in enumerate(entries):
        try:
            column = _told_column(entry)
        except (ArtifactRefused, AttributeError, TypeError) as error:
            found.append(Fault(f"columns[{place}]", str(error)))
            continue
        if columns.setdefault(column.name, column) is not column:
            found.append(Fault(f"columns[{place}]", f"names {column.name!r} a second time"))
    rest = {} if isinstance(told, list) else told
    found += [
        Fault(part, "is no object")
        for part in ("confidence", "reference")
        if not isinstance(rest.get(part), dict | None)
    ]
    if found:
        raise InvalidInput("the signature cannot be used", found)
    return Told(columns, rest.get("confidence"), rest.get("reference"))


def _told_column(entry: dict[str, Any]) -> Column:
    words, rest = entry.get("words"), {key: entry[key] for key in entry if key != "words"}
    if words is not None:
        if not isinstance(words, list) or len({str(word) for word in words}) != len(words):
            raise TypeError("words are no list, or one stands twice")
        rest["codes"] = {word: place for place, word in enumerate(words)}
    missing = -1.0 if "codes" in rest else None
    (column,) = columns_from_json(json.dumps([{"missing": missing, **rest}]))
    return column


def signature_of(described: Described, told: Told, sample: Sample | None) -> Inferred:
    """Return the signature that file, importer and sample come to."""
    names, found, notes = _names(described, told, sample)
    columns: list[Column] = []
    readable: list[Column] = []
    origins: dict[str, str] = {}
    for place, name in enumerate(names):
        column, origin, why = _column(described, told, sample, place, name)
        columns.append(column)
        origins[name] = origin
        found += [Fault(f"columns.{name}", one) for one in why]
        if not why:
            readable.append(column)
    notes += described.notes
    if sample is not None and names:
        more, heard = _tried(readable, sample)
        found += more
        unread = [name for name in sample.names if name not in names]
        notes += heard + ([f"Not read by the model: {', '.join(unread)}."] if unread else [])
    if found:
        return Inferred(None, tuple(readable), origins, tuple(found), tuple(notes))
    if sample is not None:
        notes += _beyond(described, columns, sample)
    reference = told.reference or _reference(described, columns, sample)
    signature = Signature(tuple(columns), told.confidence, reference)
    return Inferred(signature, tuple(readable), origins, (), tuple(notes))


def _names(
    described: Described, told: Told, sample: Sample | None
) -> tuple[Sequence[str], list[Fault], list[str]]:
    found: list[Fault] = []
    if described.names:
        found += [
            Fault(f"signature.{name}", "is no feature of this model")
            for name in told.columns
            if name not in described.names
        ]
        return described.names, found, []
    if told.columns:
        if len(told.columns) != described.count:
            told_count = len(told.columns)
            found.append(
                Fault(
                    "signature", f"names {told_count} features, the model reads {described.count}"
                )
            )
        return list(told.columns), found, []
    if sample is None:
        why = f"the file does not name its {described.count} features; give --sample or --signature"
        return (), [Fault("columns", why)], []
    if len(sample.names) != described.count:
        why = f"has {len(sample.names)} columns, the model reads {described.count} and names none of them"
        return (), [Fault("sample", f"{why}; keep those it was trained on, in that order")], []
    return (
        sample.names,
        [],
        ["The file names no features: the names are the sample's, in its order."],
    )


def _column(
    described: Described, told: Told, sample: Sample | None, place: int, name: str
) -> tuple[Column, str, list[str]]:
    """Return one column, who says so, and what is wrong."""
    if described.columns:
        own = described.columns[place]
        said = told.columns.get(name, own)
        return own, "file", [] if said == own else ["the file itself says otherwise; leave it out"]
    if name in told.columns:
        return told.columns[name], "told", []
    if place in described.recoded:
        why = "is a category whose numbers training gave, and the file does not tell them; name the words in the order of "
        return (
            Number(name),
            "file",
            [f'{why}training: --signature with {{"name": "{name}", "words": [...]}}'],
        )
    if place in described.words:
        return category(name, described.words[place]), "file", []
    number = Number(name, math.nan if described.takes_missing else None)
    if sample is None:
        return number, "file", []
    return number, "sample", _sample_faults(number, sample)


def _sample_faults(number: Number, sample: Sample) -> list[str]:
    """Return why a column cannot be read as a number that nobody told more of."""
    name, missing = number.name, sample.missing(number.name)
    if name not in sample.names:
        return ["the sample has no such column"]
    if missing == len(sample.rows):
        return ["has no value in any row of the sample"]
    if not sample.is_number(name):
        why = "is no number in the sample, and the file does not tell which number each word has; name the words in the "
        return [f'{why}order of training: --signature with {{"name": "{name}", "words": [...]}}']
    if missing and number.missing is None:
        why = (
            f"has no value in {missing} rows of the sample, and the model has no number for that; "
        )
        return [f'{why}say which stands in: --signature with {{"name": "{name}", "missing": -1}}']
    return []


def _reference(
    described: Described, columns: Sequence[Column], sample: Sample | None
) -> Mapping[str, Any] | None:
    """Return what numbers training saw, and what is typical: medians and most frequent words, no one's own row."""
    if described.columns or (sample is None and not described.lows):
        return None
    spans = [_span(column, sample) for column in columns]
    reference: dict[str, Any] = {
        "lows": [low for low, _, _ in spans],
        "highs": [high for _, _, high in spans],
    }
    if described.lows:
        for place, ends in enumerate(zip(described.lows, described.highs, strict=True)):
            if None not in ends and not isinstance(columns[place], Category):
                reference["lows"][place], reference["highs"][place] = ends
    typical = [middle for _, middle, _ in spans]
    if None not in typical:
        reference["rows"] = [typical]
    return reference


def _span(column: Column, sample: Sample | None) -> tuple[float | None, float | None, float | None]:
    """Return a column's least, typical and greatest number in the sample; of words, what their numbers can be."""
    told = [] if sample is None else sample.values_of(column)
    if isinstance(column, Category):
        ends = (*column.codes.values(), column.missing)
        counts = Counter(value for value in told if isinstance(value, str))
        typical = column.code(counts.most_common(1)[0][0]) if counts else None
        return min(ends), typical, max(ends)
    numbers = [value for value in told if isinstance(value, int | float) and value == value]
    if not numbers:
        return None, None, None
    are_truths = all(isinstance(value, bool) for value in numbers)
    middle = statistics.median_low(numbers) if are_truths else statistics.median(numbers)
    return float(min(numbers)), float(middle), float(max(numbers))


def _tried(columns: Sequence[Column], sample: Sample) -> tuple[list[Fault], list[str]]:
    """Return what the columns refuse of the sample, and which words they do not know."""
    found, notes = [], []
    for column in columns:
        wrong: list[tuple[int, str]] = []
        strange: dict[str, int] = {}
        for number, value in enumerate(sample.values_of(column)):
            try:
                code = column.code(value)
            except ValueError as error:
                wrong.append((number, f"{value!r:.60} {error}"))
                continue
            if isinstance(column, Category) and isinstance(value, str) and code == column.missing:
                strange[value] = strange.get(value, 0) + 1
        if wrong:
            shown = "; ".join(f"row {number + 1}: {why}" for number, why in wrong[:SHOWN])
            found.append(Fault(f"sample.{column.name}", f"{len(wrong)} rows are refused: {shown}"))
        if strange:
            words = ", ".join(sorted(strange, key=lambda word: -strange[word])[:SHOWN])
            share = sum(strange.values()) / len(sample.rows)
            notes.append(
                f"{column.name}: {share:.1%} of the sample are words that training did not know: {words}."
            )
    return found, notes


def _beyond(described: Described, columns: Sequence[Column], sample: Sample) -> Iterator[str]:
    for column, low, high in zip(columns, described.lows, described.highs, strict=False):
        if low is None or high is None or isinstance(column, Category):
            continue
        numbers = sample.values_of(column)
        count = sum(
            isinstance(value, int | float) and not low <= value <= high for value in numbers
        )
        if count:
            yield f"{column.name}: {count} rows of the sample are outside what training saw, {low:g} to {high:g}."
