"""A queue as authors declare it: which rulings it knows, how long people have, and what happens when they do not rule.

desk = Queue("claims-desk", verdicts=("approve", "decline"), form=Correction, due="4h", undo="10s", eyes=2)

@claims.run
async def intake(case: Case, claim: Claim) -> Settlement:
    ruling = await case.review(desk, decision, values={"amount_usd": amount})
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pydantic import BaseModel

from opsrail.errors import Fault, InvalidInput
from opsrail.review.forms import form_faults
from opsrail.review.hours import MOST_DAYS, Hours, hours_of
from opsrail.review.terms import Expires, Step, Terms
from opsrail.values.spans import Span, span_ms

NAME = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,98}[\x21-\x7e])?")
SKILL = re.compile(r"[a-z0-9][a-z0-9._+-]{0,62}")
VERDICT_CHARACTERS = 64
QUESTION = re.compile(r"(?=.*\S)[^\x00-\x1f\x7f-\x9f]{1,200}")
MOST_UNDO_MS = 24 * 3_600_000
"""Ours: a ruling that is held for longer than a day keeps its case waiting for nothing."""
LEAST_LEASE_MS = 1_000
MOST_AHEAD_MS = MOST_DAYS * 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Escalation:
    """A step of a queue's escalation chain.

    Attributes:
        after: Time since the review was opened, e.g. `"2h"`; counted in the queue's working hours.
        to: Queue that has it from then on.
    """

    after: Span
    to: str


@dataclass(frozen=True, slots=True)
class Expiry:
    """What is ruled when nobody has for so long.

    Attributes:
        after: Time since the review was opened; counted in the queue's working hours.
        verdict: The default ruling; its `ruled_by` is `expiry`.
    """

    after: Span
    verdict: str


@dataclass(frozen=True, slots=True)
class Queue:
    """A desk where people rule. What it says is written on each review when that is opened.

    Attributes:
        name: Stands in rows, URLs and commands; printable ASCII, at most 100 characters.
        title: What people read; empty: the name.
        question: What is asked of whoever rules, one line; empty: made of verdicts, point, automation and first facts.
        verdicts: What may be ruled; empty: anything but `review`.
        form: pydantic model of what a person may fill in beside the verdict; `Ruling.fields` holds it.
        due: Time the desk has; None: no limit.
        blind: Whether each person says their own verdict before they see what the machine said.
        eyes: How many different people must say the same, 1 or 2.
        undo: How long a ruling may be taken back before it goes to its case; at most a day. 0: it goes at once.
        lease: How long who takes a review holds it without a sign of life.
        skills: What who rules must know, e.g. `german`; all of them.
        hours: When it is staffed, e.g. `Mon-Fri 08:00-18:00 Europe/Berlin`: due time, escalation and expiry count that
            time only. None: always.
        escalate: Chain of queues that it goes to when nobody rules, or two people disagree.
        expire: Default ruling when nobody rules at all; None: it waits.

    Raises:
        InvalidInput: all faults at once. Terminal.
    """

    name: str
    title: str = ""
    question: str = ""
    verdicts: Sequence[str] = ()
    form: type[BaseModel] | None = None
    due: Span | None = None
    blind: bool = False
    eyes: int = 1
    undo: Span = 0
    lease: Span = "15m"
    skills: Sequence[str] = ()
    hours: str | None = None
    escalate: Sequence[Escalation] = ()
    expire: Expiry | None = None

    def __post_init__(self) -> None:
        for name in ("verdicts", "skills", "escalate"):
            given = getattr(self, name)
            listed = (given,) if isinstance(given, str) else tuple(given)
            object.__setattr__(self, name, listed)
        if found := list(_faults(self)):
            raise InvalidInput(f"queue {self.name!r} cannot be defined", found)

    @property
    def shown(self) -> str:
        """Return what people read."""
        return self.title or self.name

    def terms(self, now_ms: int) -> Terms:
        """Return how a review is ruled that is opened now."""
        steps = tuple(Step(self.after_ms(now_ms, step.after), step.to) for step in self.escalate)
        expire = None
        if self.expire is not None:
            expire = Expires(self.after_ms(now_ms, self.expire.after), self.expire.verdict)
        return Terms(
            question=self.question,
            verdicts=tuple(self.verdicts),
            undo_ms=span_ms(self.undo),
            lease_ms=span_ms(self.lease),
            hours=self.hours,
            escalate=steps,
            expire=expire,
        )

    def after_ms(self, start_ms: int, span: Span) -> int:
        """Return when a span of the queue's working time has passed. Epoch ms."""
        hours: Hours | None = None if self.hours is None else hours_of(self.hours)
        length_ms = span_ms(span)
        return start_ms + length_ms if hours is None else hours.after_ms(start_ms, length_ms)


