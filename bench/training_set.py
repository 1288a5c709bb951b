"""Point-in-time training set: 1,000,000 rows joined to ten features of two views, from Parquet to Parquet.

Every value has an event time and a written time up to a day later, one in a hundred a month later; views have a time to
live. `drawn` makes the data from a seed, so that a peer can be asked for the same join in the same run. Measured is one
process: reading both views and the rows, joining, writing the result, and its peak of memory. `--store` also keeps the
values in SQLite and joins from there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from bench.figures import Report, machine, rounded, say
from opsrail import FeatureView
from opsrail.clock import SystemClock
from opsrail.features.keeping import Checked, Keeping
from opsrail.lab.training import ViewHistory, entities_of, training_set
from opsrail.lab.view_histories import read_history
from opsrail.store.sqlite import SqliteStore
from opsrail.values.canonical import canonical

ROWS, VALUES, ENTITIES = 1_000_000, 1_000_000, 100_000
VIEWS: Mapping[str, tuple[str, ...]] = {
    "policyholder": ("claims_5y", "premium_usd", "age_years", "tenure_days", "region_risk"),
    "vehicle": ("mileage_km", "value_usd", "make_fraud_ratio", "repairs", "engine_cc"),
}
"""Ten features, as many as the target names."""
TTL_MS = 90 * 86_400_000
START_MS = round(datetime(2025, 1, 1, tzinfo=UTC).timestamp() * 1000)
SPAN_MS = 365 * 86_400_000
DAY_MS = 86_400_000
SEED = 1996
TARGETS = {"training_set_s": "<= 20", "training_set_peak_mib": "<= 1024"}
CHUNK = 1_000


class Drawn(NamedTuple):
    """Rows and values from a seed.

    Attributes:
        rows: Columns `entity_id` (text), `at` (timestamp, ms, UTC) and `label` (int64).
        views: By name: columns `entity_id`, `event_at`, `written_at` (timestamps, ms, UTC) and one float64 a feature.
    """

    rows: pa.Table
    views: Mapping[str, pa.Table]


def drawn(
    rows: int = ROWS, values: int = VALUES, entities: int = ENTITIES, *, seed: int = SEED
) -> Drawn:
    """Return rows and values; the same numbers give the same data.

    Args:
        values: Of each view.
        entities: As many ids are drawn from, by rows and values alike.
    """
    chance = np.random.default_rng(seed)
    names = pa.array([f"P-{number:07d}" for number in range(entities)])
    views = {}
    for view, features in VIEWS.items():
        event_ms = chance.integers(START_MS, START_MS + SPAN_MS, values)
        late_ms = chance.integers(0, DAY_MS, values)
        late_ms[chance.random(values) < 0.01] += 30 * DAY_MS
        columns = {feature: pa.array(chance.normal(size=values)) for feature in features}
        views[view] = pa.table(
            {
                "entity_id": names.take(pa.array(chance.integers(0, entities, values))),
                "event_at": _moments(event_ms),
                "written_at": _moments(event_ms + late_ms),
                **columns,
            }
        )
    asked = pa.table(
        {
            "entity_id": names.take(pa.array(chance.integers(0, entities, rows))),
            "at": _moments(chance.integers(START_MS, START_MS + SPAN_MS, rows)),
            "label": pa.array(chance.integers(0, 2, rows)),
        }
    )
    return Drawn(asked, views)


def written(data: Drawn, folder: Path) -> None:
    """Write `rows.parquet` and one file a view, as a feature store's offline files are."""
    for name, table in {"rows": data.rows, **data.views}.items():
        parquet.write_table(table, folder / f"{name}.parquet")


