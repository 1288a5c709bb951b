"""Renders pages: templates, what every page shows around its own part, and the headers that keep a page to itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from opsrail.access.keys import Unauthenticated
from opsrail.access.roles import EVERYWHERE
from opsrail.clock import Clock
from opsrail.errors import Denied, InvalidInput
from opsrail.telemetry import CORRELATION
from opsrail.web.console import words
from opsrail.web.console.files import address_of
from opsrail.web.console.forms import csrf_token
from opsrail.web.console.places import is_navigation, sign_in_path
from opsrail.web.door import Answer, Operation, actor_of, grants_of
from opsrail.web.problems import fault_record, problem_of

TEMPLATES = Path(__file__).parent / "templates"
HTML = "text/html; charset=utf-8"
POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types opsrail"
)
"""A script or style runs only with its page's nonce, so that nothing a claimant, a document or a model wrote can be one.

Source: OWASP Content Security Policy Cheat Sheet, strict policy.
"""
KEEPS_HTTPS = "max-age=31536000"
"""A year, in which a browser asks this host over https alone. Source: OWASP ASVS 5.0, 3.4.1."""
NOT_THERE = (
    "There is no such page here. What you look for may have been pruned, or the address was cut."
)
NONCE_BYTES = 16
"""Source: CSP level 3, section 7.1: at least 128 bits."""
MOST_FAULTS = 100
Run = Callable[[Request], Awaitable[Response]]


class Place(NamedTuple):
    """An entry of the navigation.

    Attributes:
        here: What a page says to be shown as this entry.
        permission: Who has it nowhere does not see the entry.
        is_of_no_scope: Who has it in some scopes alone does not see the entry either.
    """

    here: str
    path: str
    title: str
    permission: str
    is_of_no_scope: bool = False


HOME = "/console"
NAVIGATION = (
    Place("overview", HOME, "Overview", "health.read"),
    Place("reviews", "/console/reviews", "Reviews", "reviews.read"),
    Place("cases", "/console/cases", "Cases", "cases.read"),
    Place("decisions", "/console/decisions", "Decisions", "decisions.read"),
    Place("automations", "/console/automations", "Automations", "cases.read"),
    Place("models", "/console/models", "Models", "models.read", True),
    Place("changes", "/console/changes", "Changes", "changes.read"),
    Place("rollouts", "/console/rollouts", "Rollouts", "models.read"),
    Place("alarms", "/console/alarms", "Alarms", "health.read"),
    Place("ledger", "/console/ledger", "Ledger", "ledger.read"),
    Place("people", "/console/people", "People", "users.manage"),
)


class Pages:
    """Makes pages of templates.

    Args:
        clock: Draws nonces.
        is_https: Whether browsers reach this server over https alone, and are to keep to that.

    Attributes:
        paths: Which pages there are; the navigation names no others.
    """

    def __init__(self, clock: Clock, *, is_https: bool = False) -> None:
        self._clock = clock
        self._is_https = is_https
        self.paths: frozenset[str] = frozenset()
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= words.FILTERS
        self._templates.globals["file"] = address_of

    def render(
        self,
        request: Request,
        template: str,
        *,
        title: str,
        here: str = "",
        status: int = 200,
        **values: Any,
    ) -> Response:
        """Return a page.

        Args:
            template: File in `templates/`.
            title: What the browser's tab shows.
            here: The navigation's entry that is shown as the current one.
            values: What the template asks for; a name that is missing is an error, never an empty text.
        """
        nonce = self._clock.token(NONCE_BYTES).hex()
        around = {
            "title": title,
            "here": here,
            "nonce": nonce,
            "csrf": csrf_token(request),
            "actor": actor_of(request),
            "path": request.url.path,
            "navigation": self._navigation(request),
        }
        text = self._templates.get_template(template).render({**around, **values})
        headers = {
            "content-security-policy": POLICY.format(nonce=nonce),
            "referrer-policy": "same-origin",  # under `no-referrer` browsers send forms from `Origin: null`
        }
        if self._is_https:
            headers["strict-transport-security"] = KEEPS_HTTPS
        return Response(text, status, headers, media_type=HTML)

    def _navigation(self, request: Request) -> list[Place]:
        """Return the entries that who asks may see."""
        held = grants_of(request)
        return [
            place
            for place in NAVIGATION
            if place.path in self.paths
            and held.may_somewhere(place.permission)
            and (not place.is_of_no_scope or held.may(place.permission, EVERYWHERE))
        ]

    def _first_place(self, request: Request) -> str:
        """Return where a person who came to the console's own address may be; empty: nowhere, or they asked for a page."""
        if request.url.path != HOME or not actor_of(request).startswith("user:"):
            return ""
        return next((place.path for place in self._navigation(request)), "")

    def fragment(self, template: str, **values: Any) -> Response:
        """Return a part of a page, which a script of ours puts in its place."""
        return Response(self._templates.get_template(template).render(values), media_type=HTML)

    def problem(self, request: Request, error: Exception) -> Response:
        """Return an error as a page; who is not known and wants a page is asked to sign in."""
        if isinstance(error, Unauthenticated) and is_navigation(request):
            return RedirectResponse(sign_in_path(request), 303)
        if isinstance(error, Denied) and (first := self._first_place(request)):
            return RedirectResponse(first, 303)
        headers: dict[str, str] = {}
        if isinstance(error, HTTPException):
            is_absent = error.status_code == 404
            problem: dict[str, Any] = {
                "title": "Not found" if is_absent else error.detail,
                "status": error.status_code,
                "detail": NOT_THERE if is_absent else "",
                "correlation_id": CORRELATION.get(),
            }
            headers = dict(error.headers or {})
        else:
            problem, headers = problem_of(error)
            headers.pop("www-authenticate", None)
        is_ours = problem["status"] >= 500
        faults = error.faults if isinstance(error, InvalidInput) and not is_ours else ()
        page = self.render(
            request,
            "problem.html",
            title=problem["title"],
            status=problem["status"],
            problem=problem,
            faults=[fault_record(fault) for fault in faults[:MOST_FAULTS]],
        )
        page.headers.update(headers)
        return page


def page(path: str, name: str, run: Run, permission: str) -> Operation:
    """Return what serves a page.

    Args:
        permission: What who asks for it must have somewhere.
    """
    return Operation("GET", path, name, "A page.", run, SHOWN, permission=permission, is_told=False)


def form(path: str, name: str, run: Run, permission: str) -> Operation:
    """Return what takes in a form that a page sends; it reads it with `form_of` and answers with `see_other`."""
    return Operation(
        "POST", path, name, "A form.", run, SHOWN, permission=permission, is_told=False
    )


SHOWN = {200: Answer("A page.", media=("text/html",))}
