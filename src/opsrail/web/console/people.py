"""The pages of those who manage users: `/console/people`."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.links import link_of
from opsrail.access.roles import EVERYWHERE, ROLES
from opsrail.access.users import NAME
from opsrail.errors import Fault, InvalidInput
from opsrail.web.console.forms import form_of, see_other
from opsrail.web.console.pages import Pages, form, page
from opsrail.web.door import CASE_ID, KNOWN, Door, Operation, actor_of, permit, scopes_of
from opsrail.web.people import MANAGE, may_see, name_of, permit_all, shows_address
from opsrail.web.reading import query_of

PEOPLE = "/console/people"
PAGE_COUNT = 50
KEY = re.compile(CASE_ID)


class PeoplePages:
    """Serves the pages of users and keys."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages
        self._access = door.app.access

    def operations(self) -> list[Operation]:
        """Return what is served."""
        one = PEOPLE + "/{name}"
        return [
            page(PEOPLE, "console_people", self.show_all, MANAGE),
            form(PEOPLE, "console_add_user", self.add, MANAGE),
            page(one, "console_person", self.show, MANAGE),
            form(one + "/grant", "console_grant", self.grant, MANAGE),
            form(one + "/revoke", "console_revoke", self.revoke, MANAGE),
            form(one + "/disable", "console_disable", self.disable, MANAGE),
            form(one + "/enable", "console_enable", self.enable, MANAGE),
            form(one + "/link", "console_link", self.link, MANAGE),
            form("/console/keys", "console_add_key", self.add_key, MANAGE),
            form("/console/keys/{key_id}/revoke", "console_revoke_key", self.revoke_key, MANAGE),
        ]

    async def show_all(self, request: Request) -> Response:
        """Show users, and keys of programs."""
        query = query_of(request, after=NAME, keys_after=KEY)
        users = self._access.users
        rows = await users.list(after=query.get("after"), limit=PAGE_COUNT + 1)
        shown = rows[:PAGE_COUNT]
        held = await users.roles_of(row.name for row in shown)
        keys = await self._access.keys.list(after=query.get("keys_after"), limit=PAGE_COUNT + 1)
        more = f"{PEOPLE}?after={shown[-1].name}" if len(rows) > PAGE_COUNT else None
        scopes = scopes_of(request, MANAGE)
        granted = {
            name: [one for one in grants if scopes is None or one.scope in scopes]
            for name, grants in held.items()
        }
        return self._pages.render(
            request,
            "people.html",
            title="People",
            here="people",
            rows=shown,
            held=granted,
            keys=[key for key in keys[:PAGE_COUNT] if may_see(request, key)],
            next=more,
            first=PEOPLE if "after" in query else "",
            next_keys=f"{PEOPLE}?keys_after={keys[PAGE_COUNT - 1].row.id}"
            if len(keys) > PAGE_COUNT
            else None,
            first_keys=PEOPLE if "keys_after" in query else "",
            roles=list(ROLES),
            scopes=self._scopes(request),
            now_ms=self._door.app.clock.now_ms(),
        )

    async def add(self, request: Request) -> Response:
        """Make a user."""
        wish = await form_of(request, self._door)
        scope, name = wish.get("scope", EVERYWHERE), wish.get("name", "").strip()
        permit(request, MANAGE, scope)
        shown, address = wish.get("shown", "").strip(), wish.get("address", "").strip()
        await self._access.users.add(
            name,
            by=actor_of(request),
            shown=shown,
            address=address or None,
            grants=[(scope, wish.get("role", ""))],
        )
        await self._access.directory.look()
        if not actor_of(request).startswith(
            KNOWN
        ):  # who came in unsigned has to sign in from now on
            return await self._with_link(request, name)
        return see_other(f"{PEOPLE}/{name}")

    async def show(self, request: Request) -> Response:
        """Show a user."""
        query_of(request)
        return await self._shown(request, name_of(request))

    async def grant(self, request: Request) -> Response:
        """Give a role."""
        wish = await form_of(request, self._door)
        scope, name = wish.get("scope", ""), name_of(request)
        permit(request, MANAGE, scope)
        await self._access.users.grant(name, scope, wish.get("role", ""), by=actor_of(request))
        return self._back(name)

    async def revoke(self, request: Request) -> Response:
        """Take a role."""
        wish = await form_of(request, self._door)
        scope, name = wish.get("scope", ""), name_of(request)
        permit(request, MANAGE, scope)
        await self._access.users.revoke(name, scope, wish.get("role", ""), by=actor_of(request))
        return self._back(name)

    async def disable(self, request: Request) -> Response:
        """End a user's sessions."""
        await form_of(request, self._door)
        permit(request, MANAGE, EVERYWHERE)
        await self._access.users.disable(name_of(request), by=actor_of(request))
        return self._back(name_of(request))

    async def enable(self, request: Request) -> Response:
        """Let a user sign in again."""
        await form_of(request, self._door)
        permit(request, MANAGE, EVERYWHERE)
        await self._access.users.enable(name_of(request), by=actor_of(request))
        return self._back(name_of(request))

    async def link(self, request: Request) -> Response:
        """Show a one-time link, once."""
        await form_of(request, self._door)
        permit(request, MANAGE, EVERYWHERE)
        return await self._with_link(request, name_of(request))

    async def _with_link(self, request: Request, name: str) -> Response:
        token, _ = await self._access.users.link(name, by=actor_of(request))
        url = f"{request.url.scheme}://{request.url.netloc}"
        web = self._door.app.config.web
        link = link_of(web, token, None if web.public_url else url)
        return await self._shown(request, name, link)

    async def add_key(self, request: Request) -> Response:
        """Show a fresh key, once."""
        wish = await form_of(request, self._door)
        scope, title = wish.get("scope", EVERYWHERE), wish.get("title", "").strip()
        permit(request, MANAGE, scope)
        days = wish.get("days", "").strip()
        if days and not days.isdecimal():
            raise InvalidInput("no key was made", [Fault("days", "must be a number of days")])
        secret, key = await self._access.keys.add(
            title,
            [(scope, wish.get("role", ""))],
            by=actor_of(request),
            days=int(days[:6]) if days else None,
        )
        return self._pages.render(
            request, "key.html", title="A new key", here="people", secret=secret, key=key
        )

    async def revoke_key(self, request: Request) -> Response:
        """End a key."""
        await form_of(request, self._door)
        key = await self._access.keys.get(request.path_params["key_id"])
        permit_all(request, [one.scope for one in key.grants] or [EVERYWHERE])
        await self._access.keys.revoke(key.row.id, by=actor_of(request))
        return self._back("")

    async def _shown(self, request: Request, name: str, link: str = "") -> Response:
        user = await self._access.users.get(name)
        scopes = scopes_of(request, MANAGE)
        return self._pages.render(
            request,
            "person.html",
            title=user.row.shown,
            here="people",
            user=user.row,
            shows_address=shows_address(request, user.row),
            grants=[one for one in user.grants if scopes is None or one.scope in scopes],
            keys=user.keys if scopes is None else [],
            link=link,
            roles=list(ROLES),
            scopes=self._scopes(request),
            is_everywhere=scopes is None,
            now_ms=self._door.app.clock.now_ms(),
        )

    def _scopes(self, request: Request) -> list[str]:
        """Return where who asks may give roles, of what there is."""
        held = scopes_of(request, MANAGE)
        if held is not None:
            return sorted(held)
        defined = self._door.app.definitions
        return [EVERYWHERE, *sorted({*defined.automations, *defined.points})]

    def _back(self, name: str) -> Response:
        self._access.directory.forget()
        return see_other(f"{PEOPLE}/{name}" if name else PEOPLE)
