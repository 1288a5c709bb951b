"""Training sets by point-in-time join: for each row what was known of its entity at its moment, and nothing of later.

A value may be used from the moment at which it is both true and written: the later of its event time and its written time.
Sorted by that moment, the value that holds is the one with the latest event time so far. So the join on two times is a sort,
a running maximum and a search, all vectorised.

    from opsrail.lab import ViewHistory, training_set
    history = ViewHistory("policyholder@2", {"claims_5y": int}, pyarrow.parquet.read_table("values.parquet"))
    rows = pyarrow.table({"policy_id": ["p1"], "at": ["2026-01-31T09:00:00Z"], "is_fraud": [0]})
    training_set(rows, [history], entity_column="policy_id", at_column="at")
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from opsrail.errors import AuthorError, Fault, InvalidInput, MissingExtra
from opsrail.features.moments import moment_ms
from opsrail.features.view import FeatureView, Value, value_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MOST_FAULTS = 20


@dataclass(frozen=True, slots=True)
class ViewHistory:
    """Everything that a view ever kept.

    Attributes:
        ref: `name@version`, for messages.
        features: Type of each: float, int or str.
        table: Columns `entity` (text), `event_at_ms` and `written_at_ms` (int64, epoch ms) and one a feature, which may hold
            nulls. Of two values with equal times the later row holds.
        ttl_ms: Age from which a value counts as missing; None: never.
        missing: What a feature is where there is no value; null unless named.
    """

    ref: str
    features: Mapping[str, type]
    table: pa.Table
    ttl_ms: int | None = None
    missing: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoldHistory:
    """Every fact that a folded view was taught.

    Attributes:
        view: Its functions; they are called for each fact and each moment asked for.
        table: Columns `entity` (text), `at_ms` (int64, epoch ms) and `fact` (JSON text), in the order of folding.
    """

    view: FeatureView[Any]
    table: pa.Table

    @property
    def ref(self) -> str:
        """Return `name@version`."""
        return self.view.ref


def training_set(
    rows: pa.Table,
    histories: Sequence[ViewHistory | FoldHistory],
    *,
    entity_column: str | Mapping[str, str],
    at_column: str,
) -> pa.Table:
    """Return the rows with the features of every view as they were known at each row's moment.

    Args:
        rows: One line an example: who, when, and whatever else, e.g. labels.
        histories: Of the views that are joined.
        entity_column: Column that says whose features a row has, text or whole numbers; or one for each view, by ref.
        at_column: Each row's moment: timestamps (UTC unless they have a zone), RFC 3339 text or epoch ms. What is finer
            than a millisecond is cut off.

    Returns:
        All columns of `rows`, in order, then one a feature: float64, int64 or string.

    Raises:
        InvalidInput: a column is absent or has nulls, a moment is none, or two features have one name. Terminal; all faults.
        MissingExtra: pyarrow or numpy is not installed. Terminal.

    Source:
        Ours; equal to a loop over rows and values (property-tested), time to live included. The purpose is that of
        Feast's `get_historical_features`.
    """
    try:
        import numpy  # noqa: F401 - asked whether it is there
        import pyarrow  # noqa: F401
    except ImportError as missing:
        raise MissingExtra("A training set", "lab") from missing
    columns = {
        one.ref: entity_column if isinstance(entity_column, str) else entity_column.get(one.ref, "")
        for one in histories
    }
    _refuse(rows, histories, columns, at_column)
    at_ms = _moments(rows.column(at_column), at_column)
    for one in histories:
        entities = _texts(rows.column(columns[one.ref]))
        join = partial(_join, one) if isinstance(one, ViewHistory) else partial(_fold, one)
        joined = join(entities, at_ms)
        for name, column in joined.items():
            rows = rows.append_column(name, column)
    return rows


def _join(history: ViewHistory, entities: pa.Array, at_ms: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return one column a feature for kept values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = history.table
    words, codes = _coded(table.column("entity"))
    event = _whole(table.column("event_at_ms"))
    held = held_index(
        codes, event, _whole(table.column("written_at_ms")), _looked_up(words, entities), at_ms
    )
    is_absent = held < 0
    if history.ttl_ms is not None and len(event):
        is_absent |= at_ms - event[held] > history.ttl_ms
    where = pa.array(held, mask=is_absent)
    absent = pa.array(is_absent)
    joined = {}
    for name, kind in history.features.items():
        column = table.column(name).cast(_type(kind)).combine_chunks().take(where)
        default = history.missing.get(name)
        if default is not None:
            column = pc.if_else(absent, pa.scalar(default, _type(kind)), column)
        joined[name] = column
    return joined


def held_index(
    entity: np.ndarray[Any, Any],
    event_at_ms: np.ndarray[Any, Any],
    written_at_ms: np.ndarray[Any, Any],
    row_entity: np.ndarray[Any, Any],
    row_at_ms: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    """Return which value held for each row.

    Args:
        entity: Codes of the values' entities, >= 0. int64 [values].
        event_at_ms: int64 [values].
        written_at_ms: int64 [values].
        row_entity: Codes of the rows' entities, -1 for one without values. int64 [rows].
        row_at_ms: int64 [rows].

    Returns:
        The place of the value that holds, -1 where nothing was known. int64 [rows].
    """
    import numpy as np

    nothing = np.full(len(row_entity), -1, dtype=np.int64)
    if not len(entity) or not len(row_entity):
        return nothing
    usable_ms = np.maximum(event_at_ms, written_at_ms)
    keys, row_keys = _keys(entity, usable_ms, row_entity, row_at_ms)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    if (ordered[1:] == ordered[:-1]).any():
        order = np.lexsort((written_at_ms, keys))
    # Of values with one event time the one written later is usable later, or stands later among equals: the last of the
    # greatest holds. Keys grow with the entity, so a running maximum never reaches into the next.
    event_keys = _keys(entity, event_at_ms, entity[:0], entity[:0])[0][order]
    is_greatest = event_keys == np.maximum.accumulate(event_keys)
    holding = np.maximum.accumulate(np.where(is_greatest, np.arange(len(order)), 0))
    by_key = np.argsort(row_keys)  # a search in order is twice as fast, sorting included
    last = np.empty(len(row_keys), dtype=np.int64)
    last[by_key] = np.searchsorted(ordered, row_keys[by_key], side="right") - 1
    found = np.flatnonzero((last >= 0) & (row_entity >= 0))
    found = found[entity[order[last[found]]] == row_entity[found]]
    nothing[found] = order[holding[last[found]]]
    return nothing


def _keys(
    entity: np.ndarray[Any, Any],
    times_ms: np.ndarray[Any, Any],
    row_entity: np.ndarray[Any, Any],
    row_at_ms: np.ndarray[Any, Any],
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return numbers that order values and rows by entity and then by time."""
    import numpy as np

    first = min(int(times_ms.min()), int(row_at_ms.min(initial=times_ms[0])))
    width = max(int(times_ms.max()), int(row_at_ms.max(initial=times_ms[0]))) - first + 1
    if (
        width * (int(entity.max()) + 2) >= 2**62
    ):  # times too far apart to share 64 bits with so many entities
        ranks = np.unique(np.concatenate((times_ms, row_at_ms)), return_inverse=True)[1]
        times_ms, row_at_ms = ranks[: len(times_ms)], ranks[len(times_ms) :]
        first, width = 0, int(ranks.max()) + 1
    return entity * width + (times_ms - first), row_entity * width + (row_at_ms - first)


