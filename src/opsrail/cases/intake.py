"""Lets cases in: checked, durable before the caller hears yes, once per source and key, and never more than can be carried.

`accept` takes one; `accept_many` takes a page of an input file together with the file's cursor, so that a killed run
goes on at the row after the last page that is durable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from opsrail import faults
from opsrail.cases.definition import Automation
from opsrail.cases.ending import accepted
from opsrail.cases.runner import Runner
from opsrail.cases.worker import Worker
from opsrail.clock import Clock
from opsrail.errors import Fault, InvalidInput, KeyReused, NotFound, Overloaded, StaleWrite
from opsrail.ports import Store
from opsrail.values.cases import CaseRow, CaseState, KeyRow
from opsrail.values.intake import FileRow
from opsrail.values.rows import Insert, Update, Where, Write

BACKLOG = 10_000
RETRY_AFTER_S = 2.0
COUNT_EVERY_S = 1.0
WAITING_TO_RUN = (Where("state", "=", CaseState.READY), Where("due_at_ms", "null", False))
INPUT_BYTES = 1_000_000
KEY_CHARACTERS = 255
FILE = "file:"
"""How the source of a case begins that came as a row of a file."""


class Submission(NamedTuple):
    """A case that wants in.

    Attributes:
        input: A model of the automation, a mapping, or JSON bytes.
        source: Where it comes from.
        key: Idempotency key, 1..255 characters; None: every submission is a new case.
        priority: 0..9, smaller runs first.
        caller: Who hands it in, as records name them: they do not rule on it, and the key is unique within theirs. None:
            within those of the source.
    """

    automation: str
    input: BaseModel | Mapping[str, Any] | bytes | str
    source: str
    key: str | None = None
    correlation_id: str | None = None
    priority: int = 5
    caller: str | None = None


class Intake:
    """The door for cases.

    Args:
        runner: Runs accepted cases at once where it has room; None: this process only accepts.
        backlog: READY cases above which no more are let in.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        automations: Mapping[str, Automation[Any, Any]],
        *,
        worker: Worker | None = None,
        runner: Runner | None = None,
        backlog: int = BACKLOG,
    ) -> None:
        self._store = store
        self._clock = clock
        self._automations = automations
        self._worker = worker
        self._runner = runner
        self._backlog = backlog
        self._ready = 0
        self._counted_s = float("-inf")

    async def accept(self, submission: Submission) -> tuple[CaseRow, bool]:
        """Make a case durable; return it and whether it is new (False: the same key and input came before).

        Raises:
            InvalidInput: the input does not fit the automation's model; every fault. Terminal, nothing accepted.
            KeyReused: the key came with another input before. Conflict.
            Overloaded: too many cases wait; carries after_s. Nothing accepted.
            NotFound: no such automation. Terminal.
        """
        automation = self._automation(submission.automation)
        model = self.check(automation, submission.input)
        text = self._written(automation, submission, model)
        keys = _keys(automation, submission, model)
        if self._is_stale():
            await self._count()
        self._refuse_when_full()
        runner = self._runner if self._runner is not None and self._runner.reserve() else None
        try:
            owner = self._worker.id if runner is not None and self._worker is not None else None
            row = self._row(automation, submission, text, owner)
            await self._store.commit(self._writes(row, keys))
        except StaleWrite:
            earlier = await self._earlier(keys, row)
            if earlier is None:
                raise
            return earlier, False
        finally:
            if runner is not None:
                runner.unreserve()
        faults.point("case.accepted")
        if runner is not None:
            runner.start(row, is_fresh=True)
        else:
            self._ready += 1
        return row, True

    async def accept_page(
        self, automation_name: str, models: Sequence[BaseModel], file: FileRow
    ) -> tuple[FileRow, int]:
        """Accept the next rows of a file and move its cursor, in one commit; return the file and how many cases are new.

        Rows whose business key is known already count as accepted and make no second case.

        Raises:
            Overloaded: too many cases wait; carries after_s. Nothing accepted.
            StaleWrite: another process accepts the same file. Conflict.
        """
        automation = self._automation(automation_name)
        if self._is_stale():
            await self._count()
        self._refuse_when_full()
        writes: list[Write] = []
        new = 0
        known = await self._known(automation, models)
        for model in models:
            submission = Submission(automation.name, model, f"{FILE}{file.name}")
            text = self._written(automation, submission, model)
            row = self._row(automation, submission, text)
            if automation.key is not None:
                business_key = str(getattr(model, automation.key))
                if business_key in known:
                    continue
                known.add(business_key)
            writes += self._writes(row, _keys(automation, submission, model))
            new += 1
        moved = file._replace(accepted=file.accepted + len(models))
        writes.append(
            Update(
                FileRow, (file.digest,), {"accepted": moved.accepted}, {"accepted": file.accepted}
            )
        )
        await self._store.commit(writes)
        faults.point("intake.batch_accepted")
        self._ready += new
        if self._runner is not None:
            self._runner.nudge.set()
        return moved, new

    def check(
        self, automation: Automation[Any, Any], given: BaseModel | Mapping[str, Any] | bytes | str
    ) -> BaseModel:
        """Return the input as the automation's model.

        Raises:
            InvalidInput: every fault found, with its field. Terminal.
        """
        try:
            if isinstance(given, BaseModel):
                model: BaseModel = automation.case.model_validate(given)
            elif isinstance(given, bytes | str):
                model = automation.case.model_validate_json(given)
            else:
                model = automation.case.model_validate(given)
        except ValidationError as wrong:
            raise InvalidInput(
                f"the input does not fit {automation.name}", faults_of(wrong)
            ) from wrong
        return model

    def _automation(self, name: str) -> Automation[Any, Any]:
        automation = self._automations.get(name)
        if automation is None:
            raise NotFound(
                f"no automation {name!r} here; this file defines: {', '.join(self._automations) or 'none'}"
            )
        return automation

    @staticmethod
    def _written(automation: Automation[Any, Any], submission: Submission, model: BaseModel) -> str:
        """Return the input as its row keeps it; refuse what is too large."""
        text = automation.written(model)
        if len(text) > INPUT_BYTES:
            raise InvalidInput(f"the input is {len(text):,} characters; at most {INPUT_BYTES:,}")
        if submission.key is not None and not 1 <= len(submission.key) <= KEY_CHARACTERS:
            raise InvalidInput("the idempotency key is not 1 to 255 characters long")
        return text

    def _row(
        self,
        automation: Automation[Any, Any],
        submission: Submission,
        text: str,
        owner: str | None = None,
    ) -> CaseRow:
        """Return a new case: of `owner`, who runs it at once, else due for whoever has room."""
        now_ms, source = self._clock.now_ms(), submission.source
        return CaseRow(
            id=self._clock.new_id(),
            automation=automation.name,
            definition=automation.digest,
            state=CaseState.READY if owner is None else CaseState.RUNNING,
            source=source,
            input=text,
            outcome=None,
            reason=None,
            waiting_for=None,
            owner=owner,
            failures=0,
            losses=0,
            progress=0,
            priority=submission.priority,
            due_at_ms=now_ms if owner is None else None,
            correlation_id=submission.correlation_id or self._clock.token(16).hex(),
            salt=self._clock.token(32).hex(),
            accepted_at_ms=now_ms,
            updated_at_ms=now_ms,
            settled_at_ms=None,
            requested_by=submission.caller or (source if source.startswith(FILE) else None),
        )

    def _writes(self, row: CaseRow, keys: Sequence[tuple[str, str]]) -> list[Write]:
        digest = _body_digest(row) if keys else ""
        named = [
            Insert(KeyRow(scope, key, digest, row.id, row.accepted_at_ms)) for scope, key in keys
        ]
        writes: list[Write] = [Insert(row), accepted(row), *named]
        if row.owner is not None and self._worker is not None:
            writes.append(self._worker.fence())
        return writes

    async def _earlier(self, keys: Sequence[tuple[str, str]], row: CaseRow) -> CaseRow | None:
        for scope, key in keys:
            known = await self._store.get(KeyRow, scope, key)
            if known is None:
                continue
            if known.body_digest != _body_digest(row):
                raise KeyReused(
                    f"key {key!r} already stands for case {known.subject_id} with another input; use a fresh key"
                )
            return await self._store.get(CaseRow, known.subject_id)
        return None

    async def _known(
        self, automation: Automation[Any, Any], models: Sequence[BaseModel]
    ) -> set[str]:
        if automation.key is None:
            return set()
        keys = tuple(str(getattr(model, automation.key)) for model in models)
        scope = Where("scope", "=", f"case:{automation.name}")
        rows = await self._store.select(KeyRow, scope, Where("key", "in", keys), limit=len(keys))
        return {row.key for row in rows}

    def _is_stale(self) -> bool:
        """Return whether the cases that wait should be counted again."""
        now_s = self._clock.monotonic_s()
        return now_s - self._counted_s > COUNT_EVERY_S or self._ready >= self._backlog

    async def _count(self) -> None:
        # Noted before the await: one of a thousand callers counts, not each.
        self._counted_s = self._clock.monotonic_s()
        counts = await self._store.count(CaseRow, *WAITING_TO_RUN)
        self._ready = counts.get((), 0)

    def _refuse_when_full(self) -> None:
        if self._ready >= self._backlog:
            raise Overloaded(
                f"{self._ready:,} cases wait already, the limit is {self._backlog:,}; try again in {RETRY_AFTER_S:g} s",
                after_s=RETRY_AFTER_S,
            )


def faults_of(wrong: ValidationError) -> list[Fault]:
    """Return pydantic's findings as faults, without the values that were sent."""
    return [
        Fault(".".join(str(part) for part in error["loc"]), error["msg"])
        for error in wrong.errors(include_url=False, include_input=False, include_context=False)
    ]


def _keys(
    automation: Automation[Any, Any], submission: Submission, model: BaseModel
) -> list[tuple[str, str]]:
    keys = []
    if submission.key is not None:
        namespace = submission.caller or submission.source
        keys.append((f"case:{automation.name}:{namespace}", submission.key))
    if automation.key is not None:
        keys.append((f"case:{automation.name}", str(getattr(model, automation.key))))
    return keys


def _body_digest(row: CaseRow) -> str:
    return hashlib.sha256(row.input.encode()).hexdigest()
