"""The life of a review, as a table: each standing and each event have an answer. Pure: no I/O, no clock.

A standing is a little more than the row's state: a lease that ran out makes a claimed review open again, and a ruling that
may still be taken back is held. What an event leads to may depend on what is said: the first of four eyes leaves a review
open, the second ends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from opsrail.errors import AlreadyRuled
from opsrail.values.reviews import ReviewRow, ReviewState


class Standing(StrEnum):
    """Where a review stands at a moment."""

    OPEN = "open"
    CLAIMED = "claimed"  # somebody holds it, and the lease runs
    ASKED = "asked"  # somebody was asked for more
    HELD = "held"  # ruled; the ruling has not gone to its case and may be taken back
    RULED = "ruled"
    WITHDRAWN = "withdrawn"


class Event(StrEnum):
    """What can happen to a review."""

    CLAIM = "claim"
    RELEASE = "release"
    SAY = "say"  # a person's own verdict, before they see the machine's
    RULE = "rule"
    RECONSIDER = "reconsider"  # who said or ruled changes their mind
    UNDO = "undo"
    ASK = "ask"
    ANSWER = "answer"
    HAND_ON = "pass"
    ESCALATE = "escalate"
    EXPIRE = "expire"  # nobody ruled: the stated default does
    LAPSE = "lapse"  # the lease ran out
    DELIVER = "deliver"  # the held ruling goes to its case
    WITHDRAW = "withdraw"  # its case ended without it


OPEN, CLAIMED, ASKED = Standing.OPEN, Standing.CLAIMED, Standing.ASKED
HELD, RULED, WITHDRAWN = Standing.HELD, Standing.RULED, Standing.WITHDRAWN
DECIDED = (OPEN, HELD, RULED)
"""Where a ruling may lead: to be held, to its case, or back for a second pair of eyes."""
MOVES: Mapping[tuple[Standing, Event], tuple[Standing, ...]] = {
    (OPEN, Event.CLAIM): (CLAIMED,),
    (OPEN, Event.SAY): (CLAIMED,),
    (OPEN, Event.RULE): DECIDED,
    (OPEN, Event.RECONSIDER): DECIDED,
    (OPEN, Event.UNDO): (CLAIMED,),
    (OPEN, Event.ASK): (ASKED,),
    (OPEN, Event.HAND_ON): (OPEN, CLAIMED),
    (OPEN, Event.ESCALATE): (OPEN,),
    (OPEN, Event.EXPIRE): (RULED,),
    (OPEN, Event.WITHDRAW): (WITHDRAWN,),
    (CLAIMED, Event.CLAIM): (CLAIMED,),
    (CLAIMED, Event.RELEASE): (OPEN,),
    (CLAIMED, Event.SAY): (CLAIMED,),
    (CLAIMED, Event.RULE): DECIDED,
    (CLAIMED, Event.RECONSIDER): DECIDED,
    (CLAIMED, Event.ASK): (ASKED,),
    (CLAIMED, Event.HAND_ON): (OPEN, CLAIMED),
    (CLAIMED, Event.ESCALATE): (OPEN,),
    (CLAIMED, Event.EXPIRE): (RULED,),
    (CLAIMED, Event.LAPSE): (OPEN,),
    (CLAIMED, Event.WITHDRAW): (WITHDRAWN,),
    (ASKED, Event.CLAIM): (CLAIMED,),
    (ASKED, Event.ANSWER): (OPEN, CLAIMED),
    (ASKED, Event.HAND_ON): (OPEN, CLAIMED),
    (ASKED, Event.ESCALATE): (OPEN,),
    (ASKED, Event.EXPIRE): (RULED,),
    (ASKED, Event.WITHDRAW): (WITHDRAWN,),
    (HELD, Event.RECONSIDER): DECIDED,
    (HELD, Event.UNDO): (CLAIMED,),
    (HELD, Event.DELIVER): (RULED,),
    (HELD, Event.WITHDRAW): (WITHDRAWN,),
}
"""What may follow; a pair that is not here is refused."""

REFUSALS: Mapping[Standing, str] = {
    OPEN: "is held by nobody; claim it first",
    CLAIMED: "is held by {row.assignee}, and no ruling of it waits",
    ASKED: "waits for an answer of {row.assignee}; claim it to go on without",
    HELD: "was ruled by {row.ruled_by}, who may take that back until it goes out",
    RULED: "was ruled {row.ruling!r} by {row.ruled_by}",
    WITHDRAWN: "was withdrawn: its case {row.case_id} ended without it",
}


def standing_of(row: ReviewRow, now_ms: int) -> Standing:
    """Return where a review stands."""
    if row.state == ReviewState.CLAIMED:
        return CLAIMED if (row.lease_until_ms or 0) > now_ms else OPEN
    if row.state == ReviewState.RULED:
        is_held = row.delivered_at_ms is None and row.wake_at_ms is not None
        return HELD if is_held else RULED
    return Standing(row.state)


def follows(standing: Standing, event: Event) -> tuple[Standing, ...]:
    """Return where an event may lead; empty: it cannot happen then."""
    return MOVES.get((standing, event), ())


def refuse_unless(row: ReviewRow, event: Event, now_ms: int) -> Standing:
    """Return where a review stands, in which the event can happen.

    Raises:
        AlreadyRuled: it cannot. Conflict: look at the review again.
    """
    standing = standing_of(row, now_ms)
    if not follows(standing, event):
        if event == Event.ANSWER and standing in (OPEN, CLAIMED):
            raise AlreadyRuled(f"review {row.id} waits for no answer: it is {standing}")
        raise AlreadyRuled(f"review {row.id} {REFUSALS[standing].format(row=row)}")
    return standing
