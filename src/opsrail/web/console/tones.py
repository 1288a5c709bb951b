"""Which tone a word of the records has on a page: good, warn, bad or none. Pure. The word always stands beside it."""

from __future__ import annotations

from collections.abc import Mapping

TONES: Mapping[str, str] = {
    # verdicts, as most policies name them
    "approve": "good", "accept": "good", "allow": "good", "pay": "good",
    "review": "warn", "refer": "warn", "hold": "warn",
    "decline": "bad", "reject": "bad", "deny": "bad", "block": "bad",
    # changes
    "planned": "accent", "approved": "good", "applied": "good", "rejected": "bad", "withdrawn": "", "rolled-back": "bad",
    # rollouts
    "running": "accent", "paused": "warn", "promoted": "good", "stopped": "warn",
    # stages
    "live": "good", "canary": "accent", "standby": "", "shadow": "", "retired": "",
    # tiers
    "low": "", "medium": "warn", "high": "bad",
    # reviews
    "open": "accent", "claimed": "accent", "ruled": "good",
}  # fmt: skip


def tone(word: str | None) -> str:
    """Return the class of a badge for a word; empty where it says nothing."""
    return TONES.get(word or "", "")
