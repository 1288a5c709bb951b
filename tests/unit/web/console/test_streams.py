"""Streams of events: what is sent to whom, and everything that ends one. The loop's time jumps, so nobody waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from starlette.types import Message

from opsrail.clock import ManualClock
from opsrail.errors import Overloaded
from opsrail.testing import JumpingLoop
from opsrail.web.console.streams import (
    BEAT_S,
    LONGEST_S,
    MOST_OF_ONE,
    SLOW_S,
    Figures,
    Stream,
    Streams,
    Watch,
)

T = TypeVar("T")


class World:
    """Figures that a test changes, and readers of them."""

    def __init__(self, most: int = 64) -> None:
        self.loop = JumpingLoop()
        self.clock = ManualClock(self.loop.time)
        self.streams = Streams(self.clock, most)
        self.now = Figures("1", "shape", {"cases": "3", "rate": "1/s"})
        self.may_watch = True
        self.is_closing = False
        self.looks = 0

    def begin(self, last_id: str = "", reader: str = "", holder: str = "ann") -> Stream:
        async def figures() -> Figures:
            self.looks += 1
            return self.now

        async def may_watch() -> bool:
            return self.may_watch

        return self.streams.begin(
            Watch(figures, may_watch, lambda: self.is_closing), last_id, holder, reader
        )

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            return self.loop.run_until_complete(coroutine)
        finally:
            self.loop.close()


class Reader:
    """A browser: what it got, and whether it still reads."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._left = asyncio.Event()
        self.is_stuck = False
        self.got: list[bytes] = []
        self.is_ended = False
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        await self._stream({"type": "http", "method": "GET"}, self._receive, self._send)

    async def _receive(self) -> Message:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self.is_stuck:
            await asyncio.Event().wait()
        if message["type"] == "http.response.body":
            self.got.append(message["body"])
            self.is_ended = not message["more_body"]

    def leave(self) -> None:
        self._left.set()

    def events(self) -> list[tuple[str, Any]]:
        """Return names and data of the events that came."""
        found = []
        for text in b"".join(self.got).decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in text.splitlines() if line[0] != ":")
            if "event" in fields:
                data = fields["data"]
                found.append((fields["event"], json.loads(data) if data[0] == "{" else data))
        return found


def test_the_first_event_tells_all_and_the_next_only_what_changed() -> None:
    world = World()

    async def scene() -> list[tuple[str, Any]]:
        reader = Reader(world.begin())
        await asyncio.sleep(0.5)
        world.now = Figures("2", "shape", {"cases": "4", "rate": "1/s"})
        await asyncio.sleep(3)
        reader.leave()
        await reader.task
        return reader.events()

    assert world.run(scene()) == [
        ("figures", {"cases": "3", "rate": "1/s"}),
        ("figures", {"cases": "4"}),
    ]
    assert world.streams.open == 0


def test_who_comes_back_and_saw_the_same_gets_nothing_again_until_it_changes() -> None:
    world = World()

    async def scene() -> tuple[list[Any], list[Any]]:
        same, older = Reader(world.begin("1")), Reader(world.begin("0"))
        await asyncio.sleep(2)
        for reader in (same, older):
            reader.leave()
            await reader.task
        return same.events(), older.events()

    same, older = world.run(scene())
    assert (same, len(older)) == ([], 1)


def test_other_rows_have_the_page_fetched_again() -> None:
    world = World()

    async def scene() -> list[tuple[str, Any]]:
        reader = Reader(world.begin())
        await asyncio.sleep(0.5)
        world.now = Figures("2", "another shape", {"cases": "4"})
        await asyncio.sleep(2)
        reader.leave()
        await reader.task
        return reader.events()

    assert world.run(scene())[1] == ("refresh", {})


def test_silence_is_broken_by_a_comment() -> None:
    world = World()

    async def scene() -> bytes:
        reader = Reader(world.begin())
        await asyncio.sleep(BEAT_S * 2.5)
        reader.leave()
        await reader.task
        return b"".join(reader.got)

    assert world.run(scene()).count(b": beat\n\n") == 2


