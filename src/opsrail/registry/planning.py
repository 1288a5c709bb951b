"""Makes a plan of a wish: what stands now, what shall, whom it touches, what may go wrong, and who has to agree. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from opsrail.errors import Conflict
from opsrail.registry.affected import (
    Lately,
    Touch,
    by_autonomy,
    by_bands,
    by_deadline,
    by_version,
    counted,
    none,
    now_of,
)
from opsrail.registry.change import APPROVERS, tier_of
from opsrail.registry.rollout import TRANSITIONS, Stage, standing
from opsrail.registry.wishes import SETTING_OF, Declared, Wish, asked_version
from opsrail.values.bands import Band
from opsrail.values.guards import guard_of
from opsrail.values.models import ModelVersion
from opsrail.values.registry import RolloutRow
from opsrail.values.settings import AUTONOMIES, Autonomy, PointSettings, Segment

FEW = 200
"""Decisions below which a share says little. Ours: 5% of 200 are known to 3 points."""


class Now(NamedTuple):
    """What stands at a point when a change is planned.

    Attributes:
        revision: Of the rollout, for a promotion; else of the settings.
        rollout: Where versions stand.
        version: Of a promotion, the version that shall be moved.
        live: The live version, if there is one.
        run: Id of a rollout under way.
        guarantees: How many stand.
        declared: What the code says, where it is at hand.
    """

    revision: int
    rollout: Sequence[RolloutRow]
    settings: PointSettings | None
    version: ModelVersion | None
    live: ModelVersion | None
    run: str | None
    guarantees: int
    lately: Lately
    declared: Declared | None

    @property
    def impact(self) -> str | None:
        """What a wrong verdict costs: as the code says, else as the last decision says; None: nobody knows."""
        if self.declared is not None:
            return self.declared.impact
        return next((str(record["impact"]) for record in self.lately.records), None)


def plan_of(wish: Wish, now: Now) -> dict[str, Any]:
    """Return a plan as plain JSON values.

    Raises:
        Conflict: the version cannot go there from where it stands, or nothing would change.
    """
    if wish.kind == "promote":
        before, after, touch = _promotion(wish, now)
    else:
        before, after, touch = _setting(wish, now)
    segments = now.declared.segments if now.declared is not None else ()
    model = now.version or now.live
    told = model.card.get("risk_tier") if model is not None else None
    tier = tier_of(now.impact, told if isinstance(told, str) else None)
    plan: dict[str, Any] = {
        "from": before,
        "to": after,
        "affected": counted(now.lately, touch, segments),
        "needs": {
            "tier": tier,
            "approvals": APPROVERS[tier],
            "impact": now.impact,
            "model_tier": told if isinstance(told, str) else None,
        },
        "backtest": None if wish.backtest is None else dict(wish.backtest),
    }
    settings_revision = 0 if now.settings is None else now.settings.revision
    plan["planned_on"] = {"standing": answering(now.rollout), "settings": settings_revision}
    if wish.kind == "promote":
        plan["rollout"] = [row._asdict() | {"stage": str(row.stage)} for row in now.rollout]
    return plan | {"risks": list(_risks(wish, now, plan))}


def answering(rollout: Sequence[RolloutRow]) -> dict[str, str]:
    """Return which versions answer a point's requests, by stage: who agrees to a change agrees to it beside those."""
    return {
        str(row.stage): f"{row.model_name}/{row.model_number}"
        for row in rollout
        if row.stage not in (Stage.RETIRED, Stage.SHADOW)
    }


def with_level(
    segments: Sequence[Segment], where: Mapping[str, Any], level: Autonomy
) -> list[Segment]:
    """Return segments with one at another level: in its place, else ahead of all, as the first match counts."""
    fresh = Segment(dict(where), level)
    if not any(one.where == fresh.where for one in segments):
        return [*segments, fresh] if not fresh.where else [fresh, *segments]
    return [fresh if one.where == fresh.where else one for one in segments]


def _promotion(wish: Wish, now: Now) -> tuple[dict[str, Any], dict[str, Any], Touch]:
    name, number = asked_version(wish.content)
    stage = Stage(wish.content.get("stage", "live"))
    steps, label = wish.content.get("steps"), f"{name}/{number}"
    stands = standing(now.rollout, name, number)
    first = Stage.CANARY if steps else stage
    if first not in TRANSITIONS[stands]:
        where = "at no stage" if stands is None else str(stands)
        raise Conflict(f"{label} is {where} for {wish.point!r} and cannot become {first}")
    if first == Stage.CANARY and now.live is None:
        raise Conflict(
            f"{wish.point!r} has no live version to answer beside {label}; promote it without steps"
        )
    if steps and now.run is not None:
        raise Conflict(
            f"rollout {now.run} is under way at {wish.point!r}; let it end, or roll it back first"
        )
    before = answering(now.rollout)
    share = {Stage.LIVE: 1.0, Stage.CANARY: wish.content.get("share", 1.0)}.get(stage, 0.0)
    after = {"model": label, "stage": str(stage)}
    for part in ("share", "steps", "guard"):
        if wish.content.get(part) is not None:
            after[part] = wish.content[part]
    retires = stage == Stage.RETIRED and stands in (Stage.LIVE, Stage.CANARY)
    if not share and not retires:
        return {"standing": before}, after, none
    arm_of = None if now.declared is None else now.declared.arm_of
    touch = by_version(wish.point, label, share, retires=retires, arm_of=arm_of)
    return {"standing": before}, after, touch


