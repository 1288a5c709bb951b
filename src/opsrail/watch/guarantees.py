"""Guarantees re-tested as labels arrive: a promise about what may go wrong, and whether it still holds.

A guarantee says: of the decisions with a verdict, at most a limit turn out badly. Each label that arrives bets against it
(`sequential.LimitTest`); when the wealth reaches 1 / (1 - confidence) it no longer holds, with that confidence, and an alarm
rings. Labels of decisions that were looked at with a known probability weigh its inverse, scaled so that the rarest weigh 1.
How rare that is must be known before a label is bet on: where spot checks are declared, it is. A rarer one that comes by
surprise begins the evidence anew, since bets on labels before it were too large.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from opsrail import faults
from opsrail.clock import Clock
from opsrail.errors import InvalidInput
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.values.guarantees import GuaranteeSpec, guarantee_of
from opsrail.values.rollouts import GuaranteeRow
from opsrail.values.rows import Insert, Update, Where, Write, among, equals
from opsrail.watch.alarms import alarm_of
from opsrail.watch.sequential import LimitTest
from opsrail.watch.sources import Sources, Told

Floors = Mapping[tuple[str, str], float]
"""Decision point and outcome -> the lowest probability with which its spot checks tell that outcome."""
NO_FLOORS: Floors = {}


class Standing:
    """One guarantee and what labels said of it. Pure.

    Args:
        floor_ratio: The lowest probability with which a decision is looked at, as far as it is declared.

    Attributes:
        floor_ratio: The lowest that is declared or was seen.
    """

    def __init__(
        self,
        spec: GuaranteeSpec,
        state: Mapping[str, Any] | None = None,
        *,
        floor_ratio: float = 1.0,
    ) -> None:
        given = state or {}
        self.spec = spec
        self.test = LimitTest(spec.limit, given.get("test"))
        self.floor_ratio: float = given.get("floor_ratio", 1.0)
        self.weighed: list[float] = list(given.get("weighed", (0.0, 0.0)))
        self._lower(floor_ratio)

    def _lower(self, ratio: float) -> None:
        """Take note of a probability; below all that were known it leaves no evidence, only the count."""
        if ratio < self.floor_ratio:
            self.floor_ratio = ratio
            counted = {"count": self.test.count, "total": self.test.total}
            self.test = LimitTest(self.spec.limit, counted)

    @property
    def needed(self) -> float:
        """Return the evidence at which it is broken."""
        return 1.0 / (1.0 - self.spec.confidence)

    @property
    def is_broken(self) -> bool:
        return self.test.peak >= self.needed

    @property
    def estimate(self) -> float | None:
        """Return the mean of the outcome, each label weighed by the inverse of its probability; None without labels."""
        return self.weighed[1] / self.weighed[0] if self.weighed[0] else None

    def count(self, value: float, ratio: float) -> None:
        """Take in one label.

        Args:
            ratio: Probability with which the decision was looked at, above 0 and up to 1.
        """
        self._lower(ratio)
        number = min(1.0, max(0.0, value))
        number = 1.0 - number if self.spec.truth is False else number
        self.test.observe({number: 1}, self.floor_ratio / ratio)
        self.weighed[0] += 1 / ratio
        self.weighed[1] += number / ratio

    def takes(self, told: Told, since_ms: int) -> bool:
        """Return whether a label is about this guarantee."""
        decision = told.decision
        return (
            told.outcome.name == self.spec.outcome
            and decision.at_ms >= since_ms
            and self.spec.among in (None, decision.verdict)
        )

    def figures(self) -> dict[str, Any]:
        """Return where it stands, as plain JSON values."""
        return {
            "labels": self.test.count,
            "estimate": self.estimate,
            "limit": self.spec.limit,
            "confidence": self.spec.confidence,
            "evidence": float(f"{self.test.peak:.6g}"),
            "needed": float(f"{self.needed:.6g}"),
        }

    def sentence(self) -> str:
        """Return where it stands in words."""
        seen = "-" if self.estimate is None else f"{self.estimate:.2%}"
        is_past = self.estimate is not None and self.estimate <= self.spec.limit
        when = ", reached by labels before the last ones" if is_past else ""
        return (
            f"the guarantee `{self.spec.label}` no longer holds: {seen} over {self.test.count} labels, "
            f"{self.spec.limit:.2%} was promised (evidence {self.test.peak:.3g}, needed {self.needed:.3g}{when})"
        )

    def state(self) -> str:
        """Return what it has seen, as JSON."""
        seen = {"test": self.test.state(), "floor_ratio": self.floor_ratio, "weighed": self.weighed}
        return orjson.dumps(seen).decode()


def standing_of(row: GuaranteeRow, floors: Floors = NO_FLOORS) -> Standing:
    """Return a guarantee as its row describes it. Raises InvalidInput: the row cannot be read."""
    try:
        spec = guarantee_of(row.spec)
        floor_ratio = floors.get((row.point, spec.outcome), 1.0)
        return Standing(spec, orjson.loads(row.state or "{}"), floor_ratio=floor_ratio)
    except InvalidInput as wrong:
        raise InvalidInput(
            f"guarantee {row.id} of {row.point!r} cannot be read", wrong.faults
        ) from wrong


class Guarantees:
    """Guarantees that stand, over a store.

    Args:
        floors: Of spot checks, as points declare them.
    """

    def __init__(self, store: Store, clock: Clock, floors: Floors = NO_FLOORS) -> None:
        self._store = store
        self._clock = clock
        self._sources = Sources(store)
        self._floors = floors

    async def listed(
        self, point: str | None = None, scopes: frozenset[str] | None = None
    ) -> list[GuaranteeRow]:
        """Return guarantees that no other took the place of, newest first, of all points or those of `scopes`."""
        where = (*among("point", scopes), *(() if point is None else equals(point=point)))
        return await self._store.select(
            GuaranteeRow, *where, Where("ended_at_ms", "null", True), descending=True, limit=10_000
        )

    async def look(self, row: GuaranteeRow, until: str, start: str) -> GuaranteeRow:
        """Take in the labels that came since the last look; when it breaks, ring.

        Args:
            until: Id below which outcomes are there for sure.
            start: Id from which on outcomes are read the first time.

        Raises:
            StaleWrite: another process did first. Nothing was written.
            InvalidInput: the row cannot be read.
        """
        standing = standing_of(row, self._floors)
        told, cursor = await self._sources.outcomes(
            {standing.spec.outcome}, row.point, row.cursor or start, until
        )
        ours = [one for one in told if standing.takes(one, row.made_at_ms)]
        if not ours:
            return row
        for one in ours:
            standing.count(one.outcome.value, one.outcome.ratio)
        changed: dict[str, Any] = {
            "state": standing.state(), "cursor": cursor, "version": row.version + 1
        }  # fmt: skip
        writes: list[Write] = []
        if standing.is_broken:
            changed["broken_at_ms"] = self._clock.now_ms()
            writes = self._rung(row, standing)
        faults.point("guard.before_keep")
        await self._store.commit(
            [Update(GuaranteeRow, (row.id,), changed, {"version": row.version}), *writes]
        )
        return row._replace(**changed)

    def _rung(self, row: GuaranteeRow, standing: Standing) -> list[Write]:
        figures, subject = standing.figures(), standing.spec.label
        content = {"guarantee": row.id, **figures}
        alarm = alarm_of(
            self._clock, row.point, "guarantee-broken", subject, standing.sentence(), content
        )
        told = {"point": row.point, "alarm": alarm.id, **figures}
        return [Insert(alarm), entry("guarantee.broken", row.id, self._clock.now_ms(), told)]
