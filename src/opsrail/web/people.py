"""Users and keys over HTTP: made, shown, granted, revoked, by whoever manages users where they lie."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.api_keys import Key
from opsrail.access.links import link_of
from opsrail.access.records import key_record, user_record
from opsrail.access.roles import EVERYWHERE, ROLES
from opsrail.access.users import CONTROLS, LONGEST_TEXT, NAME, SAYS, SCOPE, User
from opsrail.clock import rfc3339
from opsrail.values.access import UserRow
from opsrail.web.answers import M, Moment, Shape
from opsrail.web.door import (
    CASE_ID,
    LIMIT_PARAMETER,
    Answer,
    Door,
    Operation,
    Parameter,
    actor_of,
    answer,
    by_of,
    id_parameter,
    permit,
    scopes_of,
)
from opsrail.web.paging import after_parameter
from opsrail.web.reading import LIMIT, PAGE_COUNT, body_of, model_of, page_of, query_of

MANAGE = "users.manage"
BY_NAME = (id_parameter("name", NAME.pattern, "Name of a user."),)
BY_ID = (id_parameter("key_id", CASE_ID, "Id of a key: a ULID."),)
AFTER = Parameter(
    "after", "query", {"type": "string", "pattern": f"^{NAME.pattern}$"}, "Last name before."
)
Said = Annotated[str, StringConstraints(max_length=LONGEST_TEXT, pattern=f"^{SAYS.pattern}$")]
Person = Annotated[
    str,
    StringConstraints(
        min_length=1,
        max_length=LONGEST_TEXT,
        pattern=rf"^[^{CONTROLS}]*[^\s{CONTROLS}\xa0][^{CONTROLS}]*$",
    ),
]


class Held(Shape):
    """A role in a scope."""

    scope: str
    role: str
    granted_by: str
    at: Moment


class UserShape(Shape):
    """A person who signs in."""

    name: str
    shown: str
    state: str
    has_password: bool
    locked_until: Moment | None
    created_at: Moment
    grants: list[Held]


class UserShapes(Shape):
    """Users by name; `next`: the name to ask after for more."""

    users: list[UserShape]
    next: str | None


class Link(Shape):
    """An address that signs its user in once."""

    user: str
    link: str
    ends_at: Moment


class KeyShape(Shape):
    """A key of a program."""

    id: str
    title: str
    made_by: str
    made_at: Moment
    ends_at: Moment | None
    used_at: Moment | None
    revoked_at: Moment | None
    grants: list[Held]


class KeyShapes(Shape):
    """Keys, newest first; `next`: the id to ask after for more."""

    keys: list[KeyShape]
    next: str | None


class NewKey(Shape):
    """A key that was just made; `secret` is shown once."""

    secret: str
    key: KeyShape


class Grant(BaseModel):
    """A role in a scope."""

    model_config = ConfigDict(extra="forbid")
    scope: Annotated[str, StringConstraints(pattern=f"^(?:{SCOPE.pattern})$")] = EVERYWHERE
    role: Annotated[str, StringConstraints(pattern=f"^({'|'.join(ROLES)})$")]


class NewUser(BaseModel):
    """Who shall sign in."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]
    shown: Said = ""
    address: Said | None = None
    grants: Annotated[list[Grant], Field(max_length=100)] = Field(default_factory=list)
    by: Person | None = None


class GrantBy(Grant):
    """A role in a scope, and who gives or takes it."""

    by: Person | None = None


class By(BaseModel):
    """Who acts."""

    model_config = ConfigDict(extra="forbid")
    by: Person | None = None


class KeyWish(BaseModel):
    """What a key is for, and what it may do."""

    model_config = ConfigDict(extra="forbid")
    title: Person
    grants: Annotated[list[Grant], Field(min_length=1, max_length=100)]
    days: Annotated[int, Field(ge=1, le=3_650)] | None = None
    by: Person | None = None


