"""Policy: what a score means. Pure: the same request and score give the same verdict, with reasons.

The order, which no score can change:

1. Rules, first to last. The first that matches gives the verdict; later rules are not asked. A rule that raises gives
   `on_error`.
2. With a score: `on_unknown`, if the policy has it and the score rests on values the model was never trained on; else
   the first band whose `below` is above the score.
3. Without: the point's fallback; a fallback that fails, or none, gives `without_score`.
"""

from __future__ import annotations

import copy
import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel

from opsrail.decide.code import code_digest, is_plain_function
from opsrail.errors import Fault, InvalidInput
from opsrail.values.bands import Band as Band
from opsrail.values.bands import band_faults, band_of
from opsrail.values.canonical import canonical
from opsrail.values.models import Score
from opsrail.values.reasons import Reason

M = TypeVar("M", bound=BaseModel)
RULE_FAILED = "rule-failed"
Fallback = Callable[[M], str | tuple[str, str]]
"""Answers when no score can be had: the request -> verdict, or (verdict, reason). A plain function, quick, without I/O."""


@dataclass(frozen=True)  # no slots: `Rule[Claim](...)` needs a place for its type
class Rule(Generic[M]):
    """A condition on the request that no score can override.

    Attributes:
        name: Stands in the decision's reasons; unique in the policy.
        when: The request -> whether the rule matches. A plain function, quick, without I/O.
        verdict: What it gives then.
        reason: One sentence for people: why.
    """

    name: str
    when: Callable[[M], bool]
    verdict: str
    reason: str


REVIEW = "review"


@dataclass(slots=True)
class Judgement:
    """What policy says: a verdict with its reasons."""

    verdict: str
    reasons: tuple[Reason, ...]

    @property
    def is_ruled(self) -> bool:
        """Whether a rule gave the verdict, or failed: then no score could have changed it."""
        first = self.reasons[0]
        return first.source == "rule" or first.code == RULE_FAILED


class NoScore(NamedTuple):
    """Why no score could be had: an error's code, and a sentence for people."""

    code: str
    text: str


