"""What a decision is: the recorded whole, from request to verdict, and the row the store keeps of it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

from opsrail.values.canonical import canonical, digest, number, numbers, part, written
from opsrail.values.decision_rows import DecisionRow as DecisionRow
from opsrail.values.explanations import ReasonCodes
from opsrail.values.reasons import FallbackStep as FallbackStep
from opsrail.values.reasons import Reason as Reason
from opsrail.values.records import (
    UNREADABLE,
    codes_read,
    codes_record,
    number_of,
    one_of,
    plain,
    text_of,
    tree_of,
    unreadable,
)
from opsrail.values.settings import AUTONOMIES, Autonomy

Impact = Literal["low", "medium", "high"]
Criticality = Literal["high", "normal", "low"]
CacheState = Literal["hit", "shared", "miss", "off"]
Durability = Literal["synced", "grouped", "async"]
IMPACTS: tuple[str, ...] = get_args(Impact)
CRITICALITIES: tuple[str, ...] = get_args(Criticality)
DURABILITIES: tuple[str, ...] = get_args(Durability)
CACHE_STATES: tuple[str, ...] = get_args(CacheState)
REQUEST_VIEW = "request"
"""View name under which the request's own fields stand among a decision's features."""


class ModelRef(NamedTuple):
    """The model version that answered, or was asked to.

    Attributes:
        digest: `sha256:<hex>` of its artifact.
        stage: Rollout stage it answered at: `live` or `canary`; `standby` or `retired` when it stood in.
        pool: Where it ran; of a score that was kept, where it would have run; None in a record from before there were pools.
        library: What ran it, with its version, e.g. `onnxruntime 1.20.1`; None where this process does not know that.
    """

    name: str
    number: int
    digest: str
    stage: str
    pool: str | None = None
    library: str | None = None


class AsOf(NamedTuple):
    """How far history was known when a view was read.

    Attributes:
        fact_id: The last fact folded.
        at_ms: When that fact became known, epoch ms.
        fact_count: Facts folded.
    """

    fact_id: str
    at_ms: int
    fact_count: int


class ValueAsOf(NamedTuple):
    """Which kept value a view gave.

    Attributes:
        value_id: Of its row.
        event_at_ms: When it was true in the world, epoch ms.
        written_at_ms: When it could be read here, epoch ms.
        is_expired: Whether it was older than the view's time to live when it was read, and so counted as missing.
    """

    value_id: str
    event_at_ms: int
    written_at_ms: int
    is_expired: bool


class OutsideAsOf(NamedTuple):
    """What another system said of each feature. It keeps no past that could be asked again: the record's values are all.

    Attributes:
        source: What was asked, e.g. `feast`.
        read_at_ms: When it answered, epoch ms.
        event_at_ms: By feature: when its value was true in the world, epoch ms; None: not told.
        statuses: By feature: `present`, `not-found`, or `expired`: too old for that system or for the view.
    """

    source: str
    read_at_ms: int
    event_at_ms: Mapping[str, int | None]
    statuses: Mapping[str, str]


Provenance = AsOf | ValueAsOf | OutsideAsOf


@dataclass(slots=True, unsafe_hash=True)
class ViewRead:
    """The features that one view gave, with where they came from. Nobody changes one.

    Not frozen, as `Decision`: a frozen dataclass sets each field by a call of its own, 8 us for one decision and its reads.

    Attributes:
        view: View name; `request` for the request's own fields.
        version: View version; for `request` the digest of the request's schema.
        entity: Whose features they are; empty for `request`.
        values: By feature name. Numbers and text from a view; the request's fields as JSON.
        digest: `sha256:<hex>` of the canonical bytes of `values`.
        as_of: The history they were folded from, or the kept value they are; None for `request` and for an entity of which
            nothing is known.
        written: The canonical bytes of `values`, where they are at hand; None in a read from a record.
    """

    view: str
    version: str
    entity: str
    values: Mapping[str, Any]
    digest: str
    as_of: Provenance | None = None
    written: bytes | None = field(default=None, repr=False, compare=False)
    _part: Any = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        view: str,
        version: str,
        entity: str,
        values: Mapping[str, Any],
        as_of: Provenance | None = None,
    ) -> ViewRead:
        """Return what a view gave, its values written down and digested. Raises InvalidInput: they have no JSON form."""
        content = canonical(values)
        return cls(view, version, entity, values, digest(content), as_of, content)

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "view": self.view,
            "version": self.version,
            "entity": self.entity,
            "values": dict(self.values),
            "digest": self.digest,
            "as_of": None if self.as_of is None else self.as_of._asdict(),
        }

    def part(self) -> Any:
        """Return it as `written` takes it. Written once: a view's features stay the same until a fact comes."""
        if (known := self._part) is None:
            as_of = self.as_of
            record = {
                "view": self.view,
                "version": self.version,
                "entity": self.entity,
                "values": part(self.written or canonical(self.values)),
                "digest": self.digest,
                "as_of": None if as_of is None else as_of._asdict(),
            }
            known = part(written(record))
            self._part = known
        return known

    @property
    def name(self) -> str:
        """Return `view@version`."""
        return f"{self.view}@{self.version}"


