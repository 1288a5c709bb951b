"""A change as people look at it: its plan, and what was said to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from opsrail.clock import rfc3339, rfc3339_or_none
from opsrail.errors import NotFound
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.registry import change
from opsrail.registry.applying import APPROVE, AUTHOR, Deed
from opsrail.registry.change import Standing, key_of
from opsrail.registry.explaining import sentences
from opsrail.values.canonical import digest
from opsrail.values.changes import ApprovalRow, ChangeRow, ChangeState
from opsrail.values.rollouts import GuaranteeRow
from opsrail.values.rows import Append, Value, equals

MOST_ROWS = 1_000


class ChangeView(NamedTuple):
    """A change with its plan, and what people said to it."""

    row: ChangeRow
    plan: Mapping[str, Any]
    approvals: tuple[ApprovalRow, ...]

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        approvers = frozenset(one.by for one in self.approvals if one.verdict == APPROVE)
        return Standing(
            ChangeState(self.row.state), self.row.tier, key_of(self.row.author), approvers
        )

    @property
    def missing(self) -> int:
        """How many must still agree."""
        return change.missing(self.standing)

    def explain(self) -> list[str]:
        """Return what people should know of it before they agree, in plain sentences."""
        return sentences(self.row, self.plan, missing=self.missing)

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        told = ("from", "to", "affected", "risks", "needs", "backtest")
        return {
            **change_record(self.row),
            **{name: self.plan[name] for name in told},
            "approvals": [
                {
                    "by": one.by,
                    "verdict": one.verdict,
                    "reason": one.reason,
                    "at": rfc3339(one.at_ms),
                }
                for one in self.approvals
            ],
            "missing": self.missing,
            "explained": self.explain(),
        }


def change_record(row: ChangeRow) -> dict[str, Any]:
    """Return a change as plain JSON values, without its plan."""
    return {
        "id": row.id,
        "point": row.point,
        "kind": row.kind,
        "state": str(row.state),
        "tier": row.tier,
        "author": row.author,
        "reason": row.reason,
        "base_revision": row.base_revision,
        "created_at": rfc3339(row.created_at_ms),
        "applied_by": row.applied_by,
        "applied_at": rfc3339_or_none(row.applied_at_ms),
        "ended_by": row.ended_by,
        "ended_at": rfc3339_or_none(row.ended_at_ms),
        "why": row.why,
    }


async def view_of(store: Store, change_id: str) -> ChangeView:
    """Return a change. Raises NotFound."""
    row = await store.get(ChangeRow, change_id)
    if row is None:
        raise NotFound(f"no change {change_id[:40]!r}; list them with `opsrail changes list`")
    said = await store.select(ApprovalRow, *equals(change_id=change_id), limit=MOST_ROWS)
    approvals = sorted(
        (one for one in said if one.verdict != AUTHOR), key=lambda one: (one.at_ms, one.by)
    )
    return ChangeView(row, orjson.loads(row.plan), tuple(approvals))


async def guarantees_of(store: Store, point: str) -> list[GuaranteeRow]:
    """Return the promises that stand at a point."""
    return await store.select(GuaranteeRow, *equals(point=point, ended_at_ms=None), limit=MOST_ROWS)


def noted(verb: str, row: ChangeRow, deed: Deed) -> Append:
    """Return the ledger entry of what was done with a change."""
    fields = {
        "base_revision": row.base_revision,
        "by": deed.by,
        "change": row.kind,
        "plan_digest": digest(row.plan.encode()),
        "point": row.point,
        "reason": deed.reason,
        "tier": row.tier,
    }
    return entry(f"change.{verb}", row.id, deed.at_ms, fields)


def ended(state: ChangeState, deed: Deed) -> dict[str, Value]:
    """Return the columns of a change that is over."""
    return {
        "state": state,
        "ended_by": deed.by,
        "ended_at_ms": deed.at_ms,
        "why": deed.reason,
    }
