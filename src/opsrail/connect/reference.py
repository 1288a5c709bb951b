"""What an artifact tells of the rows it was trained on, and what that says of its features."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from opsrail.errors import ArtifactRefused
from opsrail.values.columns import Category, Column
from opsrail.values.explanations import FeatureCells

REFERENCE_KEY = "opsrail.reference"
MOST_REFERENCES = 64
"""Ours: time grows with each; a handful of typical rows says what a single one does."""


class Reference(NamedTuple):
    """What an artifact tells of its training rows, all optional; never a person's own row.

    Attributes:
        rows: Typical rows. float32 [rows, columns]
        lows: Least number of each column, NaN where it is not told. float32 [columns] or None
        highs: Greatest number of each column, as above. float32 [columns] or None
    """

    rows: Any
    lows: Any
    highs: Any


def reference_of(told: object, columns: int, model: str, place: str) -> Reference:
    """Return what an artifact tells of its training rows.

    Args:
        told: `{"rows": [[...]], "lows": [...], "highs": [...]}`, as JSON text or read; None: nothing.
        place: Where it stands, for the error.

    Raises:
        ArtifactRefused: it is something else. Terminal: nothing was loaded.
    """
    try:
        given: Any = json.loads(told) if isinstance(told, str) and told else told or {}
        rows = np.array(given.get("rows", []), dtype=np.float32).reshape(-1, columns)
        ends = [
            None if given.get(end) is None else np.array(given[end], dtype=np.float32)
            for end in ("lows", "highs")
        ]
        is_sound = len(rows) <= MOST_REFERENCES and np.isfinite(rows).all()
        if not is_sound or any(end is not None and end.shape != (columns,) for end in ends):
            raise ValueError(f"at most {MOST_REFERENCES} rows of {columns} finite numbers")
    except (AttributeError, TypeError, ValueError) as error:
        raise ArtifactRefused(
            f"Model {model}: its {place} cannot be read ({error}); export it anew."
        ) from error
    return Reference(rows, *ends)


def cells_of(
    columns: Sequence[Column],
    reference: Reference,
    edges: Callable[[int], tuple[float, ...]] = lambda place: (),
) -> dict[str, FeatureCells]:
    """Return what is known of each feature, with the edges between its cells."""
    found = {}
    for place, column in enumerate(columns):
        low, high = (
            None if end is None or np.isnan(end[place]) else float(end[place])
            for end in (reference.lows, reference.highs)
        )
        typical = value_of(column, float(reference.rows[0][place])) if len(reference.rows) else None
        codes = column.codes if isinstance(column, Category) else None
        found[column.name] = FeatureCells(edges(place), codes, low, high, typical)
    return found


def value_of(column: Column, number: float) -> object:
    """Return the value that a column reads as a number; None for what is missing or has no word."""
    if math.isnan(number) or number == column.missing:
        return None
    if isinstance(column, Category):
        return next((word for word, code in column.codes.items() if code == number), None)
    return int(number) if number.is_integer() else number
