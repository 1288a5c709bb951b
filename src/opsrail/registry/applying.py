"""The rows that make a change so, and those that restore what stood before. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from opsrail.registry.rollout import Stage, written_standing
from opsrail.registry.wishes import SETTING_OF
from opsrail.values.canonical import canonical
from opsrail.values.changes import ApprovalRow, ChangeRow, SettingsChangeRow, SettingsRow
from opsrail.values.registry import RolloutChangeRow, RolloutRow
from opsrail.values.rollouts import UNDER_WAY, GuaranteeRow, RolloutRunRow, RunState
from opsrail.values.rows import Delete, Insert, Require, Update, Value, Write
from opsrail.values.settings import content_of

Version = tuple[str, int]
KEY = ("point", "model_name", "model_number")
AUTHOR, APPROVE, REJECT = "author", "approve", "reject"
"""What an approval's row says. The author has one from the start, so that its key leaves no room for their approval."""


class Deed(NamedTuple):
    """Who acts, why and when."""

    by: str
    reason: str
    at_ms: int


def moved(row: ChangeRow, **columns: Value) -> Update:
    """Return the write that moves a change on, refused when somebody else moved it."""
    change = {**columns, "version": row.version + 1}
    return Update(ChangeRow, (row.id,), change, {"version": row.version, "state": row.state})


def agreed(change_id: str, approvers: Sequence[str]) -> list[Write]:
    """Return what the database has to find before a change takes hold: each approval, under a key of its own."""
    return [Require(ApprovalRow, (change_id, by), {"verdict": APPROVE}) for by in approvers]


def settings_writes(
    point: str,
    held: SettingsRow | None,
    name: str,
    value: Any,
    change_id: str,
    deed: Deed,
) -> list[Write]:
    """Return the writes that set one setting of a point and leave the others.

    Args:
        held: The point's settings now; None: none were ever set.
        value: Plain JSON; None: as in the code.
    """
    tree = {} if held is None else orjson.loads(held.content)
    content = content_of({**tree, name: value})
    revision = 1 if held is None else held.revision + 1
    past = SettingsChangeRow(point, revision, content, change_id, deed.by, deed.reason, deed.at_ms)
    if held is None:
        return [Insert(SettingsRow(point, revision, content, deed.at_ms)), Insert(past)]
    fresh: dict[str, Value] = {"revision": revision, "content": content, "at_ms": deed.at_ms}
    return [Update(SettingsRow, (point,), fresh, {"revision": held.revision}), Insert(past)]


def run_of(
    row: ChangeRow, plan: Mapping[str, Any], cursor: str, revision: int, at_ms: int
) -> RolloutRunRow:
    """Return the rollout in steps that a promotion begins.

    Args:
        cursor: Id below which decisions do not count.
        revision: Of the point's rollout with the first share.
    """
    name, _, number = plan["to"]["model"].partition("/")
    champion, _, champion_number = plan["from"]["standing"][Stage.LIVE].partition("/")
    return RolloutRunRow(
        id=row.id,
        point=row.point,
        model_name=name,
        model_number=int(number),
        champion_name=champion,
        champion_number=int(champion_number),
        steps=canonical(plan["to"]["steps"]).decode(),
        step=0,
        guard=canonical(plan["to"].get("guard") or {}).decode(),
        tests="{}",
        cursor=cursor,
        state=RunState.RUNNING,
        revision=revision,
        started_at_ms=at_ms,
        entered_at_ms=at_ms,
        ended_at_ms=None,
        why=None,
        version=0,
    )


def run_ended(run: RolloutRunRow, deed: Deed) -> list[Write]:
    """Return the writes that end a rollout in steps which is still carried; none, when it ended by itself."""
    if run.state not in UNDER_WAY:
        return []
    ended: dict[str, Value] = {
        "state": RunState.ROLLED_BACK,
        "ended_at_ms": deed.at_ms,
        "why": deed.reason,
        "version": run.version + 1,
    }
    return [Update(RolloutRunRow, (run.id,), ended, {"version": run.version})]


