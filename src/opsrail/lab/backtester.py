"""A point's stored history, judged again part by part: memory holds one part, and what was scored is kept between runs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow
import pyarrow.compute as compute
from pydantic import ValidationError

from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import NoScore
from opsrail.lab.backtested import Backtest, Wrong
from opsrail.lab.changed import Changes, keep_scores, kept_scores
from opsrail.lab.conditions import comparisons_of
from opsrail.lab.counting import Counting
from opsrail.lab.history import PART_ROWS, ROW_COLUMNS, SLACK_MS, Apart, id_from, parts
from opsrail.lab.joins import Told, outcomes, rulings, shadows
from opsrail.lab.judging import KEEP, UNKNOWN_VALUES, DataPolicy, judged
from opsrail.lab.records import parsed
from opsrail.lab.replaying import REPEATABLE
from opsrail.lab.rescoring import Scores, features_of, rescored
from opsrail.lab.whatif import check_conditions, own_verdicts, recorded_scores, recorded_unknown
from opsrail.ports import LoadedModel, Store, is_remote
from opsrail.registry.registry import Registry
from opsrail.values.decisions import DecisionRow
from opsrail.values.models import ModelVersion, Score
from opsrail.values.rows import Where, equals

SCORES = "scores"
LOAD_S = 60.0
NEWEST = 200
"""Decisions that tell which fields requests have. Ours: optional objects are there in some of so many."""
BASE = (
    "id", "at_ms", "score", "verdict", "proposed", "unknown_count", "policy_source", "policy_code", "policy_version",
)  # fmt: skip
"""What every backtest reads; all of it stands in columns of the rows."""


SILENT = {
    "refused": "The model refuses the row, or fails on it: there is no score",
    "absent": "The model said nothing then: the verdict stands as it was",
}
"""What is said of decisions that a version has no score for."""


@dataclass(frozen=True)
class Question:
    """What is to be tried on a history.

    Attributes:
        policy: As data.
        code: The point's code, whose rules judge rows that were decided under other code; None: kept rules stand.
        model: Whose scores; None: the recorded ones.
        since_ms, until_ms: When the decisions were asked for, epoch ms.
        handling_s, usd_per_hour: See `whatif.backtest`.
        changed: Where the decisions are listed whose verdict changes (Parquet); None: nowhere.
    """

    point: str
    policy: DataPolicy
    since_ms: int
    until_ms: int
    code: DecisionPoint[Any] | None = None
    model: ModelVersion | None = None
    segments: tuple[str, ...] = ()
    wrongs: tuple[Wrong, ...] = ()
    handling_s: float | None = None
    usd_per_hour: float | None = None
    changed: Path | None = None


class Backtester:
    """Answers one question.

    Args:
        folder: Where copies and scores are kept; None: nowhere.
        progress: Called with the number of decisions judged so far.
        apart: Reads a long history meanwhile; None: this process does.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        question: Question,
        folder: Path | None,
        progress: Callable[[int], None] = lambda done: None,
        apart: Apart | None = None,
    ) -> None:
        self._apart = apart
        self._store = store
        self._registry = registry
        self._question = question
        self._folder = folder
        self._progress = progress
        self._model: LoadedModel | None = None
        self._shadows: Told | None = None
        self._unknown_verdict: str | None = None
        self._changes = None if question.changed is None else Changes(question.changed)
        self._said: list[str] = []
        self._notes: dict[str, int] = {}

    async def run(self) -> Backtest:
        """Judge the whole history again.

        Raises:
            NotFound: there is no such model version. Terminal.
            InvalidInput: the policy does not fit the history. Terminal.
            ModelUnavailable: the model cannot be loaded, or failed.
        """
        asked = self._question
        counting = Counting(
            asked.segments, asked.wrongs, review=asked.policy.review,
            handling_s=asked.handling_s, usd_per_hour=asked.usd_per_hour,
        )  # fmt: skip
        await self._check()
        span = id_from(asked.since_ms - SLACK_MS), id_from(asked.until_ms + SLACK_MS)
        if asked.model is not None:
            await self._load(asked.model, *span)
        ruled = await rulings(self._store, *span) if asked.handling_s is None else None
        told = {
            name: await outcomes(self._store, name, *span)
            for name in dict.fromkeys(wrong.outcome for wrong in asked.wrongs)
        }
        names, done = self._names(), 0
        try:
            async for part in parts(
                self._store, asked.point, since_ms=asked.since_ms, until_ms=asked.until_ms,
                folder=self._folder, names=names, apart=self._apart,
            ):  # fmt: skip
                await self._part(part, counting, ruled, told)
                done += part.num_rows
                self._progress(done)
        except BaseException:
            if self._changes is not None:
                self._changes.drop()
            raise
        if self._changes is not None:
            self._changes.keep()
        counted = [f"{text} ({count:,} decisions)." for text, count in self._notes.items() if count]
        counting.notes += [*self._said, *counted]
        return counting.result()

    async def _check(self) -> None:
        """Refuse fields that none of the newest requests has, before anything is read."""
        asked = self._question
        if not asked.segments and not asked.policy.conditions:
            return
        rows = await self._store.select(
            DecisionRow, *equals(point=asked.point), order=("id",), descending=True, limit=NEWEST
        )
        newest = parsed([row.record for row in rows], [row.id for row in rows])
        if rows:
            kinds = {one.name: one.type for one in newest.schema}
            check_conditions(asked.policy, kinds, asked.segments)

    def _names(self) -> list[str] | None:
        """Return the columns that the question needs; None: all."""
        asked, fields = self._question, set(self._question.segments)
        for condition in asked.policy.conditions:
            fields |= {test.field for test in comparisons_of(condition)}
        if self._model is not None:
            features = features_of(self._model)
            if features is None:
                return None
            fields |= set(features)
        own = [name for name in fields if name in ROW_COLUMNS]
        if asked.model is not None:
            own += ["model_name", "model_number"]
        prefixed = [f"{kind}.{name}" for name in sorted(fields) for kind in ("facts", "views")]
        return [*dict.fromkeys([*BASE, *own]), *(prefixed if fields - set(own) else ())]

    async def _load(self, version: ModelVersion, first: str, last: str) -> None:
        """Load the model, or what it said before where it cannot be asked again."""
        label = f"{version.name}/{version.number}"
        if version.card.get(REPEATABLE) is not False:
            model = await self._registry.model(version, LOAD_S)
            if not is_remote(model):
                self._model = model
                return
        self._shadows = await shadows(self._store, version.name, version.number, first, last)
        self._said.append(
            f"{label} cannot be asked again: what it said, live or as a shadow, stands."
        )

    async def _part(
        self,
        part: pyarrow.Table,
        counting: Counting,
        ruled: Told | None,
        told: Mapping[str, Told],
    ) -> None:
        part = own_verdicts(part)
        scores, unknown, scores_from, is_absent = await self._scores(part)
        for what, text in SILENT.items():
            self._note(text, scores_from.get(what, 0))
        verdicts = await self._verdicts(part, scores, unknown)
        if is_absent.any():
            verdicts[is_absent] = part.column("verdict").to_numpy()[is_absent]
        if ruled is not None:
            part = ruled.beside(part)
        found = {name: _outcome(one.beside(part)) for name, one in told.items()}
        changed = counting.add(part, verdicts, scores_from=scores_from, outcomes=found)
        if self._changes is not None:
            await asyncio.to_thread(self._changes.add, part, changed, verdicts, scores)

    async def _scores(self, part: pyarrow.Table) -> tuple[Any, Any, dict[str, int], Any]:
        """Return scores, where they rest on unknown values, how many are from where, and rows that nothing is known of."""
        recorded, unknown = recorded_scores(part), recorded_unknown(part)
        version, nowhere = self._question.model, np.zeros(part.num_rows, bool)
        if version is None:
            return recorded, unknown, _counts(recorded, "recorded", "none"), nowhere
        is_own = np.asarray(
            compute.fill_null(
                compute.and_(
                    compute.equal(part.column("model_name"), version.name),
                    compute.equal(part.column("model_number"), version.number),
                ),
                False,
            )
        ) & ~np.isnan(recorded)
        if self._model is None:
            return self._recorded_only(part, recorded, unknown, is_own)
        if is_own.all():
            return recorded, unknown, _counts(recorded, "recorded", "none"), nowhere
        asked = await self._asked(self._model, version, part)
        return asked.values, asked.is_unknown, _counts(asked.values, "model", "refused"), nowhere

    def _recorded_only(
        self, part: pyarrow.Table, recorded: Any, unknown: Any, is_own: Any
    ) -> tuple[Any, Any, dict[str, int], Any]:
        """Return what a model that cannot be asked again said live or as a shadow; the rest stays as it was."""
        scores = np.where(is_own, recorded, np.nan)
        if self._shadows is not None:
            beside = self._shadows.beside(part).column("shadow_score")
            told = np.asarray(compute.fill_null(beside, float("nan")))
            scores = np.where(is_own, scores, told)
        is_absent = np.isnan(scores)
        return scores, unknown & is_own, _counts(scores, "recorded", "absent"), is_absent

    async def _asked(
        self, model: LoadedModel, version: ModelVersion, part: pyarrow.Table
    ) -> Scores:
        """Return a model's scores of a part, from the run before where they are kept."""
        path = None
        if self._folder is not None:
            ids = hashlib.sha256("".join(part.column("id").to_pylist()).encode()).hexdigest()[:24]
            path = self._folder / SCORES / version.digest.removeprefix("sha256:") / f"{ids}.parquet"
            kept = await asyncio.to_thread(kept_scores, path)
            if kept is not None:
                return kept
        found = await asyncio.to_thread(rescored, model, part)
        if path is not None:
            await asyncio.to_thread(keep_scores, path, found)
        return found

    async def _verdicts(self, part: pyarrow.Table, scores: Any, unknown: Any) -> Any:
        asked, policy = self._question, self._question.policy
        if asked.model is not None and policy.on_unknown == KEEP:
            self._learn_unknown(part)
        found = judged(policy, part, scores, unknown, unknown_verdict=self._unknown_verdict)
        of_other = np.zeros(part.num_rows, bool)
        if asked.code is not None:
            version = asked.code.policy_version
            of_other = np.asarray(compute.not_equal(part.column("policy_version"), version))
        if asked.code is not None and of_other.any():
            await self._by_code(asked.code, part, found.verdicts, scores, unknown, of_other)
        if policy.rules == KEEP:
            kept = int(np.count_nonzero(found.is_ruled & ~of_other))
            self._note("Rules are not asked again: what they said then stands", kept)
        return found.verdicts

    def _learn_unknown(self, part: pyarrow.Table) -> None:
        """Take over what was said to unknown values, for a model whose unknown values are others."""
        said = part.filter(compute.equal(part.column("policy_code"), UNKNOWN_VALUES))
        if self._unknown_verdict is None and said.num_rows:
            self._unknown_verdict = said.column("verdict")[0].as_py()

    async def _by_code(
        self,
        point: DecisionPoint[Any],
        part: pyarrow.Table,
        verdicts: Any,
        scores: Any,
        unknown: Any,
        chosen: Any,
    ) -> None:
        """Judge rows that were decided under other code by the point's own, one by one."""
        ids = part.column("id").to_pylist()
        keys, records = await self._store.columns(
            DecisionRow, ("id", "record"), Where("point", "=", point.name),
            Where("id", ">=", ids[0]), Where("id", "<=", ids[-1]), limit=2 * PART_ROWS,
        )  # fmt: skip
        by_id = dict(zip(keys, records, strict=True))
        places = np.flatnonzero(chosen).tolist()
        failed = await asyncio.to_thread(
            _judge_rows, point, [(place, by_id.get(ids[place])) for place in places],
            verdicts, scores, unknown,
        )  # fmt: skip
        self._note("Rules of the policy's code were asked row by row", len(places) - failed)
        if failed:
            self._note("The request does not fit the point's model now; the verdict stands", failed)

    def _note(self, text: str, count: int) -> None:
        self._notes[text] = self._notes.get(text, 0) + count


