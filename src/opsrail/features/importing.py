"""Takes facts in from before opsrail kept the cases, each chunk once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from opsrail.clock import Clock
from opsrail.errors import AuthorError, Fault, InvalidInput, KeyReused, StaleWrite
from opsrail.features.facts import fact_row, folded
from opsrail.features.view import FeatureView
from opsrail.ports import Store
from opsrail.values.canonical import canonical, digest
from opsrail.values.cases import KeyRow
from opsrail.values.rows import Insert, Write

CHUNK = 500


class PastFact(NamedTuple):
    """A fact from before opsrail kept the cases.

    Attributes:
        fact: What the view's fold takes, as JSON values.
        at_ms: When it became known, epoch ms.
    """

    entity: str
    fact: Mapping[str, Any]
    at_ms: int


class Importing:
    """Takes facts in."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def take(self, view: FeatureView[Any], facts: Sequence[PastFact], *, source: str) -> int:
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
        if found := list(_faults(view, facts)):
            raise InvalidInput(f"facts for {view.ref} from {source!r} cannot be taken", found)
        taken = 0
        for first in range(0, len(facts), CHUNK):
            taken += await self._chunk(view, facts[first : first + CHUNK], f"{source}:{first}")
        return taken

    async def _chunk(self, view: FeatureView[Any], facts: Sequence[PastFact], key: str) -> int:
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


def _faults(view: FeatureView[Any], facts: Sequence[PastFact]) -> Iterator[Fault]:
    """Yield every fact that the view cannot take, each tried on an entity without history."""
    for position, fact in enumerate(facts):
        try:
            row = fact_row(view, fact.entity, fact.fact, fact_id="", case_id=None, at_ms=fact.at_ms)
            folded(view, view.initial(), [row])
        except (InvalidInput, AuthorError) as fault:
            yield Fault(f"facts[{position}]", str(fault.__cause__ or fault))
