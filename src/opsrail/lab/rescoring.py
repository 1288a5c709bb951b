"""Asks a model about a history in columns: the numbers that its columns make of each value, made for all rows at once.

A model that takes arrays gets them; any other gets rows of named features, as it does when it decides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow
import pyarrow.compute as compute

from opsrail.errors import InvalidInput, ModelUnavailable
from opsrail.ports import ArrayModel, LoadedModel
from opsrail.values.columns import LARGEST_FLOAT32, Category, Column, Number

BATCH_ROWS = 4_096
"""Rows of one call. Ours: the numbers of thirty columns stay in the processor's cache."""
TRUTHS = {"true": 1.0, "false": 0.0}
"""As a history tells them where other rows have numbers there."""
FEW_ROWS = 500
"""Rows of one call of a model that takes rows. Ours: a decision's batches have 64."""


class Scores(NamedTuple):
    """What a model says of each row.

    Attributes:
        values: float64 [rows]; NaN: the model refuses the row, or fails on it.
        is_unknown: Whether it rests on values the model was never trained on. bool [rows].
    """

    values: Any
    is_unknown: Any


def rescored(model: LoadedModel, table: pyarrow.Table) -> Scores:
    """Return the model's scores of a history's rows. Blocking.

    Args:
        table: Columns `facts.NAME` and `views.NAME`; a feature that a row lacks counts as missing.

    Raises:
        ModelUnavailable: the model failed, and not on some rows alone.
    """
    if isinstance(model, ArrayModel) and model.columns:
        return _by_arrays(model, table)
    return _by_rows(model, table)


def features_of(model: LoadedModel) -> list[str] | None:
    """Return the features that a model reads; None: it does not say."""
    columns = getattr(model, "columns", ())
    return [column.name for column in columns] or None


def _by_arrays(model: ArrayModel, table: pyarrow.Table) -> Scores:
    numbers, is_unknown, is_refused = encoded(model.columns, table, model.kind)
    values = np.full(table.num_rows, math.nan)
    asked = np.flatnonzero(~is_refused)
    for first in range(0, len(asked), BATCH_ROWS):
        rows = asked[first : first + BATCH_ROWS]
        values[rows] = model.score_array(numbers[rows])
    return Scores(values, is_unknown & ~is_refused)


def encoded(columns: Sequence[Column], table: pyarrow.Table, kind: str) -> tuple[Any, Any, Any]:
    """Return the numbers that a model sees, and which rows hold unknown values and which it refuses.

    Returns:
        Numbers of `kind` [rows, columns]; bool [rows]; bool [rows]. The same as `Column.code` gives value by value.
    """
    count = table.num_rows
    numbers = np.zeros((count, len(columns)), dtype=kind)
    is_unknown, is_refused = np.zeros(count, bool), np.zeros(count, bool)
    for place, column in enumerate(columns):
        values, wrong = _codes(column, _feature(table, column.name))
        stand_in = math.nan if column.missing is None else np.dtype(kind).type(column.missing)
        numbers[:, place] = np.where(wrong, 0.0, values)
        if column.missing is not None:
            cast = numbers[:, place]
            is_unknown |= np.isnan(cast) if math.isnan(column.missing) else cast == stand_in
        is_refused |= wrong
    return numbers, is_unknown, is_refused


def _feature(table: pyarrow.Table, name: str) -> pyarrow.Array:
    """Return a feature's values; views come after the request, as when a row is put together."""
    for prefix in ("views.", "facts."):
        if prefix + name in table.column_names:
            return table.column(prefix + name).combine_chunks()
    return pyarrow.nulls(table.num_rows)


