"""What a reviewer sees of a review: what they must judge, what they may do, and why not. Pure.

Where the queue is blind, nothing that the machine said is part of the view until the person has said theirs: what is not in
the view cannot be in the page.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic_core import from_json

from opsrail.review.machine import Event, Standing, follows, standing_of
from opsrail.review.reading import is_over, shows_ruling
from opsrail.review.ruling import escalated
from opsrail.review.showing import question_of
from opsrail.review.terms import terms_of
from opsrail.review.unasked import case_shown
from opsrail.values.decisions import Decision
from opsrail.values.document_names import without_paths
from opsrail.values.reviews import EXPIRY, ReviewEventRow, ReviewRow, RulingRow
from opsrail.web.console.words import who

PLAIN_VERDICTS = ("approve", "decline")
"""What a queue offers that names no verdicts of its own; any other may be typed. Ours."""
GOOD, BAD = frozenset(("approve", "accept", "pay", "yes")), frozenset(("decline", "reject", "no"))
TAKEN_KEYS = frozenset("bcefjklmnpru?")
"""Keys that pages of reviews use for something else."""
MOST_SHOWN = 200
NO_ROLE = "You may look at it; your roles do not let you rule here."
EVENTS = {
    "opened": "The review was put to the queue",
    "claimed": "The review was taken",
    "released": "The review was given back",
    "said": "A first verdict was said blind",
    "ruled": "The review was ruled on",
    "reconsidered": "The verdict was reconsidered",
    "undone": "The ruling was taken back",
    "asked": "More was asked for",
    "answered": "The question was answered",
    "passed": "The review was passed on",
    "escalated": "The review was escalated",
    "expired": "The review expired, as nobody ruled in time",
    "delivered": "The ruling went to the case",
    "withdrawn": "The review was withdrawn",
}
"""What happened, as a sentence that a name may end."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A verdict that may be ruled.

    Attributes:
        keys: Keys that rule it, joined by a space, as `data-key` takes them.
        is_against: Whether it goes against what policy said, so that a reason is needed.
    """

    verdict: str
    keys: str
    tone: str
    is_against: bool


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of a history.

    Attributes:
        by: Empty: it happened by itself.
    """

    at_ms: int
    what: str
    by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine said, for people."""

    verdict: str
    score: float | None
    confidence: float | None
    model: str
    sentences: tuple[str, ...]


class Undo(NamedTuple):
    """A ruling that its author may take back.

    Attributes:
        until_ms: When it goes to its case; None: it waits for a second person.
    """

    review_id: str
    verdict: str
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class ReviewView:
    """A review as one person sees it.

    Attributes:
        shows_ruling: Whether they may see what was ruled.
        may_rule: Whether their roles let them rule here at all.
        why_not: Why this person cannot rule now; empty: they can.
        is_mine: Whether they hold it.
        machine: None: there is nothing, or they are not to know.
        is_hidden: Whether what the machine said is kept from them until they said theirs.
        said: What this person said, if anything.
        undo: What they may take back, if anything.
        escalates_to: The next queue of its chain; empty: there is none, or they may not.
        asks: What is asked of whoever rules.
        question: What was asked, where it waits for an answer.
        may_answer: Whether this person may answer it.
    """

    row: ReviewRow
    shows_ruling: bool
    state: str
    tone: str
    is_overdue: bool
    may_rule: bool
    why_not: str
    is_mine: bool
    facts: Mapping[str, Any]
    further: Mapping[str, Any]
    machine: Machine | None
    is_hidden: bool
    choices: tuple[Choice, ...]
    said: RulingRow | None
    undo: Undo | None
    escalates_to: str
    asks: str
    question: str
    may_answer: bool
    history: tuple[Happening, ...]

    @property
    def case(self) -> str:
        """The case that is told; of a control case what stands in."""
        return case_shown(self.row)

    @property
    def may_take(self) -> bool:
        """Whether it is free for them."""
        return not self.why_not and not self.is_mine


def view_of(
    row: ReviewRow,
    rulings: Sequence[RulingRow],
    events: Sequence[ReviewEventRow],
    by: str,
    now_ms: int,
    *,
    may_rule: bool = True,
    may_answer: bool = True,
    paths: Collection[str] = (),
) -> ReviewView:
    """Return a review as a person sees it.

    Args:
        rulings: What people said of it.
        events: As far as this person may know them.
        by: Who looks, as records name them.
        may_rule: Whether their roles let them rule here at all.
        may_answer: Whether their roles let them answer questions here.
        paths: Where documents lie that the case read; only their names are shown.
    """
    subject = without_paths(from_json(row.subject), paths)
    said = next((each for each in rulings if each.by == by), None)
    is_hidden = row.blind and said is None and not is_over(row)
    standing = standing_of(row, now_ms)
    is_mine = standing == Standing.CLAIMED and row.assignee == by
    why_not = refusal(row, by, now_ms, said) if may_rule else NO_ROLE
    asked = _asked(events) if standing == Standing.ASKED else None
    return ReviewView(
        row=row,
        shows_ruling=shows_ruling(row, by),
        state=STANDINGS[standing][0],
        tone=STANDINGS[standing][1],
        is_overdue=is_overdue(row, now_ms),
        may_rule=may_rule,
        why_not=why_not,
        is_mine=is_mine,
        facts=_mapping(subject.get("input"), "input"),
        further=_mapping(subject.get("show"), "shown"),
        machine=None if is_hidden else _machine(subject.get("decision")),
        is_hidden=is_hidden,
        choices=choices_of(verdicts_of(row), None if is_hidden else row.verdict),
        said=said,
        undo=undo_of(row, rulings, by, now_ms) if may_rule else None,
        escalates_to="" if why_not else next_queue(row),
        asks=question_of(row),
        question=_question(asked),
        may_answer=may_answer and asked is not None and asked.by != by,
        history=tuple(_history(row, events)),
    )


def refusal(row: ReviewRow, by: str, now_ms: int, said: RulingRow | None) -> str:
    """Return why a person cannot rule on a review now; empty: they can."""
    standing = standing_of(row, now_ms)
    if standing == Standing.WITHDRAWN:
        return "It was withdrawn: its case ended without it."
    if standing in (Standing.RULED, Standing.HELD):
        if row.ruled_by == EXPIRY:
            return "Nobody ruled in time, so the verdict that its queue states holds."
        return "You ruled on it." if row.ruled_by == by else f"It was ruled by {who(row.ruled_by)}."
    if row.requester is not None and row.requester == by:
        return "You handed this case in, so somebody else rules on it."
    if said is not None and said.verdict:
        return "You ruled on it already. This queue wants two different people to look."
    if standing == Standing.CLAIMED and row.assignee != by:
        return f"{who(row.assignee)} holds it now."
    if standing == Standing.ASKED:
        return f"It waits for an answer of {who(row.assignee)}."
    return ""


def undo_of(row: ReviewRow, rulings: Sequence[RulingRow], by: str, now_ms: int) -> Undo | None:
    """Return what a person may take back of a review; None: nothing."""
    mine = next((each for each in rulings if each.review_id == row.id and each.by == by), None)
    standing = standing_of(row, now_ms)
    if mine is None or not mine.verdict or not follows(standing, Event.UNDO):
        return None
    if standing == Standing.HELD:
        return Undo(row.id, mine.verdict, row.wake_at_ms) if row.ruled_by == by else None
    return Undo(row.id, mine.verdict, None)


def whereabouts(row: ReviewRow, by: str, now_ms: int) -> str:
    """Return where the review is that a person looked at just before, in words; empty: nothing is to be said."""
    standing = standing_of(row, now_ms)
    if standing == Standing.ASKED:
        return f"waits for an answer of {who(row.assignee)}"
    if standing == Standing.CLAIMED and row.assignee != by:
        return f"is with {who(row.assignee)} now"
    if standing == Standing.OPEN:
        return f"waits in {row.queue} now"
    if standing == Standing.RULED and row.ruled_by == by:
        return f"was ruled {row.ruling} by you, and has gone to its case"
    return ""


def is_overdue(row: ReviewRow, now_ms: int) -> bool:
    """Return whether a review waits behind its due time."""
    waits = standing_of(row, now_ms) in (Standing.OPEN, Standing.CLAIMED, Standing.ASKED)
    return waits and row.due_at_ms is not None and row.due_at_ms <= now_ms


STANDINGS: Mapping[Standing, tuple[str, str]] = {
    Standing.OPEN: ("waiting", "warn"),
    Standing.CLAIMED: ("held", "accent"),
    Standing.ASKED: ("asked for more", "accent"),
    Standing.HELD: ("ruled, may be taken back", "good"),
    Standing.RULED: ("ruled", "good"),
    Standing.WITHDRAWN: ("withdrawn", ""),
}
"""Where a review stands, in words, and the tone of its badge."""


def choices_of(verdicts: Sequence[str], asked_about: str | None) -> tuple[Choice, ...]:
    """Return the verdicts with their keys: the first letter where it is free, and the place as a digit.

    Args:
        asked_about: What policy said; None: nothing, or the person is not to know.
    """
    taken = set(TAKEN_KEYS)
    choices = []
    for place, verdict in enumerate(verdicts, start=1):
        letter = verdict[:1].lower()
        keys = []
        if letter.isalpha() and letter not in taken:
            taken.add(letter)
            keys.append(letter)
        if place <= 9:
            keys.append(str(place))
        tone = "good" if verdict in GOOD else "bad" if verdict in BAD else ""
        is_against = asked_about not in (None, "review", verdict)
        choices.append(Choice(verdict, " ".join(keys), tone, is_against))
    return tuple(choices)


def _asked(events: Sequence[ReviewEventRow]) -> ReviewEventRow | None:
    return next((each for each in reversed(events) if each.kind == "asked"), None)


def verdicts_of(row: ReviewRow) -> Sequence[str]:
    """Return the verdicts that a page offers."""
    return terms_of(row.terms).verdicts or PLAIN_VERDICTS


def next_queue(row: ReviewRow) -> str:
    """Return the next queue of a review's chain; empty: there is none."""
    return str(escalated(row, terms_of(row.terms)).get("queue", ""))