def joined(folder: Path) -> pa.Table:
    """Return the training set of the files in a folder."""
    histories = []
    for view, features in VIEWS.items():
        table = parquet.read_table(folder / f"{view}.parquet")
        times = [table.column(name).cast(pa.int64()) for name in ("event_at", "written_at")]
        columns = [table.column("entity_id"), *times, *map(table.column, features)]
        history = pa.table(columns, names=["entity", "event_at_ms", "written_at_ms", *features])
        histories.append(ViewHistory(f"{view}@1", dict.fromkeys(features, float), history, TTL_MS))
    rows = parquet.read_table(folder / "rows.parquet")
    return training_set(rows, histories, entity_column="entity_id", at_column="at")


def figures(folder: Path) -> dict[str, float]:
    """Join the files of a folder in a process of its own; return how long it took and its peak of memory."""
    program = [sys.executable, "-m", "bench.training_set", str(folder)]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout)
    return told


def stored_figures(folder: Path, data: Drawn) -> dict[str, float]:
    """Keep the values in SQLite, and join them from there."""
    return asyncio.run(_stored(folder, data))


async def _stored(folder: Path, data: Drawn) -> dict[str, float]:
    clock = SystemClock()
    store = SqliteStore(folder / "opsrail.db", clock=clock)
    await store.open()
    views: list[FeatureView[Any]] = []
    begun_s = time.perf_counter()
    for name, features in VIEWS.items():
        kinds: dict[str, type] = dict.fromkeys(features, float)
        view: FeatureView[Any] = FeatureView(
            name, version=1, entity="entity_id", features=kinds, ttl="90d"
        )
        views.append(view)
        for batch in data.views[name].to_batches(CHUNK):
            checked = [
                Checked(
                    row["entity_id"],
                    round(row["event_at"].timestamp() * 1000),
                    round(row["written_at"].timestamp() * 1000),
                    canonical({feature: row[feature] for feature in features}).decode(),
                )
                for row in batch.to_pylist()
            ]
            await Keeping(store, clock).keep(view, checked, source="file:bench", is_file=True)
    kept_s = time.perf_counter() - begun_s
    begun_s = time.perf_counter()
    entities = entities_of(data.rows, "entity_id")
    histories = [await read_history(store, view, entities) for view in views]
    read_s = time.perf_counter() - begun_s
    training_set(data.rows, histories, entity_column="entity_id", at_column="at")
    took_s = time.perf_counter() - begun_s
    await store.close()
    values = sum(table.num_rows for table in data.views.values())
    return {
        "backfill_values_per_s": rounded(values / kept_s),
        "training_set_store_read_s": rounded(read_s),
        "training_set_store_s": rounded(took_s),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--values", type=int, default=VALUES, help="of each of the two views")
    parser.add_argument("--entities", type=int, default=ENTITIES)
    parser.add_argument("--store", action="store_true", help="join from SQLite too; takes minutes")


def run(asked: argparse.Namespace) -> Report:
    """Join once from files, and once from a store where that is asked for."""
    taken_on = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say(f"drawing {asked.rows:,} rows and {2 * asked.values:,} values")
        data = drawn(asked.rows, asked.values, asked.entities)
        written(data, folder)
        say("joining from files")
        found = figures(folder)
        if asked.store:
            say("keeping the values in SQLite and joining from there")
            found |= stored_figures(folder, data)
    return Report("training_set", found, targets=TARGETS, machine=taken_on)


def _moments(moments_ms: Any) -> pa.Array:
    return pa.array(moments_ms, pa.int64()).cast(pa.timestamp("ms", "UTC"))


def _measured(folder: Path) -> None:
    begun_s = time.perf_counter()
    table = joined(folder)
    parquet.write_table(table, folder / "training_set.parquet")
    took_s = time.perf_counter() - begun_s
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    known = sum(table.num_rows - table.column(name).null_count for name in VIEWS["vehicle"][:1])
    print(
        json.dumps(
            {
                "training_set_s": rounded(took_s),
                "training_set_peak_mib": rounded(peak_kib / 1024),
                "training_set_rows": float(table.num_rows),
                "training_set_known_ratio": rounded(known / max(1, table.num_rows)),
            }
        )
    )


if __name__ == "__main__":
    _measured(Path(sys.argv[1]))
