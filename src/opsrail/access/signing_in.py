"""Signing in and out: by password or by a one-time link, throttled, equally long and equally worded for whoever is unknown.

A try is counted before the password is looked at, so that many at the same time are no way around the count. Each sign-in
makes a fresh session; the one that the browser came with ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from opsrail.access.passwords import matches
from opsrail.access.throttling import Addresses, lock_s
from opsrail.access.tokens import digest_of, new_token
from opsrail.access.users import NAME
from opsrail.clock import Clock
from opsrail.errors import Denied, Retryable, StaleWrite
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.values.access import SessionRow, SignInLinkRow, UserRow, UserState
from opsrail.values.rows import Delete, Insert, Require, Update, Value, Where, Write, equals

REFUSAL_S = 0.4
"""How long after its begin a refusal is told. Ours: Argon2id and two commits take less, so that no answer tells which of
them there were."""
AT_ONCE = 2
"""Passwords that are looked at at the same time: each takes 19 MiB and a core."""
MOST_WAITING = 32
TRIES = 8
"""How often a count is tried again that another process changed meanwhile."""
REFUSED = (
    "this name and password do not sign anybody in now. If you are sure of both, wait a while: too many tries lock a name "
    "for up to 15 minutes. An admin can give you a link that signs you in once"
)


class SignInRefused(Denied):
    """Name and password, or the link, do not sign anybody in now. Nothing tells which of them was wrong."""

    code = "sign-in-refused"


class TooManyTries(Retryable):
    """Too many tries to sign in came from one address, or wait. Try again after `after_s`."""

    code = "too-many-tries"


class Begun(NamedTuple):
    """A session that has just begun.

    Attributes:
        token: What the browser sends from now on; kept nowhere.
    """

    token: str
    row: SessionRow


class SigningIn:
    """Sign-ins and sessions, over a store.

    Args:
        absolute_s: How long a session lasts, however busy it is.
    """

    def __init__(self, store: Store, clock: Clock, *, absolute_s: int) -> None:
        self._store = store
        self._clock = clock
        self._absolute_s = absolute_s
        self._addresses = Addresses()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def by_password(
        self, name: str, password: str, *, address: str, instead_of: str | None = None
    ) -> Begun:
        """Sign a user in.

        Args:
            address: Where the request comes from.
            instead_of: Digest of the session that the browser came with; it ends.

        Raises:
            SignInRefused: the two sign nobody in, the user is disabled, or locked after too many tries.
            TooManyTries: from this address, or at all.
        """
        user = await self._right(name, password, address)
        relied_on = {"state": UserState.ACTIVE, "password": user.password}
        try:
            return await self._begin(
                user.name, instead_of, Require(UserRow, (user.name,), relied_on)
            )
        except StaleWrite as lost:  # disabled, or given another password, a moment ago
            raise SignInRefused(REFUSED) from lost

    async def confirm(self, name: str, password: str, *, address: str) -> str:
        """Return the name of the user whose password it is; their count of wrong ones begins anew.

        Raises:
            SignInRefused, TooManyTries: as `by_password`.
        """
        return (await self._right(name, password, address)).name

    async def _right(self, name: str, password: str, address: str) -> UserRow:
        """Return the user whose password it is, as they stood when it was looked at; see `confirm`."""
        begun_s = self._clock.monotonic_s()
        self._refuse_crowd(address, begun_s)
        user = await self._counted(name)
        self._waiting += 1
        try:
            async with self._turns:
                kept = None if user is None else user.password
                is_right = await asyncio.to_thread(matches, password, kept)
        finally:
            self._waiting -= 1
        if user is not None and is_right:
            cleared: dict[str, Value] = {"failures": 0, "locked_until_ms": None}
            await self._store.commit([Update(UserRow, (user.name,), cleared)])
            return user
        self._addresses.failed(address, begun_s)
        if user is not None:
            await self._note_lock(user)
        left_s = begun_s + REFUSAL_S - self._clock.monotonic_s()
        await self._clock.sleep(max(0.0, left_s))
        raise SignInRefused(REFUSED)

    async def by_link(self, token: str, *, address: str, instead_of: str | None = None) -> Begun:
        """Sign in whoever holds a one-time link; it works no second time.

        Raises:
            SignInRefused: it was used, is too old, or there is none.
            TooManyTries: from this address.
        """
        begun_s = self._clock.monotonic_s()
        self._refuse_crowd(address, begun_s)
        digest, now_ms = digest_of(token), self._clock.now_ms()
        link = await self._store.get(SignInLinkRow, digest)
        user = None if link is None else await self._store.get(UserRow, link.user)
        is_good = link is not None and link.used_at_ms is None and now_ms < link.ends_at_ms
        if link is None or user is None or not is_good or user.state != UserState.ACTIVE:
            self._addresses.failed(address, begun_s)
            raise SignInRefused("this link was used, is too old, or was cut; ask for another")
        used = Update(SignInLinkRow, (digest,), {"used_at_ms": now_ms}, {"used_at_ms": None})
        noted = entry("user.link_used", f"user:{user.name}", now_ms, {"by": f"user:{user.name}"})
        cleared = Update(UserRow, (user.name,), {"failures": 0, "locked_until_ms": None})
        try:
            return await self._begin(user.name, instead_of, used, cleared, noted)
        except StaleWrite as lost:
            raise SignInRefused("this link was used a moment ago; ask for another") from lost

    async def end(self, digest: str) -> None:
        """Sign a session out."""
        await self._store.commit([Delete(SessionRow, {"digest": digest})])

    async def end_others(self, user: str, keeps: str) -> int:
        """End a user's sessions but one; returns how many."""
        others = [row for row in await self.sessions(user) if row.digest != keeps]
        if others:
            await self._store.commit([Delete(SessionRow, {"digest": row.digest}) for row in others])
        return len(others)

    async def sessions(self, user: str) -> list[SessionRow]:
        """Return a user's sessions that have not reached their end, those that began last first."""
        now_ms = self._clock.now_ms()
        rows = await self._store.select(
            SessionRow, *equals(user=user), Where("ends_at_ms", ">", now_ms)
        )
        return sorted(rows, key=lambda row: -row.made_at_ms)

    def _refuse_crowd(self, address: str, now_s: float) -> None:
        wait_s = self._addresses.wait_s(address, now_s)
        if wait_s or self._waiting >= MOST_WAITING:
            raise TooManyTries("too many tries to sign in; wait a while", after_s=wait_s or 5.0)

    async def _counted(self, name: str) -> UserRow | None:
        """Count a try, and return the user as they stand then; None: nobody can sign in under that name now."""
        for _ in range(TRIES):
            row = await self._store.get(UserRow, name) if NAME.fullmatch(name) else None
            if row is None or row.state != UserState.ACTIVE:
                return None
            now_ms = self._clock.now_ms()
            if row.locked_until_ms is not None and now_ms < row.locked_until_ms:
                return None
            locked_s = lock_s(row.failures + 1)
            counted: Mapping[str, Value] = {
                "failures": row.failures + 1,
                "locked_until_ms": now_ms + 1000 * locked_s if locked_s else None,
            }
            try:
                await self._store.commit(
                    [
                        Update(
                            UserRow,
                            (name,),
                            counted,
                            {"failures": row.failures, "version": row.version},
                        )
                    ]
                )
            except StaleWrite:
                continue
            return row._replace(failures=row.failures + 1)
        return None

    async def _note_lock(self, user: UserRow) -> None:
        """Tell the ledger of a name that is locked from now on: somebody guesses."""
        if not (locked_s := lock_s(user.failures)):
            return
        told = {"failures": user.failures, "locked_s": locked_s}
        now_ms = self._clock.now_ms()
        await self._store.commit([entry("user.locked", f"user:{user.name}", now_ms, told)])

    async def _begin(self, user: str, instead_of: str | None, *also: Write) -> Begun:
        now_ms, token = self._clock.now_ms(), new_token(self._clock)
        row = SessionRow(
            digest_of(token),
            user,
            new_token(self._clock),
            now_ms,
            now_ms,
            now_ms + 1000 * self._absolute_s,
        )
        ended = [] if instead_of is None else [Delete(SessionRow, {"digest": instead_of})]
        past = await self._store.select(
            SessionRow, *equals(user=user), Where("ends_at_ms", "<=", now_ms)
        )
        ended += [Delete(SessionRow, {"digest": one.digest}) for one in past]
        await self._store.commit([*also, *ended, Insert(row)])
        return Begun(token, row)
