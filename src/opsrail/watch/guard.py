"""The guard: a loop in every process that serves, and the only hand that acts on an alarm.

Each turn: for every rollout under way, count what was decided since the last turn and what came late of earlier decisions,
look at the tests, and do what follows; then re-test guarantees. One process at a time holds a rollout, by a lease in its
row; whoever holds it by mistake loses the compare-and-set, and nothing of theirs is written. A guard that cannot read, or
that meets a fault, changes nothing; what it met is in `faults`, and `/readyz` shows it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

import orjson

from opsrail.clock import Clock
from opsrail.errors import Conflict, OpsrailError, StaleWrite, StoreUnavailable
from opsrail.ports import Store
from opsrail.registry.changes import Changes
from opsrail.registry.registry import Registry
from opsrail.values.changes import ChangeRow, ChangeState
from opsrail.values.decisions import DecisionRow
from opsrail.values.rollouts import GuaranteeRow, RolloutRunRow
from opsrail.values.rows import Value
from opsrail.watch.guarantees import NO_FLOORS, Floors, Guarantees, standing_of
from opsrail.watch.rollout_run import GUARD, Run, Verb, taken_over
from opsrail.watch.rollouts import Rollouts, first_id
from opsrail.watch.signals import (
    CANDIDATE,
    ArmKey,
    arm_of,
    is_drawn,
    is_override,
    key_of,
    scaled,
    seen,
)  # fmt: skip
from opsrail.watch.sources import Sources

log = logging.getLogger("opsrail.watch")
IDLE_S = 1.0
"""How often rollouts and guarantees are looked for while there is no rollout. Ours: a step takes minutes."""
LEASE_S = 2.0
"""How long a rollout is left to the process that counts it. Ours: one that died is replaced within this time."""
DISAGREEMENT = '"disagreement":{'
"""Stands in a guard, as canonical JSON, that is held to it: then the canary scores along what the champion answers."""
SHADOWS_AFTER_MS = 10_000
"""Age at which a shadow's word on a decision is taken to be there, if it comes at all."""


class GuardStats(NamedTuple):
    """How the guard of this process fares.

    Attributes:
        rollouts: Under way, held by this process.
        turns: Since the process began.
        acts: What it did by itself since then.
        faults: What keeps it from its work, by rollout or guarantee; `store` for all of them.
    """

    rollouts: int
    turns: int
    acts: int
    faults: Mapping[str, str]


