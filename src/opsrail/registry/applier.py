"""The hand that lets a change take hold and takes it back: each time one commit, refused when somebody else was first."""

from __future__ import annotations

from opsrail import faults
from opsrail.clock import Clock
from opsrail.errors import Conflict, StaleWrite
from opsrail.ports import Store
from opsrail.registry import applying, change
from opsrail.registry.applying import Deed
from opsrail.registry.change import ChangeEvent
from opsrail.registry.change_reading import (
    MOST_ROWS,
    ChangeView,
    ended,
    guarantees_of,
    noted,
    view_of,
)
from opsrail.registry.description import changed
from opsrail.registry.planning import answering
from opsrail.registry.registry import Registry
from opsrail.registry.rollout import Stage
from opsrail.registry.wishes import SETTING_OF, asked_version
from opsrail.values.changes import ChangeRow, ChangeState, SettingsRow
from opsrail.values.registry import RolloutRow
from opsrail.values.rollouts import GuaranteeRow, RolloutRunRow
from opsrail.values.rows import Insert, Require, Value, Write, equals


class Applier:
    """Applies and rolls back changes of one installation."""

    def __init__(self, store: Store, registry: Registry, clock: Clock) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock

    async def apply(self, view: ChangeView, deed: Deed) -> None:
        """Let a change take hold; see `Changes.apply`."""
        row = view.row
        change.moved(view.standing, ChangeEvent.APPLY)
        applied: dict[str, Value] = {
            "state": ChangeState.APPLIED,
            "applied_by": deed.by,
            "applied_at_ms": deed.at_ms,
        }
        writes: list[Write] = [
            applying.moved(row, **applied),
            *applying.agreed(row.id, sorted(view.standing.approvers)),
            noted("applied", row, deed),
        ]
        try:
            if row.kind == "promote":
                await self._promote(view, deed, writes)
            else:
                await self._set(view, deed, writes)
        except StaleWrite as lost:
            raise await self._why_lost(row, lost) from lost
        faults.point("change.after_apply")

    async def rollback(self, view: ChangeView, deed: Deed, over: int | None) -> None:
        """Restore what stood before a change; see `Changes.rollback`."""
        row = view.row
        change.moved(view.standing, ChangeEvent.ROLL_BACK)
        writes: list[Write] = [
            applying.moved(row, **ended(ChangeState.ROLLED_BACK, deed)),
            noted("rolled-back", row, deed),
        ]
        if row.kind == "promote":
            writes += await self._unpromoted(view, deed, over)
        else:
            writes += await self._unset(view, deed, over)
        faults.point("change.before_rollback")
        try:
            await self._store.commit(writes)
        except StaleWrite as lost:
            raise Conflict(
                f"change {row.id} or its point was changed by somebody else a moment ago; look at it again"
            ) from lost
        faults.point("change.after_rollback")

    async def _promote(self, view: ChangeView, deed: Deed, writes: list[Write]) -> None:
        row, to = view.row, view.plan["to"]
        writes += await self._same_settings(view)
        version = await self._registry.version(*asked_version(to))
        stage, share = Stage(to["stage"]), to.get("share", 0.0)
        if to.get("steps"):
            stage, share = Stage.CANARY, to["steps"][0]["share"]
            run = applying.run_of(
                row, view.plan, self._clock.new_id(), row.base_revision + 1, deed.at_ms
            )
            writes.append(Insert(run))
        faults.point("change.before_apply")
        await self._registry.promote(
            row.point,
            version,
            stage,
            by=deed.by,
            reason=f"change {row.id}: {deed.reason}",
            share=share,
            revision=row.base_revision,
            also=writes,
        )

    async def _set(self, view: ChangeView, deed: Deed, writes: list[Write]) -> None:
        row, name = view.row, SETTING_OF[view.row.kind]
        held = await self._store.get(SettingsRow, row.point)
        revision = 0 if held is None else held.revision
        if revision != row.base_revision:
            raise StaleWrite(f"the settings of {row.point} are at revision {revision}")
        writes += await self._same_standing(view)
        writes += applying.settings_writes(
            row.point, held, name, view.plan["to"][name], row.id, deed
        )
        standing = await guarantees_of(self._store, row.point)
        writes += applying.guarantee_writes(row, view.plan, standing, deed.at_ms)
        faults.point("change.before_apply")
        await self._store.commit(writes)

    async def _same_settings(self, view: ChangeView) -> list[Write]:
        """Return what holds a promotion to the settings that it was planned beside. Raises StaleWrite."""
        point, planned = view.row.point, view.plan.get("planned_on", {}).get("settings")
        held = await self._store.get(SettingsRow, point)
        revision = 0 if held is None else held.revision
        if revision != planned:
            raise StaleWrite(f"the settings of {point} are at revision {revision}, not {planned}")
        return [] if held is None else [Require(SettingsRow, (point,), {"revision": revision})]

    async def _same_standing(self, view: ChangeView) -> list[Write]:
        """Return what holds a change of settings to the versions that it was planned for. Raises StaleWrite."""
        planned = view.plan.get("planned_on", {}).get("standing")
        rows = await self._registry.rollout(view.row.point)
        if (stands := answering(rows)) != planned:
            told = ", ".join(f"{stage} {label}" for stage, label in stands.items()) or "no version"
            raise StaleWrite(f"{told} answers at {view.row.point} now")
        return [
            Require(RolloutRow, (row.point, row.model_name, row.model_number), {"stage": row.stage})
            for row in rows
            if row.stage in stands
        ]

    async def _why_lost(self, row: ChangeRow, lost: StaleWrite) -> Conflict:
        now = (await view_of(self._store, row.id)).row
        if now.state != row.state:
            who = now.applied_by if now.state == ChangeState.APPLIED else now.ended_by
            return Conflict(f"change {row.id} is {now.state} by {who}; nothing more was changed")
        return Conflict(
            f"something else was changed at {row.point} since change {row.id} was planned ({lost}); plan it anew"
        )

    async def _unpromoted(self, view: ChangeView, deed: Deed, over: int | None) -> list[Write]:
        row, point = view.row, view.row.point
        history = await self._registry.history(point, limit=MOST_ROWS)
        current = history[0].revision if history else 0
        run = await self._store.get(RolloutRunRow, row.id)
        own = row.base_revision + 1 if run is None else run.revision
        about = applying.concerned(row, view.plan)
        later = [one for one in history if one.revision > own]
        if not all(applying.is_aside(one, about) for one in later):
            _refuse_later(row, current, own, over)
        before = [RolloutRow(**each) for each in view.plan["rollout"]]
        now = await self._registry.rollout(point)
        stood = {each[2:4] for each in before} | about
        before += [one for one in now if one.stage == Stage.SHADOW and one[2:4] not in stood]
        why = deed._replace(reason=f"change {row.id} rolled back: {deed.reason}")
        changes, writes = applying.rollout_restored(point, now, current, before, why)
        for one in changes:
            version = await self._registry.version(one.model_name, one.model_number)
            writes.append(changed(one, version))
        return writes + ([] if run is None else applying.run_ended(run, deed))

    async def _unset(self, view: ChangeView, deed: Deed, over: int | None) -> list[Write]:
        row = view.row
        held = await self._store.get(SettingsRow, row.point)
        current = 0 if held is None else held.revision
        _refuse_later(row, current, row.base_revision + 1, over)
        name, value = applying.undone(view.plan, row.kind)
        writes = applying.settings_writes(row.point, held, name, value, row.id, deed)
        if row.kind == "bands":
            guarantees = await self._store.select(
                GuaranteeRow, *equals(point=row.point), limit=MOST_ROWS
            )
            writes += applying.guarantees_restored(row, guarantees, deed.at_ms)
        return writes


def _refuse_later(row: ChangeRow, current: int, own: int, over: int | None) -> None:
    if current not in (own, over):
        raise Conflict(
            f"{row.point} was changed after change {row.id}, up to revision {current}; look at it, and say so to undo that "
            f"too: `opsrail changes rollback {row.id} --over {current} --reason WHY`"
        )
