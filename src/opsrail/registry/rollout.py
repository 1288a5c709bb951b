"""Rollout of one decision point: which version stands at which stage, and which moves there are. Pure.

    shadow    scores along, never answers
    canary    answers a share of the requests, chosen by a stable hash of the request's key
    live      answers the rest
    standby   answers when the one that should cannot
    retired   stood at a stage before; may come back (a roll-back is a promotion of a retired version)

Of a point's versions any number may be `shadow` and any number `retired`; each other stage holds one, and a version that
moves in retires the one that stood there. Every change takes the next revision of its point; two that start from the same
revision cannot both be written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from opsrail.errors import Conflict, Fault, InvalidInput
from opsrail.values.canonical import canonical
from opsrail.values.registry import RolloutChangeRow, RolloutRow
from opsrail.values.rows import Insert, Update, Value, Write


class Stage(StrEnum):
    """Where a version stands for a decision point."""

    SHADOW = "shadow"
    CANARY = "canary"
    LIVE = "live"
    STANDBY = "standby"
    RETIRED = "retired"


TRANSITIONS: Mapping[Stage | None, frozenset[Stage]] = {
    None: frozenset({Stage.SHADOW, Stage.CANARY, Stage.LIVE, Stage.STANDBY}),
    Stage.SHADOW: frozenset({Stage.CANARY, Stage.LIVE, Stage.STANDBY, Stage.RETIRED}),
    Stage.CANARY: frozenset({Stage.CANARY, Stage.SHADOW, Stage.LIVE, Stage.STANDBY, Stage.RETIRED}),
    Stage.LIVE: frozenset({Stage.RETIRED}),
    Stage.STANDBY: frozenset({Stage.SHADOW, Stage.CANARY, Stage.LIVE, Stage.RETIRED}),
    Stage.RETIRED: frozenset({Stage.SHADOW, Stage.CANARY, Stage.LIVE, Stage.STANDBY}),
}
"""Where a version may go from where it stands; None: never at a stage of this point. Canary to canary changes its share."""

ANSWERING = frozenset({Stage.LIVE, Stage.CANARY, Stage.STANDBY})
"""Stages whose versions are loaded before anybody asks them."""

SHARED = frozenset({Stage.SHADOW, Stage.RETIRED})
"""Stages that hold any number of versions."""


class Move(NamedTuple):
    """A wish to change a point's rollout.

    Attributes:
        share: Part of the requests a canary answers, above 0 and up to 1; ignored at other stages.
    """

    point: str
    model_name: str
    model_number: int
    stage: Stage
    share: float
    changed_by: str
    reason: str


def standing(rows: Sequence[RolloutRow], model_name: str, model_number: int) -> Stage | None:
    """Return the stage a version stands at, None when at none."""
    return next(
        (
            Stage(row.stage)
            for row in rows
            if (row.model_name, row.model_number) == (model_name, model_number)
        ),
        None,
    )


def writes_of(
    rows: Sequence[RolloutRow], revision: int, move: Move, at_ms: int
) -> tuple[RolloutChangeRow, list[Write]]:
    """Return the change and the writes that make it so; they are refused when another change took the revision.

    Args:
        rows: The point's rollout now.
        revision: Of the point's last change; 0 before the first.

    Raises:
        InvalidInput: share or reason is missing. Terminal.
        Conflict: the version cannot go there from where it stands. Look at the rollout again.
    """
    _check(rows, move)
    share = {Stage.CANARY: move.share, Stage.LIVE: 1.0}.get(move.stage, 0.0)
    moved = RolloutRow(
        move.point,
        move.stage,
        move.model_name,
        move.model_number,
        share,
        revision + 1,
        at_ms,
    )
    stood = next((row for row in rows if row[2:4] == moved[2:4]), None)
    kept = [row for row in rows if row is not stood]
    gone = [row for row in kept if row.stage == move.stage and move.stage not in SHARED]
    stays = [row for row in kept if row not in gone]
    change = RolloutChangeRow(
        move.point,
        revision + 1,
        move.stage,
        move.model_name,
        move.model_number,
        move.changed_by,
        move.reason,
        at_ms,
        share,
        written_standing([*stays, moved]),
    )
    writes: list[Write] = [Insert(change)]
    for row in gone:
        retired = row._replace(stage=Stage.RETIRED, share=0.0, revision=change.revision)
        writes.append(_moved(row, retired._replace(at_ms=at_ms)))
    writes.append(Insert(moved) if stood is None else _moved(stood, moved))
    return change, writes


def written_standing(rows: Sequence[RolloutRow]) -> str:
    """Return where versions stand as `RolloutChangeRow.standing` keeps it: who answers first, first."""
    order = list(Stage)
    stands = sorted(
        (row for row in rows if row.stage != Stage.RETIRED),
        key=lambda row: (-order.index(Stage(row.stage)), row.model_name, row.model_number),
    )
    return canonical(
        [
            {
                "stage": str(row.stage),
                "name": row.model_name,
                "number": row.model_number,
                "share": row.share,
                "since_ms": row.at_ms,
            }
            for row in stands
        ]
    ).decode()


def _moved(before: RolloutRow, now: RolloutRow) -> Update:
    """Return the write that moves a version which stands at a stage; refused when it was moved since."""
    key = (now.point, now.model_name, now.model_number)
    changed: dict[str, Value] = {
        "stage": now.stage,
        "share": now.share,
        "revision": now.revision,
        "at_ms": now.at_ms,
    }
    return Update(RolloutRow, key, changed, {"revision": before.revision})


def _check(rows: Sequence[RolloutRow], move: Move) -> None:
    label = f"{move.model_name}/{move.model_number}"
    found = []
    if move.stage == Stage.CANARY and not 0.0 < move.share <= 1.0:
        found.append(Fault("share", f"{move.share} is not above 0 and up to 1"))
    if not move.reason.strip():
        found.append(Fault("reason", "is empty; say why, for whoever reads the history"))
    if not move.changed_by.strip():
        found.append(Fault("changed_by", "is empty; say who"))
    if found:
        raise InvalidInput(f"{label} cannot become {move.stage} for {move.point!r}", found)
    now = standing(rows, move.model_name, move.model_number)
    if move.stage not in TRANSITIONS[now]:
        where = "at no stage" if now is None else f"{now}"
        raise Conflict(
            f"{label} is {where} for {move.point!r} and cannot become {move.stage}; see `opsrail models rollout`"
        )
    if move.stage == Stage.CANARY and not any(row.stage == Stage.LIVE for row in rows):
        raise Conflict(
            f"{move.point!r} has no live version to answer beside a canary; promote {label} to live instead"
        )


def is_in_canary(point: str, key: str, share: float) -> bool:
    """Return whether a request belongs to the canary: the same key always does, and still does when the share grows.

    Source:
        Ours: the first 8 bytes of sha256(point, key) as a fraction of 2**64.
    """
    return (
        int.from_bytes(
            hashlib.sha256(f"{point}\0{key}".encode("utf-8", "surrogatepass")).digest()[:8]
        )
        < share * 2**64
    )


def answering(rows: Sequence[RolloutRow], key: str) -> RolloutRow | None:
    """Return the row of the version that answers a request with this key, None when none does."""
    live = None
    for row in rows:
        if row.stage == Stage.LIVE:
            live = row
        elif row.stage == Stage.CANARY and is_in_canary(row.point, key, row.share):
            return row
    return live


def held_back(
    rows: Sequence[RolloutRow],
    before: Sequence[RolloutRow],
    is_ready: Callable[[RolloutRow], bool],
) -> list[RolloutRow]:
    """Return what requests go by while versions that came are not ready: who answered before answers on.

    A version that is not ready holds its place only where nobody stood before. What was taken away, and not replaced, is
    gone at once: that is how an operator stops a model.

    Args:
        rows: The point's rollout now.
        before: What requests went by until now.
        is_ready: Whether the version of a row can be asked, or could not be made ready.
    """
    stood = {row.stage: row for row in before if is_ready(row)}
    kept = []
    for row in rows:
        if row.stage not in ANSWERING or is_ready(row):
            kept.append(row)
        elif row.stage in stood:
            kept.append(stood[row.stage])
        elif row.stage != Stage.CANARY:  # without one the live version answers
            kept.append(row)
    return kept
