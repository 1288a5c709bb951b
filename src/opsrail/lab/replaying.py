"""Decides recorded decisions again, from what was known then: the model's same bytes, the same features, the same policy.

What a decision rests on is all in its record or named by it. So a replay is the same in every bit, or something is not as it
was, and it is named: a feature whose history was changed, a version whose bytes are gone, a policy whose code is another.
What cannot be asked again (a model on another machine, one whose card says so) keeps what it said, and the replay says that.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from opsrail.decide.held import held
from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import NoScore
from opsrail.decide.recorder import row_of
from opsrail.errors import InvalidInput, LedgerBroken, NotFound, OpsrailError
from opsrail.features.features import Features
from opsrail.features.request import request_row
from opsrail.lab.replayed import Difference, Replayed, unread
from opsrail.lab.sampling import sampled
from opsrail.ledger.book import entries_about
from opsrail.ledger.commitment import check_record
from opsrail.ports import LoadedModel, Store, is_remote
from opsrail.registry.libraries import library_of
from opsrail.registry.registry import Registry
from opsrail.values.canonical import canonical, digest
from opsrail.values.changes import SettingsChangeRow
from opsrail.values.decisions import Decision, DecisionRow, ModelRef, Reason, ViewRead
from opsrail.values.models import Score
from opsrail.values.pools import LOCAL
from opsrail.values.records import tree_of
from opsrail.values.rows import Where, equals
from opsrail.values.settings import settings_of

Row = dict[str, object]
AUTONOMY = "autonomy"
REPEATABLE = "repeatable"
"""Word of a model's card: `false` where the same row may get another score, as from a language model."""
LOAD_S = 60.0
BATCHES = (2, 8, 64)
"""Sizes of batches in which a row is asked again when it alone gets another score: a runtime may add up in another order."""
CHUNK = 100
MADE = "decision.made"


class _Found:
    """What differs, as it is found."""

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        self.notes: list[str] = []

    def differs(
        self, what: str, name: str, recorded: object, replayed: object, text: str = ""
    ) -> None:
        """Note a difference; the usual sentence names what was and what is."""
        place = " ".join(part for part in (what, name) if part)
        told = text or f"{place[:1].upper()}{place[1:]} was {recorded!r} and is {replayed!r}."
        self.differences.append(Difference(what, name, recorded, replayed, told))

    def compare(self, what: str, recorded: object, replayed: object, name: str = "") -> None:
        """Note a difference, if there is one."""
        if type(recorded) is not type(replayed) or recorded != replayed:
            self.differs(what, name, recorded, replayed)


