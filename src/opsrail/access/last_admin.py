"""The last active admin stays: who would lock everybody out is refused, also when two admins shut each other out at once."""

from __future__ import annotations

from opsrail.access.roles import EVERYWHERE
from opsrail.errors import Conflict
from opsrail.ports import Store
from opsrail.values.access import GrantRow, UserRow, UserState
from opsrail.values.rows import Require, Where, Write, equals

ADMIN = "admin"
MOST_ADMINS = 1_000
FIRST_USER, BEHIND_USERS = "user:", "user;"


async def another_admin_stays(store: Store, row: UserRow) -> list[Write]:
    """Return what a commit that ends a user as an admin everywhere relies on; nothing where they are none.

    Raises:
        Conflict: nobody else is an active admin everywhere. Nothing was changed.
    """
    holder = f"user:{row.name}"
    if row.state != UserState.ACTIVE or not await store.get(GrantRow, holder, EVERYWHERE, ADMIN):
        return []
    grants = await store.select(
        GrantRow,
        Where("holder", ">", FIRST_USER),
        Where("holder", "<", BEHIND_USERS),
        *equals(scope=EVERYWHERE, role=ADMIN),
        limit=MOST_ADMINS,
    )
    names = tuple(grant.holder.partition(":")[2] for grant in grants if grant.holder != holder)
    others = await store.select(
        UserRow, Where("name", "in", names), *equals(state=UserState.ACTIVE), limit=1
    )
    if not others:
        raise Conflict(
            f"{row.name!r} is the last active admin and was left as they are; first make another, e.g. "
            "`opsrail users grant NAME --role admin`"
        )
    other = others[0].name
    return [
        Require(UserRow, (other,), {"state": UserState.ACTIVE}),
        Require(GrantRow, (f"user:{other}", EVERYWHERE, ADMIN), {"role": ADMIN}),
    ]
