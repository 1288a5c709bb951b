"""Changes of live behaviour: planned as data, explained, approved by people, applied whole, rolled back.

`change.py` has the life of one as a table, `planning.py` makes the plan, `applying.py` the rows, `applier.py` writes them.
Every move is one commit that is refused when somebody else was first, and that the ledger speaks of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsrail.access.api_keys import person_behind
from opsrail.clock import Clock
from opsrail.errors import Conflict, StaleWrite
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.registry import applying, change
from opsrail.registry.affected import DAYS, recent
from opsrail.registry.applier import Applier
from opsrail.registry.applying import APPROVE, AUTHOR, REJECT, Deed
from opsrail.registry.change import ChangeEvent, key_of
from opsrail.registry.change_reading import ChangeView, ended, guarantees_of, noted, view_of
from opsrail.registry.direct import Direct
from opsrail.registry.planning import Now, plan_of
from opsrail.registry.registry import Registry
from opsrail.registry.rollout import Stage
from opsrail.registry.wishes import Declared, Wish, asked_version, check, check_word
from opsrail.values.canonical import canonical
from opsrail.values.changes import ApprovalRow, ChangeRow, ChangeState, SettingsRow
from opsrail.values.models import ModelVersion
from opsrail.values.registry import RolloutChangeRow, RolloutRow
from opsrail.values.rollouts import UNDER_WAY, RolloutRunRow
from opsrail.values.rows import Insert, Value, Where, Write, among, equals
from opsrail.values.settings import settings_of

ATTEMPTS = 20
"""How often a word on a change is tried again; each loss means that somebody else's was written."""