def test_a_reader_who_takes_nothing_is_let_go_and_nothing_piles_up_for_it() -> None:
    world = World()

    async def scene() -> tuple[float, int]:
        reader = Reader(world.begin())
        await asyncio.sleep(0.5)
        reader.is_stuck = True
        world.now = Figures("2", "shape", {"cases": "9"})
        begun_s, looks = world.loop.time(), world.looks
        await reader.task
        return world.loop.time() - begun_s, world.looks - looks

    waited_s, looks = world.run(scene())
    assert SLOW_S <= waited_s <= SLOW_S + 2
    assert looks == 1
    assert world.streams.open == 0


def test_a_slow_reader_holds_up_nobody_else() -> None:
    world = World()

    async def scene() -> int:
        slow, quick = Reader(world.begin()), Reader(world.begin())
        slow.is_stuck = True
        for number in range(10):
            world.now = Figures(str(number), "shape", {"cases": str(number)})
            await asyncio.sleep(1)
        quick.leave()
        await asyncio.gather(slow.task, quick.task)
        return len(quick.events())

    assert world.run(scene()) >= 10


@pytest.mark.parametrize("why", ["closing", "signed out", "left", "replaced"])
def test_a_stream_ends_within_seconds_when(why: str) -> None:
    world = World()

    async def scene() -> tuple[float, list[tuple[str, Any]], bool]:
        reader = Reader(world.begin(reader="browser"))
        other = None
        await asyncio.sleep(3)
        begun_s = world.loop.time()
        world.is_closing = why == "closing"
        world.may_watch = why != "signed out"
        if why == "left":
            reader.leave()
        if why == "replaced":
            other = Reader(world.begin(reader="browser"))
        await reader.task
        ended_s = world.loop.time() - begun_s
        if other is not None:
            assert not other.is_ended
            other.leave()
            await other.task
        return ended_s, reader.events(), reader.is_ended

    ended_s, events, is_ended = world.run(scene())
    assert ended_s <= 6
    assert is_ended
    last = {"signed out": ("end", "signed-out"), "replaced": ("end", "replaced")}.get(why)
    assert events[-1] == last or (last is None and events[-1][0] == "figures")
    assert world.streams.open == 0


def test_a_stream_ends_by_itself_in_the_end() -> None:
    world = World()

    async def scene() -> float:
        await Reader(world.begin()).task
        return world.loop.time()

    assert LONGEST_S <= world.run(scene()) <= LONGEST_S + 2


def test_there_are_only_so_many_streams_and_one_that_ends_makes_room() -> None:
    world = World(most=3)

    async def scene() -> None:
        readers = [Reader(world.begin()) for _ in range(3)]
        await asyncio.sleep(1)
        with pytest.raises(Overloaded):
            world.begin()
        readers[0].leave()
        await readers[0].task
        readers.append(Reader(world.begin()))
        await asyncio.sleep(1)
        for reader in readers:
            reader.leave()
            await reader.task

    world.run(scene())
    assert world.streams.open == 0


def test_one_person_takes_only_so_many_and_leaves_the_others_theirs() -> None:
    world = World()

    async def scene() -> None:
        readers = [Reader(world.begin(holder="ann")) for _ in range(MOST_OF_ONE)]
        await asyncio.sleep(1)
        with pytest.raises(Overloaded, match="ann watches 8 times already"):
            world.begin(holder="ann")
        readers += [Reader(world.begin(holder="")) for _ in range(MOST_OF_ONE + 1)]
        readers += [Reader(world.begin(holder=f"person-{n}")) for n in range(3)]
        readers[0].leave()
        await readers[0].task
        readers.append(Reader(world.begin(holder="ann")))
        await asyncio.sleep(1)
        for reader in readers:
            reader.leave()
            await reader.task

    world.run(scene())
    assert (world.streams.open, world.streams._open_of) == (0, {})


def test_a_browser_that_opens_another_page_needs_no_more_room() -> None:
    world = World(most=1)

    async def scene() -> None:
        first = Reader(world.begin(reader="browser"))
        await asyncio.sleep(1)
        second = Reader(world.begin(reader="browser"))
        await first.task
        assert not second.task.done()
        second.leave()
        await second.task

    world.run(scene())
    assert world.streams.open == 0


def test_figures_that_cannot_be_made_end_the_stream_and_free_its_place() -> None:
    world = World()

    async def broken() -> Figures:
        raise RuntimeError("a fault of ours")

    async def scene() -> None:
        watch = Watch(broken, _yes, lambda: False)
        reader = Reader(world.streams.begin(watch, "", "ann"))
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await reader.task

    world.run(scene())
    assert world.streams.open == 0


async def _yes() -> bool:
    return True
