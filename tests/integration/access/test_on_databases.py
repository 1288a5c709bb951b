"""Users, keys, links and sign-ins on both databases, with two processes' views of them side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from opsrail.access.access import Access
from opsrail.access.signing_in import Begun, SignInRefused
from opsrail.access.users import User
from opsrail.clock import SystemClock
from opsrail.config import Config
from opsrail.errors import Conflict, NotFound
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
from opsrail.values.access import SessionRow, UserRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import Where
from tests.support.postgres import fresh_database

CLOCK = SystemClock()
PASSWORD = "seven quiet herons"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
async def stores(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Store, Store]]:
    """The same rows through two stores, as two processes have them."""
    made: list[Store] = []
    for _ in range(2):
        chain = WriterChain(CLOCK)
        if request.param == "sqlite":
            made.append(SqliteStore(tmp_path / "rows.db", chain=chain, clock=CLOCK))
        else:
            url = request.getfixturevalue("fresh_url")
            made.append(PostgresStore(url, chain=chain, clock=CLOCK))
        await made[-1].open()
    yield made[0], made[1]
    for store in made:
        await store.close()


@pytest.fixture
def fresh_url(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
def both(stores: tuple[Store, Store]) -> tuple[Access, Access]:
    one, other = (Access(store, CLOCK, Config()) for store in stores)
    return one, other


async def test_what_one_process_changes_the_other_heeds_within_two_seconds(
    both: tuple[Access, Access],
) -> None:
    here, there = both
    at_first = there.directory.has_users
    assert not await there.directory.look()
    watching = asyncio.create_task(there.directory.watch())
    await here.users.add("anna", by="test", grants=[("claims", "reviewer")])
    secret, key = await here.keys.add("a job", [("claims", "caller")], by="test")
    token, _ = await here.users.link("anna", by="test")
    begun = await here.signing_in.by_link(token, address="a")
    before = await there.directory.of_session(begun.token), await there.directory.of_key(secret)
    await here.users.revoke("anna", "claims", "reviewer", by="test")
    await here.keys.revoke(key.row.id, by="test")
    async with asyncio.timeout(20):  # it looks once a second
        while await there.directory.of_key(secret) or not there.directory.has_users:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.05)
    session, ended = (
        await there.directory.of_session(begun.token),
        await there.directory.of_key(secret),
    )
    watching.cancel()

    assert at_first is None
    assert before[0] is not None
    assert before[1] is not None
    assert before[0].grants.may("reviews.rule", "claims")
    assert before[1].grants.may("cases.submit", "claims")
    assert there.directory.has_users
    assert session is not None
    assert not session.grants.may_somewhere("reviews.rule")
    assert ended is None


async def test_keys_of_a_disabled_user_are_refused_in_both_processes_until_they_are_enabled(
    both: tuple[Access, Access],
) -> None:
    here, there = both
    grants = [("claims", "caller")]
    for name in ("anna", "boss"):
        await here.users.add(name, by="test", grants=[("*", "admin")])
    hers, key = await here.keys.add("a job", grants, by="user:anna")
    made_with_it, _ = await here.keys.add("a job's job", grants, by=f"key:{key.row.id}")
    others, _ = await here.keys.add("another job", grants, by="user:boss")
    of_nobody, _ = await here.keys.add("a job of the command line", grants, by="anna")

    async def admitted(one: Access) -> list[bool]:
        one.directory.forget()  # as after a second
        known = [await one.directory.of_key(key) for key in (hers, made_with_it, others, of_nobody)]
        return [each is not None for each in known]

    before = await admitted(there)
    disabled = await here.users.disable("anna", by="user:boss")
    meanwhile = [await admitted(one) for one in both]
    await there.users.enable("anna", by="user:boss")
    after = [await admitted(one) for one in both]

    assert before == [True] * 4
    assert [row.title for row in disabled.keys] == ["a job"]
    assert meanwhile == [[False, False, True, True]] * 2
    assert after == [[True] * 4] * 2


async def test_of_two_processes_that_use_one_link_one_signs_in(
    both: tuple[Access, Access], stores: tuple[Store, Store]
) -> None:
    await both[0].users.add("anna", by="test")
    for _ in range(5):
        token, _ = await both[0].users.link("anna", by="test")
        tried = await asyncio.gather(
            *(one.signing_in.by_link(token, address="a") for one in (*both, *both)),
            return_exceptions=True,
        )
        assert sum(isinstance(one, Begun) for one in tried) == 1
        assert sum(isinstance(one, SignInRefused) for one in tried) == 3

    assert len(await stores[0].select(SessionRow)) == 5


async def test_wrong_passwords_in_both_processes_count_together_and_outlive_them(
    both: tuple[Access, Access], stores: tuple[Store, Store]
) -> None:
    await both[0].users.add("anna", by="test", password=PASSWORD)
    for _ in range(3):
        await asyncio.gather(
            *(one.signing_in.by_password("anna", "wrong", address="a") for one in both),
            return_exceptions=True,
        )
    row = await stores[1].get(UserRow, "anna")
    again = Access(stores[1], CLOCK, Config())  # as after a restart
    with pytest.raises(SignInRefused):
        await again.signing_in.by_password("anna", PASSWORD, address="b")

    assert row is not None
    assert row.failures == 5
    assert row.locked_until_ms is not None


async def test_names_are_never_given_twice_and_faults_change_nothing(
    both: tuple[Access, Access], stores: tuple[Store, Store]
) -> None:
    here, _ = both
    await here.users.add("anna", by="test")
    with pytest.raises(Conflict):
        await here.users.add("anna", by="test", grants=[("*", "admin")])
    with pytest.raises(NotFound):
        await here.users.revoke("anna", "*", "admin", by="test")
    await here.users.grant("anna", "*", "viewer", by="test")
    again = await here.users.grant("anna", "*", "viewer", by="test")
    kinds = [
        row.kind
        for row in await stores[0].select(LedgerEntryRow, Where("subject_id", "=", "user:anna"))
    ]

    assert [(one.scope, one.role) for one in again.grants] == [("*", "viewer")]
    assert kinds == ["user.added", "user.granted"]


async def test_keys_and_users_are_listed_page_by_page(both: tuple[Access, Access]) -> None:
    here, _ = both
    for name in ("ann", "bea", "cid"):
        await here.users.add(name, by="test", grants=[("*", "viewer")])
        await here.keys.add(name, [("*", "caller")], by=f"user:{name}")
    first = await here.users.list(limit=2)
    rest = await here.users.list(after=first[-1].name)
    keys = await here.keys.list(limit=2)
    older = await here.keys.list(after=keys[-1].row.id)
    held = await here.users.roles_of([])

    assert [row.name for row in (*first, *rest)] == ["ann", "bea", "cid"]
    assert [key.row.title for key in (*keys, *older)] == ["cid", "bea", "ann"]
    assert [row.title for row in (await here.users.get("bea")).keys] == ["bea"]
    assert held == {}


ADMINS = [("*", "admin")]


@pytest.mark.parametrize("deed", ["disabled", "revoked"])
async def test_the_last_active_admin_cannot_be_ended_until_there_is_another(
    both: tuple[Access, Access], stores: tuple[Store, Store], deed: str
) -> None:
    here, there = both
    for name, grants in {"anna": ADMINS, "gone": ADMINS, "local": [("claims", "admin")]}.items():
        await here.users.add(name, by="test", grants=grants)
    await here.keys.add("a key is nobody", ADMINS, by="test")
    await here.users.disable("gone", by="test")
    with pytest.raises(Conflict, match=r"the last active admin .* users grant"):
        await ended(there, "anna", deed)
    before = await here.users.get("anna")
    kinds = {row.kind for row in await stores[0].select(LedgerEntryRow)}
    await here.users.grant("local", "*", "admin", by="test")
    after = await ended(there, "anna", deed)

    assert (before.row.state, len(before.grants)) == ("active", 1)
    assert "user.revoked" not in kinds
    assert (after.row.state, len(after.grants)) != ("active", 1)


async def test_of_two_admins_who_end_each_other_in_two_processes_one_stays(
    both: tuple[Access, Access],
) -> None:
    stayed = ""
    for turn in range(6):
        names = (f"anna{turn}", f"ben{turn}")
        for name in names:
            await both[0].users.add(name, by="test", grants=ADMINS)
        if stayed:  # nobody else is an admin
            await ended(both[0], stayed, "revoked")
        deeds = ("disabled", "revoked") if turn % 2 else ("disabled", "disabled")
        done = await asyncio.gather(
            *(ended(one, name, deed) for one, name, deed in zip(both, names, deeds, strict=True)),
            return_exceptions=True,
        )
        lost = [isinstance(one, Conflict) for one in done]
        stayed = names[lost.index(True)]

        assert sorted(lost) == [False, True], done


async def ended(access: Access, name: str, deed: str) -> User:
    """End a user as an admin, by one of the ways."""
    if deed == "disabled":
        return await access.users.disable(name, by="test")
    return await access.users.revoke(name, "*", "admin", by="test")
