"""A write, checked and taken apart: a form (which statement, over which columns) and the values to bind to it.

There are few forms and many values: all writes of one form in a group travel in one statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from opsrail.errors import Fenced, InvalidInput, OpsrailError, StaleWrite
from opsrail.ports import Follow
from opsrail.store.shapes import Admission, Column, Shape, Values, shape_of
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import Append, Delete, Insert, Require, Update, Write


class Kind(IntEnum):
    """What a form does; the order in which forms of one wave run."""

    REQUIRE = 0
    INSERT = 1
    UPDATE = 2
    DELETE = 3


@dataclass(slots=True, eq=False)
class Form:
    """One statement without its values. There is one object a form: compared by identity, and never changed.

    The values of a write of this form are those of `key`, then `changes`, then `conditions`, in order.

    Attributes:
        key: Primary key columns; for an insert none (the row holds them), for a delete none.
        changes: Columns written.
        conditions: Columns that must be as given.
        nulls: Columns that must be NULL (deletes only; elsewhere a None value says so).
        refusal: Error for a require that does not hold.
        columns: Those of the values, in order.
        must_match: Whether each write must find its row; an insert fails by itself, a delete may find none.
    """

    kind: Kind
    shape: Shape
    admission: Admission
    key: tuple[Column, ...] = ()
    changes: tuple[Column, ...] = ()
    conditions: tuple[Column, ...] = ()
    nulls: tuple[Column, ...] = ()
    refusal: type[OpsrailError] = StaleWrite
    columns: tuple[Column, ...] = field(init=False)
    must_match: bool = field(init=False)

    def __post_init__(self) -> None:
        self.columns = self.key + self.changes + self.conditions
        self.must_match = self.kind in (Kind.REQUIRE, Kind.UPDATE)

    def refused(self, values: Values) -> OpsrailError:
        """Return the error for a write of this form that the database did not take."""
        if self.kind is Kind.INSERT:
            key = ", ".join(map(repr, self.shape.key_of(values)))
            return StaleWrite(
                f"{self.shape.name} ({key}) is already there; nothing was written, read it again"
            )
        key = ", ".join(map(repr, values[: len(self.key)]))
        if self.refusal is Fenced:
            return Fenced(
                f"{self.shape.name} ({key}) is no longer what this writer relies on; nothing was written, start anew"
            )
        return StaleWrite(
            f"{self.shape.name} ({key}) is not as last seen; nothing was written, read it again"
        )


class Op(NamedTuple):
    """One write, ready for its statement.

    Attributes:
        cell: Table and key of the one row it is about; None for a delete by other columns.
    """

    form: Form
    values: Values
    cell: tuple[str, Values] | None


class Commit(NamedTuple):
    """A caller's writes, checked.

    Attributes:
        appends: Ledger entries to link, in order.
        size_bytes: About how much it carries.
    """

    ops: tuple[Op, ...]
    appends: tuple[Append, ...]
    size_bytes: int


class Forms:
    """All forms one store has seen; belongs to that store."""

    def __init__(self, follow: Follow | None = None) -> None:
        self._follow = follow
        self._forms: dict[object, Form] = {}
        shape = shape_of(LedgerEntryRow)
        self._entry = Admission(shape, map(shape.column, ("kind", "subject_id", "at_ms", "body")))
        self._last_require: Require | None = None
        self._last_required: tuple[Op, int] | None = None

    def commit(self, writes: Sequence[Write]) -> Commit:
        """Return the writes and what follows from them, checked.

        Raises:
            TypeError: an unknown table or column, or a value of the wrong type. A programming error; nothing was written.
            InvalidInput: a value that no database keeps. Terminal; nothing was written.
        """
        ops: list[Op] = []
        appends: list[Append] = []
        size = 0
        if self._follow is not None and (more_writes := self._follow(writes)):
            writes = [*writes, *more_writes]
        for write in writes:  # the commonest first: this is on the road of every step
            if isinstance(write, Insert):
                op, more = self._insert(write.row)
            elif isinstance(write, Require):
                op, more = self._require(write)
            elif isinstance(write, Append):
                appends.append(self._checked(write))
                size += len(write.body)
                continue
            else:
                op, more = self._op(write)
            ops.append(op)
            size += more
        return Commit(tuple(ops), tuple(appends), size)

    def _checked(self, entry: Append) -> Append:
        """Return a ledger entry that is known to fit its table, so that it cannot fail its group."""
        try:
            body = entry.body.decode()
        except UnicodeDecodeError as cause:
            raise InvalidInput(
                f"the body of ledger entry {entry.kind} for {entry.subject_id} is not UTF-8; nothing was written"
            ) from cause
        self._entry.admit((entry.kind, entry.subject_id, entry.at_ms, body))
        return entry

    def _op(self, write: Update | Delete) -> tuple[Op, int]:
        if isinstance(write, Update):
            return self._update(write)
        if isinstance(write, Delete):
            return self._delete(write)
        raise TypeError(
            f"{type(write).__name__} is not a write; use Insert, Update, Delete, Require or Append"
        )

    def insert_form(self, row_type: type[tuple[Any, ...]]) -> Form:
        """Return the form that adds rows of that type."""
        if (form := self._forms.get(row_type)) is None:
            shape = shape_of(row_type)
            form = Form(Kind.INSERT, shape, Admission(shape, shape.columns), changes=shape.columns)
            self._forms[row_type] = form
        return form

    def update_form(
        self,
        row_type: type[tuple[Any, ...]],
        changes: tuple[str, ...],
        conditions: tuple[str, ...] = (),
    ) -> Form:
        """Return the form that changes those columns of rows by key."""
        if (form := self._forms.get((row_type, changes, conditions))) is None:
            shape = shape_of(row_type)
            changed, same = tuple(map(shape.column, changes)), tuple(map(shape.column, conditions))
            if not changed or set(changed) & set(shape.key):
                raise TypeError(
                    f"an Update of {row_type.__name__} must change columns, and none of its key; got {changes}"
                )
            admission = Admission(shape, shape.key + changed + same)
            form = Form(Kind.UPDATE, shape, admission, shape.key, changed, same)
            self._forms[row_type, changes, conditions] = form
        return form

    def _insert(self, row: tuple[Any, ...]) -> tuple[Op, int]:
        form = self.insert_form(type(row))
        values, size = form.admission.admit(row)
        shape = form.shape
        return Op(form, values, (shape.name, shape.key_of(values))), size

    def _update(self, write: Update) -> tuple[Op, int]:
        form = self.update_form(write.table, tuple(write.set), tuple(write.where))
        self._arity(form, write.key)
        values, size = form.admission.admit(
            (*write.key, *write.set.values(), *write.where.values())
        )
        return Op(form, values, (form.shape.name, values[: len(form.key)])), size

    def _require(self, write: Require) -> tuple[Op, int]:
        # A worker puts the same object into each of its commits.
        if write is not self._last_require or self._last_required is None:
            self._last_require, self._last_required = write, self._required(write)
        return self._last_required

    def _required(self, write: Require) -> tuple[Op, int]:
        conditions = tuple(write.where)
        name = (Require, write.table, conditions, write.refusal)
        if (form := self._forms.get(name)) is None:
            shape = shape_of(write.table)
            same = tuple(map(shape.column, conditions))
            if write.refusal not in ("stale", "fenced"):
                raise TypeError(
                    f"a Require's refusal is 'stale' or 'fenced', not {write.refusal!r}"
                )
            refusal = Fenced if write.refusal == "fenced" else StaleWrite
            admission = Admission(shape, shape.key + same)
            form = Form(Kind.REQUIRE, shape, admission, shape.key, conditions=same, refusal=refusal)
            self._forms[name] = form
        self._arity(form, write.key)
        values, size = form.admission.admit((*write.key, *write.where.values()))
        return Op(form, values, (form.shape.name, values[: len(form.key)])), size

    def _delete(self, write: Delete) -> tuple[Op, int]:
        given = tuple(name for name, value in write.where.items() if value is not None)
        nulls = tuple(name for name, value in write.where.items() if value is None)
        name = (Delete, write.table, given, nulls)
        if (form := self._forms.get(name)) is None:
            shape = shape_of(write.table)
            if not write.where:
                raise TypeError(
                    f"a Delete of {write.table.__name__} needs at least one column; it never empties a table"
                )
            same, void = tuple(map(shape.column, given)), tuple(map(shape.column, nulls))
            form = Form(Kind.DELETE, shape, Admission(shape, same), conditions=same, nulls=void)
            self._forms[name] = form
        values, size = form.admission.admit(
            tuple(value for value in write.where.values() if value is not None)
        )
        keyed = form.conditions == form.shape.key and not form.nulls
        return Op(form, values, (form.shape.name, values) if keyed else None), size

    @staticmethod
    def _arity(form: Form, key: Values) -> None:
        if len(key) != len(form.key):
            named = ", ".join(column.name for column in form.key)
            raise TypeError(
                f"the key of {form.shape.row.__name__} is ({named}), not {len(key)} values"
            )
