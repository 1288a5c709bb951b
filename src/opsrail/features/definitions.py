"""Definitions of views as they were first served: another one under the same version is refused.

Whoever trains on `policyholder@2` and whoever decides with it mean the same thing, years apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from opsrail.clock import Clock
from opsrail.errors import Fault, InvalidInput, NotFound, StaleWrite
from opsrail.features.source import source_of
from opsrail.features.view import KINDS, FeatureView
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.values.canonical import canonical, digest
from opsrail.values.features import ViewRow
from opsrail.values.rows import Append, Insert, Write

CodeDigest = Callable[[Callable[..., Any]], str]
TYPES = {name: kind for kind, name in KINDS.items()}
MOST_VIEWS = 10_000


def definition_of(view: FeatureView[Any]) -> dict[str, Any]:
    """Return what people, and commands without the code, need to know of a view, as plain JSON values."""
    entity = view.entity_field or "(a function)"
    if view.kept is None:
        return {"kind": "folded", "entity": entity, "features": sorted(view.names)}
    kept = view.kept
    return {
        "kind": "kept",
        "entity": entity,
        "features": {name: KINDS[kind] for name, kind in kept.features.items()},
        "missing": dict(kept.missing),
        "ttl_ms": kept.ttl_ms,
        "source": kept.source.described(),
    }


def row_of(view: FeatureView[Any], code_digest: CodeDigest, at_ms: int) -> ViewRow:
    """Return a view's row: its digest covers everything that can change a value, code included.

    Args:
        code_digest: Tells functions apart by what they do.
    """
    definition = definition_of(view)
    functions = dict(view.folding)
    if view.entity_field is None:
        functions["entity"] = view.entity
    code = {name: code_digest(function) for name, function in functions.items()}
    whole = digest(canonical({**definition, "code": code}))
    return ViewRow(view.name, view.version, whole, canonical(definition).decode(), at_ms)


async def keep_definitions(
    store: Store, views: Sequence[FeatureView[Any]], clock: Clock, code_digest: CodeDigest
) -> None:
    """Keep the definitions of views that are served for the first time, each with a ledger entry.

    Raises:
        InvalidInput: views that were served before are defined otherwise now, all at once. Terminal: nothing was kept; give
            them the next version, or restore what they were.
    """
    rows = [row_of(view, code_digest, clock.now_ms()) for view in views]
    for is_last in (False, True):
        known = {row: await store.get(ViewRow, row.name, row.number) for row in rows}
        _refuse_changed([(row, before) for row, before in known.items() if before is not None])
        fresh = [row for row, before in known.items() if before is None]
        writes: list[Write] = [write for row in fresh for write in (Insert(row), _told(row))]
        if not writes:
            return
        try:
            await store.commit(writes)
        except StaleWrite:  # another process came first; what it kept decides
            if is_last:
                raise
        else:
            return


async def served_view(store: Store, ref: str) -> FeatureView[Any]:
    """Return a kept view from the definition it was served with, for whoever has not its code.

    Raises:
        NotFound: no view of that name and version was ever served. Terminal.
        InvalidInput: it is folded: only its code knows how. Terminal.
    """
    row = await view_row(store, ref)
    told = orjson.loads(row.definition)
    if told["kind"] != "kept":
        raise InvalidInput(
            f"feature view {ref} is folded by code; name the automation's file that defines it"
        )
    view: FeatureView[Any] = FeatureView(
        row.name,
        version=row.number,
        entity=told["entity"] if told["entity"].isidentifier() else _unknown_entity,
        features={name: TYPES[kind] for name, kind in told["features"].items()},
        missing=told["missing"],
        ttl=None if told["ttl_ms"] is None else told["ttl_ms"] / 1000,
        source=source_of(told["source"]),
    )
    return view


async def view_row(store: Store, ref: str) -> ViewRow:
    """Return a view as it was first served. Raises NotFound."""
    name, _, number = ref.partition("@")
    row = (
        await store.get(ViewRow, name, int(number))
        if number.isascii() and number.isdecimal() and len(number) <= 9
        else None
    )
    if row is None:
        rows = await store.select(ViewRow, limit=MOST_VIEWS)
        known = ", ".join(f"{one.name}@{one.number}" for one in rows[:20]) or "none"
        raise NotFound(
            f"no feature view {ref[:80]!r} was served here (known: {known}); "
            "serve or run the file that defines it, or name that file"
        )
    return row


def _refuse_changed(pairs: Sequence[tuple[ViewRow, ViewRow]]) -> None:
    if found := list(_changes(pairs)):
        raise InvalidInput("feature views are not what was served under their version", found)


def _changes(pairs: Sequence[tuple[ViewRow, ViewRow]]) -> Iterator[Fault]:
    for row, before in pairs:
        if row.digest != before.digest:
            now, then = orjson.loads(row.definition), orjson.loads(before.definition)
            differ = [name for name in sorted({*now, *then}) if now.get(name) != then.get(name)]
            yield Fault(
                f"{row.name}@{row.number}",
                f"{', '.join(differ) or 'its code'} changed since it was first served; "
                f"give it version {row.number + 1}, or restore what it was",
            )


def _told(row: ViewRow) -> Append:
    fields = {"digest": row.digest, "version": row.number}
    return entry("view.served", row.name, row.created_at_ms, fields)


def _unknown_entity(request: object) -> str:
    raise NotFound("only the view's code knows whose features a request reads")
