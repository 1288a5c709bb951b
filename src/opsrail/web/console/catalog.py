"""Every page of the console: which there are, and the files that they need."""

from __future__ import annotations

from opsrail.web.console import files
from opsrail.web.console.account import AccountPages
from opsrail.web.console.automations import AutomationPages
from opsrail.web.console.cases import CasePages
from opsrail.web.console.changes import ChangePages
from opsrail.web.console.decisions import DecisionPages
from opsrail.web.console.ledger import LedgerPages
from opsrail.web.console.models import ModelPages
from opsrail.web.console.overview import OverviewPages
from opsrail.web.console.pages import Pages
from opsrail.web.console.people import PeoplePages
from opsrail.web.console.review import ReviewPage
from opsrail.web.console.review_quality import QualityPage
from opsrail.web.console.reviews import ReviewPages
from opsrail.web.console.rollouts import WatchPages
from opsrail.web.console.sign_in import SignInPages
from opsrail.web.door import Door, Operation

PAGES = (
    OverviewPages,
    CasePages,
    ReviewPages,
    QualityPage,
    ReviewPage,
    DecisionPages,
    AutomationPages,
    ModelPages,
    ChangePages,
    WatchPages,
    LedgerPages,
    SignInPages,
    PeoplePages,
    AccountPages,
)


def pages_of(door: Door) -> tuple[Pages, list[Operation]]:
    """Return what renders pages, and what serves them."""
    is_https = door.app.config.web.public_url.lower().startswith("https://")
    pages = Pages(door.app.clock, is_https=is_https)
    operations = files.operations()
    for each in PAGES:
        operations += each(door, pages).operations()
    pages.paths = frozenset(one.path for one in operations if one.method == "GET")
    return pages, operations
