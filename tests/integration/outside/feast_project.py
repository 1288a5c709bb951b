"""Run in Feast's own environment, in a folder of its own: a project of drivers, applied and materialized."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

SETTINGS = """
project: drivers
provider: local
registry: registry.db
online_store: {type: sqlite, path: online.db}
offline_store: {type: file}
entity_key_serialization_version: 3
"""

now = datetime.now(UTC).replace(microsecond=0)
rows = pd.DataFrame(
    {
        "driver_id": [1001, 1002, 1003],
        "event_timestamp": [now - timedelta(hours=1), now - timedelta(hours=2), now - timedelta(days=30)],
        "conv_rate": [0.5, 0.25, 0.75],
        "trips": pd.array([3, None, 5], dtype="Int64"),
        "city": ["Rome", None, "Bonn"],
    }
)  # fmt: skip
Path("feature_store.yaml").write_text(SETTINGS)
rows.to_parquet("stats.parquet")
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
stats = FeatureView(
    name="driver_stats",
    entities=[driver],
    ttl=timedelta(days=7),
    schema=[
        Field(name="conv_rate", dtype=Float64),
        Field(name="trips", dtype=Int64),
        Field(name="city", dtype=String),
    ],
    source=FileSource(path="stats.parquet", timestamp_field="event_timestamp"),
    online=True,
)
store = FeatureStore(repo_path=".")
store.apply([driver, stats])
store.materialize(now - timedelta(days=90), now)