def guarantee_writes(
    row: ChangeRow, plan: Mapping[str, Any], standing: Sequence[GuaranteeRow], at_ms: int
) -> list[Write]:
    """Return the writes with which other bands end the promises that stand, and bring their own."""
    if "bands" not in plan["to"]:
        return []
    ended: list[Write] = [_ended(one, at_ms) for one in standing]
    brought = plan["to"].get("guarantee") or ()
    specs = [brought] if isinstance(brought, dict) else brought
    for position, spec in enumerate(specs):
        guarantee_id = row.id if position == 0 else f"{row.id}-{position + 1}"
        text = canonical(spec).decode()
        fresh = GuaranteeRow(guarantee_id, row.point, text, "{}", "", at_ms, None, None, 0)
        ended.append(Insert(fresh))
    return ended


def guarantees_restored(
    row: ChangeRow, guarantees: Sequence[GuaranteeRow], at_ms: int
) -> list[Write]:
    """Return the writes that end a change's promises and let those stand again which ended with it."""
    writes: list[Write] = []
    for one in guarantees:
        if one.id.partition("-")[0] == row.id and one.ended_at_ms is None:
            writes.append(_ended(one, at_ms))
        elif one.ended_at_ms == row.applied_at_ms:
            writes.append(_ended(one, None))
    return writes


def _ended(one: GuaranteeRow, at_ms: int | None) -> Update:
    ended: dict[str, Value] = {"ended_at_ms": at_ms, "version": one.version + 1}
    return Update(GuaranteeRow, (one.id,), ended, {"version": one.version})


def is_aside(one: RolloutChangeRow, concerned: Collection[Version]) -> bool:
    """Return whether a later change of a rollout stands in no roll-back's way: it let some other version score along."""
    return one.stage == Stage.SHADOW and (one.model_name, one.model_number) not in concerned


def concerned(row: ChangeRow, plan: Mapping[str, Any]) -> set[Version]:
    """Return the versions that a promotion is about: the one it moved, and those that stood where requests are answered."""
    name, _, number = plan["to"]["model"].partition("/")
    answering = {
        (each["model_name"], each["model_number"])
        for each in plan["rollout"]
        if each["stage"] not in (Stage.SHADOW, Stage.RETIRED)
    }
    return {(name, int(number)), *answering}


def rollout_restored(
    point: str,
    now: Sequence[RolloutRow],
    revision: int,
    before: Sequence[RolloutRow],
    deed: Deed,
) -> tuple[list[RolloutChangeRow], list[Write]]:
    """Return the writes that let versions stand exactly where they stood, and the history that says so.

    Each version that moves takes a revision of its own; who is live comes last, so that the history ends with it.

    Args:
        now: Where versions stand.
        revision: Of the point's last change.
        before: Where they shall stand.
    """
    stood = {(row.model_name, row.model_number): row for row in before}
    stands = {(row.model_name, row.model_number): row for row in now}
    gone = sorted(stands.keys() - stood.keys())
    moves = [(each, Stage.RETIRED) for each in gone if stands[each].stage != Stage.RETIRED]
    moves += [
        (each, Stage(row.stage))
        for each, row in sorted(stood.items(), key=lambda one: one[1].stage == Stage.LIVE)
        if _place(row) != _place(stands.get(each))
    ]
    changes: list[RolloutChangeRow] = []
    writes: list[Write] = []
    taken = {each: position for position, (each, _) in enumerate(moves, revision + 1)}
    after = {
        each: row._replace(revision=taken[each], at_ms=deed.at_ms) if each in taken else row
        for each, row in stood.items()
    }
    by, reason, at_ms, standing = *deed, written_standing(list(after.values()))
    for each, stage in moves:
        share = after[each].share if each in after else 0.0
        place = (point, taken[each], stage, *each)
        changes.append(RolloutChangeRow(*place, by, reason, at_ms, share, standing))
    writes += map(Insert, changes)
    writes += [Delete(RolloutRow, dict(zip(KEY, (point, *each), strict=True))) for each in gone]
    for each in taken:
        if (row := after.get(each)) is not None:
            writes.append(_put(row) if each in stands else Insert(row))
    return changes, writes


def _put(row: RolloutRow) -> Update:
    fresh: dict[str, Value] = {
        name: value for name, value in row._asdict().items() if name not in KEY
    }
    return Update(RolloutRow, (row.point, row.model_name, row.model_number), fresh)


def _place(row: RolloutRow | None) -> tuple[str, float] | None:
    return None if row is None else (str(row.stage), row.share)


def undone(plan: Mapping[str, Any], kind: str) -> tuple[str, Any]:
    """Return the setting that a change altered and what it stood at before."""
    name = SETTING_OF[kind]
    return name, plan["from"][name]
