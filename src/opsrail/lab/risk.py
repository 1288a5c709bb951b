"""Risks in words: what share of which decisions may be what, e.g. `approved is fraud <= 1%`.

    risk     = share ("<=" | "at most") NUMBER ["%"]
    share    = verdicts "is" truth           of what gets these verdicts, the share with this truth
             | truth "among" verdicts        the same
             | verdicts "among" truth        of what has this truth, the share that gets these verdicts
             | verdicts "and" truth          of all decisions, the share that gets both
    verdicts = verdict {("|" | "or") verdict}
    verdict  = "approved" | "declined" | "automated"       or the policy's own names; `automated` is both
    truth    = OUTCOME | "not" OUTCOME | "honest" | "good" | "bad" | "wrong"

`honest` and `good` are `not OUTCOME`, `bad` is OUTCOME; `wrong` is OUTCOME of what is approved and not OUTCOME of what is
declined. Case does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from opsrail.errors import Fault, InvalidInput

Verdict = Literal["approve", "decline"]
Given = Literal["verdict", "truth", "all"]
TOKEN = re.compile(r"\s*(<=|≤|\||%|\d+(?:\.\d*)?|\.\d+|[^\W\d][\w-]*|\S)")
JOINTS: dict[str, Given] = {"is": "verdict", "among": "truth", "and": "all"}
GOOD, BAD, WRONG = ("honest", "good"), ("bad",), ("wrong",)
GRAMMAR = "write e.g. `approved is fraud <= 1%`, `honest among declined <= 5%`, `approved among fraud <= 10%`"


@dataclass(frozen=True, slots=True)
class Risk:
    """A share that must stay at or below its limit.

    Attributes:
        text: As it was written.
        given: Of what it is a share: of decisions with these verdicts, of decisions with this truth, or of all.
        verdicts: One or both.
        truth: What must be true: True the outcome, False its opposite, None whatever makes the verdict wrong.
        limit: Ratio, above 0 and below 1.
    """

    text: str
    given: Given
    verdicts: tuple[Verdict, ...]
    truth: bool | None
    limit: float

    def wanted(self, verdict: Verdict) -> bool:
        """Return the truth that counts against a decision with this verdict."""
        return verdict == "approve" if self.truth is None else self.truth


@dataclass(frozen=True, slots=True)
class Words:
    """What the words mean here.

    Attributes:
        outcome: Name of what turns out true or not, e.g. `fraud`; None: whatever the risks call it.
        approve, decline: The policy's own names of the two verdicts.
    """

    outcome: str | None = None
    approve: str = "approve"
    decline: str = "decline"

    def verdicts(self, word: str) -> tuple[Verdict, ...]:
        """Return what a word says of verdicts; nothing if it is no verdict."""
        if word == "automated":
            return ("approve", "decline")
        if word in _forms("approve") | _forms(self.approve):
            return ("approve",)
        if word in _forms("decline") | _forms(self.decline):
            return ("decline",)
        return ()


def _forms(verb: str) -> set[str]:
    verb = verb.lower()
    return {verb, f"{verb}d", f"{verb}ed"}


def read_risks(texts: Sequence[str], words: Words) -> tuple[tuple[Risk, ...], str]:
    """Return the risks that the texts state, and the name of the outcome they speak of.

    Raises:
        InvalidInput: a text is none, or they speak of several outcomes; all faults with their column. Terminal.
    """
    risks: list[Risk] = []
    faults: list[Fault] = []
    if isinstance(texts, str) or not texts:
        raise InvalidInput(f"risks is a list with one risk at least; {GRAMMAR}")
    outcome = words.outcome
    for position, text in enumerate(texts):
        reading = _Reading(text, Words(outcome, words.approve, words.decline))
        try:
            risks.append(reading.risk())
            outcome = reading.words.outcome
        except _Stumble as found:
            faults.append(Fault(f"risks[{position}] column {found.column}", str(found)))
    if faults:
        raise InvalidInput("the risks cannot be read", faults)
    return tuple(risks), outcome or "bad"


class _Stumble(Exception):
    def __init__(self, column: int, message: str) -> None:
        super().__init__(message)
        self.column = column


class _Reading:
    """Reads one text from left to right."""

    def __init__(self, text: str, words: Words) -> None:
        self.text = text
        self.words = words
        self._tokens = [(found.group(1), found.start(1) + 1) for found in TOKEN.finditer(text)]
        self._place = 0

    def risk(self) -> Risk:
        """Return the risk that the whole text is."""
        verdicts = self._verdicts()
        if not verdicts and self._peek(1) in ("is", "and"):
            raise self._stumble(f"expected {self._verdict_words()}")
        truth = None if verdicts else self._truth()
        given: Given = "verdict"
        if verdicts:
            joint = self._one_of("is", "among", "and")
            truth = self._truth()
            given = JOINTS[joint]
            if given == "truth" and truth is None:
                raise self._stumble("of what is wrong no share can be taken; name the outcome", -1)
        else:
            self._one_of("among")
            verdicts = self._verdicts()
            if not verdicts:
                raise self._stumble(f"expected {self._verdict_words()}")
        limit = self._limit()
        return Risk(" ".join(self.text.split()), given, verdicts, truth, limit)

    def _verdicts(self) -> tuple[Verdict, ...]:
        found: set[Verdict] = set(self.words.verdicts(self._peek()))
        if not found:
            return ()
        self._place += 1
        while self._peek() in ("|", "or"):
            self._place += 1
            more = self.words.verdicts(self._peek())
            if not more:
                raise self._stumble(f"expected {self._verdict_words()}")
            found |= set(more)
            self._place += 1
        return tuple(sorted(found))

    def _truth(self) -> bool | None:
        is_negated = self._peek() == "not"
        self._place += is_negated
        word = self._peek()
        if not re.fullmatch(r"[^\W\d][\w-]*", word) or self.words.verdicts(word):
            raise self._stumble(f"expected {self._verdict_words()} or what turns out true")
        self._place += 1
        truth = self._meaning(word)
        if truth is None and is_negated:
            raise self._stumble("`not wrong` is no risk; say what may go wrong", -1)
        return truth if truth is None else truth != is_negated

    def _meaning(self, word: str) -> bool | None:
        if self.words.outcome is not None and word == self.words.outcome.lower():
            return True
        if word in WRONG:
            return None
        if word in GOOD or word in BAD:
            return word in BAD
        if self.words.outcome is None:
            self.words = Words(word, self.words.approve, self.words.decline)
            return True
        raise self._stumble(f"expected the outcome {self.words.outcome!r} or `honest`", -1)

    def _limit(self) -> float:
        if self._peek() == "at":
            self._one_of("at")
            self._one_of("most")
        else:
            self._one_of("<=", "≤")
        try:
            limit = float(self._peek())
        except ValueError:
            raise self._stumble("expected a number, e.g. 1%") from None
        self._place += 1
        if self._peek() == "%":
            self._place += 1
            limit /= 100
        if self._place < len(self._tokens):
            raise self._stumble("expected the end")
        if not 0 < limit < 1:
            raise self._stumble("the limit is a share above 0 and below 1, e.g. 0.01 or 1%", -1)
        return limit

    def _one_of(self, *wanted: str) -> str:
        word = self._peek()
        if word not in wanted:
            raise self._stumble("expected " + " or ".join(f"`{one}`" for one in wanted))
        self._place += 1
        return word

    def _peek(self, ahead: int = 0) -> str:
        place = self._place + ahead
        return self._tokens[place][0].lower() if place < len(self._tokens) else ""

    def _verdict_words(self) -> str:
        names = dict.fromkeys(["approved", "declined", "automated"])
        return " or ".join(f"`{name}`" for name in names)

    def _stumble(self, message: str, back: int = 0) -> _Stumble:
        """Return the fault at the next token, or `back` tokens from it."""
        place = max(0, self._place + back)
        if place >= len(self._tokens):
            return _Stumble(len(self.text) + 1, f"{message}, found the end; {GRAMMAR}")
        word, column = self._tokens[place]
        return _Stumble(column, f"{message}, found {word!r}; {GRAMMAR}")
