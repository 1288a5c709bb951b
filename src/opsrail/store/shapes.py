"""What the row types say about their tables: columns, kinds, keys; and the check that values must pass to go in.

Columns and tables in SQL come from here alone, never from a caller's text. Values are always bound.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from operator import itemgetter
from typing import Any, NamedTuple, cast, get_args, get_type_hints

from opsrail.errors import InvalidInput
from opsrail.values.rows import Table, Value
from opsrail.values.tables import TABLES

Values = tuple[Value, ...]

KINDS = (str, int, float, bytes, bool)
"""What a column may hold, beside None."""
INT_LIMIT = 2**63
"""Integers are 64-bit signed in both databases (BIGINT)."""


class Column(NamedTuple):
    """One column.

    Attributes:
        kind: str, int, float, bytes or bool.
        nullable: Whether None may stand there.
    """

    name: str
    kind: type
    nullable: bool


class Shape:
    """A row type's table, worked out once."""

    def __init__(self, row: type[tuple[Any, ...]], table: Table) -> None:
        self.row = row
        self.make: Callable[[Iterable[Any]], tuple[Any, ...]] = cast(Any, row)._make
        self.name = table.name
        self.columns = tuple(_column(name, hint) for name, hint in get_type_hints(row).items())
        self.position = {column.name: index for index, column in enumerate(self.columns)}
        self.key = tuple(self.column(name) for name in table.key)
        self.key_positions = tuple(self.position[name] for name in table.key)
        self.key_of: Callable[[Values], Values] = _picker(self.key_positions)
        """Returns a row's primary key values, in the table's order."""
        self.key_admission = Admission(self, self.key)
        self.admissions = {column.name: Admission(self, (column,)) for column in self.columns}
        self.unique_positions = tuple(
            tuple(self.position[name] for name in group) for group in table.unique
        )

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises:
            TypeError: there is none. A programming error: nothing was read or written.
        """
        if (index := self.position.get(name)) is None:
            raise TypeError(
                f"{self.row.__name__} has no column {name!r}; it has: {', '.join(self.position)}"
            )
        return self.columns[index]

    def key_values(self, key: Values) -> Values:
        """Return a primary key given by a caller, checked."""
        if len(key) != len(self.key):
            named = ", ".join(column.name for column in self.key)
            raise TypeError(f"the key of {self.row.__name__} is ({named}), not {len(key)} values")
        return self.key_admission.admit(key)[0]


class _Lesson(NamedTuple):
    """What was learned about values of certain types, in the order of the columns.

    Attributes:
        casts: Positions of values that are not plain, and what makes them so; None if all are.
        texts, integers, floats: Return those values of the row, as a tuple; None if it has no such numbers.
        blobs: Positions of those values; few tables have them.
    """

    casts: tuple[tuple[int, Callable[[Any], Value]], ...] | None
    texts: Callable[[Values], tuple[str, ...]]
    integers: Callable[[Values], tuple[int, ...]] | None
    floats: Callable[[Values], tuple[float, ...]] | None
    blobs: tuple[int, ...]


class Admission:
    """Checks values bound for certain columns of one table and makes them plain (an enum's member becomes its text).

    The types seen together are remembered, so that a row like the last one costs a look-up and a few calls into C.
    """

    def __init__(self, shape: Shape, columns: Iterable[Column]) -> None:
        self._shape = shape
        self._columns = tuple(columns)
        self._lessons: dict[tuple[type, ...], _Lesson] = {}

    def admit(self, values: tuple[Any, ...]) -> tuple[Values, int]:
        """Return the values, plain, and about how many bytes they take.

        Raises:
            TypeError: a value is not of its column's type. A programming error.
            InvalidInput: no database keeps it: NUL or half a surrogate pair in text, an integer past
                64 bits, infinity, NaN.
        """
        kinds = tuple(map(type, values))
        try:
            casts, texts, integers, floats, blobs = self._lessons[kinds]
        except KeyError:
            lesson = self._lessons[kinds] = self._learn(kinds)
            casts, texts, integers, floats, blobs = lesson
        if casts is not None:
            plain = list(values)
            for index, cast in casts:
                plain[index] = cast(plain[index])
            values = tuple(plain)
        # One pass in C over all texts, instead of one in Python over each: this is on the road of every row.
        text = "".join(texts(values))
        if "\0" in text or not (text.isascii() or _encodes(text)):
            self._refuse(values)
        if integers is not None:
            found = integers(values)
            if max(found) >= INT_LIMIT or min(found) < -INT_LIMIT:
                self._refuse(values)
        # Their sum may be too large although none of them is: then nothing is found to refuse.
        if floats is not None and not isfinite(sum(floats(values))):
            self._refuse(values)
        size = len(text) + 8 * len(kinds)
        if blobs:
            size += sum(len(values[index]) for index in blobs)
        return values, size

    def _learn(self, kinds: tuple[type, ...]) -> _Lesson:
        if len(kinds) != len(self._columns):
            raise TypeError(
                f"{self._shape.row.__name__}: {len(kinds)} values for {len(self._columns)} columns"
            )
        pairs = zip(self._columns, kinds, strict=True)
        found = enumerate(self._cast(column, kind) for column, kind in pairs)
        casts = tuple((index, cast) for index, cast in found if cast is not None)
        plain = [
            types.NoneType if kind is types.NoneType else column.kind
            for column, kind in zip(self._columns, kinds, strict=True)
        ]
        at = {kind: tuple(i for i, seen in enumerate(plain) if seen is kind) for kind in KINDS}
        integers, floats = (_picker(at[kind]) if at[kind] else None for kind in (int, float))
        return _Lesson(casts or None, _picker(at[str]), integers, floats, at[bytes])

    def _cast(self, column: Column, kind: type) -> Callable[[Any], Value] | None:
        if kind is column.kind or (kind is types.NoneType and column.nullable):
            return None
        if column.kind is str and issubclass(kind, str):
            return str.__str__  # str() of a member of an enum may name the member
        if column.kind is int and issubclass(kind, int) and kind is not bool:
            return int
        if column.kind is float and issubclass(kind, int | float) and kind is not bool:
            return float
        wanted = column.kind.__name__ + (" or None" if column.nullable else "")
        raise TypeError(
            f"{self._shape.row.__name__}.{column.name} takes {wanted}, not {kind.__name__}"
        )

    def _refuse(self, values: Values) -> None:
        for column, value in zip(self._columns, values, strict=True):
            if fault := _fault(value):
                raise InvalidInput(
                    f"{self._shape.name}.{column.name} cannot be stored: {fault}; nothing was written"
                )


def _fault(value: Value) -> str | None:
    if isinstance(value, str):
        if "\0" in value:
            return "its text holds NUL (U+0000)"
        return None if _encodes(value) else "its text holds half a surrogate pair"
    if isinstance(value, int) and not -INT_LIMIT <= value < INT_LIMIT:
        return "the integer does not fit 64 bits"
    if isinstance(value, float) and not isfinite(value):
        return f"the number is {value}"
    return None


def _picker(positions: tuple[int, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what picks the values at those positions, as a tuple however many there are."""
    if len(positions) > 1:
        return itemgetter(*positions)
    if positions:
        return itemgetter(slice(positions[0], positions[0] + 1))
    return lambda values: ()


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _column(name: str, hint: Any) -> Column:
    kinds = get_args(hint) or (hint,)
    kind = next(kind for kind in kinds if kind is not types.NoneType)
    return Column(name, kind, types.NoneType in kinds)


SHAPES: Mapping[type[tuple[Any, ...]], Shape] = {
    row: Shape(row, table) for row, table in TABLES.items()
}
"""The shape of every row type that has a table."""


def shape_of(row_type: type[tuple[Any, ...]]) -> Shape:
    """Return the shape of a row type.

    Raises:
        TypeError: it has no table. A programming error: add it to `values/tables.py` and a migration.
    """
    if (shape := SHAPES.get(row_type)) is None:
        raise TypeError(
            f"{row_type.__name__} has no table; row types stand in opsrail.values.tables"
        )
    return shape
