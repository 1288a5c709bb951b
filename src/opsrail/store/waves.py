"""Which writes of a group may travel together, so that grouping them by statement changes nothing.

Theory: writes about different rows commute; writes about one row must keep their order. Each write is put into the first
wave after every earlier write it does not commute with; all writes of a wave may run in any order, so those of one form
become one bulk statement. Hot groups (every caller about rows of its own) are a single wave.

Rules. A write names the cells it stands on: its row, and where a table has deletes by other columns in this group, also
what those deletes look at. Writes of one shared mode on a cell commute: requires of a row, deletes, inserts besides deletes.
Such a delete lies in no wave before an earlier insert into its table: it could free the key that the insert is refused for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opsrail.store.forms import Form, Kind, Op
from opsrail.store.shapes import Shape, Values

Plan = list[tuple[Form, list[Values]]]
"""Statements in order, each with the values of all its writes."""

_Cell = tuple[object, ...]
_Sweeps = dict[Shape, set[Form]]


class _Run:
    """The latest writes on one cell that commute with each other: their mode and the waves they lie in."""

    __slots__ = ("first", "last", "mode")

    def __init__(self, mode: str, wave: int) -> None:
        self.mode = mode
        self.first = wave
        self.last = wave


_FIRST = _Run("", 0)
"""A write in the first wave that commutes with nothing; such runs are never changed, so one object stands for all."""


def plan(ops: Sequence[Op]) -> Plan:
    """Return the group's statements: as if the writes ran one after another, provided that none is refused.

    Identical requires of a wave are asked once.
    """
    runs: dict[_Cell | None, _Run] = {}
    waves: list[dict[Form, list[Values]]] = [{}]
    asked: set[tuple[Form, Values, int]] = set()
    sweeps = _sweeps(ops)
    inserted: dict[Shape, int] = {}
    for op in ops:
        form, values, cell = op
        mode = "read" if form.kind is Kind.REQUIRE else ""
        if not sweeps:
            run = runs.get(cell)
            if run is None:  # the hot case: the first write about its row
                if mode:
                    runs[cell] = _Run(mode, 0)
                    asked.add((form, values, 0))
                else:
                    runs[cell] = _FIRST
                waves[0].setdefault(form, []).append(values)
                continue
            if mode and run.mode == mode and (form, values, run.first) in asked:
                continue  # hot too: every commit of a worker requires the worker to be alive
        least = inserted.get(form.shape, 0) if cell is None else 0
        wave = _place(runs, _stands(op, mode, sweeps), least)
        if form.kind is Kind.INSERT:
            inserted[form.shape] = max(inserted.get(form.shape, 0), wave)
        while wave >= len(waves):
            waves.append({})
        if mode and (form, values, wave) in asked:
            continue
        asked.add((form, values, wave))
        waves[wave].setdefault(form, []).append(values)
    return [statement for wave in waves for statement in sorted(wave.items(), key=_kind)]


def _kind(statement: tuple[Form, list[Values]]) -> int:
    return statement[0].kind


def _place(runs: dict[_Cell | None, _Run], stands: Sequence[tuple[_Cell, str]], least: int) -> int:
    """Return the wave of a write that stands on these cells, `least` or later, and note it there."""
    wave = max([least, *[_earliest(runs.get(cell), mode) for cell, mode in stands]])
    for cell, mode in stands:
        run = runs.get(cell)
        if run is None or run.mode != mode or not mode:
            runs[cell] = _Run(mode, wave)
        else:
            run.last = max(run.last, wave)
    return wave


def _earliest(run: _Run | None, mode: str) -> int:
    if run is None:
        return 0
    return run.first if mode and run.mode == mode else run.last + 1


def _sweeps(ops: Iterable[Op]) -> _Sweeps:
    """Return the forms of deletes by columns other than the key, by table; mostly there are none."""
    found: _Sweeps = {}
    for op in ops:
        if op.cell is None:
            found.setdefault(op.form.shape, set()).add(op.form)
    return found


def _stands(op: Op, mode: str, sweeps: _Sweeps) -> list[tuple[_Cell, str]]:
    """Return the cells a write stands on and its mode there; an empty mode commutes with nothing."""
    form, values, cell = op
    shape = form.shape
    if cell is None:
        return [((shape.name, form, values), "sweep"), ((shape.name,), "sweep")]
    stands: list[tuple[_Cell, str]] = [(cell, mode)]
    if form.kind is Kind.INSERT:
        for sweep in sweeps.get(shape, ()):
            if all(values[shape.position[column.name]] is None for column in sweep.nulls):
                looked_at = tuple([values[shape.position[c.name]] for c in sweep.conditions])
                stands.append(((shape.name, sweep, looked_at), "insert"))
    elif shape in sweeps:
        stands.append(((shape.name,), "keyed"))
    return stands
