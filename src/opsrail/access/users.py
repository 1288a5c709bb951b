"""Users and what they may do: made, changed and disabled, each with its ledger entry in the same commit."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from opsrail.access.last_admin import ADMIN, another_admin_stays
from opsrail.access.passwords import SALT_BYTES, faults_of, hashed
from opsrail.access.roles import EVERYWHERE, ROLES
from opsrail.access.tokens import digest_of, new_token
from opsrail.clock import Clock
from opsrail.errors import Conflict, Fault, InvalidInput, NotFound, StaleWrite
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.values.access import ApiKeyRow, GrantRow, SessionRow, SignInLinkRow, UserRow, UserState
from opsrail.values.rows import Delete, Insert, Update, Value, Where, Write, equals

NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")
SCOPE = re.compile(r"\*|[a-z][a-z0-9_-]{0,62}")
LONGEST_TEXT = 200
CONTROLS = r"\x00-\x1f\x7f-\x9f"
SAYS = re.compile(f"[^{CONTROLS}]*")
MOST_GRANTS = 1_000


class User(NamedTuple):
    """A user with what they hold where.

    Attributes:
        grants: By scope and role.
        keys: Keys that they gave out and that nobody revoked; they are refused while the user is disabled.
    """

    row: UserRow
    grants: list[GrantRow]
    keys: list[ApiKeyRow]


class Users:
    """Users, over a store.

    Args:
        link_s: How long a one-time link can be used.
    """

    def __init__(self, store: Store, clock: Clock, *, link_s: int) -> None:
        self._store = store
        self._clock = clock
        self._link_s = link_s

    async def list(self, *, after: str | None = None, limit: int = 100) -> list[UserRow]:
        """Return users by name."""
        where = () if after is None else (Where("name", ">", after),)
        return await self._store.select(UserRow, *where, limit=limit)

    async def roles_of(self, names: Iterable[str]) -> Mapping[str, Sequence[GrantRow]]:
        """Return what users hold, by name."""
        holders = tuple(f"user:{name}" for name in names)
        found = await self._store.select(
            GrantRow, Where("holder", "in", holders), limit=MOST_GRANTS * max(1, len(holders))
        )
        held: dict[str, list[GrantRow]] = {}
        for grant in found:
            held.setdefault(grant.holder.partition(":")[2], []).append(grant)
        return held

    async def get(self, name: str) -> User:
        """Return a user. Raises NotFound."""
        row = await self._row(name)
        grants = await self._store.select(
            GrantRow, *equals(holder=f"user:{name}"), limit=MOST_GRANTS
        )
        keys = await self._store.select(
            ApiKeyRow, *equals(made_by=f"user:{name}", revoked_at_ms=None), limit=MOST_GRANTS
        )
        return User(row, grants, keys)

    async def add(
        self,
        name: str,
        *,
        by: str,
        shown: str = "",
        address: str | None = None,
        password: str | None = None,
        grants: Sequence[tuple[str, str]] = (),
        skills: str = "",
        zone: str = "UTC",
        quiet: str | None = None,
    ) -> User:
        """Make a user; who has no password signs in by a one-time link.

        Args:
            grants: Pairs of scope and role.

        Raises:
            InvalidInput: a name, role, scope or password that is not taken; every fault. Terminal: nothing was made.
            Conflict: there is or was a user of that name; names are never given to another person.
        """
        found = [
            *_name_faults(name),
            *text_faults(shown=shown, address=address or "", by=by),
            *grant_faults(grants),
            *([] if password is None else faults_of(password, name)),
        ]
        if found:
            raise InvalidInput(f"user {name[:63]!r} was not made", found)
        now_ms = self._clock.now_ms()
        kept = None if password is None else await self._hashed(password)
        row = UserRow(
            name, shown or name, address, kept, UserState.ACTIVE, skills, zone, quiet, 0, None, by, now_ms, 1,
        )  # fmt: skip
        told = {"by": by, "grants": [[scope, role] for scope, role in grants]}
        writes: list[Write] = [Insert(row), entry("user.added", f"user:{name}", now_ms, told)]
        rows = [GrantRow(f"user:{name}", scope, role, by, now_ms) for scope, role in grants]
        try:
            await self._store.commit([*writes, *map(Insert, rows)])
        except StaleWrite as taken:
            raise Conflict(f"there is or was a user {name!r}; take another name") from taken
        return User(row, rows, [])

    async def grant(self, name: str, scope: str, role: str, *, by: str) -> User:
        """Give a user a role in a scope; one that they hold already stays as it is.

        Raises:
            NotFound, InvalidInput: no such user, role or scope. Terminal: nothing was changed.
        """
        found = [*grant_faults([(scope, role)]), *text_faults(by=by)]
        if found:
            raise InvalidInput(f"user {name[:63]!r} was granted nothing", found)
        await self._row(name)
        now_ms, holder = self._clock.now_ms(), f"user:{name}"
        told = {"by": by, "scope": scope, "role": role}
        writes: list[Write] = [
            Insert(GrantRow(holder, scope, role, by, now_ms)),
            entry("user.granted", holder, now_ms, told),
        ]
        with suppress(StaleWrite):  # held already
            await self._store.commit(writes)
        return await self.get(name)

    async def revoke(self, name: str, scope: str, role: str, *, by: str) -> User:
        """Take a role in a scope from a user.

        Raises:
            NotFound: no such user, or they do not hold it. Terminal: nothing was changed.
            Conflict: they are the last active admin. Nothing was changed.
        """
        row = await self._row(name)
        holder, now_ms = f"user:{name}", self._clock.now_ms()
        if await self._store.get(GrantRow, holder, scope, role) is None:
            raise NotFound(f"user {name!r} is no {role[:63]} in {scope[:63]!r}")
        is_admin = (scope, role) == (EVERYWHERE, ADMIN)
        stays = await another_admin_stays(self._store, row) if is_admin else []
        told = {"by": by, "scope": scope, "role": role}
        taken = Delete(GrantRow, {"holder": holder, "scope": scope, "role": role})
        try:
            await self._store.commit([taken, *stays, entry("user.revoked", holder, now_ms, told)])
        except StaleWrite as lost:
            raise Conflict("another admin was changed a moment ago; look again") from lost
        return await self.get(name)

    async def disable(self, name: str, *, by: str) -> User:
        """Let a user sign in no more: sessions and links end, and keys that they gave out (`User.keys`) are refused.

        Raises:
            NotFound: no such user.
            Conflict: they are the last active admin, or were changed a moment ago. Nothing was changed.
        """
        ends: list[Write] = [
            *await another_admin_stays(self._store, await self._row(name)),
            Delete(SessionRow, {"user": name}),
            Delete(SignInLinkRow, {"user": name}),
        ]
        await self._change(name, "user.disabled", by, {"state": UserState.DISABLED}, ends)
        return await self.get(name)

    async def enable(self, name: str, *, by: str) -> User:
        """Let a user sign in again, and their keys work; a lock of wrong passwords ends too. Raises NotFound."""
        changed: dict[str, Value] = {
            "state": UserState.ACTIVE,
            "failures": 0,
            "locked_until_ms": None,
        }
        await self._change(name, "user.enabled", by, changed)
        return await self.get(name)

    async def set_password(
        self, name: str, password: str, *, by: str, keeps: str | None = None
    ) -> None:
        """Give a user a password; their sessions and links end.

        Args:
            keeps: Digest of the session that goes on, the one in which they changed it.

        Raises:
            InvalidInput: it is not taken. Terminal: the old one holds.
            NotFound: no such user.
        """
        if found := faults_of(password, name):
            raise InvalidInput(f"the password of {name[:63]!r} was not changed", found)
        kept = await self._hashed(password)
        changed: dict[str, Value] = {"password": kept, "failures": 0, "locked_until_ms": None}
        sessions = await self._store.select(SessionRow, *equals(user=name))
        ends: list[Write] = [
            Delete(SessionRow, {"digest": row.digest}) for row in sessions if row.digest != keeps
        ]
        await self._change(
            name, "user.password_set", by, changed, [*ends, Delete(SignInLinkRow, {"user": name})]
        )

    async def link(self, name: str, *, by: str) -> tuple[str, SignInLinkRow]:
        """Make a link that signs a user in once; its token is kept nowhere.

        Returns:
            The token, and what is kept of it.

        Raises:
            NotFound: no such user.
            Conflict: the user is disabled.
        """
        row = await self._row(name)
        if row.state != UserState.ACTIVE:
            raise Conflict(f"user {name!r} is disabled; see `opsrail users enable {name}`")
        now_ms, token = self._clock.now_ms(), new_token(self._clock)
        ends_at_ms = now_ms + 1000 * self._link_s
        link = SignInLinkRow(digest_of(token), name, by, now_ms, ends_at_ms, None)
        told = {"by": by, "ends_at_ms": ends_at_ms}
        await self._store.commit(
            [Insert(link), entry("user.link_made", f"user:{name}", now_ms, told)]
        )
        return token, link

    async def _change(
        self,
        name: str,
        kind: str,
        by: str,
        changed: Mapping[str, Value],
        more: Sequence[Write] = (),
    ) -> None:
        if found := text_faults(by=by):
            raise InvalidInput(f"user {name[:63]!r} was not changed", found)
        row = await self._row(name)
        now_ms = self._clock.now_ms()
        write = Update(
            UserRow, (name,), {**changed, "version": row.version + 1}, {"version": row.version}
        )
        try:
            await self._store.commit(
                [write, *more, entry(kind, f"user:{name}", now_ms, {"by": by})]
            )
        except StaleWrite as lost:
            raise Conflict(
                f"user {name!r} was changed by somebody else a moment ago; look again"
            ) from lost

    async def _row(self, name: str) -> UserRow:
        row = await self._store.get(UserRow, name) if NAME.fullmatch(name) else None
        if row is None:
            raise NotFound(f"there is no user {name[:63]!r}; see `opsrail users list`")
        return row

    async def _hashed(self, password: str) -> str:
        return await asyncio.to_thread(hashed, password, self._clock.token(SALT_BYTES))


def _name_faults(name: str) -> list[Fault]:
    if NAME.fullmatch(name):
        return []
    told = "must be 1 to 63 of a-z, 0-9, dot, dash and underscore, a letter first"
    return [Fault("name", told)]


def text_faults(**texts: str) -> list[Fault]:
    """Return which texts are too long or hold what nobody can read; `by` must say something."""
    found = [
        Fault(place, f"has more than {LONGEST_TEXT} characters, or control characters")
        for place, text in texts.items()
        if len(text) > LONGEST_TEXT or not SAYS.fullmatch(text)
    ]
    if "by" in texts and not texts["by"].strip():
        found.append(Fault("by", "say who does this"))
    return found


def grant_faults(grants: Iterable[tuple[str, str]]) -> list[Fault]:
    """Return which pairs of scope and role are none."""
    found: list[Fault] = []
    for scope, role in grants:
        if role not in ROLES:
            found.append(Fault("role", f"{role[:63]!r} is none of {', '.join(ROLES)}"))
        if not SCOPE.fullmatch(scope):
            told = f"{scope[:63]!r} is neither * nor the name of an automation or decision point"
            found.append(Fault("scope", told))
    return found
