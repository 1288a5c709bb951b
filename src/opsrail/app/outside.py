"""Another registry of models, for the commands that take from it and give to it."""

from __future__ import annotations

from opsrail.app.wired import App
from opsrail.connect.catalog import model_exchange
from opsrail.registry.exchange import Exchange


def exchange_of(app: App, uri: str = "") -> Exchange:
    """Return the MLflow server at an address, else the one of the settings; raises as `catalog.model_exchange`."""
    outside = model_exchange(app.config.models, uri, app.clock)
    return Exchange(outside, app.importer, app.registry, app.store)
