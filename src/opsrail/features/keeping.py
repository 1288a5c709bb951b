"""Takes values of kept views in: checked whole, each once, with the moment it was true and the moment it was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opsrail.clock import Clock
from opsrail.errors import Fault, InvalidInput, KeyReused, StaleWrite
from opsrail.features.moments import moment_ms
from opsrail.features.view import FeatureView, value_of
from opsrail.ports import Store
from opsrail.values.canonical import canonical, digest
from opsrail.values.cases import KeyRow
from opsrail.values.features import FeatureValueRow
from opsrail.values.rows import Insert, Where, Write, equals

MOST_PUSHED = 10_000
"""Values of one push. Ours: one commit of 10,000 rows holds others up for about 0.1 s."""
LONGEST_ENTITY = 255
HELD_PAGE = 10_000
AT_ONCE = 400
"""Values of one question to the store; both databases bind thousands."""
PUSHED = "push"


class NewValue(NamedTuple):
    """A value to be kept.

    Attributes:
        entity: Whose; 1 to 255 characters.
        event_at: When it was true: RFC 3339 text, a datetime, or epoch ms.
        values: Every feature of the view, None where it is not known.
        written_at: When it was known; None: now.
    """

    entity: str
    event_at: object
    values: Mapping[str, object]
    written_at: object = None


class Checked(NamedTuple):
    """A value that may be kept; `written_at_ms` None: when it is written."""

    entity: str
    event_at_ms: int
    written_at_ms: int | None
    content: str


class Taken(NamedTuple):
    """What became of values.

    Attributes:
        kept: Rows added.
        there: Values that were there already.
    """

    kept: int
    there: int


class Keeping:
    """Writes kept values."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def push(
        self,
        view: FeatureView[Any],
        values: Sequence[NewValue],
        *,
        key: str | None = None,
        is_text: bool = False,
    ) -> Taken:
        """Keep values that somebody brings, all in one commit.

        A value that equals the one that holds for its event time is there already, so a push may be repeated. A caller that
        repeats a push after others may have corrected it names it with a key: then it is taken once, whatever came since.

        Args:
            values: Up to 10,000; none was written before now, so `written_at` is not theirs to say.
            key: Of this push, at most 255 characters; kept for good.
            is_text: Whether they come from a file of text cells.

        Raises:
            InvalidInput: all faulty values at once, by position. Terminal; none was kept.
            KeyReused: other values were pushed under the key. Use another.
        """
        checked = check(view, values, is_text=is_text)
        if key is None:
            return await self.keep(view, checked, source=PUSHED)
        content = digest(canonical([list(one) for one in checked]))
        scope = f"push:{view.ref}"
        marker = Insert(KeyRow(scope, key, content, view.ref, self._clock.now_ms()))
        if (earlier := await self._store.get(KeyRow, scope, key)) is None:
            try:
                return await self.keep(view, checked, source=PUSHED, also=[marker])
            except StaleWrite:
                if (earlier := await self._store.get(KeyRow, scope, key)) is None:
                    raise
        if earlier.body_digest != content:
            raise KeyReused(f"{scope}: other values were pushed as {key!r}; use another key")
        return Taken(0, len(checked))

    async def keep(
        self,
        view: FeatureView[Any],
        values: Sequence[Checked],
        *,
        source: str,
        is_file: bool = False,
        also: Sequence[Write] = (),
    ) -> Taken:
        """Keep those values that are not there yet, in one commit.

        Args:
            is_file: Whether the source names its content, so that a value it ever brought is never brought again, also when
                it was corrected since.
            also: Further writes of the commit.
        """
        held = await self._held(view, values)
        now_ms = self._clock.now_ms()
        writes: list[Write] = [*also]
        for value in values:
            rows = held.setdefault((value.entity, value.event_at_ms), [])
            if is_there(rows, value, source if is_file else None):
                continue
            row = FeatureValueRow(
                self._clock.new_id(), view.name, view.version, value.entity, value.event_at_ms,
                now_ms if value.written_at_ms is None else value.written_at_ms, value.content, source,
            )  # fmt: skip
            rows.append(row)
            writes.append(Insert(row))
        if writes:
            await self._store.commit(writes)
        kept = len(writes) - len(also)
        return Taken(kept, len(values) - kept)

    async def _held(
        self, view: FeatureView[Any], values: Sequence[Checked]
    ) -> dict[tuple[str, int], list[FeatureValueRow]]:
        held: dict[tuple[str, int], list[FeatureValueRow]] = {}
        for first in range(0, len(values), AT_ONCE):
            some = values[first : first + AT_ONCE]
            times = [value.event_at_ms for value in some]
            where = (  # a span: entities by times would be looked up one pair after the other, 160,000 of them
                *equals(view=view.name, number=view.version),
                Where("entity", "in", tuple({value.entity for value in some})),
                Where("event_at_ms", ">=", min(times)),
                Where("event_at_ms", "<=", max(times)),
            )
            last = ""
            while True:
                rows = await self._store.select(
                    FeatureValueRow, *where, Where("id", ">", last), order=("id",), limit=HELD_PAGE
                )
                for row in rows:
                    held.setdefault((row.entity, row.event_at_ms), []).append(row)
                if len(rows) < HELD_PAGE:
                    break
                last = rows[-1].id
        return held