def _fold(history: FoldHistory, entities: pa.Array, at_ms: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return one column a feature for folded facts: each entity's history is folded once, moment by moment."""
    import numpy as np
    import pyarrow as pa

    words, codes = _coded(history.table.column("entity"))
    row_codes = _looked_up(words, entities)
    by_entity = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[by_entity], np.arange(len(words) + 1))
    known_ms = _whole(history.table.column("at_ms"))[by_entity]
    texts = history.table.column("fact").combine_chunks().take(pa.array(by_entity))
    order = np.lexsort((at_ms, row_codes))
    bounds = np.flatnonzero(np.diff(row_codes[order], prepend=-2, append=-2))
    read: list[Mapping[str, Any]] = []
    which = np.empty(len(at_ms), dtype=np.int64)
    for first, last in pairwise(bounds):
        rows = order[first:last]
        code = int(row_codes[rows[0]])
        here = slice(starts[code], starts[code + 1]) if code >= 0 else slice(0, 0)
        facts = texts[here].to_pylist()
        moments = _read(history.view, facts, known_ms[here], at_ms[rows])
        for row, values in zip(rows, moments, strict=True):
            if not read or values is not read[-1]:
                read.append(values)
            which[row] = len(read) - 1
    return {
        name: pa.array([values[name] for values in read]).take(pa.array(which))
        if read
        else pa.nulls(0, pa.float64())
        for name in sorted(history.view.names)
    }


