"""Which other systems views' values are asked of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsrail.clock import Clock
from opsrail.connect.catalog import feast_source
from opsrail.decide.guarded_source import GuardedSource
from opsrail.features.source import FeastSource
from opsrail.features.view import FeatureView
from opsrail.ports import FeatureSource


def sources_of(views: Sequence[FeatureView[Any]], clock: Clock) -> Mapping[str, FeatureSource]:
    """Return what each view that keeps nothing itself is asked of, behind a breaker of its own. Raises as `feast_source`."""
    found: dict[str, FeatureSource] = {}
    for view in views:
        source = None if view.kept is None else view.kept.source
        if isinstance(source, FeastSource) and source.url:
            server = feast_source(
                source.url,
                source.references,
                source.entity_key,
                source.secret,
                timeout_ms=source.timeout_ms,
            )
            found[view.ref] = GuardedSource(server, view.ref, source.timeout_ms / 1000, clock)
    return found