def _faults(queue: Queue) -> Iterator[Fault]:
    """Yield everything that is wrong with a queue."""
    if not NAME.fullmatch(queue.name):
        yield Fault("name", f"{queue.name!r}: 1 to 100 printable ASCII characters")
    if queue.question and not QUESTION.fullmatch(queue.question):
        yield Fault("question", f"{queue.question[:63]!r}: a line of 1 to 200 characters")
    yield from _verdict_faults(queue)
    form: object = queue.form
    if form is not None:
        if inspect.isclass(form) and issubclass(form, BaseModel):
            yield from form_faults(form)
        else:
            yield Fault("form", "is not a pydantic model")
    if queue.eyes not in (1, 2):
        yield Fault("eyes", f"{queue.eyes!r}: 1 or 2 people")
    for skill in map(str, queue.skills):
        if not SKILL.fullmatch(skill):
            yield Fault("skills", f"{skill!r}: a word of a-z, 0-9 and . _ + -, e.g. german")
    yield from _time_faults(queue)


def _verdict_faults(queue: Queue) -> Iterator[Fault]:
    for verdict in map(str, queue.verdicts):
        if not 1 <= len(verdict) <= VERDICT_CHARACTERS:
            yield Fault("verdicts", f"{verdict!r}: 1 to {VERDICT_CHARACTERS} characters")
        elif verdict == "review":
            yield Fault("verdicts", "'review' is the question, not an answer")
    if len(set(queue.verdicts)) < len(queue.verdicts):
        yield Fault("verdicts", "one stands there twice")
    if queue.expire is not None:
        verdict = queue.expire.verdict
        if not 1 <= len(verdict) <= VERDICT_CHARACTERS or verdict == "review":
            yield Fault("expire", f"{verdict!r} is no ruling")
        elif queue.verdicts and verdict not in queue.verdicts:
            yield Fault("expire", f"{verdict!r} is none of the queue's verdicts")


def _time_faults(queue: Queue) -> Iterator[Fault]:
    lengths: dict[str, int] = {}
    spans = {"due": queue.due, "undo": queue.undo, "lease": queue.lease}
    spans |= {f"escalate[{at}]": step.after for at, step in enumerate(queue.escalate)}
    spans |= {} if queue.expire is None else {"expire": queue.expire.after}
    for place, span in spans.items():
        try:
            lengths[place] = 0 if span is None else span_ms(span)
        except InvalidInput as wrong:
            yield Fault(place, wrong.summary)
    if lengths.get("undo", 0) > MOST_UNDO_MS:
        yield Fault("undo", f"{queue.undo!r} is more than a day")
    if lengths.get("lease", LEAST_LEASE_MS) < LEAST_LEASE_MS:
        yield Fault("lease", f"{queue.lease!r} is less than a second")
    chain = [lengths.get(f"escalate[{at}]", -1) for at in range(len(queue.escalate))]
    if chain != sorted(set(chain)) and -1 not in chain:
        yield Fault("escalate", "each step comes later than the one before")
    for at, step in enumerate(queue.escalate):
        if not NAME.fullmatch(step.to):
            yield Fault(f"escalate[{at}]", f"{step.to!r} is no queue's name")
    if "expire" in lengths and lengths["expire"] <= max(chain, default=0):
        yield Fault("expire", "it expires before it was escalated to the end, or at once")
    yield from _far_faults(queue.hours, lengths)


def _far_faults(hours: str | None, lengths: Mapping[str, int]) -> Iterator[Fault]:
    """Yield which hours tell nothing, and which moments would be too far away to be written."""
    try:
        if hours is not None:
            hours_of(hours)
    except InvalidInput as wrong:
        yield Fault("hours", wrong.summary)
        hours = None
    for place, length_ms in lengths.items():
        if length_ms > MOST_AHEAD_MS:
            yield Fault(place, "is more than ten years")
        elif hours is not None and place not in ("undo", "lease"):
            yield from (Fault(place, why) for why in _unstaffed(hours, length_ms))


@lru_cache(256)
def _unstaffed(hours: str, length_ms: int) -> tuple[str, ...]:
    """Return why so much working time never comes, if it does not; kept, since each review's queue is checked."""
    try:
        hours_of(hours).after_ms(0, length_ms)
    except InvalidInput as wrong:
        return (wrong.summary,)
    return ()
