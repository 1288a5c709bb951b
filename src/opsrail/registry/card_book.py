"""Cards of model versions with their later wordings. A version never changes; how it is described may be put better.

A correction is a row of its own with who, when and why, and a ledger entry; the wording that a version was registered with
stays, and so does every one between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from opsrail.clock import Clock, rfc3339
from opsrail.errors import Conflict, Fault, InvalidInput, StaleWrite
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.registry.cards import Card, fixed_faults, gaps
from opsrail.registry.description import told_faults
from opsrail.values.canonical import canonical, digest
from opsrail.values.models import ModelVersion
from opsrail.values.registry import CardRow
from opsrail.values.rows import Insert, Where, equals

MOST_WORDINGS = 10_000


@dataclass(frozen=True, slots=True)
class CardView:
    """A version with its card as it is worded now.

    Attributes:
        revision: 0: as it was registered.
        by, reason, at_ms: Of the revision; of 0 at_ms is the registration's.
    """

    version: ModelVersion
    card: Card
    revision: int
    by: str | None
    reason: str | None
    at_ms: int

    @property
    def label(self) -> str:
        """Return `name/number`."""
        return f"{self.version.name}/{self.version.number}"

    @property
    def gaps(self) -> list[str]:
        """Return what the card should tell and does not."""
        return gaps(self.card)

    def record(self) -> dict[str, Any]:
        """Return the card as plain JSON values."""
        return {
            "name": self.version.name,
            "number": self.version.number,
            "digest": self.version.digest,
            "revision": self.revision,
            "by": self.by,
            "reason": self.reason,
            "at": rfc3339(self.at_ms),
            "card": dict(self.card),
            "missing": self.gaps,
        }


class CardBook:
    """Wordings of cards, over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def of(self, version: ModelVersion) -> CardView:
        """Return a version's card as it is worded now."""
        rows = await self._store.select(
            CardRow,
            *equals(name=version.name, number=version.number),
            order=("revision",),
            descending=True,
            limit=1,
        )
        return _view(version, rows[0] if rows else None)

    async def of_model(self, name: str, versions: Sequence[ModelVersion]) -> dict[int, CardView]:
        """Return the cards of several versions of a model as they are worded now, by number; one query."""
        among = Where("number", "in", tuple(version.number for version in versions))
        rows = await self._store.select(
            CardRow, *equals(name=name), among, order=("revision",), limit=MOST_WORDINGS
        )
        newest = {row.number: row for row in rows}
        return {version.number: _view(version, newest.get(version.number)) for version in versions}

    async def revise(self, version: ModelVersion, card: Card, *, by: str, reason: str) -> CardView:
        """Word a version's card anew.

        Args:
            card: Whole; what it does not tell is not told any more.

        Raises:
            InvalidInput: all faults at once, among them what requests are routed or changes approved by. Terminal.
            Conflict: somebody else worded it a moment ago.
        """
        found = [*told_faults(card), *fixed_faults(version.card, card)]
        found += [
            Fault(name, "is empty; say it, for whoever reads the history")
            for name, said in (("by", by), ("reason", reason))
            if not said.strip()
        ]
        if found:
            raise InvalidInput(f"the card of {version.name}/{version.number} stays as it is", found)
        before, now_ms, label = await self.of(version), self._clock.now_ms(), _label(version)
        told = canonical(dict(card))
        revision = before.revision + 1
        row = CardRow(version.name, version.number, revision, told.decode(), by, reason, now_ms)
        fields = {"by": by, "card_digest": digest(told), "reason": reason, "revision": revision}
        try:
            await self._store.commit(
                [Insert(row), entry("model.card-revised", label, now_ms, fields)]
            )
        except StaleWrite as lost:
            raise Conflict(f"the card of {label} was just worded anew; look at it again") from lost
        return CardView(version, orjson.loads(told), revision, by, reason, now_ms)


def _view(version: ModelVersion, row: CardRow | None) -> CardView:
    if row is None:
        return CardView(version, version.card, 0, None, None, version.created_at_ms)
    return CardView(version, orjson.loads(row.card), row.revision, row.by, row.reason, row.at_ms)


def _label(version: ModelVersion) -> str:
    return f"{version.name}/{version.number}"
