"""A question to the store, checked: which rows, in which order, how many; and its SQL but for the dialect's words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

from opsrail.errors import InvalidInput
from opsrail.store.forms import Form, Forms
from opsrail.store.shapes import INT_LIMIT, Admission, Column, Shape, Values, shape_of
from opsrail.values.rows import Value, Where
from opsrail.values.tables import INDEXES

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "null")
"""What a Where may ask."""


class Condition(NamedTuple):
    """One condition, checked. `values` has one value for comparisons, any number for `in`, True or False for `null`."""

    column: Column
    op: str
    values: Values


class Order(NamedTuple):
    """One column of the order. NULL comes first when ascending, last when descending, in every adapter."""

    column: Column
    descending: bool
    may_be_null: bool


class Query(NamedTuple):
    """Which rows of a table."""

    shape: Shape
    conditions: tuple[Condition, ...]
    order: tuple[Order, ...]
    limit: int


class Take(NamedTuple):
    """Which rows to change at once, and how.

    Attributes:
        form: The update that writes the changed columns of a row by key.
        set: Values to overwrite with, by column.
        add: Numbers to add, by column; a column is in one of the two.
    """

    query: Query
    form: Form
    set: Mapping[str, Value]
    add: Mapping[str, int]

    def changed(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the row as this take leaves it.

        Raises:
            InvalidInput: a sum does not fit 64 bits. Terminal; nothing was taken.
        """
        values = list(row)
        position = self.query.shape.position
        for name, value in self.set.items():
            values[position[name]] = value
        for name, number in self.add.items():
            values[position[name]] += number
            if not -INT_LIMIT <= values[position[name]] < INT_LIMIT:
                raise InvalidInput(
                    f"{self.query.shape.name}.{name} + {number} does not fit 64 bits; nothing was taken"
                )
        return self.query.shape.make(values)


def query(
    row_type: type[tuple[Any, ...]],
    where: Sequence[Where],
    order: Sequence[str],
    descending: bool,
    limit: int,
) -> Query:
    """Return the question, checked.

    Raises:
        TypeError: an unknown table, column or operator, or a value of the wrong type. A programming error.
    """
    shape = shape_of(row_type)
    conditions = tuple(_condition(shape, condition) for condition in where)
    held = {
        condition.column.name
        for condition in conditions
        if condition.op != "null" or condition.values == (False,)
    }
    columns = [shape.column(name) for name in order] or list(shape.key)
    # The key decides between equals, so that the order is the same in every adapter and pages do not overlap.
    columns += [column for column in shape.key if column not in columns]
    ordered = (
        Order(column, descending, column.nullable and column.name not in held) for column in columns
    )
    return Query(shape, conditions, tuple(ordered), limit)


def take(forms: Forms, asked: Query, changes: Mapping[str, Value], add: Mapping[str, int]) -> Take:
    """Return the take, checked.

    Raises:
        TypeError: an unknown column, one that is both set and added to, one of the key, or a value of the wrong type.
    """
    row_type = asked.shape.row
    if both := set(changes) & set(add):
        raise TypeError(f"take: {', '.join(sorted(both))} is both set and added to")
    form = forms.update_form(row_type, (*changes, *add))
    for name in add:
        if form.shape.column(name).kind is not int:
            raise TypeError(f"take: {row_type.__name__}.{name} is not a number to add to")
    columns = tuple(map(asked.shape.column, (*changes, *add)))
    plain, _ = Admission(asked.shape, columns).admit((*changes.values(), *add.values()))
    return Take(asked, form, dict(zip(changes, plain, strict=False)), dict(add))


def _condition(shape: Shape, where: Where) -> Condition:
    column = shape.column(where.column)
    if where.op not in OPERATORS:
        raise TypeError(
            f"Where({where.column!r}, {where.op!r}): the operator is one of {', '.join(OPERATORS)}"
        )
    if where.op == "null":
        if not isinstance(where.value, bool):
            raise TypeError(
                f"Where({where.column!r}, 'null') takes True (is NULL) or False (is not NULL)"
            )
        return Condition(column, "null", (where.value,))
    values = where.value if where.op == "in" else (where.value,)
    if not isinstance(values, tuple) or None in values:
        raise TypeError(
            f"Where({where.column!r}, {where.op!r}, {where.value!r}): use a tuple for 'in', and 'null' for None"
        )
    admit = shape.admissions[column.name].admit
    return Condition(column, where.op, tuple(admit((value,))[0][0] for value in values))


def serving_index(query: Query) -> str | None:
    """Return the index that yields the rows in the order asked for, so that a limit ends the search early.

    It is one whose first columns are held equal and whose others lead the order; after a whole order it may have columns
    that only spare looks at rows. An index that leaves out rows with NULL serves only a question that does, too.
    """
    equal = {condition.column.name for condition in query.conditions if condition.op == "="}
    present = {
        condition.column.name
        for condition in query.conditions
        if condition.op != "null" or condition.values == (False,)
    }
    wanted = tuple(part.column.name for part in query.order)
    for group, must_be in INDEXES.get(query.shape.row, ()):
        if must_be is not None and must_be not in present:
            continue
        held = tuple(takewhile(equal.__contains__, group))
        rest = group[len(held) :]
        if held and rest and wanted[: len(rest)] == rest[: len(wanted)]:
            return "_".join((query.shape.name, *group))
    return None


def quoted(columns: Sequence[Column], table: str = "") -> str:
    """Return the columns as SQL names, e.g. `"a", "b"` or `t."a", t."b"`."""
    prefix = f"{table}." if table else ""
    return ", ".join(f'{prefix}"{column.name}"' for column in columns)


def where_sql(
    conditions: Sequence[Condition],
    mark: str,
    any_of: Callable[[Condition], tuple[str, tuple[Any, ...]]],
    shielded: Collection[str] = (),
) -> tuple[str, list[Any]]:
    """Return ` WHERE ...` (empty without conditions) and the values to bind.

    Args:
        mark: The dialect's placeholder.
        any_of: Returns the dialect's test for `in`, and what to bind to it.
        shielded: Columns whose conditions must not choose an index.
    """
    parts: list[str] = []
    bound: list[Any] = []
    for condition in conditions:
        name = f'"{condition.column.name}"'
        if condition.column.name in shielded:
            name = f"+{name}"
        if condition.op == "null":
            parts.append(f"{name} IS NULL" if condition.values[0] else f"{name} IS NOT NULL")
        elif condition.op == "in":
            text, values = any_of(condition)
            parts.append(f"{name} {text}")
            bound += values
        else:
            parts.append(f"{name} {condition.op} {mark}")
            bound += condition.values
    return (" WHERE " + " AND ".join(parts) if parts else ""), bound


def order_sql(order: Sequence[Order]) -> str:
    """Return ` ORDER BY ...`; NULLs are placed by words only where they can occur, so that plain indexes serve."""
    return " ORDER BY " + ", ".join(_order_part(part) for part in order)


def _order_part(part: Order) -> str:
    nulls = (" NULLS LAST" if part.descending else " NULLS FIRST") if part.may_be_null else ""
    return f'"{part.column.name}" {"DESC" if part.descending else "ASC"}{nulls}'