def _question(asked: ReviewEventRow | None) -> str:
    return "" if asked is None else str(from_json(asked.content).get("question", ""))


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    return value if isinstance(value, Mapping) else {name: value}


def _machine(record: Any) -> Machine | None:
    if not isinstance(record, Mapping):
        return None
    decision = Decision.from_record(dict(record))
    sentences = [*(reason.text for reason in decision.reasons)]
    if decision.unknown:
        sentences.append(f"The model never saw such a value of {', '.join(decision.unknown)}.")
    return Machine(
        decision.verdict,
        decision.score,
        decision.confidence,
        "" if decision.model is None else f"{decision.model.name}/{decision.model.number}",
        tuple(sentences),
    )


def _history(row: ReviewRow, events: Sequence[ReviewEventRow]) -> Iterator[Happening]:
    """Yield what happened, oldest first; what the case did is on its own page, since a control case has none that did it."""
    found: list[Happening] = []
    decision = from_json(row.subject).get("decision")
    if isinstance(decision, Mapping):
        found.append(Happening(decision["at_ms"], f"The case asked {decision['point']}"))
    if not events:
        found.append(Happening(row.opened_at_ms, f"The review was put to the queue {row.queue}"))
    for event in events:
        what = EVENTS.get(event.kind, event.kind)
        note = _note(from_json(event.content))
        found.append(Happening(event.at_ms, what, who(event.by) if event.by else "", note))
    yield from sorted(found, key=lambda each: each.at_ms)[-MOST_SHOWN:]


def _note(content: Mapping[str, Any]) -> str:
    """Return what an event says, in a line."""
    place = () if "question" in content else ("queue",)  # it stays where it was asked
    told = ("verdict", *place, "to", "person", "question", "answer", "reason")
    parts = [
        f"to {who(str(content[name]))}" if name in ("to", "person") else str(content[name])
        for name in told
        if content.get(name)
    ]
    return " · ".join(parts)