class Changes:
    """Changes of one installation.

    Args:
        declared: What the code says of points, where it is at hand.
        direct_up_to: Highest tier of what `promote` does without approvals: `none`, `low`, `medium` or `high`.

    Attributes:
        direct: The rule by which a version comes to answer without approvals.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        clock: Clock,
        declared: Mapping[str, Declared],
        *,
        direct_up_to: str = "medium",
    ) -> None:
        self._store = store
        self._registry = registry
        self._clock = clock
        self._declared = declared
        self.direct = Direct(store, declared, direct_up_to)
        self._applier = Applier(store, registry, clock)

    async def plan(
        self,
        point: str,
        kind: str,
        content: Mapping[str, Any],
        *,
        by: str,
        reason: str,
        backtest: Mapping[str, Any] | None = None,
        days: int = DAYS,
        keeps: bool = True,
    ) -> ChangeView:
        """Make a plan of a change; nothing is altered.

        Args:
            kind: `promote`, `bands`, `deadline` or `autonomy`.
            content: What of, see `docs/changes.md`; a `guarantee` that comes with bands is watched once they are applied.
            backtest: Summary of what the history says of it, as JSON; shown to who approves.
            days: How far to look back for whom it touches.
            keeps: Whether it is kept, to be approved; else it is only shown.

        Raises:
            InvalidInput: all faults of the wish at once. Terminal.
            NotFound: there is no such model version. Terminal.
            Conflict: it cannot be done from where things stand, or nothing would change.
        """
        wish = Wish(point, kind, dict(content), by.strip(), reason.strip(), backtest)
        check(wish, self._declared.get(point))
        now = await self._now(wish, days)
        plan = plan_of(wish, now)
        at_ms, change_id = self._clock.now_ms(), self._clock.new_id()
        row = ChangeRow(
            id=change_id,
            point=point,
            kind=kind,
            state=ChangeState.PLANNED,
            tier=plan["needs"]["tier"],
            plan=canonical(plan).decode(),
            author=wish.by,
            reason=wish.reason,
            base_revision=now.revision,
            version=0,
            created_at_ms=at_ms,
            **dict.fromkeys(("applied_by", "applied_at_ms", "ended_by", "ended_at_ms", "why")),
        )
        if keeps:
            who = key_of(await person_behind(self._store, wish.by))
            own = ApprovalRow(change_id, who, AUTHOR, wish.reason, at_ms)
            told = noted("planned", row, Deed(wish.by, wish.reason, at_ms))
            await self._store.commit([Insert(row), Insert(own), told])
        return ChangeView(row, plan, ())

    async def approve(self, change_id: str, *, by: str, reason: str = "") -> ChangeView:
        """Agree to a change.

        Raises:
            NotFound: there is none of that id. Terminal.
            Denied: it is the approver's own. Terminal.
            Conflict: they spoke before, or nobody is asked any more.
        """
        check_word(f"change {change_id[:40]}", by, reason or "approved")
        return await self._speak(change_id, APPROVE, by, reason)

    async def reject(self, change_id: str, *, by: str, reason: str) -> ChangeView:
        """Refuse a change that is not applied; it is over then.

        Raises:
            NotFound: there is none of that id. Terminal.
            Conflict: they spoke before (the author withdraws), or it is applied or over.
        """
        check_word(f"change {change_id[:40]}", by, reason)
        return await self._speak(change_id, REJECT, by, reason)

    async def withdraw(self, change_id: str, *, by: str, reason: str) -> ChangeView:
        """Take a change back that is not applied; it is over then. Raises as `reject`."""
        check_word(f"change {change_id[:40]}", by, reason)
        for _ in range(ATTEMPTS):
            view = await self.get(change_id)
            change.moved(view.standing, ChangeEvent.WITHDRAW)
            deed = self._deed(by, reason)
            over = applying.moved(view.row, **ended(ChangeState.WITHDRAWN, deed))
            try:
                await self._store.commit([over, noted("withdrawn", view.row, deed)])
            except StaleWrite:
                continue
            return await self.get(change_id)
        raise _too_fast(change_id)

    async def apply(self, change_id: str, *, by: str) -> ChangeView:
        """Let a change take hold, whole, where it was planned on what still stands. It holds everywhere within a second.

        Raises:
            NotFound: there is none of that id. Terminal.
            Conflict: it lacks approvals, somebody applied or ended it, or something else was changed at the point since it
                was planned, or more is at stake there by now: plan it anew. Nothing was changed.
            ModelUnavailable: the version shall answer and cannot be loaded here. Nothing was changed.
        """
        view = await self.get(change_id)
        check_word(f"change {change_id[:40]}", by, view.row.reason)
        await self._refuse_if_graver(view)
        await self._applier.apply(view, self._deed(by, view.row.reason))
        return await self.get(change_id)

    async def rollback(
        self, change_id: str, *, by: str, reason: str, over: int | None = None
    ) -> ChangeView:
        """Restore exactly what stood before a change was applied.

        Args:
            by: Who; `guard` where no person was.
            over: The point's revision that the caller looked at and is willing to undo along with the change; without it a
                change that somebody made later stands in the way.

        Raises:
            NotFound: there is none of that id. Terminal.
            Conflict: it is not applied, or something else was changed at the point later. Nothing was changed.
        """
        check_word(f"change {change_id[:40]}", by, reason)
        await self._applier.rollback(await self.get(change_id), self._deed(by, reason), over)
        return await self.get(change_id)

    async def promote(
        self,
        point: str,
        version: ModelVersion,
        stage: Stage,
        *,
        by: str,
        reason: str,
        share: float = 0.0,
        revision: int | None = None,
        breaks_glass: bool = False,
    ) -> RolloutChangeRow:
        """Move a version to a stage without approvals, where the tier of point and model allows that.

        A shadow answers nobody and is always allowed; so is everything at a point that nobody has asked yet.

        Args:
            breaks_glass: Whether to do it all the same, in an emergency; the ledger says who did, and why.

        Raises:
            Denied: it takes approvals: `opsrail changes plan`. Terminal; nothing was changed.
            InvalidInput, NotFound, Conflict, ModelUnavailable: see `Registry.promote`.
        """
        tier = await self.direct.tier(point, version)
        is_direct = stage == Stage.SHADOW or self.direct.allows(tier)
        also: list[Write] = []
        if not is_direct and not breaks_glass:
            plan = {Stage.LIVE: "", Stage.CANARY: f" --stage canary --share {share:g}"}
            options = plan.get(stage, f" --stage {stage}")
            await self.direct.check(point, version, options, "; or break the glass and say why")
        if not is_direct:
            fields = {"by": by, "reason": reason, "stage": str(stage), "tier": str(tier)}
            fields["model"] = f"{version.name}/{version.number}"
            also = [entry("change.bypassed", point, self._clock.now_ms(), fields)]
        return await self._registry.promote(
            point,
            version,
            stage,
            by=by,
            reason=reason,
            share=share,
            revision=revision,
            also=also,
        )

    async def get(self, change_id: str) -> ChangeView:
        """Return a change. Raises NotFound."""
        return await view_of(self._store, change_id)

    async def list(
        self,
        *,
        point: str | None = None,
        state: str | None = None,
        limit: int = 100,
        after: str | None = None,
        scopes: frozenset[str] | None = None,
    ) -> list[ChangeRow]:
        """Return changes, newest first.

        Args:
            scopes: Only of these points; None: of all.
            after: Id of the last one of the page before.
        """
        where = [
            *among("point", scopes),
            *([] if point is None else equals(point=point)),
            *([] if state is None else equals(state=state)),
            *([] if after is None else [Where("id", "<", after)]),
        ]
        return await self._store.select(
            ChangeRow, *where, order=("id",), descending=True, limit=limit
        )

    async def _refuse_if_graver(self, view: ChangeView) -> None:
        """Refuse a change that fewer people agreed to than would be asked by now: its code says more is at stake."""
        row, version = view.row, await self._live(await self._registry.rollout(view.row.point))
        if row.kind == "promote":
            version = await self._registry.version(*asked_version(view.plan["to"]))
        tier = await self.direct.tier(row.point, version)
        if tier is not None and change.APPROVERS[tier] > change.APPROVERS[row.tier]:
            raise Conflict(
                f"{row.point} is of tier {tier} by now, where {change.APPROVERS[tier]} must agree; change {row.id} was "
                f"planned at tier {row.tier}: plan it anew"
            )

    # -- how it works ------------------------------------------------------------------------------

    def _deed(self, by: str, reason: str) -> Deed:
        return Deed(by.strip(), reason.strip(), self._clock.now_ms())

    async def _now(self, wish: Wish, days: int) -> Now:
        """Return what stands at a point. The revision is read first: what changes under the reading refuses the plan."""
        point, is_promotion = wish.point, wish.kind == "promote"
        history = await self._registry.history(point, limit=1)
        held = await self._store.get(SettingsRow, point)
        rows = await self._registry.rollout(point)
        version = None
        if is_promotion:
            version = await self._registry.version(*asked_version(wish.content))
        settings = None if held is None else settings_of(held.content, held.revision)
        rollout_revision = history[0].revision if history else 0
        settings_revision = 0 if held is None else held.revision
        runs = await self._store.select(
            RolloutRunRow, Where("state", "in", UNDER_WAY), *equals(point=point), limit=1
        )
        return Now(
            rollout_revision if is_promotion else settings_revision,
            rows,
            settings,
            version,
            await self._live(rows),
            runs[0].id if runs else None,
            len(await guarantees_of(self._store, point)),
            await recent(self._store, point, self._clock.now_ms(), days),
            self._declared.get(point),
        )

    async def _live(self, rows: Sequence[RolloutRow]) -> ModelVersion | None:
        live = next((row for row in rows if row.stage == Stage.LIVE), None)
        if live is None:
            return None
        return await self._registry.version(live.model_name, live.model_number)

    async def _speak(self, change_id: str, verdict: str, by: str, reason: str) -> ChangeView:
        who = key_of(await person_behind(self._store, by.strip()))
        for _ in range(ATTEMPTS):
            view, deed = await self.get(change_id), self._deed(by, reason)
            columns: dict[str, Value]
            if verdict == APPROVE:
                stands = change.agreed(view.standing, who)
                columns, kind = {"state": stands.state}, "approved"
            else:
                stands = change.moved(view.standing, ChangeEvent.REJECT)
                columns, kind = ended(stands.state, deed), "rejected"
            said = ApprovalRow(change_id, who, verdict, deed.reason, deed.at_ms)
            moved = applying.moved(view.row, **columns)
            try:
                await self._store.commit([Insert(said), moved, noted(kind, view.row, deed)])
            except StaleWrite:
                if await self._store.get(ApprovalRow, change_id, who) is not None:
                    raise Conflict(
                        f"{by.strip()} planned change {change_id} or spoke on it before; everybody speaks once"
                    ) from None
                continue
            return await self.get(change_id)
        raise _too_fast(change_id)


def _too_fast(change_id: str) -> Conflict:
    return Conflict(f"others speak on change {change_id} at the same time; try again")
