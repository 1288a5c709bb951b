"""Puts the door together: operations of every trade, the routes, the envelope around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from opsrail import __version__
from opsrail.access.keys import Gate
from opsrail.app import App
from opsrail.cases.office import Office
from opsrail.config import resolved
from opsrail.decide.asks import LOW
from opsrail.web.bulk import Bulk
from opsrail.web.cases import Cases
from opsrail.web.changes import ChangesDoor
from opsrail.web.comparing import Comparing
from opsrail.web.console.catalog import pages_of
from opsrail.web.console.pages import Pages
from opsrail.web.controls import ControlsDoor
from opsrail.web.decisions import Decisions
from opsrail.web.door import Door, Operation
from opsrail.web.envelope import RAW_LINES, Envelope
from opsrail.web.explanations import Explanations
from opsrail.web.features import FeatureViews
from opsrail.web.health import Health
from opsrail.web.inference import Inference
from opsrail.web.jobs import JobsDoor
from opsrail.web.ledger import Ledger
from opsrail.web.long_work import LongWork
from opsrail.web.models import ModelsDoor
from opsrail.web.openapi import document
from opsrail.web.outcomes import Outcomes
from opsrail.web.people import People
from opsrail.web.points import Points
from opsrail.web.processes import Processes
from opsrail.web.quality import QualityDoor
from opsrail.web.replays import Replays
from opsrail.web.reviews import Reviews
from opsrail.web.rollouts import WatchDoor
from opsrail.web.routing import Paths
from opsrail.web.rulings import Rulings
from opsrail.web.shadows import Challengers
from opsrail.web.stats import LiveStats
from opsrail.web.tuning import Tuning
from opsrail.web.unheard import Unheard


class Trade(Protocol):
    """One trade's file of the door."""

    def operations(self) -> list[Operation]:
        """Return what is served."""
        ...


TRADES: tuple[Callable[[Door], Trade], ...] = (
    LiveStats,
    Cases,
    Decisions,
    Bulk,
    Explanations,
    Reviews,
    Rulings,
    ControlsDoor,
    QualityDoor,
    Outcomes,
    ModelsDoor,
    ChangesDoor,
    Comparing,
    Challengers,
    FeatureViews,
    JobsDoor,
    Ledger,
    LongWork,
    Processes,
    Replays,
    Tuning,
    WatchDoor,
    People,
)


def create_asgi(
    app: App, *, host: str | None = None, is_closing: Callable[[], bool] = lambda: False
) -> Envelope:
    """Return the HTTP interface of an app that is open while requests are served.

    Args:
        host: Address that is listened on; None: `web.host`.
        is_closing: Whether the server is being stopped: requests that wait for a case answer with what there is.

    Raises:
        ConfigInvalid: another address than loopback without a key, or the key's reference leads nowhere. Terminal.
    """
    web = app.config.web
    gate = gate_of(app, web.host if host is None else host)
    door = Door(app, Office(app.store, app.clock), gate, is_closing)
    pages, operations = operations_of(door)
    open_paths = frozenset(one.path for one in operations if one.is_open)
    is_full = app.decider.admission.is_full
    unheard = Unheard(operations, RAW_LINES, app.clock, lambda: is_full(LOW))
    return Envelope(
        Paths(operations),
        gate,
        app.clock,
        open_paths,
        is_held=lambda: app.held is not None,
        unheard=unheard.answer,
        problem_page=pages.problem,
    )


def gate_of(app: App, host: str) -> Gate:
    """Return what admits requests to an address. Raises ConfigInvalid."""
    web = app.config.web
    return Gate(host, resolved(web.api_key), app.access.directory, web.public_url)


def operations_of(door: Door) -> tuple[Pages, list[Operation]]:
    """Return what renders pages, and everything that is served, of every trade."""
    operations: list[Operation] = []
    health = Health(
        door, lambda: document(operations, version=__version__, needs_key=door.gate.needs_key)
    )
    inference = Inference(door, health, Points(door.app))
    operations += health.operations()
    for trade in TRADES:
        operations += trade(door).operations()
    operations += inference.operations()
    pages, shown = pages_of(door)
    operations += shown
    return pages, operations
