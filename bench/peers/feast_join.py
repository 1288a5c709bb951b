"""The join of `bench training_set` by Feast's own file offline store: FOLDER [OUTPUT]; prints one line of JSON.

Runs in `.venv-feast`, which holds no opsrail. FOLDER holds what `bench.training_set.written` wrote: `rows.parquet`
(`entity_id`, `at`, `label`) and one file a view (`entity_id`, `event_at`, `written_at`, features). Each file is a FileSource
with `event_at` as its timestamp and `written_at` as its created timestamp, each view has a time to live of 90 days. Measured
is `get_historical_features(...).to_df()` and writing the result, as opsrail's side is; the project is applied before. Feast
joins by event time; the created timestamp only chooses between values of one event time.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("FEAST_USAGE", "False")  # it calls home otherwise

import pandas as pd
import pyarrow.parquet as parquet
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.offline_stores.dask import DaskOfflineStoreConfig
from feast.infra.online_stores.sqlite import SqliteOnlineStoreConfig
from feast.types import Float64

TTL = timedelta(days=90)
TIMES = ("entity_id", "event_at", "written_at")


def applied(folder: Path) -> tuple[FeatureStore, list[str]]:
    """Return a store with the folder's views, and the names of their features as Feast has them."""
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            online_store=SqliteOnlineStoreConfig(path=str(folder / "online.db")),
            offline_store=DaskOfflineStoreConfig(),
            entity_key_serialization_version=3,
        )
    )
    entity = Entity(name="entity", join_keys=["entity_id"], value_type=ValueType.STRING)
    views, names = [], []
    for path in sorted(folder.glob("*.parquet")):
        features = [name for name in parquet.read_schema(path).names if name not in TIMES]
        if "at" in features or path.stem.endswith("_set"):
            continue
        source = FileSource(
            path=str(path), timestamp_field="event_at", created_timestamp_column="written_at"
        )
        schema = [Field(name=name, dtype=Float64) for name in features]
        view = FeatureView(
            name=path.stem, entities=[entity], ttl=TTL, schema=schema, source=source, online=False
        )
        views.append(view)
        names += [f"{path.stem}:{name}" for name in features]
    store.apply([entity, *views])
    return store, names


def main(folder: Path, output: Path) -> None:
    store, names = applied(folder)
    begun_s = time.perf_counter()
    rows = pd.read_parquet(folder / "rows.parquet").rename(columns={"at": "event_timestamp"})
    rows["row"] = range(len(rows))
    joined = store.get_historical_features(entity_df=rows, features=names).to_df()
    joined.to_parquet(output)
    took_s = time.perf_counter() - begun_s
    print(
        json.dumps(
            {
                "version": version("feast"),
                "training_set_s": round(took_s, 3),
                "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "rows_asked": len(rows),
                "rows_given": len(joined),
            }
        )
    )


if __name__ == "__main__":
    where = Path(sys.argv[1])
    main(where, Path(sys.argv[2]) if len(sys.argv) > 2 else where / "feast_set.parquet")
