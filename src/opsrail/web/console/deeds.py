"""What people do by a page's form: who does it, and why."""

from __future__ import annotations

from starlette.requests import Request

from opsrail.errors import Fault, InvalidInput
from opsrail.web.console.forms import Form
from opsrail.web.door import KNOWN, actor_of, by_of


def is_named(request: Request) -> bool:
    """Return whether it is known who asks; else a form asks for a name, which records then have."""
    return actor_of(request).startswith(KNOWN)


def who(request: Request, form: Form) -> str:
    """Return who does what a form asks. Raises Denied, InvalidInput: it names another, or nobody."""
    given = form.get("by", "").strip() or None
    if given is None and not is_named(request):
        raise InvalidInput("nobody is named", [Fault("by", "say who does this")])
    return by_of(request, given)


def why(form: Form) -> str:
    """Return the reason that a form gives; the trades refuse one that is empty."""
    return form.get("reason", "").strip()
