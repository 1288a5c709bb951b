"""What `opsrail doctor` sees of loops that only leave rows: whether spot checks are drawn, and notices sent."""

from __future__ import annotations

from opsrail.app import App
from opsrail.app.sampled import sampler_of
from opsrail.cases.loader import Definitions
from opsrail.clock import rfc3339
from opsrail.ports import Finding
from opsrail.review.sampling import reached_at_ms
from opsrail.values.cases import WorkerRow
from opsrail.values.reviews import CursorRow, NoticeRow
from opsrail.values.rows import Where, equals

LATE_MS = 300_000
"""Ours: what draws leaves its mark once a minute, and what sends looks every second."""


async def drawing(app: App, definitions: Definitions | None) -> list[Finding]:
    """Say how far spot checks and control cases were drawn; without a process that runs nobody is to draw."""
    declared = app.definitions if definitions is None else definitions
    names = sampler_of(app.config, declared, app.store, app.clock).cursors
    rows = {row.name: row for row in await app.store.select(CursorRow)}
    is_running = bool(await app.store.select(WorkerRow, *equals(state="alive"), limit=1))
    audits = [name for name in rows if name.startswith("audit:")] if definitions is None else []
    found = []
    for name in sorted({*names, *audits}):
        row = rows.get(name)
        told = "never looked at" if row is None else f"drawn up to {rfc3339(reached_at_ms(row))}"
        is_late = row is None or reached_at_ms(row) < app.clock.now_ms() - LATE_MS
        if name not in names:
            told = f"{told}; name FILE.py to compare"
        elif is_late and is_running:
            told = f"{told}: what runs has another file or other settings, or only just began"
        is_wrong = name in names and is_late and is_running
        found.append(Finding(f"sampling.{name}", "warn" if is_wrong else "ok", told))
    return found


async def notices(app: App) -> list[Finding]:
    """Look for notices that nobody sends."""
    late = Where("due_at_ms", "<", app.clock.now_ms() - LATE_MS)
    waiting = await app.store.count(NoticeRow, *equals(state="due"), late)
    dead = await app.store.count(NoticeRow, *equals(state="dead"))
    late_count, dead_count = waiting.get((), 0), dead.get((), 0)
    unsent = (
        f"{late_count:,} are late: no process sends them, or no setting names their channel; "
        "look: opsrail notices list --state due"
    )
    lost = f"{dead_count:,}; look: opsrail notices list --state dead"
    return [
        Finding("notices.late", "warn" if late_count else "ok", unsent if late_count else "none"),
        Finding("notices.dead", "warn" if dead_count else "ok", lost if dead_count else "none"),
    ]
