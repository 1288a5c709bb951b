"""Rollouts as people begin, look at and end them; every change is compare-and-set on the run, and in one commit whole.

What moves the point, the run's new state, the ledger entry and an alarm are one commit, which is refused when somebody else
moved the point or the run first: a rollout never overwrites what a person did meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from opsrail import faults
from opsrail.clock import Clock, ulid_text
from opsrail.errors import Conflict, Denied, Fault, InvalidInput, NotFound, StaleWrite
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.registry.applying import Deed, moved
from opsrail.registry.change_reading import ended, noted
from opsrail.registry.direct import Direct
from opsrail.registry.registry import Registry
from opsrail.registry.rollout import Stage
from opsrail.values.changes import ChangeRow, ChangeState
from opsrail.values.guards import GuardSpec, StepPlan, checked, guard_text, steps_text
from opsrail.values.models import ModelVersion
from opsrail.values.registry import RolloutChangeRow
from opsrail.values.rollouts import UNDER_WAY, RolloutRunRow, RunState
from opsrail.values.rows import Append, Insert, Update, Value, Where, Write, among, equals
from opsrail.watch.alarms import alarm_of
from opsrail.watch.rollout_run import GUARD, Next, Run, Verb, is_left_alone, taken_over

REASON_CHARACTERS = 4_000
ATTEMPTS = 20
"""How often a person's word is tried again while the guard writes down what it counts, a few times a second."""


def first_id(at_ms: int) -> str:
    """Return the id below all that are made from a moment on, and above all from before."""
    return ulid_text(at_ms << 80)


