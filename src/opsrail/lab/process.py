"""A server process in virtual time: one core, an event loop that takes turns, a thread that commits.

A request's way: taken in -> offered to its queue -> its batch runs on the loop -> written down -> waits for its group -> the
group is committed -> answered. Each step waits for the core, in the order in which steps became ready; what comes from
outside is looked at between two turns of the loop. The thread that commits goes first, as it slept until then; while
it waits for the disk the loop goes on. Who is committed with whom is decided by `decide.grouping`, the machine that serves.

A lone request takes ten turns, as in the server: heard, taken in, batch, written down, looked at, sent, handed over; then,
committed, settled, told, answered. Each step that begins the next by `call_soon` there is a turn later here.

Source:
    Turns: `BaseEventLoop._run_once` of asyncio. Ten: 9.9 calls of epoll_wait a lone request of `opsrail serve`, counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from opsrail.clock import Chance
from opsrail.decide.grouping import Grouping
from opsrail.lab.demand import Asked
from opsrail.lab.fleet import Device, Place
from opsrail.lab.server import Server
from opsrail.lab.timeline import Timeline

Step = tuple[float, Callable[..., None], tuple[Any, ...]]
"""Seconds of the core, and what has happened after them."""
Group = list[tuple[Place, Asked]]


class Owner(Protocol):
    """Who knows the queues and counts the ends: the engine."""

    def take_in(self, asked: Asked, place: Place) -> None:
        """Offer a request to its queue."""
        ...

    def batch(self, device: Device) -> Step | None:
        """Cut the next batch; None: there is none."""
        ...

    def answer(self, asked: Asked, place: Place) -> None:
        """End a request that was served."""
        ...

    def use(self, device: Device, seconds: float) -> None:
        """Count what the core did besides batches."""
        ...


class Process:
    """The process of one device.

    Attributes:
        is_beginning: A look at the queues is among the steps.
        is_gone: It crashed; what was planned for it happens to nobody.
    """

    __slots__ = (
        "_chance", "_committing_s", "_device", "_group", "_grouping", "_groups", "_is_busy",
        "_is_committing", "_is_spending", "_later", "_left", "_news", "_owner", "_ready", "_seen",
        "_server", "_since_checkpoint", "_timeline", "_timer", "_until_s", "_will_end",
        "_will_look", "is_beginning", "is_gone",
    )  # fmt: skip

    def __init__(
        self, server: Server, device: Device, owner: Owner, timeline: Timeline, chance: Chance
    ) -> None:
        self._server = server
        self._device = device
        self._owner = owner
        self._timeline = timeline
        self._chance = chance
        self._news: deque[Step] = deque()  # of outside, for the next turn
        self._ready: deque[Step] = deque()
        self._left = 0  # steps of this turn
        self._seen: set[Callable[..., None]] = set()  # kinds of them
        self._is_busy = False
        self._is_spending = False  # time, on a step
        self._until_s = 0.0  # of that step
        self._grouping = Grouping(server.linger_ms / 1000)
        self._group: Group = []
        self._will_look = False
        self._timer = 0  # only the last one counts
        self._groups: deque[Group] = deque()
        self._is_committing = False
        self._committing_s = 0.0  # until when that needs the core
        self._since_checkpoint = 0
        self._later = 0  # requests that are not done with
        self._will_end = False
        self.is_beginning = False
        self.is_gone = False

    def arrive(self, asked: Asked, place: Place) -> None:
        """A request comes."""
        self._hear(0.0, self._came, asked, place)

    def _came(self, asked: Asked, place: Place) -> None:
        self._soon(self._server.request_ms / 1000, self._owner.take_in, asked, place)

    def begin(self) -> None:
        """Look for a batch in one of the next steps."""
        if not self.is_beginning:
            self.is_beginning = True
            self._ready.append((0.0, self._batch, ()))
            self._wake()

    def record(self, asked: Asked, place: Place) -> None:
        """Write a request down that has its score, and make it durable before it is answered."""
        self._ready.append((self._server.record_ms / 1000, self._recorded, (asked, place)))

    # -- the loop --

    def _soon(self, seconds: float, then: Callable[..., None], *args: Any) -> None:
        """Do something in the next turn."""
        self._ready.append((seconds, then, args))

    def _hear(self, seconds: float, then: Callable[..., None], *args: Any) -> None:
        self._news.append((seconds, then, args))
        self._wake()

    def _wake(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self._go_on()

    def _go_on(self) -> None:
        """Begin the next step, if there is one; those that take no time end at once."""
        while not self.is_gone:
            turn_s = 0.0
            if not self._left:
                self._ready.extend(self._news)
                self._news.clear()
                self._left = len(self._ready)
                if not self._left:
                    self._is_busy = False
                    return
                turn_s = self._server.turn_ms / 1000
                self._seen.clear()
            self._left -= 1
            seconds, then, args = self._ready.popleft()
            if seconds > 0 and then not in self._seen:
                self._seen.add(then)
                seconds += self._server.first_ms / 1000
            if seconds + turn_s > 0:
                self._owner.use(self._device, seconds + turn_s)
                self._spend(seconds + turn_s, then, args)
                return
            then(*args)
            if self._is_spending:
                return  # it was a look for a batch, which runs now

    def _spend(self, seconds: float, then: Callable[..., None], args: tuple[Any, ...]) -> None:
        self._is_spending = True
        self._until_s = max(self._timeline.now_s, self._committing_s) + seconds
        self._timeline.plan(self._until_s, self._spent, then, args)

    def _spent(self, then: Callable[..., None], args: tuple[Any, ...]) -> None:
        if self.is_gone:
            return
        if self._timeline.now_s < self._until_s:  # a commit came between
            self._timeline.plan(self._until_s, self._spent, then, args)
            return
        self._is_spending = False
        then(*args)
        if not self._is_spending:
            self._go_on()

    def _batch(self) -> None:
        self.is_beginning = False
        step = self._owner.batch(self._device)
        if step is not None:
            self._spend(*step)

    # -- groups --

    def _recorded(self, asked: Asked, place: Place) -> None:
        self._grouping.add(self._timeline.now_s)
        self._group.append((place, asked))
        self._look_soon()

    def _look_soon(self) -> None:
        if not self._will_look:
            self._will_look = True
            self._ready.append((0.0, self._look, ()))

    def _look(self) -> None:
        self._will_look = False
        now_s = self._timeline.now_s
        if self._grouping.is_due(now_s):
            self._send()
        elif (due_in_s := self._grouping.due_in_s(now_s)) is not None:
            self._timer += 1
            self._timeline.plan(now_s + due_in_s, self._rang, self._timer)

    def _rang(self, timer: int) -> None:
        if timer == self._timer and not self.is_gone:
            self._hear(0.0, self._waited, timer)

    def _waited(self, timer: int) -> None:
        if timer == self._timer and self._grouping.due_in_s(self._timeline.now_s) is not None:
            self._send()

    def _send(self) -> None:
        self._timer += 1
        group, self._group = self._group, []
        self._grouping.begin()
        self._soon(self._server.group_ms / 1000, self._soon, 0.0, self._hand_over, group)

    def _hand_over(self, group: Group) -> None:
        self._groups.append(group)
        if not self._is_committing:
            self._commit()

    def _commit(self) -> None:
        """Let the thread work on the next group while the loop waits, then wait for the disk while it goes on."""
        self._is_committing = True
        group, now_s = self._groups.popleft(), self._timeline.now_s
        seconds = self._server.commit.draw_s(len(group), self._chance)
        self._owner.use(self._device, seconds)
        self._committing_s = now_s + seconds
        if self._is_spending:
            self._until_s += seconds
        server, sync_s = self._server, self._server.sync.draw_s(len(group), self._chance)
        self._since_checkpoint += len(group)
        if server.checkpoint_rows and self._since_checkpoint >= server.checkpoint_rows:
            self._since_checkpoint = 0
            sync_s += server.checkpoint_ms / 1000
        self._timeline.plan(self._committing_s + sync_s, self._committed, group)

    def _committed(self, group: Group) -> None:
        if self.is_gone:
            return
        self._is_committing = False
        self._hear(0.0, self._settle, group)
        if self._groups:
            self._commit()

    def _settle(self, group: Group) -> None:
        self._soon(0.0, self._tell, group)

    def _tell(self, group: Group) -> None:
        answer_s = self._server.answer_ms / 1000
        for place, asked in group:
            self._ready.append((answer_s, self._owner.answer, (asked, place)))
        self._grouping.end()
        self._look_soon()
        self._later += len(group)
        if self._server.later_ms and not self._will_end:
            self._will_end = True
            self._timeline.plan(self._timeline.now_s + self._server.later_every_s, self._end_all)

    def _end_all(self) -> None:
        """Do what a request costs after its answer, for all at once."""
        if self.is_gone:
            return
        self._will_end, count, self._later = False, self._later, 0
        self._hear(count * self._server.later_ms / 1000, self._nothing)

    def _nothing(self) -> None:
        """Nothing follows."""
