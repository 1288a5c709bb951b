"""Reads features for a decision, takes facts and values in, and reads again what a past decision saw.

Facts are folded in the order of their ids (ULIDs). A fact whose commit ends after a later one's was read would be missed,
and with several processes clocks differ: `visible_after_ms` keeps facts out of sight until every commit that could still
bring an earlier one is over. One process needs none of it: its ids and its commits have one order. Kept values need none
either (`kept.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from opsrail.clock import Clock, ulid_text
from opsrail.errors import (
    AuthorError,
    Fault,
    InvalidInput,
    NotFound,
    UnknownName,
)
from opsrail.features.backfill import Backfill
from opsrail.features.definitions import CodeDigest, keep_definitions, served_view
from opsrail.features.facts import facts_of
from opsrail.features.folds import Fold, Folds, Held
from opsrail.features.importing import Importing
from opsrail.features.importing import PastFact as PastFact
from opsrail.features.joining import join_faults
from opsrail.features.keeping import Keeping, NewValue, Taken
from opsrail.features.kept import KeptValue, known_at, newest, read_again
from opsrail.features.outside import OutsideRead, elsewhere, is_outside
from opsrail.features.request import request_row
from opsrail.features.view import FeatureView
from opsrail.ports import FeatureSource, Store
from opsrail.values.decisions import REQUEST_VIEW, AsOf, OutsideAsOf, ViewRead
from opsrail.values.features import FactRow
from opsrail.values.rows import Insert, Where, equals

PAGE = 1_000
"""Facts read and folded at once; between pages others run."""
NO_SOURCES: Mapping[str, FeatureSource] = {}


@dataclass(slots=True)
class Fetched:
    """What a decision knows: the request's fields and each view's features.

    Attributes:
        reads: With provenance; the request first.
        row: Name -> value, as the model takes it.
        digest: Of the request's fields; with views, the digests of all reads in a row. Equal features have equal digests,
            whenever they were read.
    """

    reads: tuple[ViewRead, ...]
    row: Mapping[str, object]
    digest: str


class Features:
    """Feature views of an app.

    Attributes:
        backfill: Reads the past in.

    Args:
        refresh_ms: How old an entity's features may be; facts and values committed since are read then.
        entities: Entities kept in memory, all views together; others are read anew when asked for.
        visible_after_ms: Age from which facts count; see above. 0 for one process.
        sources: By view: the other system that its values are asked of.

    Raises:
        InvalidInput: two views share name and version. Terminal.
    """

    def __init__(
        self,
        store: Store,
        views: Sequence[FeatureView[Any]],
        clock: Clock,
        *,
        refresh_ms: int = 200,
        entities: int = 50_000,
        visible_after_ms: int = 0,
        sources: Mapping[str, FeatureSource] = NO_SOURCES,
    ) -> None:
        self._store = store
        self._clock = clock
        self._views = {view.ref: view for view in views}
        self._refresh_s = refresh_ms / 1000
        self._visible_after_ms = visible_after_ms
        self._folds = Folds(entities)
        self._sources = sources
        self._keeping = Keeping(store, clock)
        self._importing = Importing(store, clock)
        self.backfill = Backfill(store, clock)
        for view in views:
            if self._views[view.ref] is not view:
                raise InvalidInput(
                    f"two feature views are called {view.ref}; give one the next version"
                )

    async def close(self) -> None:
        """Close the connections to other systems."""
        for source in self._sources.values():
            await source.close()

    def view(self, ref: str) -> FeatureView[Any]:
        """Return a view by `name@version`. Raises UnknownName when the code defines none."""
        if (view := self._views.get(ref)) is None:
            known = ", ".join(sorted(self._views)) or "none"
            raise UnknownName(
                f"there is no feature view {ref!r} (known: {known}); define it or correct the name"
            )
        return view

    async def known_view(self, ref: str) -> FeatureView[Any]:
        """Return a view of the code here, else a kept one from the definition that it was served with.

        Raises:
            NotFound, InvalidInput: see `definitions.served_view`. Terminal.
        """
        view = self._views.get(ref)
        return await served_view(self._store, ref) if view is None else view

    def check(self, request: type[BaseModel], refs: Sequence[str]) -> list[Fault]:
        """Return what keeps these views from being joined to such requests; see `joining`."""
        return join_faults(request, refs, self._views)

    async def keep_definitions(self, code_digest: CodeDigest) -> None:
        """Keep how the views are defined; see `definitions`. Raises InvalidInput when one is not what it was."""
        await keep_definitions(self._store, list(self._views.values()), self._clock, code_digest)

    async def fetch(self, request: ViewRead, facts: BaseModel, refs: Sequence[str]) -> Fetched:
        """Return all features of a request.

        Args:
            request: The request's own fields, as `request_read` gave them.

        Raises:
            UnknownName: a view is not defined. Terminal.
            AuthorError: a view's own function failed. The decision falls back.
            StoreUnavailable: history cannot be read now.
            FeaturesUnavailable: another system did not give a view's values.
        """
        reads = [request]
        for ref in refs:
            view = self.view(ref)
            reads.append(await self._current(view, _entity(view, facts)))
        return _together(reads, facts)

    def known(self, request: ViewRead, facts: BaseModel, refs: Sequence[str]) -> Fetched | None:
        """Return all features of a request, if none of them has to be read; raises as `fetch`."""
        reads = [request]
        if refs:
            now_s = self._clock.monotonic_s()
            for ref in refs:
                view = self.view(ref)
                fold = self._folds.of(view, _entity(view, facts))
                if now_s >= fold.fresh_until_s:
                    return None
                reads.append(fold.read())
        return _together(reads, facts)

    async def read(self, ref: str, entity: str) -> ViewRead:
        """Return an entity's features as they stand now, at most `refresh_ms` old."""
        return await self._current(await self.known_view(ref), entity)

    async def at(self, ref: str, entity: str, moment_ms: int) -> ViewRead:
        """Return what was known of an entity at a moment: nothing that was true or written later.

        A folded view folds the facts known by then, in the order of their ids.
        """
        view = await self.known_view(ref)
        if is_outside(view):
            raise elsewhere(view, "what was known at another moment")
        if view.kept is not None:
            return await known_at(self._store, view, entity, moment_ms)
        fold = Fold(view, entity)
        await self._extend(fold, view, Where("at_ms", "<=", moment_ms))
        return fold.read()

    async def as_of(self, ref: str, entity: str, fact_id: str | None) -> ViewRead:
        """Fold an entity's history anew up to and including a fact, and return the features of that moment.

        Args:
            fact_id: From a decision's `as_of`; None: before the first fact.
        """
        fold = Fold(self.view(ref), entity)
        if fact_id is not None:
            await self._extend(fold, self.view(ref), Where("id", "<=", fact_id))
        return fold.read()

    async def reread(self, reads: Sequence[ViewRead]) -> tuple[ViewRead, ...]:
        """Return what a past decision read: values from the rows it names, folds anew from history.

        Equal to `reads`, whatever was pushed, corrected or read in since, unless the code was changed or rows removed. Views
        that are not in the code are left out, unless they keep values and were served. What another system gave cannot be
        read again: it comes back as it was recorded, and its `as_of` says so (`OutsideAsOf`).

        Raises:
            NotFound: a kept value's row was removed. Terminal.
        """
        found = [await self._again(read) for read in reads if read.view != REQUEST_VIEW]
        return tuple(read for read in found if read is not None)

    async def _again(self, read: ViewRead) -> ViewRead | None:
        if isinstance(read.as_of, OutsideAsOf):
            return read
        view = self._views.get(read.name)
        if view is None and not isinstance(read.as_of, AsOf):  # how to fold, only the code knows
            with suppress(NotFound, InvalidInput):
                view = await served_view(self._store, read.name)
        if view is None:
            return None
        if view.kept is not None:
            return await read_again(self._store, view, read)
        past = read.as_of
        return await self.as_of(
            read.name, read.entity, past.fact_id if isinstance(past, AsOf) else None
        )

    async def push(
        self,
        ref: str,
        values: Sequence[NewValue],
        *,
        key: str | None = None,
        is_text: bool = False,
    ) -> Taken:
        """Keep values that somebody brings; see `Keeping.push`. Raises NotFound, InvalidInput, KeyReused."""
        view = await self.known_view(ref)
        if is_outside(view):
            raise elsewhere(view, "its values")
        return await self._keeping.push(view, values, key=key, is_text=is_text)

    def facts_of(
        self,
        views: Sequence[FeatureView[Any]],
        case_input: BaseModel,
        outcome: BaseModel,
        rulings: Sequence[Any] = (),
        *,
        case_id: str,
    ) -> list[Insert]:
        """Return the facts that a settled case adds, for the commit that settles it; see `features.facts`."""
        at_ms = self._clock.now_ms()
        return facts_of(
            views,
            case_input,
            outcome,
            rulings,
            case_id=case_id,
            at_ms=at_ms,
            new_id=self._clock.new_id,
        )

    async def import_facts(self, ref: str, facts: Sequence[PastFact], *, source: str) -> int:
        """Take facts in that opsrail did not see happen; see `Importing.take`. Return how many this call took."""
        return await self._importing.take(self.view(ref), facts, source=source)

    async def _current(self, view: FeatureView[Any], entity: str) -> ViewRead:
        held = self._folds.of(view, entity)
        if self._clock.monotonic_s() < held.fresh_until_s:
            return held.read()
        async with held.turn:
            now_s = self._clock.monotonic_s()
            if now_s >= held.fresh_until_s:
                lasts_s = await self._renew(held, view)
                held.fresh_until_s = now_s + min(self._refresh_s, lasts_s)
        return held.read()

    async def _renew(self, held: Held, view: FeatureView[Any]) -> float:
        """Read what came since; return how long it holds by itself, seconds."""
        if isinstance(held, OutsideRead):
            if (source := self._sources.get(view.ref)) is None:
                raise elsewhere(view, "its values")
            held.take(await source.read(held.entity), source.name, self._clock.now_ms())
            return held.lasts_s(self._clock.now_ms())
        if isinstance(held, KeptValue):
            now_ms = self._clock.now_ms()
            held.take(await newest(self._store, view, held.entity, now_ms), now_ms)
            return held.lasts_s(now_ms)
        try:
            await self._extend(held, view, *self._horizon())
        except AuthorError:
            self._folds.drop(view, held.entity)
            raise
        return float("inf")

    async def _extend(self, fold: Fold, view: FeatureView[Any], *until: Where) -> None:
        history = equals(view=view.name, number=view.version, entity=fold.entity)
        while True:
            since = Where("id", ">", fold.last_id)
            rows = await self._store.select(
                FactRow, *history, since, *until, order=("id",), limit=PAGE
            )
            fold.extend(rows)
            if len(rows) < PAGE:
                return

    def _horizon(self) -> tuple[Where, ...]:
        if not self._visible_after_ms:
            return ()
        return (Where("id", "<", ulid_text((self._clock.now_ms() - self._visible_after_ms) << 80)),)


def _together(reads: Sequence[ViewRead], facts: BaseModel) -> Fetched:
    row = request_row(facts)
    for read in reads[1:]:
        row.update(read.values)
    return Fetched(tuple(reads), row, "".join([read.digest for read in reads]))


def _entity(view: FeatureView[Any], facts: BaseModel) -> str:
    try:
        entity = view.entity(facts)
    except Exception as fault:
        raise AuthorError(
            f"feature view {view.ref}: entity failed for {type(facts).__name__}: {type(fault).__name__}: {fault}"
        ) from fault
    if not isinstance(entity, str):
        raise AuthorError(f"feature view {view.ref}: entity gave {type(entity).__name__}, not text")
    return entity