class Rollouts:
    """Rollouts in steps, over a store.

    Args:
        direct: What may come to answer without approvals; None: what the last decision says, up to `medium`.
    """

    def __init__(
        self, store: Store, registry: Registry, clock: Clock, direct: Direct | None = None
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._direct = direct or Direct(store)

    # -- looking -----------------------------------------------------------------------------------------------------

    async def get(self, run_id: str) -> RolloutRunRow:
        """Return a rollout. Raises NotFound when there is none of that id."""
        row = await self._store.get(RolloutRunRow, run_id)
        if row is None:
            raise NotFound(f"there is no rollout {run_id}; see `opsrail rollouts list`")
        return row

    async def listed(
        self,
        *,
        point: str | None = None,
        state: str | None = None,
        limit: int = 100,
        scopes: frozenset[str] | None = None,
    ) -> list[RolloutRunRow]:
        """Return rollouts, newest first, of all points or those of `scopes`."""
        where = [
            *among("point", scopes),
            *([] if point is None else equals(point=point)),
            *([] if state is None else equals(state=state)),
        ]
        return await self._store.select(RolloutRunRow, *where, descending=True, limit=limit)

    async def under_way(self) -> list[RolloutRunRow]:
        """Return rollouts that have not ended, oldest first."""
        return await self._store.select(RolloutRunRow, Where("state", "in", UNDER_WAY))

    # -- as people ask -----------------------------------------------------------------------------------------------

    async def begin(
        self,
        point: str,
        version: ModelVersion,
        steps: Sequence[StepPlan],
        guard: GuardSpec | None = None,
        *,
        by: str,
        reason: str,
        revision: int | None = None,
    ) -> RolloutRunRow:
        """Let a version answer the first share of a point's requests, and watch it from there to live.

        Args:
            steps: Shares that rise, see `spec.steps_of`.
            guard: What it is judged by; None: the defaults.
            revision: The point's revision the caller looked at; a change since then refuses this.

        Raises:
            InvalidInput: steps, name or reason. Terminal; nothing was begun.
            Denied: others have to agree first: `opsrail changes plan`. Terminal; nothing was begun.
            Conflict: another rollout of the point is under way, it has no live version, or somebody changed it first.
            NotFound, ModelUnavailable: as `Registry.promote`.
        """
        steps = checked(steps)
        way = ",".join(f"{100 * step.share:g}%:{step.hold_s:g}s" for step in steps)
        await self._direct.check(point, version, f" --steps {way}")
        if others := [row for row in await self.under_way() if row.point == point]:
            raise Conflict(
                f"rollout {others[0].id} of {point!r} is under way; end it first: opsrail rollouts stop {others[0].id}"
            )
        live = [row for row in await self._registry.rollout(point) if row.stage == Stage.LIVE]
        if not live:
            raise Conflict(
                f"{point!r} has no live version to compare with; promote {version.name}/{version.number} to live instead"
            )
        base = await self._revision(point) if revision is None else revision
        now_ms = self._clock.now_ms()
        row = RolloutRunRow(
            self._clock.new_id(), point, version.name, version.number, live[0].model_name, live[0].model_number,
            steps_text(steps), 0, guard_text(guard or GuardSpec()), "{}", first_id(now_ms), RunState.RUNNING,
            base + 1, now_ms, now_ms, None, None, 0,
        )  # fmt: skip
        told = {**_about(row), "by": by, "guard": row.guard, "reason": reason, "steps": row.steps}
        await self._registry.promote(
            point, version, Stage.CANARY, by=by, reason=reason, share=steps[0].share, revision=base,
            also=[Insert(row), entry("rollout.begun", row.id, now_ms, told)],
        )  # fmt: skip
        return row

    async def pause(self, run_id: str, *, by: str, reason: str) -> RolloutRunRow:
        """Take no step forward until `resume`; it is rolled back all the same where evidence asks for it."""
        changed = {"state": RunState.PAUSED, "why": f"paused by {by}: {reason}"}
        return await self._asked(
            run_id, by, reason, lambda row: self._noted(row, "rollout.paused", changed, by, reason)
        )

    async def resume(self, run_id: str, *, by: str, reason: str) -> RolloutRunRow:
        """Go on after `pause`. Raises Conflict: it is not paused."""
        changed = {"state": RunState.RUNNING, "why": None}

        async def resumed(row: RolloutRunRow) -> RolloutRunRow:
            if row.state != RunState.PAUSED:
                raise Conflict(f"rollout {run_id} is not paused")
            return await self._noted(row, "rollout.resumed", changed, by, reason)

        return await self._asked(run_id, by, reason, resumed)

    async def stop(self, run_id: str, *, by: str, reason: str) -> RolloutRunRow:
        """End a rollout where it stands: versions and shares stay as they are, and nobody watches any more.

        Raises:
            Denied: others agreed that it is watched, and the time of that is not over. Terminal; nothing was changed.
        """
        ended = self._ended(RunState.STOPPED, f"stopped by {by}: {reason}")

        async def stopped(row: RolloutRunRow) -> RolloutRunRow:
            if (tier := await self.agreed_tier(row)) is not None:
                raise Denied(
                    f"rollout {run_id} is watched as others agreed: {row.point} is of tier {tier}. Roll it back "
                    f"(opsrail rollouts rollback {run_id}), pause it, or let its time end"
                )
            return await self._noted(row, "rollout.stopped", ended, by, reason)

        return await self._asked(run_id, by, reason, stopped)

    async def agreed_tier(self, row: RolloutRunRow) -> str | None:
        """Return the tier for which others agreed that a rollout is watched; None: one person may end that."""
        version = await self._registry.version(row.model_name, row.model_number)
        tier = await self._direct.tier(row.point, version)
        is_free = self._direct.allows(tier) or is_left_alone(row, self._clock.now_ms())
        return None if is_free else tier

    async def promote(self, run_id: str, *, by: str, reason: str) -> RolloutRunRow:
        """Make the version live now, past the steps that are left; it is watched as after the last step.

        Raises:
            Denied: others have to agree that it goes live without the steps that are left. Terminal; nothing was changed.
            Conflict: it is live, or the rollout has ended.
        """

        async def promoted(row: RolloutRunRow) -> RolloutRunRow:
            if Run(row).is_live:
                raise Conflict(
                    f"{row.model_name}/{row.model_number} of rollout {run_id} is live already"
                )
            version = await self._registry.version(row.model_name, row.model_number)
            await self._direct.check(row.point, version)
            return await self.act(Run(row), Next(Verb.GO_LIVE, reason), by=by)

        return await self._asked(run_id, by, reason, promoted)

    async def roll_back(self, run_id: str, *, by: str, reason: str) -> RolloutRunRow:
        """Let the champion answer all requests again, and end the rollout."""
        following = Next(Verb.ROLL_BACK, reason)
        return await self._asked(
            run_id, by, reason, lambda row: self.act(Run(row), following, by=by)
        )

    # -- acting ------------------------------------------------------------------------------------------------------

    async def act(
        self, run: Run, following: Next, *, by: str = GUARD, kept: Mapping[str, Value] | None = None
    ) -> RolloutRunRow:
        """Do what follows, whole or not at all.

        Args:
            kept: What the run has counted by now (`tests`, `cursor`); None: as its row says.

        Raises:
            StaleWrite: somebody moved the run or its point first. Nothing was written: read it again.
            ModelUnavailable: the version that shall answer cannot be loaded here. Nothing was changed.
        """
        row, now_ms = run.row, self._clock.now_ms()
        changes = await self._registry.history(row.point, limit=1000)
        current = changes[0].revision if changes else 0
        if (other := taken_over(changes, row.revision, (run.champion, run.candidate))) is not None:
            return await self.give_up(run, other)
        if following.verb == Verb.END:
            ended = {**self._ended(RunState.PROMOTED, following.why), **(kept or {})}
            return await self._noted(row, "rollout.promoted", ended, by, following.why, run=run)
        stage, version, share, changed = self._move(run, following, now_ms)
        changed = {**(kept or {}), **changed, "revision": current + 1, "version": row.version + 1}
        verb = {Verb.ROLL_BACK: "rollout.rolled-back"}.get(following.verb, "rollout.step")
        told = _told(run, following, by, stage, share)
        also: list[Write] = [_update(row, changed), entry(verb, row.id, now_ms, told)]
        if following.verb == Verb.ROLL_BACK:
            text = f"{run.label} was rolled back at {row.point}: {following.why}"
            also += await self._change_ended(row, Deed(by, following.why, now_ms))
            also.append(
                Insert(
                    alarm_of(
                        self._clock,
                        row.point,
                        "rollout-rolled-back",
                        run.label,
                        text,
                        {"rollout": row.id, **told},
                    )
                )
            )
        faults.point("guard.before_act")
        await self._registry.promote(
            row.point, await self._registry.version(*version), stage, by=by, reason=following.why,
            share=share, revision=current, also=also,
        )  # fmt: skip
        faults.point("guard.after_act")
        return row._replace(**changed)

    async def give_up(self, run: Run, other: RolloutChangeRow) -> RolloutRunRow:
        """End a rollout that a person took over; what they did stays."""
        told = f"{other.model_name}/{other.model_number} became {other.stage}, revision {other.revision}"
        why = f"taken over by {other.changed_by} ({told}): {other.reason}"
        return await self._noted(
            run.row, "rollout.stopped", self._ended(RunState.STOPPED, why), GUARD, why
        )

    async def keep(self, run: Run, kept: Mapping[str, Value]) -> RolloutRunRow:
        """Write down what was counted. Raises StaleWrite when another process did first."""
        changed: dict[str, Any] = {**kept, "version": run.row.version + 1}
        faults.point("guard.before_keep")
        await self._store.commit([_update(run.row, changed)])
        faults.point("guard.after_keep")
        return run.row._replace(**changed)

    async def _change_ended(self, row: RolloutRunRow, deed: Deed) -> list[Write]:
        """Return the writes by which the change that began a rollout is rolled back with it; none, where none did."""
        change = await self._store.get(ChangeRow, row.id)
        if change is None or change.state != ChangeState.APPLIED:
            return []
        return [
            moved(change, **ended(ChangeState.ROLLED_BACK, deed)),
            noted("rolled-back", change, deed),
        ]

    def _move(
        self, run: Run, following: Next, now_ms: int
    ) -> tuple[Stage, tuple[str, int], float, dict[str, Any]]:
        """Return which version goes where, and what changes in the run's row."""
        row = run.row
        if following.verb == Verb.ROLL_BACK:
            ended = self._ended(RunState.ROLLED_BACK, following.why)
            if not run.is_live:
                return Stage.RETIRED, run.candidate, 0.0, ended
            if run.champion is None:
                raise Conflict(
                    f"rollout {row.id} of {row.point!r} began with no live version; there is none to go back to"
                )
            return Stage.LIVE, run.champion, 1.0, ended
        step = row.step + 1 if following.verb == Verb.STEP else len(run.steps)
        run.evidence.enter_step()
        run.entered.append((now_ms, step))
        run.hold = ""
        changed: dict[str, Any] = {
            "step": step, "entered_at_ms": now_ms, "tests": run.tests(run.holder),
            "state": RunState.RUNNING, "why": None,
        }  # fmt: skip
        if step < len(run.steps):
            return Stage.CANARY, run.candidate, run.steps[step].share, changed
        return Stage.LIVE, run.candidate, 1.0, changed

    async def _asked(
        self,
        run_id: str,
        by: str,
        reason: str,
        deed: Callable[[RolloutRunRow], Awaitable[RolloutRunRow]],
    ) -> RolloutRunRow:
        """Do what a person asks of a run under way, however often the guard writes down its counts meanwhile."""
        found = [] if by.strip() else [Fault("by", "is empty; say who")]
        if not reason.strip() or len(reason) > REASON_CHARACTERS:
            found.append(
                Fault(
                    "reason",
                    f"give one of 1..{REASON_CHARACTERS} characters, for whoever reads the ledger",
                )
            )
        if found:
            raise InvalidInput(f"rollout {run_id} was not changed", found)
        for attempt in range(ATTEMPTS):
            row = await self.get(run_id)
            if row.state not in UNDER_WAY:
                raise Conflict(f"rollout {run_id} has ended: {row.state}; nothing was changed")
            try:
                return await deed(row)
            except StaleWrite:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def _noted(
        self,
        row: RolloutRunRow,
        kind: str,
        changed: Mapping[str, Value],
        by: str,
        reason: str,
        run: Run | None = None,
    ) -> RolloutRunRow:
        """Change a run that moves no version, with its ledger entry."""
        now_ms = self._clock.now_ms()
        fields: dict[str, Any] = {**changed, "version": row.version + 1}
        told = {**_about(row), "by": by, "reason": reason}
        if run is not None:
            told["readings"] = [reading.figures() for reading in run.evidence.readings()]
        noted: Append = entry(kind, row.id, now_ms, told)
        try:
            await self._store.commit([_update(row, fields), noted])
        except StaleWrite as lost:
            raise StaleWrite(
                f"rollout {row.id} was changed a moment ago; look at it again"
            ) from lost
        return row._replace(**fields)

    def _ended(self, state: RunState, why: str) -> dict[str, Any]:
        return {"state": state, "why": why[:REASON_CHARACTERS], "ended_at_ms": self._clock.now_ms()}

    async def _revision(self, point: str) -> int:
        newest = await self._registry.history(point, limit=1)
        return newest[0].revision if newest else 0


def _update(row: RolloutRunRow, changed: Mapping[str, Value]) -> Update:
    return Update(RolloutRunRow, (row.id,), changed, {"version": row.version})


def _about(row: RolloutRunRow) -> dict[str, Any]:
    return {
        "point": row.point,
        "candidate": f"{row.model_name}/{row.model_number}",
        "champion": None
        if row.champion_name is None
        else f"{row.champion_name}/{row.champion_number}",
    }


def _told(run: Run, following: Next, by: str, stage: Stage, share: float) -> dict[str, Any]:
    """Return what the ledger is told of an act: why, and the figures it rests on."""
    return {
        **_about(run.row),
        "by": by,
        "reason": following.why,
        "stage": str(stage),
        "share": share,
        "step": run.row.step,
        "decisions": {"champion": run.evidence.counts[0], "candidate": run.evidence.counts[1]},
        "fired": None if following.reading is None else following.reading.figures(),
        "readings": [reading.figures() for reading in run.evidence.readings()],
    }
