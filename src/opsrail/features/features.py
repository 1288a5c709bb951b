"""Reads features for a decision, takes facts in, and reads again what a past decision saw.

Facts are folded in the order of their ids (ULIDs). A fact whose commit ends after a later one's was read would be missed,
and with several processes clocks differ: `visible_after_ms` keeps facts out of sight until every commit that could still
bring an earlier one is over. One process needs none of it: its ids and its commits have one order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from opsrail.clock import Clock, ulid_text
from opsrail.errors import AuthorError, Fault, InvalidInput, KeyReused, StaleWrite, UnknownName
from opsrail.features.facts import fact_row, facts_of, folded
from opsrail.features.folds import Fold, Folds
from opsrail.features.request import feature_names, request_row
from opsrail.features.view import FeatureView
from opsrail.ports import Store
from opsrail.values.canonical import canonical, digest
from opsrail.values.cases import KeyRow
from opsrail.values.decisions import ViewRead
from opsrail.values.features import FactRow
from opsrail.values.rows import Insert, Where, Write, equals

PAGE = 1_000
"""Facts read and folded at once; between pages others run."""
IMPORT_CHUNK = 500


class PastFact(NamedTuple):
    """A fact from before opsrail kept the cases.

    Attributes:
        fact: What the view's fold takes, as JSON values.
        at_ms: When it became known, epoch ms.
    """

    entity: str
    fact: Mapping[str, Any]
    at_ms: int


class Fetched(NamedTuple):
    """What a decision knows: the request's fields and each view's features.

    Attributes:
        reads: With provenance; the request first.
        row: Name -> value, as the model takes it.
        digest: Of the request's fields; with views, over the digests of all reads. Equal features have equal digests,
            whenever they were read.
    """

    reads: tuple[ViewRead, ...]
    row: Mapping[str, object]
    digest: str


class Features:
    """Feature views of an app.

    Args:
        refresh_ms: How old an entity's features may be; facts committed since are read then.
        entities: Folded histories kept in memory, all views together; others are folded anew when asked for.
        visible_after_ms: Age from which facts count; see above. 0 for one process.

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
    ) -> None:
        self._store = store
        self._clock = clock
        self._views = {view.ref: view for view in views}
        self._refresh_s = refresh_ms / 1000
        self._visible_after_ms = visible_after_ms
        self._folds = Folds(entities)
        for view in views:
            if self._views[view.ref] is not view:
                raise InvalidInput(
                    f"two feature views are called {view.ref}; give one the next version"
                )

    def view(self, ref: str) -> FeatureView[Any]:
        """Return a view by `name@version`. Raises UnknownName when the code defines none."""
        if (view := self._views.get(ref)) is None:
            known = ", ".join(sorted(self._views)) or "none"
            raise UnknownName(
                f"there is no feature view {ref!r} (known: {known}); define it or correct the name"
            )
        return view

    def check(self, request: type[BaseModel], refs: Sequence[str]) -> list[Fault]:
        """Return what keeps these views from being joined to such requests: unknown names, features of the same name."""
        found = [
            Fault("features", f"{ref!r} is not defined") for ref in refs if ref not in self._views
        ]
        owner = dict.fromkeys(feature_names(request), f"the request {request.__name__}")
        for view in (self._views[ref] for ref in refs if ref in self._views):
            for name in sorted(view.names & owner.keys()):
                found.append(
                    Fault(
                        "features",
                        f"{name!r} comes from {view.ref} and from {owner[name]}; rename one",
                    )
                )
            owner |= dict.fromkeys(view.names, view.ref)
        return found

    async def fetch(self, request: ViewRead, facts: BaseModel, refs: Sequence[str]) -> Fetched:
        """Return all features of a request.

        Args:
            request: The request's own fields, as `request_read` gave them.

        Raises:
            UnknownName: a view is not defined. Terminal.
            AuthorError: a view's own function failed. The decision falls back.
            StoreUnavailable: history cannot be read now.
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
        return await self._current(self.view(ref), entity)

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
        """Return what a past decision read, folded anew from history; equal to `reads` unless facts or code were changed."""
        return tuple(
            [
                await self.as_of(read.name, read.entity, read.as_of.fact_id if read.as_of else None)
                for read in reads
                if read.name in self._views
            ]
        )

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
        """Take history in that opsrail did not see happen; a killed import that is run again goes on where it was.

        Every fact is tried on the view's fold first: one that fails keeps all out. Imported facts are folded after those
        that are there, in the order given.

        Args:
            source: Names the import; the same facts under it again are not taken twice.

        Returns:
            Facts taken by this call; 0 when all were there.

        Raises:
            InvalidInput: all faulty facts at once, by position. Terminal; none was taken.
            KeyReused: other facts were imported under this source. Use another source name.
        """
        view = self.view(ref)
        if found := list(_import_faults(view, facts)):
            raise InvalidInput(f"facts for {ref} from {source!r} cannot be taken", found)
        taken = 0
        for first in range(0, len(facts), IMPORT_CHUNK):
            taken += await self._import_chunk(
                view, facts[first : first + IMPORT_CHUNK], f"{source}:{first}"
            )
        return taken

    async def _import_chunk(
        self, view: FeatureView[Any], facts: Sequence[PastFact], key: str
    ) -> int:
        content = digest(canonical([[fact.entity, dict(fact.fact), fact.at_ms] for fact in facts]))
        scope = f"facts:{view.ref}"
        now_ms = self._clock.now_ms()
        rows = [
            fact_row(
                view,
                fact.entity,
                fact.fact,
                fact_id=self._clock.new_id(),
                case_id=None,
                at_ms=fact.at_ms,
            )
            for fact in facts
        ]
        writes: list[Write] = [
            Insert(KeyRow(scope, key, content, rows[0].id, now_ms)),
            *map(Insert, rows),
        ]
        try:
            await self._store.commit(writes)
        except StaleWrite:
            earlier = await self._store.get(KeyRow, scope, key)
            if earlier is None:
                raise
            if earlier.body_digest != content:
                raise KeyReused(
                    f"{scope}: other facts were imported as {key!r}; use another source name"
                ) from None
            return 0
        return len(rows)

    async def _current(self, view: FeatureView[Any], entity: str) -> ViewRead:
        fold = self._folds.of(view, entity)
        if self._clock.monotonic_s() < fold.fresh_until_s:
            return fold.read()
        async with fold.turn:
            now_s = self._clock.monotonic_s()
            if now_s >= fold.fresh_until_s:
                try:
                    await self._extend(fold, view, *self._horizon())
                except AuthorError:
                    self._folds.drop(view, entity)
                    raise
                fold.fresh_until_s = now_s + self._refresh_s
        return fold.read()

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
    if len(reads) == 1:
        return Fetched(tuple(reads), row, reads[0].digest)
    for read in reads[1:]:
        row.update(read.values)
    digests = "".join([read.digest for read in reads])
    return Fetched(tuple(reads), row, f"sha256:{hashlib.sha256(digests.encode()).hexdigest()}")


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


def _import_faults(view: FeatureView[Any], facts: Sequence[PastFact]) -> Iterator[Fault]:
    """Yield every fact that the view cannot take, each tried on an entity without history."""
    for position, fact in enumerate(facts):
        try:
            row = fact_row(view, fact.entity, fact.fact, fact_id="", case_id=None, at_ms=fact.at_ms)
            folded(view, view.initial(), [row])
        except (InvalidInput, AuthorError) as fault:
            yield Fault(f"facts[{position}]", str(fault.__cause__ or fault))