def _read(
    view: FeatureView[Any],
    facts: Sequence[str],
    known_ms: np.ndarray[Any, Any],
    moments_ms: np.ndarray[Any, Any],
) -> Iterator[Mapping[str, Any]]:
    """Yield an entity's features at moments that never go back; the very same object while nothing changes.

    Raises:
        AuthorError: a function of the view failed. Terminal.
    """
    import numpy as np
    import orjson

    told = [orjson.loads(fact) for fact in facts]
    is_ordered = bool(np.all(known_ms[:-1] <= known_ms[1:]))
    counts = np.searchsorted(np.sort(known_ms), moments_ms, side="right")
    try:
        state, done = view.initial(), 0
        values: Mapping[str, Any] = view.read(state)
        for at_ms, count in zip(moments_ms, counts, strict=True):
            if count != done:
                chosen = told[done:count]
                if (
                    not is_ordered
                ):  # in the order of writing, of what was known by then: folded anew
                    state = view.initial()
                    chosen = [told[place] for place in np.flatnonzero(known_ms <= at_ms)]
                for fact in chosen:
                    state = view.fold(state, fact)
                done, values = count, view.read(state)
            yield values
    except AuthorError:
        raise
    except Exception as fault:
        raise AuthorError(
            f"feature view {view.ref}: a function failed: {type(fault).__name__}: {fault}; "
            "correct it and give it the next version"
        ) from fault


def _refuse(
    rows: pa.Table,
    histories: Sequence[ViewHistory | FoldHistory],
    columns: Mapping[str, str],
    at_column: str,
) -> None:
    """Raise InvalidInput with everything that keeps the views from being joined."""
    found = []
    for ref, column in {"": at_column, **columns}.items():
        if column not in rows.column_names:
            whose = f"entity column of {ref}" if ref else "column of moments"
            found.append(Fault(column or ref, f"the rows have no such column ({whose})"))
        elif rows.column(column).null_count:
            count = rows.column(column).null_count
            found.append(Fault(column, f"{count:,} rows have none; leave them out"))
    owner = dict.fromkeys(rows.column_names, "the rows")
    for one in histories:
        names = one.features if isinstance(one, ViewHistory) else sorted(one.view.names)
        found += [
            Fault(name, f"comes from {one.ref} and from {owner[name]}; rename one")
            for name in names
            if name in owner
        ]
        owner |= dict.fromkeys(names, one.ref)
    if found:
        raise InvalidInput("the training set cannot be made", list(dict.fromkeys(found)))


def _moments(column: pa.ChunkedArray, name: str) -> np.ndarray[Any, Any]:
    """Return moments in epoch ms; what is finer is cut off, so that nothing later is known."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type):
        floored = pc.floor_temporal(column, unit="millisecond")
        return _whole(floored.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64()))
    if pa.types.is_integer(column.type):
        return _whole(column)
    found: list[Fault] = []
    moments = np.zeros(len(column), dtype=np.int64)
    for place, moment in enumerate(column.to_pylist()):
        try:
            moments[place] = moment_ms(moment)
        except ValueError as wrong:
            found.append(Fault(f"rows[{place}].{name}", str(wrong)))
    if found:
        told = f"{len(found):,} of {len(column):,} rows have no moment"
        raise InvalidInput(told, found[:MOST_FAULTS])
    return moments


def _coded(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray[Any, Any]]:
    """Return the different texts of a column, and the place of each of its texts among them."""
    import pyarrow as pa

    coded = _texts(column).dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    return coded.dictionary, _whole(coded.indices)


def _looked_up(words: pa.Array, entities: pa.Array) -> np.ndarray[Any, Any]:
    """Return the place of each entity among words, -1 where it is none of them."""
    import pyarrow.compute as pc

    return _whole(pc.fill_null(pc.index_in(entities, value_set=words), -1))


def _texts(column: pa.ChunkedArray) -> pa.Array:
    import pyarrow as pa

    texts = column.cast(pa.string())
    return texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts


def _whole(column: Any) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.asarray(column.to_numpy(), dtype=np.int64)


def _type(kind: type) -> Any:
    import pyarrow as pa

    return {float: pa.float64(), int: pa.int64(), str: pa.string()}[kind]


def entities_of(rows: pa.Table, column: str) -> list[str]:
    """Return the entities that rows name, each once; none when there is no such column."""
    if column not in rows.column_names:
        return []
    named: list[str | None] = _texts(rows.column(column)).unique().to_pylist()
    return [entity for entity in named if entity is not None]


def history_of(view: FeatureView[Any], table: pa.Table) -> ViewHistory:
    """Return the history of a kept view; values are checked to be of its types.

    Raises:
        InvalidInput: the view folds facts. Terminal.
    """
    if view.kept is None:
        raise InvalidInput(f"feature view {view.ref} is folded; its history is a FoldHistory")
    kept = view.kept
    missing = {name: value_of(kind, kept.missing[name]) for name, kind in kept.features.items()}
    return ViewHistory(view.ref, kept.features, table, kept.ttl_ms, missing)
