"""Counts a backtest, part by part: memory does not grow with the history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as compute

from opsrail.lab.backtested import (
    Backtest,
    ErrorRate,
    Money,
    Move,
    People,
    Slice,
    Wrong,
)
from opsrail.lab.conditions import column_of
from opsrail.lab.weighed import Weights

MOST_SEGMENTS = 500
"""Segments that are told apart. Ours: of more nobody reads all; the rest is counted together."""
HOUR_S = 3600.0
Cell = tuple[str, str]


class Counting:
    """What a backtest has seen so far.

    Args:
        segments: Fields of the request to tell apart by.
        review: The verdict that sends to people.
        handling_s: Of one review; None: as measured.
        usd_per_hour: Of a reviewer; None: not asked for.
    """

    def __init__(
        self,
        segments: Sequence[str] = (),
        wrongs: Sequence[Wrong] = (),
        *,
        review: str = "review",
        handling_s: float | None = None,
        usd_per_hour: float | None = None,
    ) -> None:
        self._segments = tuple(segments)
        self._wrongs = tuple(wrongs)
        self._review = review
        self._handling_s = handling_s
        self._usd_per_hour = usd_per_hour
        self._cells: dict[tuple[Any, ...], Counter[Cell]] = {}
        self._whole: Counter[Cell] = Counter()
        self._reviewed_s = self._model_usd = 0.0
        self._reviewed = 0
        self._rates = [(Weights(), Weights()) for _ in self._wrongs]
        self._scores: Counter[str] = Counter()
        self._policies: Counter[str] = Counter()
        self.notes: list[str] = []

    def add(
        self,
        table: pyarrow.Table,
        now: Any,
        *,
        scores_from: Mapping[str, int],
        outcomes: Mapping[str, tuple[Any, Any]] | None = None,
    ) -> Any:
        """Count a part and return which verdicts changed, bool [rows].

        Args:
            now: Verdicts, text [rows].
            scores_from: How many scores are from where, see `Backtest.scores`.
            outcomes: By name the values (NaN: not known) and ratios, float64 [rows] each.
        """
        was = np.asarray(table.column("verdict").to_numpy(), object)
        names, was_places, now_places = _numbered(was, now)
        for cell, count in _cells(names, was_places, now_places).items():
            self._whole[cell] += count
        if self._segments:
            self._add_segments(table, names, was_places, now_places)
        self._scores.update(scores_from)
        if "policy_version" in table.column_names:
            counted = compute.value_counts(table.column("policy_version").combine_chunks())
            self._policies.update({one["values"]: one["counts"] for one in counted.to_pylist()})
        if "reviewed_s" in table.column_names:
            self._reviewed_s += compute.sum(table.column("reviewed_s")).as_py() or 0.0
            self._reviewed += compute.count(table.column("reviewed_s")).as_py()
        if "cost_usd" in table.column_names:
            self._model_usd += compute.sum(table.column("cost_usd")).as_py() or 0.0
        for wrong, rates in zip(self._wrongs, self._rates, strict=True):
            _add_wrong(wrong, rates, was, now, outcomes or {})
        return was_places != now_places

    def _add_segments(self, table: pyarrow.Table, names: Any, was: Any, now: Any) -> None:
        codes, values = _combined([_column(table, name) for name in self._segments])
        wide = (codes * len(names) + was) * len(names) + now
        for code, count in zip(*np.unique(wide, return_counts=True), strict=True):
            rest, to = divmod(int(code), len(names))
            segment, from_ = divmod(rest, len(names))
            key = values[segment]
            if key not in self._cells and len(self._cells) >= MOST_SEGMENTS:
                key = ("(others)",) * len(self._segments)
            cell = (names[from_], names[to])
            self._cells.setdefault(key, Counter())[cell] += int(count)

    def result(self) -> Backtest:
        """Return what all parts came to."""
        was, now = _by_verdict(self._whole)
        slices = [
            _slice(dict(zip(self._segments, key, strict=True)), cells)
            for key, cells in self._cells.items()
        ]
        slices.sort(key=lambda one: (-one.changed, -one.decisions, str(one.segment)))
        people = self._people(was, now)
        errors_was = self._errors(0, was)
        errors_now = self._errors(1, now)
        whole = _slice({}, self._whole)
        return Backtest(
            whole.decisions,
            whole.changed,
            tuple(Move(*cell, count) for cell, count in sorted(self._whole.items())),
            (whole, *slices),
            people,
            errors_was,
            errors_now,
            self._money(people, errors_was, errors_now),
            dict(self._scores),
            dict(self._policies.most_common()),
            tuple(self.notes),
        )

    def _people(self, was: Counter[str], now: Counter[str]) -> People:
        handling_s, origin = self._handling_s, "given"
        if handling_s is None and self._reviewed:
            handling_s, origin = self._reviewed_s / self._reviewed, "measured"
        if handling_s is None:
            return People(
                self._review, was[self._review], now[self._review], None, "unknown", None, None
            )
        hours = [count[self._review] * handling_s / HOUR_S for count in (was, now)]
        return People(
            self._review, was[self._review], now[self._review], handling_s, origin, *hours
        )

    def _errors(self, place: int, counts: Counter[str]) -> tuple[ErrorRate, ...]:
        found = []
        for wrong, rates in zip(self._wrongs, self._rates, strict=True):
            told, of = rates[place].rate(), counts[wrong.verdict]
            count = None if told.rate is None else told.rate * of
            cost = None if count is None or not wrong.cost_usd else count * wrong.cost_usd
            found.append(
                ErrorRate(wrong.text, of, told.known, told.rate, told.low, told.high, count, cost)
            )
        return tuple(found)

    def _money(self, people: People, was: Sequence[ErrorRate], now: Sequence[ErrorRate]) -> Money:
        usd = self._usd_per_hour
        spent_was, spent_now = (
            None if usd is None or hours is None else usd * hours
            for hours in (people.was_hours, people.now_hours)
        )
        return Money(spent_was, spent_now, _sum(was), _sum(now), self._model_usd)


def _sum(errors: Sequence[ErrorRate]) -> float | None:
    costs = [one.cost_usd for one in errors if one.cost_usd is not None]
    return sum(costs) if costs else None


def _numbered(was: Any, now: Any) -> tuple[list[str], Any, Any]:
    """Return the verdicts there are, and each row's place among them."""
    both = pyarrow.array(np.concatenate([was, now]), pyarrow.string()).dictionary_encode()
    places = np.asarray(both.indices, dtype=np.int64)
    return both.dictionary.to_pylist(), places[: len(was)], places[len(was) :]