@dataclass(slots=True, unsafe_hash=True)
class Decision:
    """One answered request, whole: what was asked, of which model, under which policy, and why the verdict is what it is.

    Every field is there on every path; None says that there was nothing to say. Nobody changes one; why it is not frozen:
    see `ViewRead`.

    Attributes:
        id: ULID.
        point: Name of the decision point.
        impact: What a wrong verdict costs: `low`, `medium` or `high`, as the point declares.
        correlation_id: W3C trace id (32 hex digits) shared with the caller.
        case_id: The case it was made in, if any.
        seq: Position in that case's journal.
        actor: Who asked.
        model: The version whose score it is; without a score the version asked first, None when no version was live.
        policy_version: Digest of the policy's bands, rules and code.
        score: What the model said, in [0, 1]; None when no score could be had.
        confidence: How well scores like this one are backed by evidence, in [0, 1].
        unknown: Features whose value the model was never trained on, or that were missing.
        verdict: What policy says.
        reasons: Why, what weighed most first; never empty.
        features: The request's fields first, then each view, with provenance.
        cache: `hit`: the score came from the cache; `shared`: from an equal request that was asking the model just then;
            `miss`: asked of the model; `off`: the point keeps none.
        degraded: True when the version that should have answered could not: a stand-in did, or the fallback, or policy.
        degraded_why: Code of what stood in its way, e.g. `deadline-passed`; None unless degraded.
        fallback: Who was asked instead, in order, and why each time; the last one answered. Empty unless degraded.
        cost_usd: Of the score: a call, as the model's card declares it, and time in its pool; 0 for one kept or shared.
        latency_ms: By stage (`route`, `features`, `score`, `verdict`) and `total`, until the record was begun. Milliseconds.
        at_ms: When it was asked, epoch ms.
        durability: `synced`: on disk before the answer, by a commit that waited for nobody; `grouped`: on disk before the
            answer, by one that waited up to 2 ms for others; `async`: the answer did not wait for the disk.
        is_repeat: Whether it was made for an earlier request with the same idempotency key; stands in no record.
        reason_codes: Which features moved the score most; None where the point does not ask for that.
        autonomy: How much was left to the machine: `automate`: policy's verdict holds; `assist`: a person sees it and
            confirms; `observe`: a person decides without being told. In the last two `verdict` sends to a person.
        proposed: What policy said where a person decides instead; None where its verdict holds.
    """

    id: str
    point: str
    impact: Impact
    correlation_id: str
    case_id: str | None
    seq: int | None
    actor: str
    model: ModelRef | None
    policy_version: str
    score: float | None
    confidence: float | None
    unknown: tuple[str, ...]
    verdict: str
    reasons: tuple[Reason, ...]
    features: tuple[ViewRead, ...]
    cache: CacheState
    degraded: bool
    degraded_why: str | None
    cost_usd: float
    latency_ms: Mapping[str, float]
    at_ms: int
    fallback: tuple[FallbackStep, ...] = ()
    reason_codes: ReasonCodes | None = None
    durability: Durability = "grouped"
    autonomy: Autonomy = "automate"
    proposed: str | None = None
    is_repeat: bool = field(default=False, init=False, repr=False, compare=False)
    _written: bytes | None = field(default=None, init=False, repr=False, compare=False)

    def written(self) -> bytes:
        """Return the canonical bytes of `record()`: what is stored, hashed and answered; made once."""
        if (content := self._written) is None:
            cost_usd, codes = self.cost_usd, self.reason_codes
            try:
                content = written(
                    self._shaped(
                        None if self.model is None else _model_part(self.model),
                        number(self.score),
                        number(self.confidence),
                        [read.part() for read in self.features],
                        number(cost_usd) if cost_usd else 0,
                        numbers(self.latency_ms),
                        None if codes is None else part(canonical(codes_record(codes))),
                    )
                )
            except TypeError:  # half of a surrogate pair somewhere: `canonical` says where
                content = canonical(self.record())
            self._written = content
        return content

    def record(self) -> dict[str, Any]:
        """Return the decision as plain JSON values; `docs/decisions.md` describes the shape, which only ever grows."""
        return self._shaped(
            None if self.model is None else self.model._asdict(),
            self.score,
            self.confidence,
            [read.record() for read in self.features],
            self.cost_usd,
            dict(self.latency_ms),
            None if self.reason_codes is None else codes_record(self.reason_codes),
        )

    def _shaped(
        self,
        model: object,
        score: object,
        confidence: object,
        features: list[Any],
        cost_usd: object,
        latency_ms: object,
        reason_codes: object,
    ) -> dict[str, Any]:
        return {  # in the order that they are written in
            "actor": self.actor,
            "at_ms": self.at_ms,
            "autonomy": self.autonomy,
            "cache": self.cache,
            "case_id": self.case_id,
            "confidence": confidence,
            "correlation_id": self.correlation_id,
            "cost_usd": cost_usd,
            "degraded": self.degraded,
            "degraded_why": self.degraded_why,
            "durability": self.durability,
            "fallback": [step._asdict() for step in self.fallback],
            "features": features,
            "id": self.id,
            "impact": self.impact,
            "latency_ms": latency_ms,
            "model": model,
            "point": self.point,
            "policy_version": self.policy_version,
            "proposed": self.proposed,
            "reason_codes": reason_codes,
            "reasons": [
                {"code": why.code, "source": why.source, "text": why.text} for why in self.reasons
            ],
            "score": score,
            "seq": self.seq,
            "unknown": list(self.unknown),
            "verdict": self.verdict,
        }

    @classmethod
    def repeated(cls, record: str) -> Decision:
        """Return the decision of a stored record, to be answered again in the record's own bytes. Raises InvalidInput."""
        decision = cls.from_record(tree_of(record))
        decision.is_repeat = True
        decision._written = record.encode()
        return decision

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Decision:
        """Return the decision that `record()` wrote, equal in every field.

        Raises:
            InvalidInput: it is no record of a decision. Terminal: it was not written by `record()`, or was altered since.
        """
        try:
            return cls(
                id=text_of(record, "id"),
                point=text_of(record, "point"),
                impact=one_of(IMPACTS, record["impact"]),
                correlation_id=text_of(record, "correlation_id"),
                case_id=record["case_id"],
                seq=record["seq"],
                actor=text_of(record, "actor"),
                model=None if record["model"] is None else ModelRef(**record["model"]),
                policy_version=text_of(record, "policy_version"),
                score=number_of(record["score"]),
                confidence=number_of(record["confidence"]),
                unknown=tuple(record["unknown"]),
                verdict=text_of(record, "verdict"),
                reasons=tuple(Reason(**reason) for reason in record["reasons"]),
                features=tuple(_view_read(read) for read in record["features"]),
                cache=one_of(CACHE_STATES, record["cache"]),
                degraded=bool(record["degraded"]),
                degraded_why=record["degraded_why"],
                fallback=tuple(FallbackStep(**step) for step in record.get("fallback", ())),
                cost_usd=float(record["cost_usd"]),
                latency_ms={
                    stage: float(spent_ms) for stage, spent_ms in record["latency_ms"].items()
                },
                at_ms=int(record["at_ms"]),
                reason_codes=codes_read(record.get("reason_codes")),
                durability=one_of(DURABILITIES, record.get("durability", "synced")),
                autonomy=one_of(AUTONOMIES, record.get("autonomy", "automate")),
                proposed=_proposed(record),
            )
        except UNREADABLE as wrong:
            raise unreadable(wrong) from wrong


@functools.lru_cache(maxsize=256)
def _model_part(model: ModelRef) -> Any:
    """Return a model version as `written` takes it; few answer most decisions."""
    return part(canonical(model._asdict()))


def _proposed(record: Mapping[str, Any]) -> str | None:
    return None if record.get("proposed") is None else text_of(record, "proposed")


def _provenance(as_of: Mapping[str, Any]) -> Provenance:
    if "source" in as_of:
        return OutsideAsOf(**as_of)
    return ValueAsOf(**as_of) if "value_id" in as_of else AsOf(**as_of)


def _view_read(record: Mapping[str, Any]) -> ViewRead:
    as_of = record["as_of"]
    values = {name: plain(value) for name, value in record["values"].items()}
    past: Provenance | None = None
    if as_of is not None:
        past = _provenance(as_of)
    return ViewRead(
        record["view"], record["version"], record["entity"], values, record["digest"], past
    )
