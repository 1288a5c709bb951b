"""What must hold after every fault: one function compares the rows with what the load client and the far side saw.

I1 each acknowledged submission is one case that ended; I2 decisions, actions and their ledger entries agree one to one;
I3 the ledger verifies and extends every checkpoint seen before; I4 nothing is due and unclaimed; I5 no canary in a log;
I6 queues are drained. And of each case: a journal without gaps, steps repeated at most once a crash.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from opsrail.ledger.book import verify
from opsrail.ledger.notes import VerifierKey
from opsrail.ports import Store
from opsrail.values.cases import (
    CaseRow,
    CaseState,
    InboxRow,
    JournalRow,
    KeyRow,
    OutboxRow,
    OutboxState,
    WorkerRow,
)
from opsrail.values.decisions import DecisionRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Where
from tests.crash.flow import CANARY, POINT, QUEUE

MOST = 100_000


@dataclass
class Evidence:
    """What was seen outside the database.

    Attributes:
        wanted: Inputs that a client submitted or a file held, by key.
        acknowledged: Case ids that a client was promised, by key.
        steps, sent: What cases noted: steps that began, actions that the far side got.
        kills: Crashes in all: each repeats at most the step in flight of a case.
        set_aside: Keys of cases that must be set aside; all others settle.
        mended: Keys of cases that were set aside once, and settled after an operator's retry.
        repeats: Steps that a case may have repeated, where that is another number than `kills`.
    """

    verifiers: Sequence[VerifierKey]
    notes: Sequence[str]
    wanted: Mapping[str, Mapping[str, Any]]
    acknowledged: Mapping[str, str]
    steps: Sequence[Mapping[str, Any]]
    sent: Sequence[Mapping[str, Any]]
    secrets: Sequence[str]
    logs: str
    kills: int
    set_aside: frozenset[str] = frozenset()
    mended: frozenset[str] = frozenset()
    repeats: int | None = None


async def broken_promises(store: Store, seen: Evidence) -> list[str]:
    """Return what does not hold, in words; empty when all promises are kept. Every worker must have left."""
    cases = await store.select(CaseRow, limit=MOST)
    by_id = {row.id: from_json(row.input) for row in cases}
    journal = await store.select(JournalRow, limit=MOST)
    entries = await store.select(LedgerEntryRow, limit=MOST)
    noted = Counter((entry.kind, entry.subject_id) for entry in entries)
    return [
        *_cases(cases, by_id, seen, noted),
        *await _keys(store, cases),
        *_journals(cases, by_id, journal, seen),
        *await _decisions(store, journal, noted),
        *await _reviews(store, cases, journal, noted),
        *await _actions(store, journal, seen, noted),
        *_steps(seen),
        *await _drained(store, seen),
        *await _ledger(store, seen),
        *(f"a log holds {secret!r}" for secret in (CANARY, *seen.secrets) if secret in seen.logs),
    ]


def _cases(
    cases: Sequence[CaseRow],
    by_id: Mapping[str, Any],
    seen: Evidence,
    noted: Counter[tuple[str, str]],
) -> Iterator[str]:
    count = Counter(given["key"] for given in by_id.values())
    for key in {*seen.wanted, *count}:
        if count[key] != 1:
            yield f"{key} is {count[key]} cases"
    for key, case_id in seen.acknowledged.items():
        if case_id not in by_id:
            yield f"{key} was acknowledged as {case_id}, which does not exist"
    for row in cases:
        key = by_id[row.id]["key"]
        must = CaseState.SET_ASIDE if key in seen.set_aside else CaseState.SETTLED
        if row.state != must or row.owner is not None:
            yield f"{key} is {row.state}, owner {row.owner}, failures {row.failures}, losses {row.losses}: {row.reason}"
        is_aside, is_mended = key in seen.set_aside, key in seen.mended
        for kind, wanted in (
            ("case.accepted", 1),
            ("case.settled", not is_aside),
            ("case.set_aside", is_aside or is_mended),
            ("case.retried", is_mended),
        ):
            if noted[kind, row.id] != wanted:
                yield f"the ledger has {noted[kind, row.id]} entries {kind} of {key}"


async def _keys(store: Store, cases: Sequence[CaseRow]) -> Iterator[str]:
    ids = {row.id for row in cases}
    keys = await store.select(KeyRow, limit=MOST)
    return (
        f"key {row.key} stands for {row.subject_id}, which does not exist"
        for row in keys
        if row.subject_id not in ids
    )


def _journals(
    cases: Sequence[CaseRow],
    by_id: Mapping[str, Any],
    journal: Sequence[JournalRow],
    seen: Evidence,
) -> Iterator[str]:
    of_case: dict[str, list[JournalRow]] = {row.id: [] for row in cases}
    for entry in journal:
        of_case[entry.case_id].append(entry)
    for case_id, entries in of_case.items():
        given = by_id[case_id]
        entries.sort(key=lambda entry: entry.seq)
        made = [f"{entry.kind} {entry.name}" for entry in entries]
        if [entry.seq for entry in entries] != list(range(len(entries))) or made != _path(given):
            yield f"the journal of {given['key']} is {list(zip([entry.seq for entry in entries], made, strict=True))}"


def _path(given: Mapping[str, Any]) -> list[str]:
    """Return what the journal of a case holds when it is at rest."""
    if given["kind"] == "naps":
        return ["sleep sleep"]
    steps = [
        "step counted" if number % 2 else "step counted_on_the_loop"
        for number in range(given["count"])
    ]
    rest = [f"decide {POINT}", "sleep sleep", f"review {QUEUE}", "act pay"]
    return steps + (rest if given["kind"] == "whole" else [])


async def _decisions(
    store: Store, journal: Sequence[JournalRow], noted: Counter[tuple[str, str]]
) -> Iterator[str]:
    rows = Counter(row.id for row in await store.select(DecisionRow, limit=MOST))
    told = Counter(from_json(entry.result) for entry in journal if entry.kind == "decide")
    entries = Counter(
        {subject: count for (kind, subject), count in noted.items() if kind == "decision.made"}
    )
    wrong = {
        id_ for id_ in {*rows, *told, *entries} if not rows[id_] == told[id_] == entries[id_] == 1
    }
    return (
        f"decision {id_}: {rows[id_]} rows, {told[id_]} in journals, {entries[id_]} entries"
        for id_ in wrong
    )


async def _reviews(
    store: Store,
    cases: Sequence[CaseRow],
    journal: Sequence[JournalRow],
    noted: Counter[tuple[str, str]],
) -> Iterator[str]:
    reviews = await store.select(ReviewRow, limit=MOST)
    told = {f"{entry.case_id}-{entry.seq}" for entry in journal if entry.kind == "review"}
    wrong = [f"review {one} is in one place only" for one in told ^ {row.id for row in reviews}]
    for row in reviews:
        kinds = ("review.opened", "review.ruled", "review.delivered")
        counts = tuple(noted[kind, row.id] for kind in kinds)
        if row.state != ReviewState.RULED or counts != (1, 1, 1):
            wrong.append(f"review {row.id} is {row.state}; entries {', '.join(kinds)}: {counts}")
    return iter(wrong)


async def _actions(
    store: Store, journal: Sequence[JournalRow], seen: Evidence, noted: Counter[tuple[str, str]]
) -> Iterator[str]:
    rows = await store.select(OutboxRow, limit=MOST)
    told = {from_json(entry.result) for entry in journal if entry.kind == "act"}
    arrived = Counter(one["key"] for one in seen.sent)
    bodies: dict[str, set[str]] = {}
    for one in seen.sent:
        bodies.setdefault(one["key"], set()).add(one["body"])
    wrong = [
        f"the far side got {key} with bodies {sorted(found)}"
        for key, found in bodies.items()
        if len(found) != 1
    ]
    wrong += [
        f"action {key} is in one place only"
        for key in told ^ {row.key for row in rows} | arrived.keys() - told
    ]
    for row in rows:
        counts = noted["action.enqueued", row.key], noted["action.sent", row.key]
        if row.state != OutboxState.SENT or row.owner is not None or counts != (1, 1):
            wrong.append(
                f"action {row.key} is {row.state}, owner {row.owner}; entries enqueued, sent: {counts}"
            )
        if not 1 <= arrived[row.key] <= 1 + seen.kills:
            wrong.append(
                f"the far side got {row.key} {arrived[row.key]} times after {seen.kills} crashes"
            )
    return iter(wrong)


def _steps(seen: Evidence) -> Iterator[str]:
    """Yield cases that repeated more steps than they were interrupted."""
    ran = Counter((one["key"], one["number"]) for one in seen.steps)
    repeats: Counter[str] = Counter()
    for (key, _), count in ran.items():
        repeats[key] += count - 1
    most = seen.kills if seen.repeats is None else seen.repeats
    yield from (
        f"{key} repeated {n} steps after {most} crashes" for key, n in repeats.items() if n > most
    )


async def _drained(store: Store, seen: Evidence) -> list[str]:
    left = await store.select(InboxRow, limit=MOST)
    alive = await store.select(WorkerRow, Where("state", "=", "alive"), limit=MOST)
    wrong = [f"inbox {row.topic} of {row.case_id} was never read" for row in left]
    if not seen.kills:  # the last of the killed may be found only later
        wrong += [f"worker {row.id} never left" for row in alive]
    return wrong


async def _ledger(store: Store, seen: Evidence) -> Iterator[str]:
    report = await verify(store, seen.verifiers, seen.notes)
    wrong = [str(fault) for fault in report.faults]
    if report.waiting:
        wrong.append(f"{report.waiting} ledger entries wait for their place")
    return iter(wrong)
