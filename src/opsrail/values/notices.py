"""What a notice says: what happened, to which id, where to look; no personal value of a case."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

OPENED, DUE, ASKED, PASSED, ESCALATED, EXPIRED = (
    "review.opened",
    "review.due",
    "review.asked",
    "review.passed",
    "review.escalated",
    "review.expired",
)
ALARM, CHANGE = "alarm.raised", "change.awaits"
KINDS = (OPENED, DUE, ASKED, PASSED, ESCALATED, EXPIRED, ALARM, CHANGE)
URGENT = (ESCALATED, EXPIRED, ALARM)
"""Kinds that pass quiet hours unless a channel says otherwise. Ours: what gets worse by waiting until morning."""
WORDS = {
    OPENED: "A review waits",
    DUE: "A review is due soon",
    ASKED: "A question about a review waits for an answer",
    PASSED: "A review was passed on",
    ESCALATED: "A review was escalated",
    EXPIRED: "A review expired: its default was ruled",
    ALARM: "An alarm rings",
    CHANGE: "A change awaits approval",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One message.

    Attributes:
        id: The same however often it is sent.
        kind: One of `KINDS`.
        subject_id: What it speaks of.
        place: Queue or decision point.
        at_ms: When it happened, epoch ms.
        due_at_ms: Until when something is to be done; None: no limit.
        link: Where it is seen by who signs in; empty: not known how browsers reach this server.
        person: Whom alone of the users it is for, as records name them; None: all. It is kept and not sent.
    """

    id: str
    kind: str
    subject_id: str
    place: str
    at_ms: int
    due_at_ms: int | None = None
    link: str = ""
    person: str | None = None

    @property
    def title(self) -> str:
        """Return it in one line."""
        return f"{WORDS.get(self.kind, self.kind)}: {self.place}"

    def kept(self) -> str:
        """Return what its row keeps beside kind and subject."""
        known: dict[str, str | int | None] = {
            "place": self.place,
            "at_ms": self.at_ms,
            "due_at_ms": self.due_at_ms,
        }
        if self.person is not None:
            known["person"] = self.person
        return orjson.dumps(known).decode()