class People:
    """Serves `/v1/users` and `/v1/keys`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._access = door.app.access

    def operations(self) -> list[Operation]:
        """Return what is served."""
        one = "/v1/users/{name}"
        listed = {200: Answer("Users by name.", UserShapes)}
        user = {200: Answer("The user as they stand now.", UserShape)}
        return [
            Operation(
                "GET", "/v1/users", "users", "List users.", self.list_users, listed,
                parameters=(LIMIT_PARAMETER, AFTER), permission=MANAGE,
            ),
            Operation(
                "POST", "/v1/users", "add_user", "Make a user.", self.add_user, {201: user[200]},
                body=NewUser, errors=(409,), permission=MANAGE,
            ),
            Operation(
                "GET", one, "user", "Show a user.", self.show_user, user, parameters=BY_NAME, errors=(404,),
                permission=MANAGE,
            ),
            self._deed("grant", "Give a user a role.", self.grant, GrantBy, user),
            self._deed("revoke", "Take a role from a user.", self.revoke, GrantBy, user),
            self._deed("disable", "Let a user sign in no more.", self.disable, By, user),
            self._deed("enable", "Let a user sign in again.", self.enable, By, user),
            self._deed("link", "Make a link that signs a user in once.", self.link, By,
                       {200: Answer("The link.", Link)}),
            *self._keys(),
        ]  # fmt: skip

    def _deed(
        self, verb: str, summary: str, run: Any, body: type[BaseModel], told: dict[int, Answer]
    ) -> Operation:
        return Operation(
            "POST",
            f"/v1/users/{{name}}/{verb}",
            f"{verb}_user",
            summary,
            run,
            told,
            body=body,
            parameters=BY_NAME,
            errors=(404, 409),
            permission=MANAGE,
        )

    def _keys(self) -> list[Operation]:
        listed = {200: Answer("Keys, newest first.", KeyShapes)}
        return [
            Operation(
                "GET", "/v1/keys", "keys", "List keys.", self.list_keys, listed,
                parameters=(LIMIT_PARAMETER, after_parameter("id")), permission=MANAGE,
            ),
            Operation(
                "POST", "/v1/keys", "add_key", "Make a key.", self.add_key, {201: Answer("The key.", NewKey)},
                body=KeyWish, permission=MANAGE,
            ),
            Operation(
                "POST", "/v1/keys/{key_id}/revoke", "revoke_key", "End a key.", self.revoke_key,
                {200: Answer("The key.", KeyShape)}, body=By, parameters=BY_ID, errors=(404, 409),
                permission=MANAGE,
            ),
        ]  # fmt: skip

    async def list_users(self, request: Request) -> Response:
        """Answer with users."""
        query = query_of(request, limit=LIMIT, after=NAME)
        limit = int(query.get("limit", PAGE_COUNT))
        rows = await self._access.users.list(after=query.get("after"), limit=limit + 1)
        shown = rows[:limit]
        held = await self._access.users.roles_of(row.name for row in shown)
        told = [_user(request, User(row, list(held.get(row.name, ())), [])) for row in shown]
        return answer({"users": told, "next": shown[-1].name if len(rows) > limit else None})

    async def add_user(self, request: Request) -> Response:
        """Make a user."""
        wish = await self._read(request, NewUser)
        permit_all(request, [one.scope for one in wish.grants] or [EVERYWHERE])
        user = await self._access.users.add(
            wish.name,
            by=by_of(request, wish.by),
            shown=wish.shown,
            address=wish.address,
            grants=[(one.scope, one.role) for one in wish.grants],
        )
        await self.changed()
        return answer(_user(request, user), 201, {"location": f"/v1/users/{wish.name}"})

    async def show_user(self, request: Request) -> Response:
        """Answer with a user."""
        query_of(request)
        return answer(_user(request, await self._access.users.get(name_of(request))))

    async def grant(self, request: Request) -> Response:
        """Give a role."""
        wish = await self._read(request, GrantBy)
        permit(request, MANAGE, wish.scope)
        user = await self._access.users.grant(
            name_of(request), wish.scope, wish.role, by=by_of(request, wish.by)
        )
        await self.changed()
        return answer(_user(request, user))

    async def revoke(self, request: Request) -> Response:
        """Take a role."""
        wish = await self._read(request, GrantBy)
        permit(request, MANAGE, wish.scope)
        user = await self._access.users.revoke(
            name_of(request), wish.scope, wish.role, by=by_of(request, wish.by)
        )
        await self.changed()
        return answer(_user(request, user))

    async def disable(self, request: Request) -> Response:
        """End a user's sessions."""
        wish = await self._read(request, By)
        permit(request, MANAGE, EVERYWHERE)
        user = await self._access.users.disable(name_of(request), by=by_of(request, wish.by))
        await self.changed()
        return answer(_user(request, user))

    async def enable(self, request: Request) -> Response:
        """Let a user sign in again."""
        wish = await self._read(request, By)
        permit(request, MANAGE, EVERYWHERE)
        user = await self._access.users.enable(name_of(request), by=by_of(request, wish.by))
        return answer(_user(request, user))

    async def link(self, request: Request) -> Response:
        """Make a one-time link: who has it is that user, so only who manages users everywhere may."""
        wish = await self._read(request, By)
        permit(request, MANAGE, EVERYWHERE)
        name = name_of(request)
        token, row = await self._access.users.link(name, by=by_of(request, wish.by))
        web = self._door.app.config.web
        own = f"{request.url.scheme}://{request.url.netloc}"  # it may listen elsewhere than settings say
        made = link_of(web, token, None if web.public_url else own)
        return answer({"user": name, "link": made, "ends_at": rfc3339(row.ends_at_ms)})

    async def list_keys(self, request: Request) -> Response:
        """Answer with keys."""
        _, page = page_of(request)
        keys = await self._access.keys.list(after=page.after, limit=page.limit + 1)
        shown = keys[: page.limit]
        told = [key_record(key) for key in shown if may_see(request, key)]
        more = shown[-1].row.id if len(keys) > page.limit else None
        return answer({"keys": told, "next": more})

    async def add_key(self, request: Request) -> Response:
        """Make a key."""
        wish = await self._read(request, KeyWish)
        permit_all(request, [one.scope for one in wish.grants])
        grants = [(one.scope, one.role) for one in wish.grants]
        secret, key = await self._access.keys.add(
            wish.title, grants, by=by_of(request, wish.by), days=wish.days
        )
        return answer({"secret": secret, "key": key_record(key)}, 201)

    async def revoke_key(self, request: Request) -> Response:
        """End a key."""
        wish = await self._read(request, By)
        key = await self._access.keys.get(request.path_params["key_id"])
        permit_all(request, [one.scope for one in key.grants] or [EVERYWHERE])
        ended = await self._access.keys.revoke(key.row.id, by=by_of(request, wish.by))
        await self.changed()
        return answer(key_record(ended))

    async def changed(self) -> None:
        """Heed in this process at once what was changed."""
        self._access.directory.forget()
        await self._access.directory.look()

    async def _read(self, request: Request, model: type[M]) -> M:
        query_of(request)
        return model_of(model, await body_of(request, self._door.body_bytes))


def permit_all(request: Request, scopes: list[str]) -> None:
    """Check that who asks manages users in all of some scopes. Raises Denied."""
    for scope in scopes:
        permit(request, MANAGE, scope)


def may_see(request: Request, key: Key) -> bool:
    """Return whether who asks manages users wherever a key holds."""
    scopes = scopes_of(request, MANAGE)
    return scopes is None or (bool(key.grants) and {one.scope for one in key.grants} <= scopes)


def shows_address(request: Request, row: UserRow) -> bool:
    """Return whether who asks may see where somebody gets their mail: an admin of everything, or they themselves."""
    return scopes_of(request, MANAGE) is None or actor_of(request) == f"user:{row.name}"


def name_of(request: Request) -> str:
    """Return the user whom the path names."""
    name: str = request.path_params["name"]
    return name


def _user(request: Request, user: User) -> dict[str, Any]:
    scopes = scopes_of(request, MANAGE)
    grants = [one for one in user.grants if scopes is None or one.scope in scopes]
    row = user.row if shows_address(request, user.row) else user.row._replace(address=None)
    return user_record(row, grants)
