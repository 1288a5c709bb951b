"""A million stored decisions, made fast: each is a real claim of the example, decided by its real model and policy.

The model scores the 15,420 claims of the file, the point's own policy judges each, and `Decision.written` writes the record.
Then rows are copies of those records with ids and times of their own: what a store of that many decisions holds, without
the hours that deciding them would take.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.figures import say
from examples.claims.automation import ClaimFacts, fraud
from examples.claims.claim_rows import is_fraud, read_claims
from examples.claims.train import MODEL_NAME, split_by_year, train
from examples.claims.vehicle_history import histories_before
from opsrail.clock import SystemClock, ulid_text
from opsrail.connect.catalog import runtimes
from opsrail.decide.recorder import row_of
from opsrail.features.request import request_read, request_row
from opsrail.ledger.chain import WriterChain
from opsrail.registry.registry import Registry
from opsrail.store.sqlite import SqliteStore
from opsrail.values.decisions import AsOf, Decision, DecisionRow, ModelRef, ViewRead

DAY_MS = 86_400_000
SPAN_MS = 80 * DAY_MS
END_MS = 2 * 3_600_000
"""Before now: what is younger than an hour is not copied."""
ID, CASE, FACT, AT = "I" * 26, "K" * 26, "F" * 26, 1_700_000_000_000
REVIEWED_RATIO = 0.1
SALT = "5a" * 32


def make(path: Path, count: int) -> None:
    """Write a database with so many decisions, two versions of the model, reviews and labels. A minute for a million."""
    say(
        f"training two models, then writing {count:,} decisions ({count * 4.1 / 1e6:.1f} GB) to {path}"
    )
    training, test = split_by_year(read_claims())
    models = [train(training, test, seed=seed) for seed in (0, 1)]
    asyncio.run(_begin(path, models))
    decided = list(decided_claims(models[0]))
    frauds = [is_fraud(row) for row in read_claims() if row["MonthClaimed"] != "0"]
    database = sqlite3.connect(path)
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -200000")
    chance = random.Random(7)
    marks = ", ".join("?" * len(DecisionRow._fields))
    now_ms = SystemClock().now_ms() - END_MS
    with database:
        database.executemany(
            f"INSERT INTO decisions VALUES ({marks})",  # noqa: S608 - marks alone
            _rows(decided, count, now_ms, chance),
        )
    ids = [one for (one,) in database.execute("SELECT id FROM decisions ORDER BY id")]
    with database:
        _label(database, ids, frauds, chance)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


async def _begin(path: Path, models: list[Any]) -> None:
    clock = SystemClock()
    store = SqliteStore(path, chain=WriterChain(clock), clock=clock)
    await store.open()
    registry = Registry(store, runtimes(), clock)
    for model in models:
        await registry.register(
            MODEL_NAME, model.onnx_bytes, runtime="onnx", training_digest=model.training_digest, by="bench"
        )  # fmt: skip
    await store.close()


def decided_claims(model: Any) -> Iterator[DecisionRow]:
    """Yield the row of each claim, decided."""
    loaded = runtimes()["onnx"].load(model.onnx_bytes, model.digest)
    claims = [row for row in read_claims() if row["MonthClaimed"] != "0"]  # one of the file is none
    facts = [ClaimFacts.model_validate({**_claim(row), "receipt": {}}) for row in claims]
    views = list(histories_before(claims))
    asked = [request_row(one) | view for one, view in zip(facts, views, strict=True)]
    scores = [
        score
        for start in range(0, len(asked), 64)
        for score in loaded.score(asked[start : start + 64])
    ]
    for one, view, score, row in zip(facts, views, scores, claims, strict=True):
        judgement = fraud.policy.judge(one, score, fraud.fallback)
        reads = (
            request_read(one, fraud.request_version),
            ViewRead.of("vehicle-history", "1", row["Make"], view, AsOf(FACT, AT, 17)),
        )
        decision = Decision(
            id=ID, point=fraud.name, impact=fraud.impact, correlation_id="c" * 32, case_id=CASE, seq=1,
            actor="claims-intake", model=ModelRef(MODEL_NAME, 1, model.digest, "live", "local"),
            policy_version=fraud.policy_version, score=score.value, confidence=score.confidence,
            unknown=score.unknown, verdict=judgement.verdict, reasons=judgement.reasons, features=reads,
            cache="off", degraded=False, degraded_why=None, cost_usd=0.0,
            latency_ms={"route": 0.013, "features": 0.046, "score": 0.79, "verdict": 0.01, "total": 0.902},
            at_ms=AT,
        )  # fmt: skip
        yield row_of(decision, SALT)


def _claim(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in ClaimFacts.model_fields}


def _rows(
    decided: list[DecisionRow], count: int, now_ms: int, chance: random.Random
) -> Iterator[DecisionRow]:
    step_ms = SPAN_MS / count
    for number, row in enumerate(itertools.islice(itertools.cycle(decided), count)):
        at_ms = now_ms - SPAN_MS + int(number * step_ms)
        own = ulid_text((at_ms + 1 << 80) | chance.getrandbits(80))
        case = ulid_text((at_ms - 5 << 80) | chance.getrandbits(80))
        record = row.record.replace(ID, own).replace(CASE, case).replace(str(AT), str(at_ms))
        yield row._replace(id=own, case_id=case, at_ms=at_ms, record=record)


def _label(
    database: sqlite3.Connection, ids: list[str], frauds: list[bool], chance: random.Random
) -> None:
    """Write what people ruled and what turned out of every tenth decision."""
    reviewed = [n for n in range(len(ids)) if chance.random() < REVIEWED_RATIO]
    database.executemany(
        "INSERT INTO outcomes VALUES (?, ?, 'fraud', ?, 'audit', ?, 'bench', 1, 1)",
        ((f"{ids[n]}0", ids[n], float(frauds[n % len(frauds)]), REVIEWED_RATIO) for n in reviewed),
    )
    database.executemany(
        "INSERT INTO reviews (id, case_id, automation, queue, decision_id, subject, verdict, state, priority, version,"
        " ruling, ruled_by, salt, opened_at_ms, claimed_at_ms, ruled_at_ms, purpose, skills, eyes, blind, level,"
        " urgent_at_ms)"
        " VALUES (?, ?, 'claims-intake', 'desk', ?, '{}', 'review', 'ruled', 5, 2, ?, 'bench', ?, 0, 0, ?,"
        " 'case', '', 1, 0, 0, 0)",
        (
            (f"{ids[n]}-0", ids[n], ids[n], "decline" if frauds[n % len(frauds)] else "approve", SALT,
             1000 * chance.randrange(30, 600))
            for n in reviewed
        ),
    )  # fmt: skip