def _codes(column: Column, values: pyarrow.Array) -> tuple[Any, Any]:
    """Return the number of each value, and which values the column refuses."""
    is_null = np.asarray(values.is_null())
    if values.type == pyarrow.null():
        return _missing(column, np.zeros(len(values)), is_null)
    if isinstance(column, Category):
        if not pyarrow.types.is_string(values.type):
            return _missing(column, np.zeros(len(values)), is_null, ~is_null)
        encoded_values = values.dictionary_encode()
        words = encoded_values.dictionary.to_pylist()
        codes = np.array([column.codes.get(word, column.missing) for word in words] or [0.0])
        places = np.asarray(compute.fill_null(encoded_values.indices, 0))
        return _missing(column, codes[places], is_null)
    if pyarrow.types.is_string(values.type):
        numbers, wrong = _read(values)
        return _missing(column, numbers, is_null, wrong)
    if pyarrow.types.is_boolean(values.type):
        values = values.cast(pyarrow.int8())
    return _missing(column, np.asarray(compute.fill_null(values, 0), dtype=np.float64), is_null)


def _read(values: pyarrow.Array) -> tuple[Any, Any]:
    """Return the numbers that texts stand for, and which are none: decimals of records, truths that stand beside numbers."""
    told = values.dictionary_encode()
    numbers = [_number(word) for word in told.dictionary.to_pylist()] or [math.nan]
    places = np.asarray(compute.fill_null(told.indices, 0))
    read = np.array(numbers)[places]
    return np.nan_to_num(read), np.isnan(read) & ~np.asarray(values.is_null())


def _number(word: str) -> float:
    if word in TRUTHS:
        return TRUTHS[word]
    try:
        return float(word)
    except ValueError:
        return math.nan


def _missing(column: Column, numbers: Any, is_null: Any, wrong: Any = None) -> tuple[Any, Any]:
    """Return numbers with the column's own for what is missing, and which values are refused."""
    refused = np.zeros(len(numbers), bool) if wrong is None else wrong
    if isinstance(column, Number):
        refused = refused | (np.abs(numbers) > LARGEST_FLOAT32)
    if column.missing is None:
        return numbers, refused | is_null
    return np.where(is_null, column.missing, numbers), refused & ~is_null


def _by_rows(model: LoadedModel, table: pyarrow.Table) -> Scores:
    values = np.full(table.num_rows, math.nan)
    is_unknown = np.zeros(table.num_rows, bool)
    names = [
        (name, name.partition(".")[2])
        for prefix in ("facts.", "views.")
        for name in table.column_names
        if name.startswith(prefix)
    ]
    for first in range(0, table.num_rows, FEW_ROWS):
        part = table.slice(first, FEW_ROWS)
        columns = [part.column(name).to_pylist() for name, _ in names]
        told = [feature for _, feature in names]
        rows = [dict(zip(told, row, strict=True)) for row in zip(*columns, strict=True)]
        scored = _scored(model, rows or [{}] * part.num_rows)
        for place, score in enumerate(scored, first):
            if score is not None:
                values[place], is_unknown[place] = score.value, bool(score.unknown)
    return Scores(values, is_unknown)


def _scored(model: LoadedModel, rows: Sequence[dict[str, object]]) -> list[Any]:
    """Return scores; rows that the model refuses or fails on have none, and do not keep the others from theirs.

    Raises:
        ModelUnavailable: its process is gone, or it fails on each of `FEW_ROWS`.
    """
    failed: list[ModelUnavailable] = []
    found = _halved(model, rows, failed)
    if len(failed) == FEW_ROWS:
        raise failed[0]
    return found


def _halved(
    model: LoadedModel, rows: Sequence[dict[str, object]], failed: list[ModelUnavailable]
) -> list[Any]:
    try:
        return list(model.score(rows))
    except (InvalidInput, ModelUnavailable) as fault:
        if isinstance(fault, ModelUnavailable) and type(fault) is not ModelUnavailable:
            raise  # of its process, not of a row
        if len(rows) == 1:
            failed += [fault] if isinstance(fault, ModelUnavailable) else []
            return [None]
        half = len(rows) // 2
        return [*_halved(model, rows[:half], failed), *_halved(model, rows[half:], failed)]
