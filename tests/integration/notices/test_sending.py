"""Notices on both databases, sent to a server that listens: at least once, by several processes, whoever dies when."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable

import pytest

from opsrail import faults
from opsrail.app.notified import announced_by, sender_of
from opsrail.clock import SystemClock
from opsrail.config import ChannelConfig, Config, NotifyConfig
from opsrail.errors import StaleWrite
from opsrail.notices.sending import Sender
from opsrail.ports import Store
from opsrail.values.reviews import NoticeRow
from opsrail.values.rows import Insert, Require, Update, Write
from tests.integration.review.test_sampling import Killed, die
from tests.support.hook_server import HookServer
from tests.support.notified import SECRET, alarm, notices

CLOCK = SystemClock()


def config_of(server: HookServer) -> Config:
    channel = ChannelConfig(url=server.url, secret=SECRET, kinds="alarm.raised")
    return Config(channels={"ops": channel}, notify=NotifyConfig(timeout_s=20))


async def tell(store: Store, config: Config, *writes: Write) -> None:
    follow = announced_by(config, CLOCK)
    assert follow is not None
    await store.commit([*writes, *follow(writes)])


async def until_sent(senders: list[Sender], store: Store) -> None:
    for _ in range(50):
        await asyncio.gather(*(one.turn() for one in senders))
        if {row.state for row in await notices(store)} == {"sent"}:
            return
    pytest.fail(f"not all were sent: {await notices(store)}")


async def test_several_processes_send_each_notice_once_while_nothing_goes_wrong(
    new_store: Callable[..., Store],
) -> None:
    async with HookServer() as server:
        config = config_of(server)
        stores = [new_store(follow=announced_by(config, CLOCK)) for _ in range(2)]
        for store in stores:
            await store.open()
        await stores[0].commit([Insert(alarm(number)) for number in range(45)])
        senders = [sender_of(config, store, CLOCK) for store in stores for _ in range(2)]
        await until_sent(senders, stores[1])
        for sender in senders:
            await sender.close()
        ids = Counter(headers["webhook-id"] for headers, _ in server.taken)

    assert ids == Counter(row.id for row in await notices(stores[1]))
    assert {json.loads(body)["data"]["id"] for _, body in server.taken} == {
        f"alarm-{n}" for n in range(45)
    }
    for store in stores:
        await store.close()


async def test_a_commit_that_is_refused_tells_nothing(new_store: Callable[..., Store]) -> None:
    channel = ChannelConfig(url="https://example.org/hook", secret=SECRET)
    store = new_store(follow=announced_by(Config(channels={"ops": channel}), CLOCK))
    await store.open()
    gone = Require(NoticeRow, ("nothing",), {"state": "due"})
    with pytest.raises(StaleWrite):
        await store.commit([Insert(alarm(1)), gone])
    await store.commit([Insert(alarm(2))])

    assert [row.subject_id for row in await notices(store)] == ["alarm-2"]
    await store.close()


@pytest.mark.parametrize(("point", "count"), [("notice.before_send", 1), ("notice.after_send", 2)])
async def test_who_dies_between_sending_and_marking_has_it_sent_again_under_the_same_id(
    store: Store, point: str, count: int
) -> None:
    async with HookServer() as server:
        config = config_of(server)
        await tell(store, config, Insert(alarm()))
        first, second = (sender_of(config, store, CLOCK) for _ in range(2))
        with faults.armed(point, die), pytest.raises(Killed):
            await first.turn()
        await second.turn()
        (row,) = await notices(store)
        assert row.state == "due"  # the one that died holds it until its lease is over
        await store.commit([Update(NoticeRow, (row.id,), {"due_at_ms": 0})])
        await second.turn()
        await first.close()
        await second.close()

    assert [headers["webhook-id"] for headers, _ in server.taken] == [row.id] * count
    assert [one.state for one in await notices(store)] == ["sent"]


async def test_a_server_that_is_down_for_a_while_gets_everything_afterwards(store: Store) -> None:
    async with HookServer() as server:
        config = config_of(server)
        await tell(store, config, *(Insert(alarm(n)) for n in range(5)))
        server.answers = [500, "cut", 503, 200, 500]
        sender, begun_ms = sender_of(config, store, CLOCK), CLOCK.now_ms()
        await sender.turn()
        waiting = [row for row in await notices(store) if row.state == "due"]
        assert len(waiting) == 4
        assert all(row.last_error and row.due_at_ms > begun_ms for row in waiting)
        soon = [Update(NoticeRow, (row.id,), {"due_at_ms": 0}) for row in waiting]
        await store.commit(soon)
        await until_sent([sender], store)
        await sender.close()

    assert {row.state for row in await notices(store)} == {"sent"}