class Replayer:
    """Replays decisions of one installation.

    Args:
        points: What the author's files define now, by name; without a point its model alone is asked again.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        features: Features,
        points: Mapping[str, DecisionPoint[Any]],
    ) -> None:
        self._store = store
        self._registry = registry
        self._features = features
        self._points = points

    async def replay(self, decision_id: str) -> Replayed:
        """Decide one decision again.

        Raises:
            NotFound: there is none of that id. Terminal.
            InvalidInput: its record cannot be read. Terminal.
        """
        row = await self._store.get(DecisionRow, decision_id)
        if row is None:
            raise NotFound(
                f"no decision {decision_id}; `opsrail cases show` names the decisions of a case"
            )
        return await self.replay_row(row)

    async def replay_row(self, row: DecisionRow) -> Replayed:
        """Decide the decision of a stored row again; raises as `replay`."""
        decision, found = Decision.from_record(tree_of(row.record)), _Found()
        await self._check_entry(row, found)
        _compare_columns(row, decision, found)
        point = await self._point(decision, found)
        facts, rows = _asked(decision, point, found)
        origin = await self._reread(decision, found)
        score, score_from = await self._score(decision, rows, found, is_typed=facts is not None)
        verdict = None
        if point is not None and facts is not None:
            verdict = _judged(decision, point, facts, score, found)
        return Replayed(
            decision.id, decision.point, score.value if isinstance(score, Score) else None,
            score_from, verdict, origin, tuple(found.differences), tuple(found.notes),
        )  # fmt: skip

    async def replay_sample(
        self,
        point: str | None,
        since_ms: int,
        until_ms: int,
        count: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> AsyncIterator[Replayed]:
        """Decide a random sample of decisions again: the same ones whenever the same ones are there.

        One whose record cannot be read differs in `record`.

        Args:
            point: Whose; None: of all points.
            since_ms, until_ms: When they were asked for, epoch ms.
            count: How many, at most.
            progress: Called with how many are done, of how many.
        """
        ids = await sampled(self._store, point, since_ms, until_ms, count)
        for first in range(0, len(ids), CHUNK):
            chosen = tuple(ids[first : first + CHUNK])
            rows = await self._store.select(DecisionRow, Where("id", "in", chosen), limit=CHUNK)
            for place, row in enumerate(rows, 1):
                try:
                    yield await self.replay_row(row)
                except InvalidInput as fault:
                    yield unread(row.id, row.point, fault)
                progress(first + place, len(ids))

    async def _check_entry(self, row: DecisionRow, found: _Found) -> None:
        """Note when the record is not the one that was entered in the ledger."""
        entries = [one for one in await entries_about(self._store, row.id) if one.kind == MADE]
        try:
            for entry in entries:
                check_record(entry.body, row.salt, row.record.encode())
        except (LedgerBroken, InvalidInput) as broken:
            text = f"The record was changed after it was entered in the ledger: {broken}"
            found.differs("record", "", "entered", "changed", text)
        if not entries:
            found.notes.append("No ledger entry speaks of it, so none vouches for its record.")

    async def _point(self, decision: Decision, found: _Found) -> DecisionPoint[Any] | None:
        """Return the point as it was then; as it is now, with a difference noted, where that is not at hand."""
        point = self._points.get(decision.point)
        if point is None:
            found.notes.append(
                f"Decision point {decision.point!r} is not defined here, so the verdict was not judged again; give the "
                "automation's file."
            )
            return None
        variants = [point, *await self._settled(point)]
        for variant in variants:
            if variant.policy_version == decision.policy_version:
                return variant
        found.differs("policy", "version", decision.policy_version, point.policy_version)
        return point

    async def _settled(self, point: DecisionPoint[Any]) -> list[DecisionPoint[Any]]:
        """Return the point under each of the settings that it ever had."""
        rows = await self._store.select(
            SettingsChangeRow, *equals(point=point.name), order=("revision",), descending=True
        )
        return [held(point, settings_of(row.content, row.revision)) for row in rows]

    async def _reread(self, decision: Decision, found: _Found) -> dict[str, str]:
        """Read the features of views again and note what is not as it was; returns where each view's were had."""
        origin: dict[str, str] = {}
        for read in decision.features[1:]:
            origin[read.name] = "record"
            try:
                again = await self._features.reread([read])
            except OpsrailError as fault:
                text = f"View {read.name} of {read.entity!r} cannot be read again: {fault}"
                found.differs("feature", read.name, dict(read.values), None, text)
                continue
            if again:
                origin[read.name] = "history"
                _compare_read(read, again[0], found)
            else:
                found.notes.append(
                    f"View {read.name} is not defined here; its features are those of the record."
                )
        return origin

    async def _score(
        self, decision: Decision, rows: Sequence[Row], found: _Found, *, is_typed: bool
    ) -> tuple[Score | NoScore, str]:
        """Ask the same model again; what it cannot say again is what it said then.

        Args:
            rows: What it may have been given.
            is_typed: Whether the request's own model said so; else text may have been a number.
        """
        if decision.model is None or decision.score is None:
            return _silence(decision), "none"
        asked = decision.model
        then = Score(decision.score, decision.confidence or 0.0, asked.digest, decision.unknown)
        try:
            model, why_not = await self._model(asked, found)
        except OpsrailError as fault:
            what = "artifact" if isinstance(fault, NotFound) else "runtime"
            text = f"Model {asked.name}/{asked.number} cannot be asked again: {fault}"
            found.differs(what, f"{asked.name}/{asked.number}", asked.digest, None, text)
            return then, "record"
        if model is None:
            found.notes.append(why_not)
            return then, "record"
        try:
            score = await asyncio.to_thread(_again, model, rows, then, found)
        except Exception as fault:  # of the model's own code
            text = f"Model {asked.name}/{asked.number} failed on the same row: {type(fault).__name__}: {fault}"
            found.differs("runtime", f"{asked.name}/{asked.number}", decision.score, None, text)
            return then, "record"
        if score.value != then.value and not is_typed:
            found.notes.append(
                "The record alone does not tell what the model was given; give the automation's file as it was then."
            )
            return then, "record"
        if score.value != then.value:
            await self._other_score(asked, then, score, found)
        else:
            found.compare("confidence", then.confidence, score.confidence)
            found.compare("unknown", then.unknown, score.unknown)
        return score, "model"

    async def _other_score(self, asked: ModelRef, then: Score, now: Score, found: _Found) -> None:
        """Note that the same bytes say something else of the same row, and what runs them now."""
        runtime = (await self._registry.version(asked.name, asked.number)).runtime
        library = library_of(runtime) or f"runtime {runtime}"
        if asked.library not in (None, library):
            found.differs("runtime", "library", asked.library, library)
        text = (
            f"The same bytes gave the score {then.value!r} to the recorded features then, and {now.value!r} now: what "
            f"runs the model ({library} here) or this machine's arithmetic is not what it was."
        )
        found.differs("score", "", then.value, now.value, text)

    async def _model(self, asked: ModelRef, found: _Found) -> tuple[LoadedModel | None, str]:
        """Return the model that answered, from bytes that have its digest; else why it is not asked again.

        Raises:
            NotFound: the version or its bytes are not there, or are others.
            ModelUnavailable: nothing here loads it.
        """
        label = f"{asked.name}/{asked.number}"
        version = await self._registry.version(asked.name, asked.number)
        if version.digest != asked.digest:
            raise NotFound(f"it was {asked.digest}, and {label} is {version.digest} here")
        if version.card.get(REPEATABLE) is False:
            return (
                None,
                f"The card of {label} says that it is not repeatable: its recorded score stands.",
            )
        model = await self._registry.model(version, LOAD_S, asked.pool or LOCAL)
        if is_remote(model):
            return (
                None,
                f"{label} answers on another machine and is not asked again: its recorded score stands.",
            )
        return model, ""