def is_there(rows: Sequence[FeatureValueRow], value: Checked, source: str | None) -> bool:
    """Return whether a value need not be written: it holds for its event time, or its file brought it before."""
    if value.written_at_ms is not None:
        known = (value.written_at_ms, value.content)
        return any((row.written_at_ms, row.content) == known for row in rows)
    if source is not None and any(
        (row.source, row.content) == (source, value.content) for row in rows
    ):
        return True
    if not rows:
        return False
    return max(rows, key=lambda row: (row.written_at_ms, row.id)).content == value.content


def check(
    view: FeatureView[Any], values: Sequence[NewValue], *, is_text: bool = False
) -> list[Checked]:
    """Return values as they are kept.

    Raises:
        InvalidInput: all faulty ones, by position; or there are none, or too many. Terminal.
    """
    if not 1 <= len(values) <= MOST_PUSHED:
        raise InvalidInput(
            f"values for {view.ref}: give 1 to {MOST_PUSHED:,} at once, not {len(values):,}"
        )
    checked: list[Checked] = []
    found: list[Fault] = []
    for position, value in enumerate(values):
        if value.written_at is not None:
            found.append(
                Fault(
                    f"values[{position}].written_at", "is not for a push, which is known from now"
                )
            )
        one = checked_value(view, value, f"values[{position}]", found, is_text=is_text)
        if one is not None:
            checked.append(one)
    if found:
        raise InvalidInput(f"values for {view.ref} cannot be kept; none was", found)
    return checked


def checked_value(
    view: FeatureView[Any],
    value: NewValue,
    place: str,
    found: list[Fault],
    *,
    is_text: bool = False,
) -> Checked | None:
    """Return one value as it is kept, or add what is wrong with it.

    Raises:
        InvalidInput: the view folds facts. Terminal.
    """
    if view.kept is None:
        raise InvalidInput(
            f"feature view {view.ref} is folded from facts of cases; nothing can be brought"
        )
    before = len(found)
    entity: object = value.entity
    if not isinstance(entity, str) or not 1 <= len(entity) <= LONGEST_ENTITY:
        found.append(Fault(f"{place}.entity", f"must be text of 1 to {LONGEST_ENTITY} characters"))
    event_at_ms = _moment(value.event_at, f"{place}.event_at", found)
    written_at_ms = (
        None
        if value.written_at is None
        else _moment(value.written_at, f"{place}.written_at", found)
    )
    content: dict[str, object] = {}
    for name in value.values.keys() - view.kept.features.keys():
        found.append(Fault(f"{place}.values.{name}", f"is no feature of {view.ref}"))
    for name, kind in view.kept.features.items():
        if name not in value.values:
            found.append(Fault(f"{place}.values.{name}", "is absent; send null if it is not known"))
            continue
        try:
            content[name] = value_of(kind, value.values[name], is_text=is_text)
        except ValueError as wrong:
            found.append(Fault(f"{place}.values.{name}", str(wrong)))
    if len(found) > before:
        return None
    return Checked(value.entity, event_at_ms, written_at_ms, canonical(content).decode())


def _moment(given: object, place: str, found: list[Fault]) -> int:
    try:
        return moment_ms(given, rounds_up=True)
    except ValueError as wrong:
        found.append(Fault(place, str(wrong)))
        return 0
