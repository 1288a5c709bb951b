"""F23: an old copy of the database is put back: noticed at start, and run on only after an operator said so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from opsrail.app import DATABASE
from opsrail.errors import LedgerBroken
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import Where
from tests.support.chaos import ROOT, Site


async def test_a_restored_backup_is_refused_until_an_operator_acknowledges_it(
    sqlite_site: Site,
) -> None:
    site = sqlite_site
    site.wanted |= {f"old-{n}": {"key": f"old-{n}"} for n in range(5)}
    await site.finish()
    kept, notes = dict(site.wanted), list(site.notes)
    shutil.copy(site.folder / DATABASE, site.traces / "backup.db")
    site.wanted |= {f"new-{n}": {"key": f"new-{n}"} for n in range(50)}
    await site.finish()
    lost = site.notes[-1]
    for leftover in site.folder.glob(f"{DATABASE}-*"):
        leftover.unlink()
    shutil.copy(site.traces / "backup.db", site.folder / DATABASE)

    async with site.worker() as refused:
        code = await refused.ended()
    said = site.logs()
    forget_lost_work(site, set(kept))
    site.notes[:] = notes
    with_lost_checkpoint = await checked(site, lost)
    acknowledged = acknowledge(site)
    site.wanted |= {f"later-{n}": {"key": f"later-{n}"} for n in range(3)}
    await site.finish()
    async with site.store() as store:
        entries = await store.select(
            LedgerEntryRow, Where("kind", "=", "ledger.rollback_acknowledged")
        )

    assert code == 1
    assert f"{LedgerBroken.__name__}: The ledger was rolled back" in said
    assert any("rolled back" in fault for fault in with_lost_checkpoint)
    assert (acknowledged.returncode, acknowledged.stderr) == (0, "")
    assert [entry.subject_id for entry in entries] == ["ledger"]
    assert await site.broken_promises() == []


def forget_lost_work(site: Site, kept: set[str]) -> None:
    """Forget what was done after the backup: the copy cannot know of it."""
    lost = set(site.wanted) - kept
    for key in lost:
        del site.wanted[key]
        del site.acknowledged[key]
    sent = [
        line
        for line in (site.traces / "sent").read_text("utf-8").splitlines()
        if '"body": "new-' not in line
    ]
    (site.traces / "sent").write_text("".join(f"{line}\n" for line in sent), "utf-8")


async def checked(site: Site, note: str) -> list[str]:
    """Return what a checkpoint from the lost time shows to be broken."""
    site.notes.append(note)
    try:
        return await site.broken_promises()
    finally:
        site.notes.remove(note)


def acknowledge(site: Site) -> subprocess.CompletedProcess[str]:
    """Do what an operator does."""
    words = f"ledger acknowledge --data {site.folder} --by ann --reason".split()
    return subprocess.run(
        [sys.executable, "-m", "opsrail", *words, "disk lost"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
