"""Users, keys and sessions as plain JSON values. Nothing secret stands in them: no password, no digest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opsrail.access.api_keys import Key
from opsrail.clock import rfc3339, rfc3339_or_none
from opsrail.values.access import ApiKeyRow, GrantRow, SessionRow, UserRow


def user_record(row: UserRow, grants: Iterable[GrantRow]) -> dict[str, Any]:
    """Return a user."""
    return {
        "name": row.name,
        "shown": row.shown,
        "address": row.address,
        "state": row.state,
        "has_password": row.password is not None,
        "skills": row.skills.split(),
        "zone": row.zone,
        "quiet": row.quiet,
        "locked_until": rfc3339_or_none(row.locked_until_ms),
        "created_by": row.created_by,
        "created_at": rfc3339(row.created_at_ms),
        "grants": grant_records(grants),
    }


def key_record(key: Key) -> dict[str, Any]:
    """Return a key."""
    return {**bare_key_record(key.row), "grants": grant_records(key.grants)}


def bare_key_record(row: ApiKeyRow) -> dict[str, Any]:
    """Return a key without what it may do."""
    return {
        "id": row.id,
        "title": row.title,
        "made_by": row.made_by,
        "made_at": rfc3339(row.made_at_ms),
        "ends_at": rfc3339_or_none(row.ends_at_ms),
        "used_at": rfc3339_or_none(row.used_at_ms),
        "revoked_at": rfc3339_or_none(row.revoked_at_ms),
    }


def session_record(row: SessionRow, *, own: str) -> dict[str, Any]:
    """Return a session; `is_this`: it is the one that asks."""
    return {
        "made_at": rfc3339(row.made_at_ms),
        "seen_at": rfc3339(row.seen_at_ms),
        "ends_at": rfc3339(row.ends_at_ms),
        "is_this": row.digest == own,
    }


def grant_records(grants: Iterable[GrantRow]) -> list[dict[str, Any]]:
    """Return roles by scope."""
    return [
        {
            "scope": one.scope,
            "role": one.role,
            "granted_by": one.granted_by,
            "at": rfc3339(one.at_ms),
        }
        for one in grants
    ]
