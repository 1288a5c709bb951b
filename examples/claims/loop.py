"""The loop around a decision, on real claims: observed, tuned, canaried, rolled back, replayed.

A point of its own, `fraud-loop`, asks what `fraud-risk` asks, without history, so that nothing of a later year reaches an
earlier one. A model of 1994 observes 1995, where people decide (the file's outcomes stand for them). From that the bands are
tuned: at most 2% fraud among what is approved by itself, with 95% confidence. The claims of 1996 then meet two newer
versions: one trained on a year more, and one whose labels were lost on the way. The guard looks at both.

Every part looks first at what is there, so that a demo killed anywhere goes on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from examples.claims.automation import Claim, ClaimFacts, Receipt, claim_rules, fraud
from examples.claims.claim_rows import LABEL, is_fraud
from opsrail import DecisionPoint
from opsrail.app import App
from opsrail.decide.decider import Request
from opsrail.errors import InvalidInput, Overloaded
from opsrail.registry.rollout import Stage
from opsrail.values.changes import ChangeState
from opsrail.values.decisions import Decision
from opsrail.values.models import ModelVersion
from opsrail.values.rollouts import RolloutRunRow, RunState

POINT, MODEL, OUTCOME = "fraud-loop", "claims-fraud-loop", "fraud"
RISK, CONFIDENCE = "approved is fraud <= 2%", 0.95
AUTHOR, APPROVERS = "data-scientist", ("risk-owner", "claims-lead")
"""Who plans changes and who agrees to them, in place of people."""
AT_ONCE = 64
STEPS = [{"share": 0.2, "hold_s": 2.0}, {"share": 0.5, "hold_s": 2.0}]
GUARD = {
    "least_count": 100,
    "watch_s": 2.0,
    "latency": None,
    "outcomes": [{"name": OUTCOME, "among": "approve", "margin": 0.01, "least_count": 50}],
}
"""Held to: at most one point more fraud among what is approved than of the version that is live. Latency is left
out: both versions run on one busy machine here, which says nothing about either."""
SEEN_AGAIN_AFTER = 4
"""How often the claims of 1996 may come by until a rollout has ended: it wants numbers of both arms."""
STORY = "loop.json"

fraud_loop = DecisionPoint(
    POINT,
    request=ClaimFacts,
    policy=fraud.policy,
    fallback=claim_rules,
    deadline_ms=fraud.deadline_ms,
    impact="high",
    segments=("BasePolicy", "AccidentArea"),
)


class Loop:
    """The loop in one app.

    Args:
        rows: Of the claims file, labels included, in the order of time.
        folder: Where what was found is kept, so that it is told again and not done again.
    """

    def __init__(self, app: App, rows: Sequence[dict[str, str]], folder: Path) -> None:
        self._app = app
        self._rows = rows
        self._path = folder / STORY
        self._places = asyncio.Semaphore(AT_ONCE)

    async def story(self) -> dict[str, Any]:
        """Return what came of it; what was done before is not done again."""
        if self._path.exists():
            told: dict[str, Any] = json.loads(self._path.read_text("utf-8"))
            return told
        observed = await self._observed()
        tuned = await self._tuned()
        canary = await self._rolled_out(2, "trained on 1995 too", self._better)
        bad = await self._rolled_out(3, "trained on the newest labels", self._worse)
        found = {
            "observed": observed,
            "tuned": tuned,
            "automated": await self._automated(),
            "canary": canary,
            "bad": bad,
            "replay": await self._replayed(observed["first"]),
        }
        self._path.write_text(json.dumps(found), "utf-8")
        return found

    # -- 1995: people decide, the model only predicts ----------------------------------------------------------------

    async def _observed(self) -> dict[str, Any]:
        version = await self._version("trained on 1994", self._of(("1994",)))
        if not await self._app.registry.rollout(POINT):
            await self._app.registry.promote(
                POINT, version, Stage.LIVE, by=AUTHOR, reason="the first version"
            )
        await self._changed(
            "autonomy", {"level": "observe"}, "people decide until the bands are known"
        )
        rows = self._of(("1995",))
        decisions = await self._decided(rows, "observed")
        return {
            "claims": len(decisions),
            "frauds": sum(map(is_fraud, rows)),
            "model": f"{version.name}/{version.number}",
            "first": decisions[0].id,
        }

    async def _tuned(self) -> dict[str, Any]:
        from opsrail.lab.labelled import labelled
        from opsrail.lab.tuning import tune

        read = await labelled(self._app.store, POINT, OUTCOME, model=(MODEL, 1))
        found = tune(
            read.scores, read.labels, ratios=read.ratios, risks=[RISK], outcome=OUTCOME, confidence=CONFIDENCE
        )  # fmt: skip
        if not found.is_kept:
            raise InvalidInput(
                f"nothing can be promised of {POINT!r}: {' '.join(found.said())}", []
            )
        bands = await self._changed("bands", found.content(), f"{RISK}, {CONFIDENCE:.0%} sure")
        await self._changed("autonomy", {"autonomy": None}, "what is promised is automated")
        (promise,) = found.promises
        return {
            "risk": RISK,
            "confidence": CONFIDENCE,
            "approve_below": found.approve_below,
            "automated_ratio": round(found.automated.value, 4),
            "counted_ratio": round(promise.share or 0.0, 4),
            "bound_ratio": round(promise.bound, 4),
            "change": bands,
            "approved_by": list(APPROVERS),
        }

    # -- 1996: newer versions on their way to live -------------------------------------------------------------------

    def _better(self) -> list[dict[str, str]]:
        return self._of(("1994", "1995"))

    def _worse(self) -> list[dict[str, str]]:
        """Return the same claims, but of all that are no liability claims the label was lost: they count as honest."""
        return [
            row if row["BasePolicy"] == "Liability" else {**row, LABEL: "0"}
            for row in self._better()
        ]

    async def _rolled_out(self, number: int, what: str, rows: Any) -> dict[str, Any]:
        version = await self._version(what, rows())
        content = {"model": f"{version.name}/{version.number}", "steps": STEPS, "guard": GUARD}
        change_id = await self._changed("promote", content, what)
        rollouts = self._app.rollouts
        begun = await rollouts.get(change_id)
        new = self._of(("1996",))
        for turn in range(SEEN_AGAIN_AFTER):
            for first in range(0, len(new), AT_ONCE):
                if (run := await rollouts.get(change_id)).ended_at_ms is not None:
                    return _told(begun, run, version)
                await self._decided(new[first : first + AT_ONCE], f"{number}-{turn}")
        return _told(begun, await rollouts.get(change_id), version)

    async def _automated(self) -> dict[str, Any]:
        """Return what was approved by itself in 1996 under the bands, and how much of it was fraud."""
        from opsrail.lab.history import history
        from opsrail.lab.joins import with_outcomes

        table = await history(self._app.store, POINT, fields=())
        table = await with_outcomes(self._app.store, table, OUTCOME)
        rows = [
            row
            for row in table.select(["model_number", "autonomy", "verdict", "outcome"]).to_pylist()
            if row["autonomy"] == "automate" and row["model_number"] in (1, 2)
        ]
        approved = [row for row in rows if row["verdict"] == "approve"]
        frauds = sum(bool(row["outcome"]) for row in approved)
        return {
            "decisions": len(rows),
            "approved": len(approved),
            "approved_ratio": round(len(approved) / max(1, len(rows)), 4),
            "fraud_ratio": round(frauds / max(1, len(approved)), 4),
        }

    async def _replayed(self, decision_id: str) -> dict[str, Any]:
        from opsrail.lab.replaying import Replayer

        app = self._app
        points = {POINT: fraud_loop}
        found = await Replayer(app.store, app.registry, app.features, points).replay(decision_id)
        return {
            "decision": decision_id,
            "is_same": found.is_same,
            "score": found.score,
            "verdict": found.verdict,
            "differences": [one.text for one in found.differences],
        }

    # -- what each part is made of -----------------------------------------------------------------------------------

    def _of(self, years: Sequence[str]) -> list[dict[str, str]]:
        return [row for row in self._rows if row["Year"] in years]

    async def _version(self, what: str, rows: Sequence[dict[str, str]]) -> ModelVersion:
        """Train a version and register it; the same rows give the version that they gave before."""
        from examples.claims.train import train

        model = await asyncio.to_thread(train, rows, self._of(("1996",)), has_history=False)
        return await self._app.registry.register(
            MODEL,
            model.onnx_bytes,
            runtime="onnx",
            training_digest=model.training_digest,
            by=AUTHOR,
            metrics=model.metrics,
            card={**model.card, "training": f"Claims of one US insurer, {what}."},
        )

    async def _changed(self, kind: str, content: Mapping[str, Any], reason: str) -> str:
        """Plan a change, have it approved, apply it; one that was applied before is left as it is. Returns its id."""
        changes = self._app.changes
        known = [
            row.id
            for row in await changes.list(point=POINT)
            if (row.kind, row.reason) == (kind, reason)
        ]
        if known:
            view = await changes.get(known[0])
        else:
            view = await changes.plan(POINT, kind, content, by=AUTHOR, reason=reason)
        for approver in APPROVERS:
            spoke = {word.by for word in view.approvals}
            if view.row.state == ChangeState.PLANNED and approver not in spoke:
                view = await changes.approve(view.row.id, by=approver)
        if view.row.state == ChangeState.APPROVED:
            view = await changes.apply(view.row.id, by=AUTHOR)
        return view.row.id

    async def _decided(self, rows: Sequence[Mapping[str, str]], turn: str) -> list[Decision]:
        """Decide claims, and tell at once what the file knows of them."""
        return await asyncio.gather(*(self._decide(row, turn) for row in rows))

    async def _decide(self, row: Mapping[str, str], turn: str) -> Decision:
        claim = Claim.model_validate({name: word for name, word in row.items() if name != LABEL})
        request = Request(
            fraud_loop,
            ClaimFacts.of(claim, Receipt()),
            correlation_id=self._app.clock.token(16).hex(),
            actor=AUTHOR,
            idempotency_key=f"{turn}-{claim.PolicyNumber}",
        )
        async with self._places:
            while True:
                try:
                    decision = await self._app.decider.decide(request)
                    break
                except Overloaded as full:
                    await self._app.clock.sleep(full.after_s or 0.1)
            await self._app.outcomes.record(
                decision.id,
                OUTCOME,
                float(is_fraud(row)),
                source="late",
                by="claims-file",
            )
        return decision


def _told(begun: RolloutRunRow, run: RolloutRunRow, version: ModelVersion) -> dict[str, Any]:
    ended_at_ms = run.ended_at_ms or begun.started_at_ms
    return {
        "model": f"{version.name}/{version.number}",
        "champion": f"{begun.champion_name}/{begun.champion_number}",
        "state": str(RunState(run.state)),
        "step": run.step,
        "steps": len(STEPS),
        "took_s": round((ended_at_ms - begun.started_at_ms) / 1000, 1),
        "why": run.why,
    }
