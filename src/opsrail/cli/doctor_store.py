"""What `opsrail doctor` looks at inside an open installation."""

from __future__ import annotations

from opsrail.app import App
from opsrail.cases.loader import Definitions
from opsrail.errors import OpsrailError
from opsrail.ledger.anchor import check_anchored
from opsrail.ledger.reading import last_checkpoint, sequenced_size
from opsrail.ports import Finding
from opsrail.values.cases import (
    FINAL_STATES,
    CaseRow,
    CaseState,
    OutboxRow,
    OutboxState,
    SwitchRow,
    WorkerRow,
)
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Where

FUTURE_MS = 60_000
OPEN_STATES = tuple(state for state in CaseState if state not in FINAL_STATES)


async def clocks(app: App, apart_ms: int) -> Finding:
    """Compare this machine's clock with the database's, and with the newest case."""
    before_ms = app.clock.now_ms()
    theirs_ms = await app.store.now_ms()
    off_ms = theirs_ms - (before_ms + app.clock.now_ms()) // 2
    if abs(off_ms) > apart_ms:
        return Finding(
            "clock", "fail", f"the database's clock is {off_ms:+,} ms off ours; set both by NTP"
        )
    newest = await app.store.select(CaseRow, order=("id",), descending=True, limit=1)
    ahead_ms = newest[0].accepted_at_ms - app.clock.now_ms() if newest else 0
    if ahead_ms > FUTURE_MS:
        what = f"the newest case was accepted {ahead_ms // 1000:,} s from now: this clock went back; set it by NTP"
        return Finding("clock", "warn", what)
    return Finding("clock", "ok", f"agrees with the database's within {abs(off_ms):,} ms")


async def ledger(app: App) -> list[Finding]:
    """Check that the book begins with the checkpoint kept outside the database; the key was checked when it was loaded."""
    size = await sequenced_size(app.store)
    checkpoint = await last_checkpoint(app.store)
    signed = 0 if checkpoint is None else checkpoint.size
    found = [
        Finding(
            "ledger.key", "ok", f"readable by its owner alone; {len(app.signer.verifiers)} key(s)"
        )
    ]
    try:
        note = None if app.anchor is None else app.anchor.read()
        await check_anchored(app.store, app.signer.verifiers, note)
    except OpsrailError as broken:
        return [*found, Finding("ledger.checkpoint", "fail", str(broken))]
    told = f"{size:,} entries, {signed:,} signed" + (
        "" if note else "; no checkpoint is kept outside the database yet"
    )
    return [
        *found,
        Finding("ledger.checkpoint", "ok", f"{told}; check all of them: opsrail ledger verify"),
    ]


async def work(app: App, definitions: Definitions | None) -> list[Finding]:
    """Look for work that nobody carries."""
    late = (
        Where("state", "in", (ReviewState.OPEN, ReviewState.CLAIMED)),
        Where("due_at_ms", "<", app.clock.now_ms()),
    )
    aside = await app.store.count(CaseRow, Where("state", "=", CaseState.SET_ASIDE))
    dead = await app.store.count(OutboxRow, Where("state", "=", OutboxState.DEAD))
    overdue = await app.store.count(ReviewRow, *late)
    stopped = ", ".join(row.name for row in await app.store.select(SwitchRow))
    return [
        await _carried(app, definitions),
        _none("cases.set_aside", aside.get((), 0), "opsrail cases list --state set_aside"),
        _none("actions.dead", dead.get((), 0), "opsrail actions list --state dead"),
        _none("reviews.overdue", overdue.get((), 0), "opsrail reviews list"),
        Finding("actions.stopped", "warn" if stopped else "ok", stopped or "none"),
        await _workers(app),
    ]


async def _carried(app: App, definitions: Definitions | None) -> Finding:
    """Say whether the file defines the automation of every open case."""
    by_name = await app.store.count(CaseRow, Where("state", "in", OPEN_STATES), by=("automation",))
    counts = {str(name): count for (name,), count in by_name.items()}
    if definitions is None:
        names = ", ".join(sorted(counts)) or "none"
        told = f"open cases belong to: {names}; name FILE.py to compare"
        return Finding("cases.automations", "ok", told)
    unknown = {name: count for name, count in counts.items() if name not in definitions.automations}
    if not unknown:
        told = "the file defines the automation of every open case"
        return Finding("cases.automations", "ok", told)
    named = ", ".join(f"{count:,} of {name!r}" for name, count in unknown.items())
    told = f"open cases of automations that the file does not define: {named}"
    return Finding("cases.automations", "fail", told)


async def _workers(app: App) -> Finding:
    alive = await app.store.select(WorkerRow, Where("state", "=", "alive"))
    names = ", ".join(f"{row.host}:{row.pid}" for row in alive)
    return Finding("workers", "ok", f"alive or not yet missed: {names}" if names else "none runs")


def _none(name: str, count: int, look: str) -> Finding:
    return Finding(name, "warn" if count else "ok", f"{count:,}; look: {look}" if count else "none")
