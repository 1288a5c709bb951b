"""What keeps views from being joined to a decision point's requests; found before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from opsrail.errors import Fault
from opsrail.features.request import feature_names
from opsrail.features.view import FeatureView


def join_faults(
    request: type[BaseModel], refs: Sequence[str], views: Mapping[str, FeatureView[Any]]
) -> list[Fault]:
    """Return all faults: unknown views, features of one name, an entity that is no field of the request."""
    found = [Fault("features", f"{ref!r} is not defined") for ref in refs if ref not in views]
    owner = dict.fromkeys(feature_names(request), f"the request {request.__name__}")
    for view in (views[ref] for ref in refs if ref in views):
        for name in sorted(view.names & owner.keys()):
            clash = f"{name!r} comes from {view.ref} and from {owner[name]}; rename one"
            found.append(Fault("features", clash))
        owner |= dict.fromkeys(view.names, view.ref)
        if view.entity_field is not None and view.entity_field not in request.model_fields:
            lacks = f"{view.ref} is read by {view.entity_field!r}, which {request.__name__} has not"
            found.append(Fault("features", lacks))
    return found