def _setting(wish: Wish, now: Now) -> tuple[dict[str, Any], dict[str, Any], Touch]:
    name = SETTING_OF[wish.kind]
    before, after = now_of(now.settings, name), wish.content.get(name)
    if wish.kind == "autonomy" and name not in wish.content:
        held = () if now.settings is None else now.settings.autonomy
        level: Autonomy = wish.content["level"]
        after = [
            {"where": dict(one.where), "level": one.level}
            for one in with_level(held, wish.content.get("where", {}), level)
        ]
    if wish.kind == "autonomy":
        after = after or None
    if before == after and not wish.content.get("guarantee"):
        raise Conflict(f"{name} of {wish.point!r} is as it is wished; there is nothing to change")
    to = {name: after}
    if wish.content.get("guarantee"):
        to["guarantee"] = wish.content["guarantee"]
    stood = {name: before, "code": _code(name, now.declared)}
    return stood, to, _touch_of(name, before, after, now.declared)


def _touch_of(name: str, before: Any, after: Any, declared: Declared | None) -> Touch:
    if name == "autonomy":
        return by_autonomy(_segments(before), _segments(after))
    if after is None and declared is None:
        return none  # what the code says is not at hand
    if name == "bands":
        bands = declared.bands if after is None and declared is not None else _bands(after)
        return by_bands(bands)
    return by_deadline(declared.deadline_ms if after is None and declared is not None else after)


def _code(name: str, declared: Declared | None) -> Any:
    """Return what the code says, as plain JSON values; None where it is not at hand."""
    if declared is None:
        return None
    if name == "bands":
        return [band._asdict() for band in declared.bands]
    return declared.deadline_ms if name == "deadline_ms" else []


def _bands(tree: Any) -> tuple[Band, ...]:
    return tuple(Band(each["verdict"], each["below"]) for each in tree or ())


def _segments(tree: Any) -> tuple[Segment, ...]:
    return tuple(Segment(each["where"], each["level"]) for each in tree or ())


def _risks(wish: Wish, now: Now, plan: Mapping[str, Any]) -> Iterator[str]:
    """Yield what may go wrong, one sentence each."""
    if (count := now.lately.total) < FEW:
        yield (
            f"Only {count} decisions were made in the last {now.lately.days} days; whom it touches is hardly known."
        )
    if now.declared is None:
        yield "The point's code was not at hand: verdicts and fields were not held against it."
        yield from _strange_verdicts(now.lately, plan["to"].get("bands"))
    if now.run is not None:
        yield f"Rollout {now.run} is under way; what its guard compares would change beneath it."
    if wish.kind in ("promote", "bands") and wish.backtest is None:
        yield "No back-test is attached: what it would have done to the history was not looked at."
    if wish.kind == "promote":
        yield from _promotion_risks(wish, now)
    elif wish.kind == "bands" and not wish.content.get("guarantee"):
        yield "It carries no guarantee: nothing is promised about wrong verdicts."
        if now.guarantees:
            yield f"{now.guarantees} guarantees that were found for the bands now end with it."
    elif wish.kind == "autonomy":
        yield from _autonomy_risks(plan)


def _strange_verdicts(lately: Lately, bands: Any) -> Iterator[str]:
    """Yield which verdicts of new bands the point never gave; without the code at hand nothing else tells a wrong name."""
    known = {
        str(said)
        for one in lately.records
        for said in (one["verdict"], one.get("proposed"))
        if said
    }
    strange = dict.fromkeys(band.verdict for band in _bands(bands) if band.verdict not in known)
    if known and strange:
        told = " and ".join(repr(verdict) for verdict in strange)
        yield f"None of the last {len(lately.records)} decisions said {told}: is that what the code calls it?"


def _promotion_risks(wish: Wish, now: Now) -> Iterator[str]:
    name, number = asked_version(wish.content)
    stage = wish.content.get("stage", "live")
    stood = standing(now.rollout, name, number)
    if stage == "live" and not wish.content.get("steps"):
        yield "It goes live for every request at once; steps would let a guard stop it at a small share."
    if stage in ("live", "canary") and stood is None:
        yield f"{name}/{number} never stood at this point, not even as a shadow."
    if stage == "retired" and stood == Stage.LIVE:
        yield "No version is live then; requests go to the fallback."
    if now.guarantees and stage in ("live", "canary"):
        stands = (
            "1 guarantee stands that was"
            if now.guarantees == 1
            else f"{now.guarantees} guarantees stand that were"
        )
        yield f"{stands} found for another version."
    if wish.content.get("steps") and guard_of(wish.content.get("guard") or {}).judges_nothing:
        yield "Its guard judges nothing: it goes live by time alone."
    if now.version is not None and not now.version.card:
        yield f"{name}/{number} has no model card."


def _autonomy_risks(plan: Mapping[str, Any]) -> Iterator[str]:
    raised = [
        move["count"]
        for move in plan["affected"]["moves"]
        if AUTONOMIES.index(move["to"]) > AUTONOMIES.index(move["from"])
    ]
    if raised:
        yield f"Fewer people look: {sum(raised)} of the decisions looked at are left more to the machine."
    if any(
        move["from"] == "observe" and move["to"] == "automate" for move in plan["affected"]["moves"]
    ):
        yield "It leaps from observe to automate; with assist, people would confirm first."
