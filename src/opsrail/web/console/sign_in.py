"""The pages where people come in and go: `/console/sign-in`, `/console/sign-out`."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.keys import COOKIE, SECURE_COOKIE
from opsrail.access.links import SIGN_IN
from opsrail.access.signing_in import Begun, SignInRefused, TooManyTries
from opsrail.web.console.forms import Form, form_of, see_other
from opsrail.web.console.pages import SHOWN, Pages, form
from opsrail.web.console.places import place_of
from opsrail.web.door import SESSION, Door, Operation, actor_of
from opsrail.web.headers import headers_of
from opsrail.web.problems import status_of

OWN = "account.own"
TOKEN = re.compile(r"[A-Za-z0-9_-]{1,100}")


class SignInPages:
    """Serves signing in and out."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages
        self._signing_in = door.app.access.signing_in

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [
            Operation(
                "GET", SIGN_IN, "console_sign_in_page", "A page.", self.show, SHOWN, is_open=True, is_told=False
            ),
            Operation(
                "POST", SIGN_IN, "console_sign_in", "A form.", self.sign_in, SHOWN, is_open=True, is_told=False
            ),
            form("/console/sign-out", "console_sign_out", self.sign_out, OWN),
        ]  # fmt: skip

    async def show(self, request: Request) -> Response:
        """Ask for name and password, or whether a link shall be used."""
        link = request.query_params.get("link", "")
        to = place_of(request.query_params.get("to", ""))
        if actor_of(request).startswith("user:") and not link:
            return see_other(to)
        return self._page(request, {"to": to, "link": link if TOKEN.fullmatch(link) else ""})

    async def sign_in(self, request: Request) -> Response:
        """Sign in, by password or link; the session that the browser came with ends."""
        headers = headers_of(request)
        self._door.gate.refuse_foreign(headers)
        has_tls = self._door.gate.has_tls(headers)
        wish = await form_of(request, self._door)
        try:
            begun = await self._begun(request, wish)
        except (SignInRefused, TooManyTries) as refused:
            kept = {"to": place_of(wish.get("to", "")), "name": wish.get("name", "")[:63]}
            return self._page(request, kept, refused)
        self._door.app.access.directory.forget()
        response = see_other(place_of(wish.get("to", "")))
        name = SECURE_COOKIE if has_tls else COOKIE
        response.set_cookie(
            name, begun.token, path="/", secure=has_tls, httponly=True, samesite="lax"
        )
        return response

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        await form_of(request, self._door)
        digest: str = request.scope.get(SESSION, "")
        if digest:
            await self._signing_in.end(digest)
        self._door.app.access.directory.forget()
        response = see_other(SIGN_IN)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
        response.delete_cookie(SECURE_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        return response

    async def _begun(self, request: Request, wish: Form) -> Begun:
        old: str | None = request.scope.get(SESSION) or None
        address = "" if request.client is None else request.client.host
        if link := wish.get("link", ""):
            return await self._signing_in.by_link(link, address=address, instead_of=old)
        name, password = wish.get("name", "").strip(), wish.get("password", "")
        return await self._signing_in.by_password(name, password, address=address, instead_of=old)

    def _page(
        self, request: Request, kept: dict[str, str], refused: Exception | None = None
    ) -> Response:
        shown = {"to": "/console", "link": "", "name": "", **kept}
        return self._pages.render(
            request,
            "sign_in.html",
            title="Sign in",
            status=200 if refused is None else status_of(type(refused)),
            refused="" if refused is None else str(refused),
            **shown,
        )
