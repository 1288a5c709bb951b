"""The terms under which a review is ruled: what its queue and its call said, kept on its row as JSON.

They stand on the row, so that whoever rules, in whatever process, needs no author's file. Moments are fixed when the review
is opened: a later change of the file moves none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import orjson
from pydantic_core import to_json

LEASE_MS = 15 * 60_000
"""How long who claims a review holds it, unless its queue says otherwise. Ours: a claim takes minutes, a lunch longer."""


class Step(NamedTuple):
    """A step of the escalation chain: from this moment on the review is that queue's."""

    at_ms: int
    to: str


class Expires(NamedTuple):
    """What is ruled by itself when nobody has."""

    at_ms: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Terms:
    """How one review is ruled.

    Attributes:
        verdicts: What may be ruled; empty: anything but `review`.
        undo_ms: How long a ruling is held before it goes to its case.
        lease_ms: How long who claims it holds it.
        hours: Working hours of the queue, as `hours.hours_of` reads them; None: always.
        escalate: The chain, first to last.
        expire: None: never.
        question: What its queue asks of whoever rules; empty: it is made of what there is.
    """

    verdicts: tuple[str, ...] = ()
    undo_ms: int = 0
    lease_ms: int = LEASE_MS
    hours: str | None = None
    escalate: tuple[Step, ...] = ()
    expire: Expires | None = None
    question: str = ""

    def text(self) -> str | None:
        """Return them as the review's row keeps them; None for the plain ones."""
        return None if self == PLAIN else to_json(self).decode()

    def wake_ms(self, level: int) -> int | None:
        """Return when an unruled review next moves by itself, having been escalated `level` times; epoch ms."""
        moments = [step.at_ms for step in self.escalate[level : level + 1]]
        if self.expire is not None:
            moments.append(self.expire.at_ms)
        return min(moments, default=None)


PLAIN = Terms()
"""Those of a queue that nobody declared."""


def terms_of(text: str | None) -> Terms:
    """Return the terms that a review's row keeps."""
    if text is None:
        return PLAIN
    kept = orjson.loads(text)
    expire = kept["expire"]
    return Terms(
        verdicts=tuple(kept["verdicts"]),
        undo_ms=kept["undo_ms"],
        lease_ms=kept["lease_ms"],
        hours=kept["hours"],
        escalate=tuple(Step(*step) for step in kept["escalate"]),
        expire=None if expire is None else Expires(*expire),
        question=kept.get("question", ""),
    )
