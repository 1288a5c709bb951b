"""Where a sign-in leads, and what leads to a sign-in. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.requests import Request

from opsrail.access.links import SIGN_IN

PLACE = re.compile(r"/console(?:[/?][!-\[\]-~]*)?")
"""Where a sign-in may lead: a page of ours, so no backslash that a browser takes for another host."""


def place_of(text: str) -> str:
    """Return where to go after signing in: a page of ours, whatever was given."""
    return text if PLACE.fullmatch(text) and not text.startswith(SIGN_IN) else "/console"


def sign_in_path(request: Request) -> str:
    """Return where somebody signs in who wanted a page, and comes back to it."""
    if request.method not in ("GET", "HEAD"):
        return SIGN_IN
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return SIGN_IN if place_of(path) == "/console" else f"{SIGN_IN}?to={quote(path, safe='/')}"


def is_navigation(request: Request) -> bool:
    """Return whether a browser wants a page to show, and not a script a part of one."""
    return request.headers.get("sec-fetch-mode", "navigate") == "navigate"
