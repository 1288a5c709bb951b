"""Where a sign-in leads, and what leads to a sign-in. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from starlette.requests import Request

from opsrail.access.links import SIGN_IN

PLACE = re.compile(r"/console(?:[/?][!-\[\]-~]*)?")
"""Where a sign-in may lead: a page of ours, so no backslash that a browser takes for another host."""


def place_of(text: str) -> str:
    """Return where to go after signing in: a page of ours, whatever was given."""
    return text if PLACE.fullmatch(text) and not text.startswith(SIGN_IN) else "/console"


def sign_in_path(request: Request) -> str:
    """Return where somebody signs in who wanted a page, or sent a form from one, and comes back to it."""
    if request.method in ("GET", "HEAD"):
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    else:
        path = _page_of(request.headers.get("referer", ""), request.url.path)
    return SIGN_IN if place_of(path) == "/console" else f"{SIGN_IN}?to={quote(path, safe='/')}"


def _page_of(address: str, form: str) -> str:
    """Return the page that a form was sent from; `place_of` lets pages of ours through, and no other.

    A form that is refused is shown under its own path, where no page is: what is sent from there is of the page above.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    above = parts.path.rpartition("/")[0]
    if above == form.rpartition("/")[0]:
        return above
    return parts.path + (f"?{parts.query}" if parts.query else "")


def is_navigation(request: Request) -> bool:
    """Return whether a browser wants a page to show, and not a script a part of one."""
    return request.headers.get("sec-fetch-mode", "navigate") == "navigate"