class Guard:
    """Carries rollouts. One a process.

    Args:
        holder: Returns who this process is, as leases name it.
        poll_s: Time between two turns while a rollout is under way.
        late_ms: Age from which a decision is taken to be durable, milliseconds.
        arm_key: Returns what the canary's choice hung on.
        changes: Takes changes back whose guarantee broke; None: only rings.
        floors: Lowest probabilities with which spot checks tell outcomes.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        clock: Clock,
        holder: Callable[[], str],
        *,
        poll_s: float = 0.25,
        late_ms: int = 500,
        arm_key: ArmKey = key_of,
        changes: Changes | None = None,
        floors: Floors = NO_FLOORS,
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._holder = holder
        self._poll_s = poll_s
        self._late_ms = late_ms
        self._arm_key = arm_key
        self._changes = changes
        self._left_alone: set[str] = set()
        self._sources = Sources(store)
        self._rollouts = Rollouts(store, registry, clock)
        self._guarantees, self._floors = Guarantees(store, clock, floors), floors
        self._known: dict[str, Run] = {}
        self._faults: dict[str, str] = {}
        self._turns = 0
        self._acts = 0
        self._guarantees_due_s = 0.0

    def stats(self) -> GuardStats:
        """Return how it fares."""
        return GuardStats(len(self._known), self._turns, self._acts, dict(self._faults))

    async def run(self) -> None:
        """Take turns for ever; nothing that goes wrong ends this."""
        while True:
            rollouts = await self.turn()
            await self._clock.sleep(self._poll_s if rollouts else max(self._poll_s, IDLE_S))

    async def turn(self) -> int:
        """Look once; return how many rollouts are under way."""
        self._turns += 1
        try:
            rows = await self._rollouts.under_way()
        except Exception as fault:
            self._failed("store", fault)
            return 1
        self._mended("store")
        along = [row.point for row in rows if DISAGREEMENT in row.guard]
        self._registry.keep_retired([row.point for row in rows], along)
        for known in set(self._known) - {row.id for row in rows}:
            del self._known[known]
            self._mended(known)
        for row in rows:
            try:
                await self._carry(row)
                self._mended(row.id)
            except StaleWrite:
                self._known.pop(row.id, None)  # somebody was first: what was counted here is void
            except Exception as fault:
                self._known.pop(row.id, None)
                self._failed(row.id, fault)
        await self._look_after_guarantees()
        return len(rows)

    # -- one rollout -------------------------------------------------------------------------------------------------

    async def _carry(self, row: RolloutRunRow) -> None:
        """Count what is new, and do what follows."""
        run = self._run_of(row)
        now_ms = self._clock.now_ms()
        if run.holder and run.holder["by"] != self._holder() and run.holder["until_ms"] > now_ms:
            self._known.pop(row.id, None)
            return
        if await self._is_taken_over(run):
            return
        hold, (cursor, has_counted) = run.hold, await self._count(run, now_ms)
        following = run.next(now_ms, await self._broken(row))
        run.hold = following.why if following.verb == Verb.HOLD else ""
        lease = {"by": self._holder(), "until_ms": now_ms + round(LEASE_S * 1000)}
        kept: dict[str, Value] = {"tests": run.tests(lease), "cursor": cursor}
        if following.verb != Verb.HOLD:
            run.holder = lease
            done = await self._rollouts.act(run, following, kept=kept)
            self._acts += 1
            log.warning("rollout %s of %s: %s: %s", row.id, row.point, done.state, following.why)
            self._known.pop(row.id, None)
        elif has_counted or run.hold != hold or self._is_lapsing(run, now_ms):
            run.row, run.holder = await self._rollouts.keep(run, kept), lease

    async def _is_taken_over(self, run: Run) -> bool:
        """Return whether somebody else moved the point; then the rollout has ended."""
        row = run.row
        newest = await self._registry.history(row.point, limit=1)
        if not newest or newest[0].revision == row.revision:
            return False
        changes = await self._registry.history(row.point)
        other = taken_over(changes, row.revision, (run.champion, run.candidate))
        if other is not None:
            await self._rollouts.give_up(run, other)
        return other is not None

    def _run_of(self, row: RolloutRunRow) -> Run:
        known = self._known.get(row.id)
        if known is None or known.row.version != row.version:
            known = self._known[row.id] = Run(row)
        return known

    def _is_lapsing(self, run: Run, now_ms: int) -> bool:
        is_ours = run.holder.get("by") == self._holder()
        return not is_ours or run.holder["until_ms"] - now_ms < LEASE_S * 500

    async def _count(self, run: Run, now_ms: int) -> tuple[str, bool]:
        """Count decisions, then what came late; return the cursor behind the decisions, and whether there was any."""
        row, until = run.row, first_id(now_ms - self._late_ms)
        start = first_id(row.started_at_ms)
        cursor, has_counted = row.cursor or start, False
        while True:
            rows, after = await self._sources.decisions(row.point, cursor, until)
            told = (seen(one, run.arms(), self._arm_key) for one in rows)
            if counted := [one for one in told if one is not None]:
                run.evidence.count_decisions(counted)
                has_counted = True
            if after == cursor or not rows:
                break
            cursor = after
            if cursor >= until:
                break
        run.evidence.pass_time(now_ms - self._late_ms)
        late = [
            await self._count_outcomes(run, start, until),
            await self._count_rulings(run, start, now_ms),
            await self._count_shadows(run, start, first_id(now_ms - SHADOWS_AFTER_MS)),
        ]
        return cursor, has_counted or any(late)

    async def _count_outcomes(self, run: Run, start: str, until: str) -> bool:
        outcomes = run.spec.outcomes
        names = {outcome.name for outcome in outcomes}
        told, cursor = await self._sources.outcomes(
            names, run.row.point, run.cursors.get("outcomes", start), until
        )
        if not told:
            return False
        run.cursors["outcomes"] = cursor
        for outcome in outcomes:
            track = run.evidence.track(outcome.label)
            ours = [
                one
                for one in told
                if one.outcome.name == outcome.name
                and outcome.among in (None, one.decision.verdict)
            ]
            if track is None or not ours:
                continue
            floor_ratio = self._floors.get((run.row.point, outcome.name), 1.0)
            seen = (one.outcome.ratio for one in ours)
            track.floor_ratio = min(track.floor_ratio, floor_ratio, *seen)
            drawn = [one for one in ours if is_drawn(one.outcome, track.floor_ratio)]
            numbers = [(one.decision, scaled(outcome, one.outcome.value)) for one in drawn]
            self._count_late(run, outcome.label, numbers, start)
        return True

    async def _count_rulings(self, run: Run, start: str, now_ms: int) -> bool:
        if run.spec.override is None:
            return False
        after_ms = run.cursors.get("reviews", run.row.started_at_ms)
        rows, last_ms = await self._sources.rulings(after_ms, now_ms - self._late_ms)
        if not rows:
            return False
        run.cursors["reviews"] = last_ms
        decisions = await self._sources.by_id(row.decision_id or "" for row in rows)
        numbers = []
        for row in rows:
            decision = decisions.get(row.decision_id or "")
            if decision is None or decision.point != run.row.point:
                continue
            was = is_override(row, orjson.loads(decision.record))
            if was is not None:
                numbers.append((decision, float(was)))
        self._count_late(run, "override", numbers, start)
        return True

    async def _count_shadows(self, run: Run, start: str, until: str) -> bool:
        """Count, of requests that one version answered and the other saw in the shadow, whose verdicts differ."""
        if run.spec.disagreement is None:
            return False
        after, found = run.cursors.get("shadows", start), False
        cursor = until
        for model in filter(None, (run.champion, run.candidate)):
            rows, last = await self._sources.shadows(run.row.point, model, after, until)
            cursor = min(cursor, last)
            decisions = await self._sources.by_id(one.decision_id for one in rows)
            numbers = [
                (CANDIDATE, float(one.verdict != decision.verdict))
                for one in rows
                if one.verdict is not None
                and (decision := decisions.get(one.decision_id)) is not None
                and decision.score is not None
            ]
            run.evidence.count_late("disagreement", numbers, "")
            found = found or bool(numbers)
        if found:
            run.cursors["shadows"] = cursor
        return found

    def _count_late(
        self, run: Run, signal: str, numbers: list[tuple[DecisionRow, float]], start: str
    ) -> None:
        """Count numbers of decisions that this rollout made, each step's by itself."""
        by_step: dict[int, list[tuple[int, float]]] = {}
        for decision, number in numbers:
            if decision.id < start:
                continue
            arms = run.arms(decision.at_ms)
            arm = arm_of(decision, orjson.loads(decision.record), arms, self._arm_key)
            if arm is not None:
                by_step.setdefault(run.step_at(decision.at_ms), []).append((arm, number))
        for step, both in by_step.items():
            run.evidence.count_late(signal, both, str(step))

    # -- guarantees --------------------------------------------------------------------------------------------------

    async def _broken(self, row: RolloutRunRow) -> str | None:
        """Return what is said of the guarantee that a rollout's change brought, if it broke."""
        brought = await self._store.get(GuaranteeRow, row.id)
        if brought is None or brought.broken_at_ms is None or brought.ended_at_ms is not None:
            return None
        return standing_of(brought).sentence()

    async def _look_after_guarantees(self) -> None:
        now_s = self._clock.monotonic_s()
        if now_s < self._guarantees_due_s:
            return
        self._guarantees_due_s = now_s + IDLE_S
        until = first_id(self._clock.now_ms() - self._late_ms)
        try:
            rows = await self._guarantees.listed()
        except Exception as fault:
            self._failed("guarantees", fault)
            return
        self._mended("guarantees")
        for row in rows:
            try:
                if row.broken_at_ms is None:
                    row = await self._guarantees.look(row, until, first_id(row.made_at_ms))
                if row.broken_at_ms is not None:
                    await self._take_back(row)
                self._mended(row.id)
            except StaleWrite:
                pass  # another process counted the same labels first
            except Exception as fault:
                self._failed(row.id, fault)

    async def _take_back(self, row: GuaranteeRow) -> None:
        """Roll the change back that brought a broken guarantee, where it asks for that; never past a later one."""
        if (
            self._changes is None
            or row.id in self._left_alone
            or not standing_of(row).spec.roll_back
        ):
            return
        change_id = row.id.partition("-")[0]
        brought = await self._store.get(ChangeRow, change_id)
        if brought is None or brought.state != ChangeState.APPLIED or brought.kind == "promote":
            return  # a rollout goes back by itself
        try:
            await self._changes.rollback(change_id, by=GUARD, reason=standing_of(row).sentence())
        except Conflict as later:
            self._left_alone.add(row.id)
            log.warning("the change %s of a broken guarantee is left alone: %s", change_id, later)
            return
        self._acts += 1
        log.warning("change %s of %s was rolled back: its guarantee broke", change_id, row.point)

    # -- faults ------------------------------------------------------------------------------------------------------

    def _failed(self, what: str, fault: Exception) -> None:
        told = _told(fault)
        if self._faults.get(what) != told:
            log.error("the guard cannot work on %s: %s", what, told, exc_info=fault)
        self._faults[what] = told

    def _mended(self, what: str) -> None:
        if self._faults.pop(what, None) is not None:
            log.info("the guard works on %s again", what)


def _told(fault: Exception) -> str:
    """Return a fault in words for whoever may read findings: what a database or a library says stays in the log."""
    if isinstance(fault, StoreUnavailable):
        return "the database does not answer"
    return (
        str(fault)
        if isinstance(fault, OpsrailError)
        else f"a fault of ours: {type(fault).__name__}"
    )
