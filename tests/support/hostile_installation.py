"""Fills an installation through every door that others write through: models and their cards, cases, rulings, outcomes."""

from __future__ import annotations

import urllib.error
from pathlib import Path
from typing import Any, Protocol

from opsrail.app import App, build
from opsrail.cases.intake import Submission
from opsrail.cases.loader import load_file
from opsrail.config import load
from opsrail.errors import InvalidInput
from opsrail.registry.rollout import Stage
from opsrail.values.guards import StepPlan
from opsrail.values.rows import Insert
from opsrail.watch.alarms import alarm_of
from tests.support.hostile import PAYLOADS

AUTOMATION, POINT, QUEUE = "complaints", "complaint-risk", "complaints <desk>"
FILE = Path(__file__).with_name("hostile_automation.py")
DEEDS = ("ask", "pay", "ask", "fail to pay", "ask", "break", "stumble")
ALL = list(PAYLOADS.values())


class Asked(Protocol):
    """What answers the JSON interface: `Served`, or an app in this process."""

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return an answer; a problem raises `HTTPError`. Blocking."""
        ...


async def prepare(folder: Path) -> None:
    """Write what is written before a server runs: models, cards, a rollout, alarms, cases from files with hostile names."""
    config, _ = load()
    async with build(config, folder, load_file(FILE), runs=True).running() as app:
        await _models(app)
        writes = [
            Insert(alarm_of(app.clock, POINT, "guarantee-broken", text[:200], text, {"seen": text}))
            for text in ALL
            if text.strip()  # alarms are sentences of ours around names of others
        ]
        await app.store.commit(writes)
        for number, text in enumerate(ALL):
            try:
                given = complaint(number, "pay", text)
                await app.intake.accept(Submission(AUTOMATION, given, f"file:{text[:200]}"))
            except InvalidInput:
                continue  # refused at the door: nothing to show


async def _models(app: App) -> None:
    card = {
        **dict(zip(("owner", "intended_use", "caveats", "metrics"), ALL, strict=False)),
        "ethical_considerations": "\n".join(text[:300] for text in ALL),
        "quantitative_analyses": {text[:80]: {"auc": 0.7} for text in ALL},
    }  # fmt: skip
    versions = [
        await app.registry.register(
            model.name, model.artifact, runtime="python", training_digest="sha256:" + "0" * 64, by=text[:100],
            card=card, metrics={"auc": 0.7},
        )
        for model, text in zip(app.definitions.models, ALL, strict=False)
    ]  # fmt: skip
    await app.registry.promote(POINT, versions[0], Stage.LIVE, by=ALL[0], reason=ALL[1])
    for text in ALL[:6]:
        begun = await app.rollouts.begin(
            POINT, versions[1], (StepPlan(0.1, 3600.0),), by=text[:100], reason=text
        )
        await app.rollouts.stop(begun.id, by=text[:100], reason=text)


async def add_people(folder: Path) -> None:
    """Make users with hostile names; from then on this machine alone is trusted no more."""
    config, _ = load()
    async with build(config, folder).opened() as app:
        for number, text in enumerate(ALL[:12]):
            shown = "".join(filter(str.isprintable, text))[:100]
            await app.access.users.add(f"person-{number}", by="tests", shown=shown)


def complaint(number: int, deed: str, text: str) -> dict[str, Any]:
    """Return a case whose every field is a payload."""
    other = ALL[(number + 1) % len(ALL)]
    return {
        "deed": deed,
        "name": text[:500],
        "text": text,
        "file": f"{other[:100]}.pdf",
        "tags": [text[:100], other[:100]],
        "details": {text[:100]: other[:500], "deep": [{"x": text[:100]}]},
        other[:60] + "!": text[:100],
    }


def fill(served: Asked) -> int:
    """Do what others do to a server that runs; return how many cases it took. Blocking."""
    taken = 0
    for number, text in enumerate(ALL):
        given = complaint(number, DEEDS[number % len(DEEDS)], text)
        if tried(served, "POST", f"/v1/cases/{AUTOMATION}", given) is not None:
            taken += 1
    for number, review in enumerate(served.ask("GET", "/v1/reviews?limit=100")["reviews"]):
        text = ALL[number % len(ALL)]
        body = {
            "by": text[:100],
            "verdict": ("pay", "decline", text[:60])[number % 3],
            "reason": text,
        }
        if number % 2:
            tried(served, "POST", f"/v1/reviews/{review['id']}/rule", body)
        elif number % 4 == 0:
            tried(served, "POST", f"/v1/reviews/{review['id']}/claim", {"by": text[:100]})
    for number, text in enumerate(ALL):
        request = {"deed": "pay", "name": text[:500], "text": text}
        decision = tried(served, "POST", f"/v1/decisions/{POINT}", request)
        if decision is not None and number % 3 == 0:
            outcome = {"name": "fraud", "value": 1, "source": "late", "by": text[:60]}
            tried(served, "POST", f"/v1/decisions/{decision['id']}/outcomes", outcome)
        change = {"point": POINT, "kind": "deadline", "content": {"deadline_ms": 500 + number}}
        plan = tried(served, "POST", "/v1/changes", {**change, "by": text[:100], "reason": text})
        if plan is not None and number % 2:
            end = {"by": text[:100], "reason": text}
            tried(served, "POST", f"/v1/changes/{plan['id']}/reject", end)
    return taken


def tried(served: Asked, method: str, path: str, body: Any) -> Any:
    """Return what was answered; None where the door refused it, which is as good: nothing is kept then."""
    try:
        return served.ask(method, path, body)
    except urllib.error.HTTPError as refused:
        refused.close()
        if refused.code >= 500:
            raise
        return None
