"""Puts spot checks and control cases among the reviews of a queue: a loop of the running app, off the decision road.

It reads decisions, or reviews, past a cursor; what chance draws is opened in the commit that moves it. So each is drawn
at most once, however many processes look and whenever one dies: of two that drew the same, one commits. What becomes durable
later than the margin is passed by and never drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from opsrail import faults
from opsrail.clock import CROCKFORD, Clock, ulid_text
from opsrail.errors import StaleWrite
from opsrail.ports import Store
from opsrail.review.labels import Labels
from opsrail.review.queue import Queue
from opsrail.review.unasked import (
    NOTHING_SHOWN,
    Audit,
    Shown,
    control,
    is_drawn,
    shown_by,
    spot_check,
)
from opsrail.values.cases import CaseRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import (
    UNRULED_STATES,
    ControlRow,
    CursorRow,
    Purpose,
    ReviewRow,
    ReviewState,
)
from opsrail.values.rows import Insert, Update, Value, Where, Write, equals

log = logging.getLogger("opsrail.review")
PAGE_COUNT = 500
KEPT_MS = 60_000
"""How far a cursor may run ahead in memory while nothing was drawn. Ours: a new process reads a minute again."""
MODEL_S = 300.0
"""How long a review is taken for how those of its queue look."""


class Plan(NamedTuple):
    """Spot checks of one decision point.

    Attributes:
        referred: Verdict by which policy sends to a person.
        labels: Which outcomes rulings tell.
        queue: The desk, as declared.
        request: The model of the point's requests, which the author's functions take.
    """

    point: str
    audit: Audit
    referred: str
    labels: Labels
    queue: Queue
    request: type[BaseModel]

    def shown(self, row: DecisionRow) -> Shown:
        """Return what the author wants shown of a decision.

        A decision for which that fails is shown without: were it passed by, the sample would speak for no other.
        """
        if self.audit.show is None and self.audit.values is None:
            return NOTHING_SHOWN
        try:
            values = from_json(row.record)["features"][0]["values"]
            return shown_by(self.audit, self.request.model_validate_json(to_json(values)))
        except Exception as fault:
            log.warning(
                "the spot check of decision %s shows nothing beside its input: Audit.show or values of %s raised %s: %s",
                row.id, self.point, type(fault).__name__, fault,
            )  # fmt: skip
            return NOTHING_SHOWN


class SamplerStats(NamedTuple):
    """How the loop of this process fares: spot checks and control cases opened, and what keeps it from its work."""

    audits: int
    controls: int
    faults: Mapping[str, str]


class Sampler:
    """Draws. One a process.

    Args:
        plans: Decision points with spot checks.
        shares: By queue, which share of its reviews are control cases, in [0, 0.5].
        uses: How often one control case is put to people, at most.
        poll_s: Time between two turns.
        late_ms: Age from which a decision is taken to be durable, milliseconds.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        plans: Sequence[Plan] = (),
        shares: Mapping[str, float] | None = None,
        *,
        uses: int = 1,
        poll_s: float = 1.0,
        late_ms: int = 500,
    ) -> None:
        self._store = store
        self._clock = clock
        self._plans = tuple(plans)
        self._shares = {queue: share for queue, share in (shares or {}).items() if share > 0}
        self._uses = uses
        self._poll_s = poll_s
        self._late_ms = late_ms
        self._reached: dict[str, str] = {}
        self._models: dict[str, tuple[float, ReviewRow | None]] = {}
        self._faults: dict[str, str] = {}
        self._opened = {Purpose.AUDIT: 0, Purpose.CONTROL: 0}

    @property
    def has_work(self) -> bool:
        """Whether there is anything to draw from."""
        return bool(self._plans or self._shares)

    @property
    def cursors(self) -> tuple[str, ...]:
        """Names of the rows that tell how far it has looked."""
        audits = [f"audit:{plan.point}" for plan in self._plans]
        return (*audits, *(f"controls:{queue}" for queue in self._shares))

    def stats(self) -> SamplerStats:
        """Return how it fares."""
        opened = self._opened
        return SamplerStats(opened[Purpose.AUDIT], opened[Purpose.CONTROL], dict(self._faults))

    async def run(self) -> None:
        """Take turns for ever; nothing that goes wrong ends this."""
        for queue in sorted({plan.audit.queue for plan in self._plans if not plan.queue.blind}):
            log.warning("queue %s is not blind: reviewers can tell its spot checks", queue)
        while True:
            await self.turn()
            await self._clock.sleep(self._poll_s)

    async def turn(self) -> None:
        """Draw from everything that came since the last turn."""
        for plan in self._plans:
            await self._guarded(f"audit:{plan.point}", partial(self._audit, plan))
        for queue, share in self._shares.items():
            await self._guarded(f"controls:{queue}", partial(self._mix, queue, share))

    async def _guarded(self, name: str, draw: Callable[[], Awaitable[bool]]) -> None:
        try:
            while await draw():
                pass
            self._faults.pop(name, None)
        except StaleWrite:  # another process drew the same: what it left is read next time
            self._reached.pop(name, None)
        except Exception as fault:
            if self._faults.get(name) != str(fault):
                log.warning("%s: nothing is drawn for now: %s", name, fault)
            self._faults[name] = str(fault)

    # -- spot checks -------------------------------------------------------------------------------------------------

    async def _audit(self, plan: Plan) -> bool:
        """Draw from a page of decisions; return whether there may be more."""
        name = f"audit:{plan.point}"
        until = first_id(self._clock.now_ms() - self._late_ms)
        cursor = await self._cursor(name, until)
        if cursor is None:
            return False
        after = max(cursor.position, self._reached.get(name, ""))
        ids, salts, verdicts, proposed = await self._store.columns(
            DecisionRow, ("id", "salt", "verdict", "proposed"),
            *equals(point=plan.point), Where("id", "<", until), after=(after,), limit=PAGE_COUNT,
        )  # fmt: skip
        drawn = [
            one
            for one, salt, verdict, said in zip(ids, salts, verdicts, proposed, strict=True)
            if verdict != plan.referred and said is None and is_drawn(one, salt, plan.audit.ratio)
        ]
        is_full = len(ids) == PAGE_COUNT
        reached = ids[-1] if is_full else max(after, until)
        writes = await self._spot_checks(plan, drawn) if drawn else []
        if writes or is_full or _is_far(cursor.position, reached):
            await self._commit(cursor, reached, writes, Purpose.AUDIT)
        self._reached[name] = reached
        return is_full

    async def _spot_checks(self, plan: Plan, drawn: Sequence[str]) -> list[Write]:
        """Return the writes for what was drawn, but for what a person has before them already."""
        ids = tuple(drawn)
        known = await self._store.count(
            ReviewRow, Where("decision_id", "in", ids), by=("decision_id",)
        )
        rows = await self._store.select(DecisionRow, Where("id", "in", ids), limit=len(ids))
        of = tuple(sorted({row.case_id for row in rows if row.case_id is not None}))
        cases = (
            await self._store.select(CaseRow, Where("id", "in", of), limit=len(of)) if of else []
        )
        by_id = {row.id: row for row in cases}
        model, now_ms = await self._model(plan.audit.queue), self._clock.now_ms()
        writes: list[Write] = []
        for row in rows:
            case = None if row.case_id is None else by_id.get(row.case_id)
            if (row.id,) in known or (row.case_id is not None and case is None):
                continue
            given = (plan.audit, plan.labels, model, plan.queue, now_ms, plan.shown(row))
            writes += spot_check(row, case, *given)
        return writes

    # -- control cases -----------------------------------------------------------------------------------------------

    async def _mix(self, queue: str, share: float) -> bool:
        """Put control cases beside a share of the reviews that were opened since; return whether there may be more."""
        until_ms = self._clock.now_ms() - self._late_ms
        cursor = await self._cursor(f"controls:{queue}", f"{until_ms:015d}")
        if cursor is None:
            return False
        span = (
            Where("opened_at_ms", ">", int(cursor.position)),
            Where("opened_at_ms", "<=", until_ms),
        )
        waiting: list[ReviewRow] = []
        for state in UNRULED_STATES:
            waiting += await self._store.select(
                ReviewRow, *equals(state=state, queue=queue), *span, limit=10 * PAGE_COUNT
            )
        odds = share / (1 - share)
        drawn = [
            row
            for row in waiting
            if row.purpose != Purpose.CONTROL
            and row.level == 0
            and is_drawn(row.id, f"control {row.salt}", odds)
        ]
        if drawn or until_ms - int(cursor.position) > KEPT_MS:
            writes = await self._controls(queue, drawn) if drawn else []
            await self._commit(cursor, f"{until_ms:015d}", writes, Purpose.CONTROL)
        return False

    async def _controls(self, queue: str, beside: Sequence[ReviewRow]) -> list[Write]:
        """Return the writes that put those control cases that were used least beside reviews."""
        known = await self._store.select(
            ControlRow, *equals(queue=queue), Where("used", "<", self._uses),
            order=("used", "id"), limit=len(beside),
        )  # fmt: skip
        now_ms = self._clock.now_ms()
        writes: list[Write] = []
        for row, model in zip(known, sorted(beside), strict=False):
            name, salt = self._clock.new_id(), self._clock.token(32).hex()
            writes.append(Update(ControlRow, (row.id,), {"used": row.used + 1}, {"used": row.used}))
            writes += control(row, model, name, salt, now_ms, now_ms)
        return writes

    # -- both --------------------------------------------------------------------------------------------------------

    async def _cursor(self, name: str, begin: str) -> CursorRow | None:
        """Return how far was read; None: nobody ever did, so it begins now."""
        row = await self._store.get(CursorRow, name)
        if row is None:
            await self._store.commit([Insert(CursorRow(name, begin, 0))])
        return row

    async def _commit(
        self, cursor: CursorRow, reached: str, writes: Sequence[Write], purpose: Purpose
    ) -> None:
        """Open what was drawn and move the cursor past it. Raises StaleWrite: another process did."""
        moved: dict[str, Value] = {"position": reached, "version": cursor.version + 1}
        faults.point("sampling.before_open")
        await self._store.commit(
            [Update(CursorRow, (cursor.name,), moved, {"version": cursor.version}), *writes]
        )
        faults.point("sampling.after_open")
        self._opened[purpose] += sum(
            isinstance(one, Insert) and isinstance(one.row, ReviewRow) for one in writes
        )

    async def _model(self, queue: str) -> ReviewRow | None:
        """Return a review of a queue that a case asked for, a late one if there is one."""
        now_s = self._clock.monotonic_s()
        known = self._models.get(queue)
        if known is not None and now_s - known[0] < MODEL_S:
            return known[1]
        found: list[ReviewRow] = []
        for state in (
            ReviewState.OPEN,
            ReviewState.CLAIMED,
            ReviewState.RULED,
        ):  # by an index, newest states first
            found = found or await self._store.select(
                ReviewRow,
                *equals(state=state, queue=queue, purpose=Purpose.CASE, level=0),
                limit=1,
                descending=True,
            )
        model = found[0] if found else None
        self._models[queue] = (now_s, model)
        return model


def first_id(at_ms: int) -> str:
    """Return the id below all that are made from a moment on, and above all from before."""
    return ulid_text(max(0, at_ms) << 80)


def reached_at_ms(cursor: CursorRow) -> int:
    """Return up to which moment was looked, epoch ms: at most a minute ago while a process draws, drawn or not."""
    is_ulid = cursor.name.startswith("audit:")
    return moment_of(cursor.position) if is_ulid else int(cursor.position)


def _is_far(position: str, reached: str) -> bool:
    """Return whether a cursor in memory ran far ahead of its row."""
    return moment_of(reached) - moment_of(position) > KEPT_MS


def moment_of(ulid: str) -> int:
    """Return the moment that a ULID begins with, epoch ms."""
    moment_ms = 0
    for letter in ulid[:10]:
        moment_ms = moment_ms << 5 | CROCKFORD.index(letter)
    return moment_ms
