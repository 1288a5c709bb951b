"""Which version answers a request: what the registry tells the decision road."""

from __future__ import annotations

from typing import NamedTuple

from opsrail.registry.rollout import Stage
from opsrail.values.models import ModelVersion


class Route(NamedTuple):
    """Which version answers a request.

    Attributes:
        stage: `live` or `canary`; of one that stands in, where it stands.
        revision: Of the point's last change of this version.
    """

    version: ModelVersion
    stage: Stage
    revision: int
