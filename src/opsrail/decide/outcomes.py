"""What turned out true of decisions: written down once it is known, beside a ledger entry, and never changed.

A label is what thresholds, guarantees and alarms rest on, so each says where it comes from and with what probability such a
decision was looked at: a share of a random sample speaks for all, those that people picked speak for themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple

from opsrail.clock import Clock, rfc3339
from opsrail.errors import Fault, InvalidInput, KeyReused, NotFound, OutOfTime, StaleWrite
from opsrail.ports import Store
from opsrail.review.labels import is_ratio, writes
from opsrail.values.canonical import canonical, digest
from opsrail.values.cases import KeyRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.outcomes import OUTCOME_NAME, OUTCOME_SOURCES, OutcomeRow
from opsrail.values.rows import Insert, Where

BY_CHARACTERS = 200
CLOCKS_APART_MS = 300_000
"""How far ahead of ours another's clock may be before a moment is taken for one that has not come. Ours: five minutes."""
MOST_ROWS = 1_000
UNPLAIN = r"\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
"""Characters that a name has not: controls, line ends, and what turns the direction of text or is not seen."""
NAMED_BY = rf"[^{UNPLAIN}]*[^\s\xa0{UNPLAIN}][^{UNPLAIN}]*"
NAMED = re.compile(OUTCOME_NAME)
MOMENT = "known_at_ms"
KEYS = "outcome:"
"""How the scopes of idempotency keys begin; the rest is the caller."""


class Told(NamedTuple):
    """What somebody says turned out true of a decision.

    Attributes:
        value: 1 and 0 for yes and no, or a quantity.
        source: `review`, `audit`, `late` or `import`; see `OutcomeRow`.
        by: Who says so, 1..200 characters.
        ratio: Probability with which such a decision was looked at, in (0, 1].
        known_at_ms: When it could be known, epoch ms; None: now.
    """

    decision_id: str
    name: str
    value: float
    source: str
    by: str
    ratio: float = 1.0
    known_at_ms: int | None = None


