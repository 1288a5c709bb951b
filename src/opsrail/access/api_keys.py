"""Keys of programs: shown once, kept as a digest, with roles by scope, revoked at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from opsrail.access.tokens import digest_of, new_token
from opsrail.access.users import MOST_GRANTS, grant_faults, text_faults
from opsrail.clock import Clock
from opsrail.errors import Conflict, Fault, InvalidInput, NotFound, StaleWrite
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.values.access import ApiKeyRow, GrantRow
from opsrail.values.rows import Delete, Insert, Update, Where, equals

PREFIX = "opsrail_"
"""By it scanners of code and logs know a key that leaked."""
SHAPE = re.compile(r"opsrail_([0-9A-HJKMNP-TV-Z]{26})_[A-Za-z0-9_-]{43}")
ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
DAY_MS = 86_400_000
HOLDER, PERSON = "key:", "user:"


class Key(NamedTuple):
    """A key with what it may do where."""

    row: ApiKeyRow
    grants: list[GrantRow]


class ApiKeys:
    """Keys, over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(
        self, title: str, grants: Sequence[tuple[str, str]], *, by: str, days: int | None = None
    ) -> tuple[str, Key]:
        """Make a key.

        Args:
            title: What it is for.
            grants: Pairs of scope and role, at least one.
            days: How long it works; None: until it is revoked.

        Returns:
            The key, which is kept nowhere, and what is kept of it.

        Raises:
            InvalidInput: a title, role or scope that is not taken; every fault. Terminal: nothing was made.
        """
        found = [*grant_faults(grants), *text_faults(title=title, by=by)]
        if not title.strip():
            found.append(Fault("title", "say what the key is for"))
        if not grants:
            found.append(Fault("role", "give the key at least one role"))
        if days is not None and not 1 <= days <= 3_650:
            found.append(Fault("days", "must be 1 to 3,650"))
        if found:
            raise InvalidInput("no key was made", found)
        now_ms, key_id = self._clock.now_ms(), self._clock.new_id()
        key = f"{PREFIX}{key_id}_{new_token(self._clock)}"
        ends_at_ms = None if days is None else now_ms + days * DAY_MS
        row = ApiKeyRow(key_id, digest_of(key), title, by, now_ms, ends_at_ms, None, None)
        holder = f"key:{key_id}"
        rows = [GrantRow(holder, scope, role, by, now_ms) for scope, role in dict.fromkeys(grants)]
        told = {"by": by, "title": title, "grants": [[one.scope, one.role] for one in rows]}
        noted = entry("key.added", holder, now_ms, {**told, "ends_at_ms": ends_at_ms})
        await self._store.commit([Insert(row), *map(Insert, rows), noted])
        return key, Key(row, rows)

    async def list(
        self, *, made_by: str | None = None, after: str | None = None, limit: int = 100
    ) -> list[Key]:
        """Return keys, newest first."""
        where = [] if made_by is None else list(equals(made_by=made_by))
        if after is not None:
            where.append(Where("id", "<", after))
        rows = await self._store.select(ApiKeyRow, *where, descending=True, limit=limit)
        held = await self._store.select(
            GrantRow,
            Where("holder", "in", tuple(f"key:{row.id}" for row in rows)),
            limit=MOST_GRANTS * max(1, len(rows)),
        )
        return [Key(row, [one for one in held if one.holder == f"key:{row.id}"]) for row in rows]

    async def get(self, key_id: str) -> Key:
        """Return a key. Raises NotFound."""
        row = await self._store.get(ApiKeyRow, key_id) if ID.fullmatch(key_id) else None
        if row is None:
            raise NotFound(f"there is no key {key_id[:63]!r}; see `opsrail keys list`")
        grants = await self._store.select(
            GrantRow, *equals(holder=f"key:{key_id}"), limit=MOST_GRANTS
        )
        return Key(row, grants)

    async def revoke(self, key_id: str, *, by: str) -> Key:
        """End a key; other processes refuse it within two seconds.

        Raises:
            NotFound: there is no such key.
            Conflict: it was revoked before.
        """
        if found := text_faults(by=by):
            raise InvalidInput(f"key {key_id[:63]!r} was not revoked", found)
        key = await self.get(key_id)
        now_ms, holder = self._clock.now_ms(), f"key:{key_id}"
        try:
            await self._store.commit(
                [
                    Update(
                        ApiKeyRow, (key_id,), {"revoked_at_ms": now_ms}, {"revoked_at_ms": None}
                    ),
                    Delete(GrantRow, {"holder": holder}),
                    entry("key.revoked", holder, now_ms, {"by": by}),
                ]
            )
        except StaleWrite as lost:
            raise Conflict(f"key {key_id} was revoked before") from lost
        return Key(key.row._replace(revoked_at_ms=now_ms), [])


async def person_behind(store: Store, name: str) -> str:
    """Return whose word it is that somebody gives: a key speaks for who gave it out, the first of those that gave out keys.

    So who gives keys to themselves, however many and one by the other, is no second pair of eyes; nor is a key that is
    nobody's, and gives out others.

    Args:
        name: As records call who acts.
    """
    behind = name
    while behind.startswith(HOLDER):
        row = await store.get(ApiKeyRow, behind.removeprefix(HOLDER))
        if row is None or not row.made_by.startswith((HOLDER, PERSON)):
            break
        behind = row.made_by
    return behind
