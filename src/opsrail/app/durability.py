"""What a database promises less than it should, and what of it was accepted. Pure, but for the log."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from opsrail.errors import WeakDurability
from opsrail.ports import Finding

log = logging.getLogger("opsrail.app")


def accepted_of(findings: Iterable[Finding], allow_weak: bool) -> frozenset[str]:
    """Say what a database promises less than it should, and return the names of what loses commits and was accepted.

    Args:
        allow_weak: `store.allow_weak`.

    Raises:
        WeakDurability: it loses commits, and nobody accepted that. Terminal: nothing was started.
    """
    weak = [finding for finding in findings if finding.level != "ok"]
    for finding in weak:
        log.warning("%s: %s (see: opsrail doctor)", finding.name, finding.message)
    failed = [finding for finding in weak if finding.level == "fail"]
    if failed and not allow_weak:
        listed = "".join(f"\n  {finding.name}: {finding.message}" for finding in failed)
        raise WeakDurability(
            f"this database cannot keep what opsrail promises; nothing was started. Mend it, or set "
            f"store.allow_weak (OPSRAIL_STORE__ALLOW_WEAK=true) to accept the loss:{listed}"
        )
    return frozenset(finding.name for finding in failed)
