"""Who it is that sends a session's cookie or a key: looked up in the store, and kept for a second. And who else there is.

What ends a session, a key or a grant in another process is heeded here within two seconds; in this process at once. Whether
there are users at all is watched in the background until there are, so that where there are none no request waits for it.
"""

from __future__ import annotations

import hmac
import logging
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from opsrail.access.api_keys import SHAPE
from opsrail.access.roles import Grants, grants_of
from opsrail.access.tokens import digest_of
from opsrail.access.users import MOST_GRANTS
from opsrail.clock import Clock
from opsrail.errors import StaleWrite, Unavailable
from opsrail.ports import Store
from opsrail.values.access import ApiKeyRow, GrantRow, SessionRow, UserRow, UserState
from opsrail.values.rows import Update, Where, equals

log = logging.getLogger("opsrail.access")
KEPT_S = 1.0
"""How long an answer of the store holds."""
STALE_S = 2.0
"""From then on a look for the first user counts no more."""
MOST_KEPT = 10_000
PEOPLE_S = 10.0
"""How long it holds who there is, for lists to pick from. Ours: what is picked is looked up again."""
MOST_PEOPLE = 500
"""Users that such lists are made of, by name. Ours: who is beyond can still be typed."""
SEEN_MS = 60_000
USED_MS = 3_600_000
MOST_HANDS = 16
"""Keys that made each other, followed back to the person behind them. Ours: beyond, a key is refused."""


Read = Callable[[str], Awaitable["Known | None"]]


class Known(NamedTuple):
    """Somebody who is known.

    Attributes:
        name: `user:NAME` or `key:ID`.
        csrf: What the forms of their session carry; empty for a key.
        session: Digest of their session; empty for a key.
    """

    name: str
    grants: Grants
    csrf: str = ""
    session: str = ""


class Colleague(NamedTuple):
    """Somebody who may sign in.

    Attributes:
        name: As they sign in, e.g. `anna`.
        shown: For people to read.
        skills: What they may be asked.
    """

    name: str
    shown: str
    skills: frozenset[str]
    grants: Grants