class Outcomes:
    """Outcomes of decisions, over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def record(
        self,
        decision_id: str,
        name: str,
        value: float,
        *,
        source: str,
        by: str,
        ratio: float = 1.0,
        known_at_ms: int | None = None,
    ) -> OutcomeRow:
        """Write down what turned out true of a decision, with its ledger entry, in one commit; see `Told`.

        What was written before stays; of one name, what is written last holds.

        Raises:
            InvalidInput: all faults at once; `OutOfTime` where only the moment is wrong. Terminal: nothing was written.
            NotFound: no decision has that id. Terminal.
        """
        told = Told(decision_id, name, value, source, by, ratio, known_at_ms)
        row = await self._checked(told)
        await self._store.commit(writes(row))
        return row

    async def record_once(self, told: Told, scope: str, key: str) -> tuple[OutcomeRow, bool]:
        """As `record`, once a key; return what stands, and whether it is new.

        Args:
            scope: Who asks: the keys of two never meet.
            key: The caller's idempotency key; it stands as long as the outcome.

        Raises:
            InvalidInput, NotFound: as `record`.
            KeyReused: the key came with another outcome before. Conflict.
        """
        row = await self._checked(told)
        body_digest = digest(canonical(told._asdict()))
        named = KeyRow(KEYS + scope, key, body_digest, row.id, row.at_ms)
        try:
            await self._store.commit([Insert(named), *writes(row)])
        except StaleWrite:
            twin = await self._store.get(KeyRow, named.scope, named.key)
            earlier = None if twin is None else await self._store.get(OutcomeRow, twin.subject_id)
            if twin is None or earlier is None:
                raise
            if twin.body_digest != body_digest:
                raise KeyReused(
                    f"key {key!r} came with another outcome before; use a fresh key"
                ) from None
            return earlier, False
        return row, True

    async def _checked(self, told: Told) -> OutcomeRow:
        """Return the row of an outcome that may be written."""
        decision = await self._store.get(DecisionRow, told.decision_id)
        row = row_of(told, self._clock.new_id(), self._clock.now_ms())
        found = list(faults_of(row, None if decision is None else decision.at_ms))
        if found:
            refused = OutOfTime if {fault.place for fault in found} == {MOMENT} else InvalidInput
            raise refused(f"nothing was recorded of decision {told.decision_id[:63]!r}", found)
        if decision is None:
            raise NotFound(
                f"no decision {told.decision_id[:63]!r}; `opsrail cases show` names the decisions of a case"
            )
        return plain(row)

    async def of(self, decision_id: str) -> list[OutcomeRow]:
        """Return what was written of a decision, first to last, at most 1,000 rows; empty where nothing was."""
        where = Where("decision_id", "=", decision_id)
        return await self._store.select(OutcomeRow, where, order=("id",), limit=MOST_ROWS)

    async def newest(
        self,
        *,
        decision_id: str | None = None,
        name: str | None = None,
        source: str | None = None,
        limit: int = 100,
    ) -> list[OutcomeRow]:
        """Return the outcomes written last, of one decision or of all, newest first."""
        asked = {"decision_id": decision_id, "name": name, "source": source}
        where = [Where(column, "=", text) for column, text in asked.items() if text is not None]
        return await self._store.select(
            OutcomeRow, *where, order=("id",), descending=True, limit=limit
        )


def standing(rows: Sequence[OutcomeRow]) -> Mapping[str, OutcomeRow]:
    """Return the row of each name that holds, for the rows of one decision: the one written last."""
    return {row.name: row for row in sorted(rows, key=lambda row: row.id)}


def row_of(told: Told, outcome_id: str, now_ms: int) -> OutcomeRow:
    """Return an outcome as it would be written; not checked yet."""
    known_ms = now_ms if told.known_at_ms is None else told.known_at_ms
    return OutcomeRow(
        outcome_id,
        told.decision_id,
        told.name,
        told.value,
        told.source,
        told.ratio,
        told.by,
        known_ms,
        now_ms,
    )


def plain(row: OutcomeRow) -> OutcomeRow:
    """Return a row that was checked with its figures as floats: yes and no are 1 and 0."""
    return row._replace(value=float(row.value), ratio=float(row.ratio))


def faults_of(row: OutcomeRow, decided_at_ms: int | None) -> Iterator[Fault]:
    """Yield everything that is wrong with an outcome.

    Args:
        decided_at_ms: When its decision was made, epoch ms; None: not known, and not checked.
    """
    if not NAMED.fullmatch(row.name):
        yield Fault(
            "name",
            f"{row.name[:80]!r}: use a-z, 0-9 and -, starting with a letter, at most 63 characters",
        )
    if not _is_finite(row.value):
        yield Fault(
            "value", f"{row.value!r} is no number; write 1 for yes, 0 for no, or a quantity"
        )
    if row.source not in OUTCOME_SOURCES:
        yield Fault("source", f"{row.source[:80]!r} is none of {', '.join(OUTCOME_SOURCES)}")
    if not is_ratio(row.ratio):
        yield Fault("ratio", f"{row.ratio!r} is no probability above 0 and up to 1")
    if len(row.by) > BY_CHARACTERS or not re.fullmatch(NAMED_BY, row.by):
        yield Fault("by", f"say who tells it, in 1 to {BY_CHARACTERS} characters")
    if row.known_at_ms > row.at_ms + CLOCKS_APART_MS:
        yield Fault(MOMENT, f"{_moment(row.known_at_ms)} has not come yet")
    if decided_at_ms is not None and row.known_at_ms < decided_at_ms:
        yield Fault(
            MOMENT,
            f"{_moment(row.known_at_ms)} is before the decision was made, {rfc3339(decided_at_ms)}",
        )


def record_of(row: OutcomeRow) -> dict[str, Any]:
    """Return an outcome as plain JSON values."""
    return {
        "id": row.id,
        "decision_id": row.decision_id,
        "name": row.name,
        "value": row.value,
        "source": row.source,
        "ratio": row.ratio,
        "by": row.by,
        "known_at": rfc3339(row.known_at_ms),
        "recorded_at": rfc3339(row.at_ms),
    }


def _is_finite(number: object) -> bool:
    return isinstance(number, int | float) and isfinite(number)


def _moment(at_ms: int) -> str:
    try:
        return rfc3339(at_ms)
    except (ValueError, OverflowError, OSError):
        return f"moment {at_ms}"
