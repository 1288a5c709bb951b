"""Views as plain JSON values, for every door."""

from __future__ import annotations

from typing import Any

import orjson

from opsrail.clock import rfc3339
from opsrail.features.definitions import definition_of
from opsrail.features.view import FeatureView
from opsrail.values.features import ViewRow


def view_record(row: ViewRow) -> dict[str, Any]:
    """Return a view as it was first served."""
    return {
        "name": row.name,
        "version": row.number,
        "digest": row.digest,
        "definition": orjson.loads(row.definition),
        "served_at": rfc3339(row.created_at_ms),
    }


def unserved_record(view: FeatureView[Any]) -> dict[str, Any]:
    """Return a view that the code defines and nobody has served yet."""
    return {
        "name": view.name,
        "version": view.version,
        "digest": None,
        "definition": definition_of(view),
        "served_at": None,
    }