class Directory:
    """Sessions and keys by what is sent, over a store.

    Args:
        idle_s: How long a session lasts that nobody uses.
    """

    def __init__(self, store: Store, clock: Clock, *, idle_s: int) -> None:
        self._store = store
        self._clock = clock
        self._idle_ms = 1000 * idle_s
        self._kept: OrderedDict[str, tuple[float, Known | None]] = OrderedDict()
        self._has_users = False
        self._looked_s = -math.inf
        self._people: tuple[float, Sequence[Colleague]] | None = None

    @property
    def has_users(self) -> bool | None:
        """Whether there is a user; None: not known any more, ask `look`."""
        if self._has_users:
            return True
        return False if self._clock.monotonic_s() - self._looked_s < STALE_S else None

    async def look(self) -> bool:
        """Return whether there is a user, as the store has it; one that cannot be asked has none that was not seen before.

        While it cannot be asked nothing of it can be read or changed either: who is let in wrongly finds nothing.
        """
        begun_s = self._clock.monotonic_s()
        try:
            if not self._has_users:
                self._has_users = bool(await self._store.select(UserRow, limit=1))
            self._looked_s = begun_s
        except Unavailable as down:
            log.warning("whether there are users is not known: %s", down)
        return self._has_users

    async def watch(self) -> None:
        """Look for the first user, every second until there is one."""
        while not self._has_users:
            await self.look()
            await self._clock.sleep(KEPT_S)

    def forget(self) -> None:
        """Look everybody up again: something was changed in this process."""
        self._kept.clear()
        self._people = None

    async def people(self) -> Sequence[Colleague]:
        """Return who may sign in, by name, with what they may do; as of at most `PEOPLE_S` ago. Raises StoreUnavailable."""
        if self.has_users is False:
            return ()
        now_s = self._clock.monotonic_s()
        if self._people is None or now_s - self._people[0] >= PEOPLE_S:
            self._people = (now_s, await self._active())
        return self._people[1]

    async def _active(self) -> Sequence[Colleague]:
        rows = await self._store.select(UserRow, *equals(state=UserState.ACTIVE), limit=MOST_PEOPLE)
        if not rows:
            return ()
        holders = tuple(f"user:{row.name}" for row in rows)
        held: dict[str, list[tuple[str, str]]] = {}
        for grant in await self._store.select(
            GrantRow, Where("holder", "in", holders), limit=MOST_GRANTS * len(holders)
        ):
            held.setdefault(grant.holder, []).append((grant.scope, grant.role))
        return [
            Colleague(
                row.name,
                row.shown,
                frozenset(row.skills.split()),
                grants_of(held.get(f"user:{row.name}", ())),
            )
            for row in rows
        ]

    async def of_session(self, token: str, *, is_use: bool = True) -> Known | None:
        """Return whose session a cookie's value is; None: nobody's, or it has ended. Raises StoreUnavailable.

        Args:
            is_use: Whether somebody is at it, so that its idle time begins anew.
        """
        return await self._of(digest_of(token), partial(self._session, is_use=is_use))

    async def still(self, digest: str) -> Known | None:
        """Return whose session that is, where it has not ended; looking does not use it: an open page keeps none alive.

        Raises:
            StoreUnavailable: it cannot be asked now.
        """
        return await self._session(digest, is_use=False)

    async def of_key(self, key: str) -> Known | None:
        """Return what a key may do; None: there is none, it was revoked, or who made it is disabled.

        Raises:
            StoreUnavailable: it cannot be asked now.
        """
        if (shape := SHAPE.fullmatch(key)) is None:
            return None
        digest = digest_of(key)

        async def found(_: str) -> Known | None:
            return await self._key(shape[1], digest)

        return await self._of(digest, found)

    async def _of(self, digest: str, read: Read) -> Known | None:
        kept = self._kept.get(digest)
        now_s = self._clock.monotonic_s()
        if kept is not None and now_s - kept[0] < KEPT_S:
            return kept[1]
        known = await read(digest)
        self._kept[digest] = (now_s, known)
        self._kept.move_to_end(digest)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return known

    async def _session(self, digest: str, *, is_use: bool = True) -> Known | None:
        row = await self._store.get(SessionRow, digest)
        now_ms = self._clock.now_ms()
        if row is None or now_ms >= min(row.ends_at_ms, row.seen_at_ms + self._idle_ms):
            return None
        user = await self._store.get(UserRow, row.user)
        if user is None or user.state != UserState.ACTIVE:
            return None
        if is_use and now_ms - row.seen_at_ms >= min(SEEN_MS, self._idle_ms // 4):
            seen = Update(SessionRow, (digest,), {"seen_at_ms": now_ms})
            try:
                await self._store.commit([seen])
            except StaleWrite:
                return None  # it was ended a moment ago
        holder = f"user:{row.user}"
        return Known(holder, await self._grants(holder), row.csrf, digest)

    async def _key(self, key_id: str, digest: str) -> Known | None:
        row = await self._store.get(ApiKeyRow, key_id)
        now_ms = self._clock.now_ms()
        if row is None or not hmac.compare_digest(row.digest, digest):
            return None
        if row.revoked_at_ms is not None or (
            row.ends_at_ms is not None and now_ms >= row.ends_at_ms
        ):
            return None
        if not await self._stands(row.made_by):
            return None
        if row.used_at_ms is None or now_ms - row.used_at_ms >= USED_MS:
            await self._store.commit([Update(ApiKeyRow, (key_id,), {"used_at_ms": now_ms})])
        holder = f"key:{key_id}"
        return Known(holder, await self._grants(holder))

    async def _stands(self, made_by: str) -> bool:
        """Return whether who made a key is not disabled: its user, or the user behind the key that made it."""
        for _ in range(MOST_HANDS):
            kind, _, name = made_by.partition(":")
            if kind == "user":
                user = await self._store.get(UserRow, name)
                return user is None or user.state == UserState.ACTIVE
            maker = await self._store.get(ApiKeyRow, name) if kind == "key" else None
            if maker is None:
                return True
            made_by = maker.made_by
        return False

    async def _grants(self, holder: str) -> Grants:
        rows = await self._store.select(GrantRow, *equals(holder=holder), limit=MOST_GRANTS)
        return grants_of((row.scope, row.role) for row in rows)