def _counts(scores: Any, has: str, has_not: str) -> dict[str, int]:
    count = int(np.count_nonzero(~np.isnan(scores)))
    return {has: count, has_not: len(scores) - count}


def _outcome(part: pyarrow.Table) -> tuple[Any, Any]:
    values = compute.fill_null(part.column("outcome"), float("nan"))
    return np.asarray(values), np.asarray(compute.fill_null(part.column("ratio"), 1.0))


def _judge_rows(
    point: DecisionPoint[Any],
    rows: Sequence[tuple[int, str | None]],
    verdicts: Any,
    scores: Any,
    unknown: Any,
) -> int:
    """Put the verdicts of a point's code in their places; returns for how many rows there is none. Blocking."""
    failed = 0
    for place, record in rows:
        try:
            values = orjson.loads(record or "")["features"][0]["values"]
            facts = point.request.model_validate_json(orjson.dumps(values))
        except (ValidationError, ValueError, KeyError, TypeError):
            failed += 1
            continue
        score: Score | NoScore = NoScore("", "")
        if not np.isnan(scores[place]):
            flagged = ("?",) if unknown[place] else ()
            score = Score(float(scores[place]), 1.0, "", flagged)
        verdicts[place] = point.policy.judge(facts, score, point.fallback).verdict
    return failed