def _asked(
    decision: Decision, point: DecisionPoint[Any] | None, found: _Found
) -> tuple[BaseModel | None, list[Row]]:
    """Return the request as the point's model has it (None: it does not), and the rows that a model may have been given."""
    request, views = decision.features[0], decision.features[1:]
    for read in decision.features:
        if digest(canonical(dict(read.values))) != read.digest:
            text = f"The recorded values of {read.name} do not have the recorded digest."
            found.differs("record", read.name, read.digest, None, text)
    facts = None
    rows = [dict(request.values), {name: _number(told) for name, told in request.values.items()}]
    if point is not None:
        found.compare("request", request.version, point.request_version, "model")
        try:
            facts = point.request.model_validate_json(orjson.dumps(dict(request.values)))
            rows = [request_row(facts)]
        except ValidationError as wrong:
            text = f"The request does not fit {point.request.__name__} any more: {wrong.error_count()} faults."
            found.differs("request", "values", dict(request.values), None, text)
    given = {name: value for read in views for name, value in read.values.items()}
    return facts, [row | given for row in rows]


def _number(told: object) -> object:
    """Return a text that a decimal number stands as in a record as the number that a model is given."""
    if not isinstance(told, str):
        return told
    try:
        number = float(Decimal(told))
    except (InvalidOperation, OverflowError):
        return told
    return number if math.isfinite(number) else told


def _compare_columns(row: DecisionRow, decision: Decision, found: _Found) -> None:
    """Note columns that are not the record's: back-tests and tuning read them, and no ledger entry holds them."""
    told = row_of(decision, row.salt)
    for name, recorded, stands in zip(row._fields, told, row, strict=True):
        if name != "record" and recorded != stands:
            text = f"Column {name} of the decision's row was changed: its record says {recorded!r}, it holds {stands!r}."
            found.differs("record", name, recorded, stands, text)


def _compare_read(then: ViewRead, now: ViewRead, found: _Found) -> None:
    for name in sorted(then.values.keys() | now.values.keys()):
        was, is_now = then.values.get(name), now.values.get(name)
        if was != is_now:
            found.differs("feature", name, was, is_now)
    if then.values == now.values and then.as_of != now.as_of:
        found.differs("feature", f"{then.name} as of", then.as_of, now.as_of)


def _again(model: LoadedModel, rows: Sequence[Row], then: Score, found: _Found) -> Score:
    """Return what a model says of the row now; of rows that it may have been given, of the one that it was. Blocking.

    Raises:
        Whatever the model raises of the last row.
    """
    for row in rows[:-1]:
        with suppress(Exception):
            if (score := model.score([row])[0]).value == then.value:
                return score
    (alone,) = model.score([rows[-1]])
    if alone.value == then.value:
        return alone
    for count in BATCHES:
        score = model.score([rows[-1]] * count)[0]
        if score.value == then.value:
            found.notes.append(
                f"Alone the row gets {alone.value!r}; it is the same in a batch of {count}."
            )
            return score
    return alone


def _silence(decision: Decision) -> NoScore:
    """Return why there was no score, as policy was told."""
    told = [one for one in decision.reasons if one.source == "policy" and one.code != "rule-failed"]
    if told and told[-1].code != "fallback-failed":
        return NoScore(told[-1].code, told[-1].text)
    return NoScore(decision.degraded_why or "", "")


def _judged(
    decision: Decision,
    point: DecisionPoint[Any],
    facts: BaseModel,
    score: Score | NoScore,
    found: _Found,
) -> str:
    """Return what policy says again, and note what is not as it was."""
    judgement = point.policy.judge(facts, score, point.fallback)
    if decision.autonomy == "automate":
        found.compare("verdict", decision.verdict, judgement.verdict)
    else:
        found.compare("verdict", decision.proposed, judgement.verdict, "that policy proposed")
        found.compare("verdict", decision.verdict, point.policy.review)
    own = tuple(one for one in decision.reasons if one.source != AUTONOMY)
    if own != judgement.reasons:
        found.differs("reasons", "", _told(own), _told(judgement.reasons))
    return judgement.verdict


def _told(reasons: Sequence[Reason]) -> list[str]:
    return [f"{one.code}: {one.text}" for one in reasons]