def _cells(names: Sequence[str], was: Any, now: Any) -> dict[Cell, int]:
    counts = np.bincount(was * len(names) + now, minlength=len(names) ** 2)
    return {
        (names[code // len(names)], names[code % len(names)]): int(count)
        for code, count in enumerate(counts.tolist())
        if count
    }


def _column(table: pyarrow.Table, field: str) -> pyarrow.Array:
    name = field if field in table.column_names else column_of(table.column_names, field)
    if name is None:
        return pyarrow.nulls(table.num_rows, pyarrow.string())
    return table.column(name).combine_chunks()


def _combined(columns: Sequence[pyarrow.Array]) -> tuple[Any, list[tuple[Any, ...]]]:
    """Return a number for each row's values together, and the values of each number."""
    codes = np.zeros(len(columns[0]), np.int64)
    values: list[tuple[Any, ...]] = [()]
    for column in columns:
        encoded = column.dictionary_encode()
        words = [*encoded.dictionary.to_pylist(), None]
        places = np.asarray(compute.fill_null(encoded.indices, len(words) - 1), dtype=np.int64)
        codes = codes * len(words) + places
        values = [(*held, word) for held in values for word in words]
        seen, codes = np.unique(codes, return_inverse=True)
        values = [values[code] for code in seen.tolist()]
    return codes, values


def _slice(segment: Mapping[str, Any], cells: Counter[Cell]) -> Slice:
    was, now = _by_verdict(cells)
    changed = sum(count for (from_, to), count in cells.items() if from_ != to)
    return Slice(segment, cells.total(), changed, dict(was), dict(now))


def _by_verdict(cells: Counter[Cell]) -> tuple[Counter[str], Counter[str]]:
    was: Counter[str] = Counter()
    now: Counter[str] = Counter()
    for (from_, to), count in sorted(cells.items()):
        was[from_] += count
        now[to] += count
    return was, now


def _add_wrong(
    wrong: Wrong,
    rates: tuple[Weights, Weights],
    was: Any,
    now: Any,
    outcomes: Mapping[str, tuple[Any, Any]],
) -> None:
    if wrong.outcome not in outcomes:
        return
    values, ratios = outcomes[wrong.outcome]
    is_known = ~np.isnan(values)
    is_hit = (values >= 0.5) == wrong.is_true
    for weights, verdicts in zip(rates, (was, now), strict=True):
        counted = is_known & (verdicts == wrong.verdict)
        weights.add(is_hit[counted], ratios[counted])