class Policy(Generic[M]):
    """Bands and rules of one decision point. Do not change one: make another.

    Args:
        bands: Ascending by `below`; together they cover every score from 0 to 1, so the last `below` is above 1.
        rules: Checked first to last; the first match wins.
        on_error: Verdict when a rule raises: the safest there is. None: that of `review`.
        without_score: Verdict when no score can be had and the point has no fallback, or the fallback fails. None: that of
            `review`.
        on_unknown: Verdict when the model met values it was never trained on; None: the bands decide all the same.
        review: The verdict that sends to a person. It holds wherever people decide instead of the policy.

    Raises:
        InvalidInput: it is not total or contradicts itself; all faults at once. Terminal.

    Example:
        >>> policy = Policy(bands=[Band("approve", below=0.12), Band("review", below=1.01)])
        >>> policy.band(0.2).verdict
        'review'
    """

    def __init__(
        self,
        bands: Sequence[Band],
        rules: Sequence[Rule[M]] = (),
        *,
        on_error: str | None = None,
        without_score: str | None = None,
        on_unknown: str | None = None,
        review: str = REVIEW,
    ) -> None:
        self.bands = tuple(bands)
        self.rules = tuple(rules)
        self.on_error = review if on_error is None else on_error
        self.without_score = review if without_score is None else without_score
        self.on_unknown = on_unknown
        self.review = review
        if found := [*band_faults(self.bands), *_rule_faults(self.rules), *_default_faults(self)]:
            raise InvalidInput("the policy cannot be used", found)

    @functools.cached_property
    def verdicts(self) -> tuple[str, ...]:
        """Every verdict this policy may give, each once."""
        given = [band.verdict for band in self.bands] + [rule.verdict for rule in self.rules]
        unknown = [] if self.on_unknown is None else [self.on_unknown]
        return tuple(dict.fromkeys([*given, self.on_error, self.without_score, *unknown]))

    @functools.cached_property
    def version(self) -> str:
        """16 hex digits over everything that can change a verdict; the same on every machine and after every restart."""
        content = {
            "bands": [[band.verdict, band.below] for band in self.bands],
            "rules": self._rule_parts,
            "on_error": self.on_error,
            "without_score": self.without_score,
            "on_unknown": self.on_unknown,
        }
        if self.review != REVIEW:  # as the digests before there was a choice
            content["review"] = self.review
        return hashlib.sha256(canonical(content)).hexdigest()[:16]

    @functools.cached_property
    def _rule_parts(self) -> list[list[str]]:
        return [
            [rule.name, rule.verdict, rule.reason, code_digest(rule.when)] for rule in self.rules
        ]

    def with_bands(self, bands: Sequence[Band]) -> Policy[M]:
        """Return the policy with other bands. Raises InvalidInput: they are not total. Terminal."""
        if found := list(band_faults(bands)):
            raise InvalidInput("the policy cannot be used", found)
        other = copy.copy(self)  # with what was found of the rules' source
        for derived in ("version", "verdicts"):
            other.__dict__.pop(derived, None)
        other.bands = tuple(bands)
        return other

    def judge(
        self, facts: M, score: Score | NoScore, fallback: Fallback[M] | None = None
    ) -> Judgement:
        """Return the verdict on a request. Total: it raises nothing, whatever rules and fallback do.

        Args:
            score: What the model said, or why it said nothing.
            fallback: Asked when there is no score and no rule matched.
        """
        if (ruled := self._by_rule(facts)) is not None:
            return ruled
        if isinstance(score, Score):
            return self.by_score(score)
        return self._without(facts, score, fallback)

    def by_score(self, score: Score) -> Judgement:
        """Return the verdict on a request that no rule matched."""
        verdict, below = self.band(score.value)
        text = f"The score {score.value:.4g} is below {below:g}, the limit of {verdict!r}."
        by_band = Reason("score-in-band", text, "band")
        if score.unknown and self.on_unknown is not None:
            text = f"The model was never trained on the value of {', '.join(score.unknown)}."
            return Judgement(self.on_unknown, (Reason("unknown-values", text, "policy"), by_band))
        return Judgement(verdict, (by_band,))

    def band(self, score: float) -> Band:
        """Return the band of a score in [0, 1]."""
        return band_of(self.bands, score)

    def _by_rule(self, facts: M) -> Judgement | None:
        for rule in self.rules:
            try:
                if rule.when(facts):
                    return Judgement(rule.verdict, (Reason(rule.name, rule.reason, "rule"),))
            except Exception as fault:
                text = f"Rule {rule.name!r} failed ({type(fault).__name__}), so the safe verdict {self.on_error!r} holds."
                return Judgement(self.on_error, (Reason(RULE_FAILED, text, "policy"),))
        return None

    def _without(self, facts: M, score: NoScore, fallback: Fallback[M] | None) -> Judgement:
        why = Reason(score.code, score.text, "policy")
        if fallback is None:
            return Judgement(self.without_score, (why,))
        try:
            answer = fallback(facts)
            verdict, text = (
                (answer, f"The fallback says {answer!r}.") if isinstance(answer, str) else answer
            )
            if verdict in self.verdicts and _is_text(text):
                return Judgement(verdict, (Reason("fallback", text, "fallback"), why))
            failure = f"answered {str(verdict)[:80]!r}, which is none of {', '.join(self.verdicts)}"
        except Exception as fault:
            failure = f"failed ({type(fault).__name__})"
        text = f"The fallback {failure}, so the verdict for silence, {self.without_score!r}, holds."
        return Judgement(self.without_score, (Reason("fallback-failed", text, "policy"), why))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _rule_faults(rules: Sequence[Rule[Any]]) -> Iterator[Fault]:
    for name, count in Counter(rule.name for rule in rules).items():
        if count > 1:
            yield Fault(
                "rules", f"the name {name!r} stands {count} times; a reason must name one rule"
            )
    for position, rule in enumerate(rules):
        place = f"rules[{position}]"
        for what, text in (("name", rule.name), ("verdict", rule.verdict), ("reason", rule.reason)):
            if not _is_text(text):
                yield Fault(f"{place}.{what}", f"{text!r} is not a text")
        if not is_plain_function(rule.when):
            yield Fault(f"{place}.when", "must be a plain function of the request")


def _default_faults(policy: Policy[Any]) -> Iterator[Fault]:
    verdicts = {
        "on_error": policy.on_error,
        "without_score": policy.without_score,
        "review": policy.review,
    }
    if policy.on_unknown is not None:
        verdicts["on_unknown"] = policy.on_unknown
    for what, verdict in verdicts.items():
        if not _is_text(verdict):
            yield Fault(what, f"{verdict!r} is not a verdict")
