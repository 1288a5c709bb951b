"""What the store keeps of who may do what: users, what they may do where, their sessions, keys of programs."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class UserState(StrEnum):
    """Whether a user may sign in."""

    ACTIVE = "active"
    DISABLED = "disabled"


class UserRow(NamedTuple):
    """A person who signs in.

    Attributes:
        name: What records call them, e.g. `anna`; never given to another person.
        shown: Name for people to read.
        address: Where notices go, e.g. a mail address; NULL: none.
        password: PHC string of Argon2id; NULL: signs in by a one-time link only.
        state: A UserState.
        skills: What they may be asked, words joined by a space.
        zone: IANA name of the time zone their working hours are told in.
        quiet: When no notice is sent, e.g. `18:00-08:00`; NULL: never quiet.
        failures: Wrong passwords in a row.
        locked_until_ms: No sign-in before; NULL: not locked.
        version: Grows with each change, for compare and set.
    """

    name: str
    shown: str
    address: str | None
    password: str | None
    state: str
    skills: str
    zone: str
    quiet: str | None
    failures: int
    locked_until_ms: int | None
    created_by: str
    created_at_ms: int
    version: int


class GrantRow(NamedTuple):
    """One role that a user or key has somewhere.

    Attributes:
        holder: `user:NAME` or `key:ID`.
        scope: Name of the automation or decision point it holds for; `*`: everywhere.
        role: A role of `access/roles.py`.
    """

    holder: str
    scope: str
    role: str
    granted_by: str
    at_ms: int


class SessionRow(NamedTuple):
    """A browser that a user signed in with.

    Attributes:
        digest: SHA-256 of the cookie's value as hex; the value itself is kept nowhere.
        csrf: What its forms carry.
        seen_at_ms: Last use, to within a minute.
        ends_at_ms: Not after, however busy it is.
    """

    digest: str
    user: str
    csrf: str
    made_at_ms: int
    seen_at_ms: int
    ends_at_ms: int


class SignInLinkRow(NamedTuple):
    """A link that signs its owner in once.

    Attributes:
        digest: SHA-256 of its token as hex.
        used_at_ms: NULL: not used yet.
    """

    digest: str
    user: str
    made_by: str
    made_at_ms: int
    ends_at_ms: int
    used_at_ms: int | None


class ApiKeyRow(NamedTuple):
    """A key that a program sends.

    Attributes:
        id: What records call it, `key:ID`; the key begins with it.
        digest: SHA-256 of the key as hex; the key itself is shown once and kept nowhere.
        title: What it is for.
        ends_at_ms: Not after; NULL: until it is revoked.
        used_at_ms: Last use, to within an hour; NULL: never.
    """

    id: str
    digest: str
    title: str
    made_by: str
    made_at_ms: int
    ends_at_ms: int | None
    used_at_ms: int | None
    revoked_at_ms: int | None
