"""One's own account: `/console/account`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from opsrail.errors import Denied, Fault, InvalidInput
from opsrail.web.console.forms import form_of, see_other
from opsrail.web.console.pages import Pages, form, page
from opsrail.web.console.sign_in import OWN
from opsrail.web.door import SESSION, Door, Operation, actor_of, grants_of
from opsrail.web.reading import query_of

ACCOUNT = "/console/account"


class AccountPages:
    """Serves one's own account: password, sessions, keys."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages
        self._access = door.app.access

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [
            page(ACCOUNT, "console_account", self.show, OWN),
            form(ACCOUNT + "/password", "console_password", self.password, OWN),
            form(ACCOUNT + "/sessions", "console_end_sessions", self.end_sessions, OWN),
            form(ACCOUNT + "/keys/{key_id}", "console_end_key", self.end_key, OWN),
        ]

    async def show(self, request: Request) -> Response:
        """Show one's account."""
        query_of(request)
        actor, grants = actor_of(request), grants_of(request)
        name = actor.removeprefix("user:") if actor.startswith("user:") else ""
        user = await self._access.users.get(name) if name else None
        return self._pages.render(
            request,
            "account.html",
            title="Your account",
            user=user,
            sessions=await self._access.signing_in.sessions(name) if name else [],
            own=request.scope.get(SESSION, ""),
            permissions=sorted(grants.everywhere),
            within={scope: sorted(held) for scope, held in sorted(grants.within.items())},
        )

    async def password(self, request: Request) -> Response:
        """Change one's password: the other sessions end."""
        wish = await form_of(request, self._door)
        name = self._name(request)
        user = await self._access.users.get(name)
        new, again = wish.get("new", ""), wish.get("again", "")
        if new != again:
            raise InvalidInput("nothing was changed", [Fault("again", "is not the same")])
        if user.row.password is not None:
            address = "" if request.client is None else request.client.host
            await self._access.signing_in.confirm(name, wish.get("old", ""), address=address)
        keeps: str = request.scope.get(SESSION, "")
        await self._access.users.set_password(name, new, by=actor_of(request), keeps=keeps)
        self._access.directory.forget()
        return see_other(ACCOUNT)

    async def end_sessions(self, request: Request) -> Response:
        """End one's other sessions."""
        await form_of(request, self._door)
        own: str = request.scope.get(SESSION, "")
        await self._access.signing_in.end_others(self._name(request), own)
        self._access.directory.forget()
        return see_other(ACCOUNT)

    async def end_key(self, request: Request) -> Response:
        """End a key that one gave out."""
        await form_of(request, self._door)
        key = await self._access.keys.get(request.path_params["key_id"])
        if key.row.made_by != f"user:{self._name(request)}":
            raise Denied("somebody else gave this key out; ask an admin")
        await self._access.keys.revoke(key.row.id, by=actor_of(request))
        self._access.directory.forget()
        return see_other(ACCOUNT)

    def _name(self, request: Request) -> str:
        kind, _, name = actor_of(request).partition(":")
        if kind != "user":
            raise Denied("only who signed in has an account")
        return name
