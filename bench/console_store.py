"""Makes the installation that the console's pages are measured on, once, and keeps it: `python -m bench.console_store`.

1,000,000 decisions and 100,000 cases of eighty days with journals, reviews, rulings, outcomes, actions and their ledger
entries, sequenced and signed, in a folder that `opsrail serve` takes as it is. A few minutes and 7 GB; a copy of what is
there already is used again.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import shutil
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.console_rows import AUTOMATION, PEOPLE, POINT, Busy
from bench.figures import say
from bench.history_rows import DAY_MS, decided_claims
from examples.claims.claim_rows import read_claims
from examples.claims.train import MODEL_NAME, split_by_year, train
from opsrail.app import DATABASE, App, build
from opsrail.cases.loader import Definitions, load_file
from opsrail.clock import SystemClock
from opsrail.config import load
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.sequencer import Sequencer
from opsrail.registry.rollout import Stage
from opsrail.store.schema import steps as schema_steps
from opsrail.values.access import GrantRow, UserRow
from opsrail.values.rows import Append, Insert
from opsrail.values.tables import TABLES

DECISIONS, CASE_EVERY = 1_000_000, 10
SPAN_MS = 80 * DAY_MS
EXAMPLE = Path(__file__).parents[1] / "examples" / "claims" / "automation.py"
CACHE = Path.home() / ".cache" / "opsrail-bench" / "console"
DONE = "made"
CHUNK = 2_000
"""Decisions whose rows are written at once."""


def store_folder(cache: Path = CACHE, *, decisions: int = DECISIONS, renew: bool = False) -> Path:
    """Return the folder of the installation, one for each schema; made if it is not there or is to be renewed."""
    schema = schema_steps()[-1].text
    folder = cache / f"{decisions}-{hashlib.sha256(schema.encode()).hexdigest()[:8]}"
    made = folder / DONE
    if renew or not made.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        asyncio.run(make(folder, decisions))
        made.touch()
    return folder


async def make(folder: Path, decisions: int) -> None:
    """Write the installation."""
    begun = time.monotonic()
    definitions = load_file(EXAMPLE)
    config, _ = load()
    say(f"two models, then {decisions:,} decisions in {folder}")
    models = [train(*split_by_year(read_claims()), seed=seed) for seed in (0, 1)]
    async with build(config, folder, definitions).opened() as app:
        await _models(app, models)
    _bulk(folder / DATABASE, definitions, models[0], decisions)
    say(f"{time.monotonic() - begun:.0f} s; the ledger")
    async with build(config, folder, definitions).opened() as app:
        await _people(app)
        await _changes(app)
        await _sequenced(app)
    with sqlite3.connect(folder / DATABASE) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    say(f"made in {time.monotonic() - begun:.0f} s")


async def _models(app: App, models: list[Any]) -> None:
    for model in models:
        version = await app.registry.register(
            MODEL_NAME, model.onnx_bytes, runtime="onnx", training_digest=model.training_digest, by=PEOPLE[0],
            metrics=model.metrics, card=model.card,
        )  # fmt: skip
        stage = Stage.LIVE if version.number == 1 else Stage.SHADOW
        await app.registry.promote(POINT, version, stage, by=PEOPLE[0], reason="measured on 1996")


def _bulk(path: Path, definitions: Definitions, model: Any, count: int) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -400000")
    clock = SystemClock()
    chain = WriterChain(clock)
    digest = definitions.automations[AUTOMATION].digest
    busy = Busy(list(decided_claims(model)), clock.now_ms(), count, CASE_EVERY, digest)
    written = busy.written(SPAN_MS)
    for number in itertools.count():
        if not (chunk := list(itertools.islice(written, CHUNK))):
            break
        _write(database, chain, chunk)
        if number % 50 == 0:
            say(f"{number * CHUNK:,}")
    with database:
        _insert(database, busy.beside(SPAN_MS))
    database.close()


def _write(
    database: sqlite3.Connection,
    chain: WriterChain,
    chunk: list[tuple[list[tuple[Any, ...]], list[Append]]],
) -> None:
    linked = chain.link([each for _, entries in chunk for each in entries])
    with database:
        _insert(database, itertools.chain((row for rows, _ in chunk for row in rows), linked))
    chain.advance(linked)


def _insert(database: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    by_table: dict[type[tuple[Any, ...]], list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        by_table[type(row)].append(row)
    for kind, held in by_table.items():
        names: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
        quoted = ", ".join(f'"{name}"' for name in names)
        marks = ", ".join("?" * len(names))
        database.executemany(f'INSERT INTO "{TABLES[kind].name}" ({quoted}) VALUES ({marks})', held)  # noqa: S608 - names of ours


async def _people(app: App) -> None:
    now_ms = app.clock.now_ms()
    rows: list[tuple[Any, ...]] = []
    for number, person in enumerate(PEOPLE):
        name = person.removeprefix("user:")
        rows.append(
            UserRow(
                name,
                name.title(),
                None,
                None,
                "active",
                "",
                "UTC",
                None,
                0,
                None,
                "bench",
                now_ms,
                0,
            )
        )
        role = ("admin", "operator", "approver")[number] if number < 3 else "reviewer"
        rows.append(GrantRow(person, "*", role, "bench", now_ms))
    await app.store.commit([Insert(row) for row in rows])


async def _changes(app: App) -> None:
    """Plan, approve and apply some changes for real."""
    for number in range(30):
        deadline = {"deadline_ms": 1_500 + number}
        plan = await app.changes.plan(
            POINT, "deadline", deadline, by=PEOPLE[1], reason="Slower garages answer late."
        )
        change_id = plan.row.id
        if number % 3 == 0:
            await app.changes.reject(change_id, by=PEOPLE[2], reason="Not in this month.")
        elif number < 28:
            await app.changes.withdraw(change_id, by=PEOPLE[1], reason="Another way was found.")
    steps = [{"share": 0.1, "hold_s": 3600}, {"share": 0.5, "hold_s": 3600}]
    promotion = {"model": f"{MODEL_NAME}/2", "steps": steps}
    for _ in range(3):
        plan = await app.changes.plan(
            POINT, "promote", promotion, by=PEOPLE[1], reason="a better AUC"
        )
        for by in (PEOPLE[0], PEOPLE[2]):
            await app.changes.approve(plan.row.id, by=by)
        await app.changes.apply(plan.row.id, by=PEOPLE[1])
        await app.rollouts.roll_back(
            plan.row.id, by=PEOPLE[1], reason="the desk is not ready for it"
        )


async def _sequenced(app: App) -> None:
    sequencer = Sequencer(app.store, app.signer, app.clock, "bench", anchor=app.anchor)
    while await sequencer.tick():
        pass
    await sequencer.resign()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    asked = parser.parse_args()
    print(store_folder(asked.cache, decisions=asked.decisions, renew=asked.renew))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare options."""
    parser.add_argument("--cache", type=Path, default=CACHE, help="where installations are kept")
    parser.add_argument("--decisions", type=int, default=DECISIONS, help="a tenth of it are cases")
    parser.add_argument("--renew", action="store_true", help="make the installation anew")


if __name__ == "__main__":
    main()
