"""A decision point: a named place where a model decides, as its author declares it."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from opsrail.decide.chain import STAND_INS, USUAL, StandIn
from opsrail.decide.code import code_digest, is_plain_function
from opsrail.decide.policy import Fallback, Policy
from opsrail.decide.reasons import MOST_CODES
from opsrail.errors import AuthorError, Fault, InvalidInput
from opsrail.review.unasked import Audit
from opsrail.values.canonical import canonical, digest
from opsrail.values.decisions import (
    CRITICALITIES,
    DURABILITIES,
    IMPACTS,
    Criticality,
    Durability,
    Impact,
)
from opsrail.values.outcomes import OUTCOME_NAME
from opsrail.values.settings import LONGEST_DEADLINE_MS, Segment

M = TypeVar("M", bound=BaseModel)
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
OUTCOME = re.compile(OUTCOME_NAME)
VIEW_REF = re.compile(r"[a-z][a-z0-9-]{0,62}@[1-9][0-9]{0,8}")
DEADLINE_MS = 1_000
"""Ours: a caller who waits for an answer waits about a second."""


class DecisionPoint(Generic[M]):
    """A named place where a model decides. Which model version answers is the registry's business, not the code's.

    Args:
        name: Lower case, digits and `-`; at most 63 characters. Part of URLs and rows.
        request: pydantic model of the input: types, units and limits.
        policy: What a score means.
        features: Feature views by version, `name@version`; joined on each view's entity of the request.
        fallback: Answers when no score can be had in time; without one the policy's `without_score` verdict holds.
        deadline_ms: From asking to answering, 1..600,000; a caller may give less or more.
        cache_ttl_s: How long an equal request to the same model version may reuse its score; 0 keeps none.
        stand_ins: Who is asked when the routed model version cannot answer, in order: the `live` version (for a canary), the
            version at stage `standby`, another `pool` of the same version, the `retired` version. After them the fallback.
        criticality: Who is answered first when more is asked than can be answered in time, and shed last: `high`, `normal`
            or `low`. A caller may ask for less.
        impact: What a wrong verdict costs: `low`, `medium` or `high`.
        budget_usd_per_hour: What its scores may cost in an hour before low requests go to the cheapest pool alone; 0: no
            limit.
        budget_usd_per_day: As above, in a day.
        durability: `grouped`: durable before the answer, with others that come within 2 ms; `synced`: waits for no others;
            `async`: the answer does not wait for the disk, a crash may lose the record; refused for impact `high`.
        entity: Whose request it is, e.g. `lambda facts: facts.PolicyNumber`: a plain function to text or a whole number. A
            canary answers all requests of an entity or none; without it, all of a case. It says who is asked, not what a
            score means, so it is no part of `policy_version`.
        labels: Which outcomes a person's ruling tells of a decision, by name and ruling, e.g. `{"fraud": {"decline": 1,
            "approve": 0}}`; they are recorded with the ruling.
        reason_codes: How many of the features that moved the score each decision names, 0..10, computed within the deadline.
        audit: Which share of what no person saw goes to which desk, unmarked; rulings there become outcomes as `labels` say.
            None: none. It is no part of `policy_version`.
        segments: Names of request fields to tell decisions apart by, where models and people are compared; numbers are cut
            into ranges.

    Raises:
        InvalidInput: something contradicts itself; all faults at once. Terminal.
    """

    def __init__(
        self,
        name: str,
        *,
        request: type[M],
        policy: Policy[M],
        features: Sequence[str] = (),
        fallback: Fallback[M] | None = None,
        deadline_ms: int = DEADLINE_MS,
        cache_ttl_s: float = 0.0,
        stand_ins: Sequence[StandIn] = USUAL,
        impact: Impact = "medium",
        criticality: Criticality = "normal",
        budget_usd_per_hour: float = 0.0,
        budget_usd_per_day: float = 0.0,
        reason_codes: int = 0,
        durability: Durability = "grouped",
        segments: Sequence[str] = (),
        entity: Callable[[M], str | int] | None = None,
        labels: Mapping[str, Mapping[str, float]] | None = None,
        audit: Audit | None = None,
    ) -> None:
        self.name = name
        self.request, self.policy = request, policy
        self.features = tuple(features)
        self.fallback = fallback
        self.deadline_ms = deadline_ms
        self.cache_ttl_s = cache_ttl_s
        self.stand_ins = tuple(stand_ins)
        self.criticality: Criticality = criticality
        self.impact: Impact = impact
        self.budget_usd_per_hour = budget_usd_per_hour
        self.budget_usd_per_day = budget_usd_per_day
        self.reason_codes = reason_codes
        self.durability: Durability = durability
        self.autonomy: Sequence[Segment] = ()  # settings say otherwise, see `held.py`
        self.segments = tuple(segments)
        self.entity, self.labels, self.audit = entity, dict(labels or {}), audit
        if found := list(_faults(self)):
            raise InvalidInput(f"decision point {name!r} cannot be defined", found)

    @functools.cached_property
    def request_version(self) -> str:
        """12 hex digits over the request's JSON schema: a field added, renamed or retyped moves it."""
        return digest(canonical(self.request.model_json_schema())).removeprefix("sha256:")[:12]

    @functools.cached_property
    def _fallback_digest(self) -> str | None:
        return None if self.fallback is None else code_digest(self.fallback)

    @functools.cached_property
    def policy_version(self) -> str:
        """The policy's version; of a point with a fallback, 16 hex digits over that and the fallback's code."""
        if self._fallback_digest is None:
            return self.policy.version
        return hashlib.sha256(
            f"{self.policy.version} {self._fallback_digest}".encode()
        ).hexdigest()[:16]

    def entity_of(self, facts: M, other: str) -> str:
        """Return whose request it is; `other` where the point names no entity.

        Raises:
            AuthorError: the point's function fails, or returns no text. Terminal: the decision falls back.
        """
        if self.entity is None:
            return other
        try:
            entity: object = self.entity(facts)
        except Exception as wrong:
            raise AuthorError(
                f"{self.name}: entity failed with {type(wrong).__name__}: {wrong}; mend the function"
            ) from wrong
        if isinstance(entity, str) and entity:
            return entity
        if isinstance(entity, int) and not isinstance(entity, bool):
            return str(entity)
        raise AuthorError(
            f"{self.name}: entity returned {type(entity).__name__}; return text that is not empty, or a whole number"
        )

    def __repr__(self) -> str:
        return f"DecisionPoint({self.name!r})"


def _faults(point: DecisionPoint[Any]) -> Iterator[Fault]:
    if not NAME.fullmatch(point.name):
        yield Fault(
            "name",
            f"{point.name!r}: use a-z, 0-9 and -, starting with a letter, at most 63 characters",
        )
    if not _is_model(point.request):
        yield Fault("request", "is not a pydantic model")
    if not _is_policy(point.policy):
        yield Fault("policy", "is not a Policy")
    for ref, count in Counter(point.features).items():
        if not VIEW_REF.fullmatch(ref):
            yield Fault("features", f"{ref!r} names no view version; write `name@1`")
        if count > 1:
            yield Fault("features", f"{ref!r} stands {count} times")
    if point.fallback is not None and not is_plain_function(point.fallback):
        yield Fault(
            "fallback",
            "must be a plain function of the request: it answers when there is no time left to wait",
        )
    if not 1 <= point.deadline_ms <= LONGEST_DEADLINE_MS:
        yield Fault("deadline_ms", f"{point.deadline_ms} is outside 1..{LONGEST_DEADLINE_MS}")
    if not 0 <= point.cache_ttl_s < float("inf"):
        yield Fault("cache_ttl_s", f"{point.cache_ttl_s} is not a number of seconds from 0 on")
    for kind, count in Counter(point.stand_ins).items():
        if kind not in STAND_INS:
            yield Fault("stand_ins", f"{kind!r} is none of {', '.join(STAND_INS)}")
        if count > 1:
            yield Fault("stand_ins", f"{kind!r} stands {count} times")
    yield from _wrong_words(point)
    if point.entity is not None and not is_plain_function(point.entity):
        yield Fault("entity", "must be a plain function of the request that returns text")
    yield from _wrong_labels(point.labels)
    for name in ("budget_usd_per_hour", "budget_usd_per_day"):
        if not 0 <= (usd := getattr(point, name)) < float("inf"):
            yield Fault(name, f"{usd} is not an amount in US dollars from 0 on")
    if not 0 <= point.reason_codes <= MOST_CODES:
        yield Fault("reason_codes", f"{point.reason_codes} is outside 0..{MOST_CODES}")
    yield from _wrong_segments(point)


def _wrong_words(point: DecisionPoint[Any]) -> Iterator[Fault]:
    for place, word, known in (
        ("criticality", point.criticality, CRITICALITIES),
        ("impact", point.impact, IMPACTS),
        ("durability", point.durability, DURABILITIES),
    ):
        if word not in known:
            yield Fault(place, f"{word!r} is none of {', '.join(known)}")
    if not _is_audit(point.audit):
        yield Fault("audit", "is no Audit; write Audit(ratio=0.02, queue='claims-desk')")
    if point.durability == "async" and point.impact == "high":
        yield Fault(
            "durability",
            "'async' may lose a record in a crash, which an impact of 'high' does not allow; use 'grouped'",
        )


def _wrong_segments(point: DecisionPoint[Any]) -> Iterator[Fault]:
    known = point.request.model_fields if _is_model(point.request) else {}
    for name, count in Counter(point.segments).items():
        if known and name not in known:
            yield Fault("segments", f"{name!r} is no field of the request: {', '.join(known)}")
        if count > 1:
            yield Fault("segments", f"{name!r} stands {count} times")


def _wrong_labels(labels: Mapping[Any, Any]) -> Iterator[Fault]:
    for name, values in labels.items():
        if not isinstance(name, str) or not OUTCOME.fullmatch(name):
            yield Fault(
                "labels",
                f"{name!r}: use a-z, 0-9 and -, starting with a letter, at most 63 characters",
            )
        if not isinstance(values, Mapping) or not values:
            yield Fault(
                f"labels.{name}", "names no ruling; write e.g. {'decline': 1, 'approve': 0}"
            )
            continue
        for ruling, value in values.items():
            if not isinstance(ruling, str) or not 1 <= len(ruling) <= 64 or ruling == "review":
                yield Fault(f"labels.{name}", f"{ruling!r} is no ruling")
            if not isinstance(value, int | float) or not isfinite(value):
                yield Fault(f"labels.{name}.{ruling}", f"{value!r} is no number")


def _is_model(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseModel)


def _is_audit(value: object) -> bool:
    return value is None or isinstance(value, Audit)


def _is_policy(value: object) -> bool:
    return isinstance(value, Policy)
