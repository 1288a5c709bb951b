"""The load generator: one process, raw sockets, one JSON plan on stdin, one JSON object on stdout. Standard library only.

Requests are bytes made beforehand but for seven digits, answers are searched for their length and one mark, nothing is
parsed, the garbage collector is off: it has to be much faster than any server it asks. Closed loop: each connection asks
again as soon as it is answered. Open loop: each request has its moment, whether or not earlier ones were answered; its time
runs from that moment, so a server that stalls is not spared the requests that came meanwhile. A connection carries one
request at a time. One that is not answered in time is given up and its connection closed.
"""

from __future__ import annotations

import gc
import json
import re
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNKED, LAST_CHUNK = b"\r\ntransfer-encoding: chunked", b"0\r\n\r\n"
"""As Ray Serve refuses; no server measured here sends a good answer in chunks."""
CHUNKS = 0
READ_BYTES = 65_536
DRAIN_S = 10.0
SAMPLES = 200
OK, REFUSED, LOST, GIVEN_UP = 0, 1, 2, 3
"""How a request ended: answered as it should be; with another status or without the mark; connection lost; too late."""


@dataclass(frozen=True)
class Asked:
    """Where requests go and what they are.

    Attributes:
        slots: What stands before and after the digits of a request's number; request n takes slot n % their count.
        mark: Text that a good answer holds; empty: status 200 is enough.
        headers: More header lines, e.g. `x-one: 1`.
        first: Number of the first request.
    """

    host: str
    port: int
    path: str
    slots: Sequence[tuple[str, str]]
    mark: str = ""
    headers: Sequence[str] = ()
    digits: int = 7
    first: int = 0

    def request_parts(self, *more: str) -> list[tuple[bytes, bytes]]:
        """Return each slot with its whole head before it."""
        parts = []
        for before, after in self.slots:
            length = len(before.encode()) + self.digits + len(after.encode())
            lines = (
                f"POST {self.path} HTTP/1.1",
                f"host: {self.host}:{self.port}",
                "content-type: application/json",
                f"content-length: {length}",
                *self.headers,
                *more,
            )
            parts.append((("\r\n".join(lines) + "\r\n\r\n" + before).encode(), after.encode()))
        return parts


@dataclass
class Told:
    """What a load was answered.

    Attributes:
        asked_count: All requests that were sent, those of the warm-up too.
        busy_ratio: Share of its core that the generator itself used; near 1 it was the limit, not the server.
        took_ms: Of each good answer.
        samples: Number of the request and body of the answer.
    """

    seconds: float = 0.0
    asked_count: int = 0
    busy_ratio: float = 0.0
    took_ms: list[float] = field(default_factory=list)
    error_count: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    samples: list[tuple[int, str]] = field(default_factory=list)

    def fault(self, what: str) -> None:
        self.error_count += 1
        self.errors[what] = self.errors.get(what, 0) + 1


class Line:
    """One connection with at most one request under way."""

    __slots__ = ("due_s", "got", "need", "number", "place", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=DRAIN_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.got = b""
        self.need = -1
        self.number = -1
        self.due_s = 0.0
        self.place = 0

    def send(self, request: bytes) -> None:
        """Send; a request is far smaller than a socket's buffer.

        Raises:
            OSError: the connection is gone.
        """
        if self.socket.send(request) != len(request):
            raise OSError("the server does not read what is sent")

    def receive(self) -> bytes | None:
        """Return the whole answer once it is there.

        Raises:
            OSError: the connection is gone, or the answer has no length.
        """
        try:
            got = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        if not got:
            raise OSError("closed by the server")
        if self.got:
            got = self.got + got
        if self.need < 0:
            end = got.find(b"\r\n\r\n")
            if end < 0:
                self.got = got
                return None
            length = LENGTH.search(got, 0, end + 2)
            if length is None and CHUNKED not in got[: end + 2].lower():
                raise OSError("answered without a length")
            self.need = end + 4 + int(length[1]) if length else CHUNKS
        if len(got) < self.need or (self.need == CHUNKS and not got.endswith(LAST_CHUNK)):
            self.got = got
            return None
        self.got, self.need = b"", -1
        return got

    def close(self) -> None:
        with suppress(OSError):
            self.socket.close()


def is_good(answer: bytes, mark: bytes) -> bool:
    """Return whether the status is 200 and the mark is there."""
    return answer.startswith(b"HTTP/1.1 200") and mark in answer


def body_of(answer: bytes) -> str:
    return answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")


class Closed:
    """Some connections, each asking again as soon as it is answered."""

    def __init__(self, asked: Asked, connections: int) -> None:
        self._asked = asked
        self._parts = asked.request_parts()
        self._mark = asked.mark.encode()
        self._next = asked.first
        self._poll = select.epoll()
        self._lines: dict[int, Line] = {}
        for _ in range(connections):
            self._open()

    def run(self, warm_s: float, seconds: float) -> tuple[Told, int]:
        """Ask; return what was answered after the warm-up, and the number that comes next."""
        told = Told(seconds=seconds)
        busy_s = time.process_time()
        begin_s = time.perf_counter() + warm_s
        end_s = begin_s + seconds
        for line in list(self._lines.values()):
            self._ask(line, time.perf_counter())
        sample_each = 1
        while (now_s := time.perf_counter()) < end_s:
            for descriptor, _ in self._poll.poll(end_s - now_s):
                line = self._lines[descriptor]
                try:
                    answer = line.receive()
                    if answer is None:
                        continue
                    now_s = time.perf_counter()
                    if now_s >= begin_s:
                        self._note(told, line, answer, now_s, sample_each)
                        sample_each = 1 + len(told.took_ms) // 64
                    self._ask(line, now_s)
                except OSError as gone:
                    told.fault(str(gone))
                    self._replace(line)
        told.busy_ratio = (time.process_time() - busy_s) / (warm_s + seconds)
        self._drain(told)
        told.asked_count = self._next - self._asked.first
        return told, self._next

    def _open(self) -> Line:
        line = Line((self._asked.host, self._asked.port))
        self._lines[line.socket.fileno()] = line
        self._poll.register(line.socket.fileno(), select.EPOLLIN)
        return line

    def _ask(self, line: Line, now_s: float) -> None:
        number = self._next
        self._next = number + 1
        before, after = self._parts[number % len(self._parts)]
        line.number, line.due_s = number, now_s
        line.send(before + b"%07d" % (number % 10_000_000) + after)

    def _note(self, told: Told, line: Line, answer: bytes, now_s: float, each: int) -> None:
        if not is_good(answer, self._mark):
            told.fault(answer[:300].decode("utf-8", "replace"))
            return
        told.took_ms.append(1000 * (now_s - line.due_s))
        if len(told.took_ms) % each == 0 and len(told.samples) < SAMPLES:
            told.samples.append((line.number, body_of(answer)))

    def _replace(self, line: Line) -> None:
        self._lines = {number: one for number, one in self._lines.items() if one is not line}
        line.close()
        with suppress(OSError):
            self._ask(self._open(), time.perf_counter())

    def _drain(self, told: Told) -> None:
        """Wait for what is under way, so that nothing is cut off; its times are past the end and do not count."""
        waiting = dict(self._lines)
        end_s = time.perf_counter() + DRAIN_S
        while waiting and (left_s := end_s - time.perf_counter()) > 0:
            for descriptor, _ in self._poll.poll(left_s):
                try:
                    answer = self._lines[descriptor].receive()
                    if answer is None:
                        continue
                    if not is_good(answer, self._mark):
                        told.fault(answer[:300].decode("utf-8", "replace"))
                except OSError as gone:
                    told.fault(str(gone))
                self._poll.unregister(descriptor)
                waiting.pop(descriptor, None)
        for _ in waiting:
            told.fault(f"not answered within {DRAIN_S:.0f} s")
        for line in self._lines.values():
            line.close()
        self._poll.close()


@dataclass
class Sent:
    """What became of each request of an open loop, by its place in the list of moments.

    Attributes:
        took_ms: From the request's moment to its end.
        ends: OK, REFUSED, LOST or GIVEN_UP.
        waited_ms: From the request's moment until it was sent, for want of a connection or as the generator was late;
            below zero: never sent.
        late_ms: How late the generator itself sent a request for which a connection was free; when this grows, the
            generator was the limit.
    """

    took_ms: list[float]
    ends: list[int]
    waited_ms: list[float]
    late_ms: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    samples: list[tuple[int, str]] = field(default_factory=list)


class Crowd:
    """One class of callers: connections of its own, as many as are needed up to a bound, then it queues."""

    def __init__(self, parts: list[tuple[bytes, bytes]], limit: int) -> None:
        self.parts = parts
        self.limit = limit
        self.free: list[Line] = []
        self.open_count = 0
        self.queue: deque[int] = deque()


class Open:
    """Requests at given moments.

    Args:
        moments_s: When, from the begin, ascending.
        classes: Of each request, an index into `class_headers`.
        class_headers: Header lines of each class of callers.
        connections: Most that all classes together may open.
        give_up_s: How long a caller waits.
    """

    def __init__(
        self,
        asked: Asked,
        moments_s: Sequence[float],
        classes: Sequence[int],
        class_headers: Sequence[Sequence[str]],
        *,
        connections: int,
        give_up_s: float,
    ) -> None:
        self._asked = asked
        self._mark = asked.mark.encode()
        self._moments_s = moments_s
        self._classes = classes
        self._give_up_s = give_up_s
        limit = max(1, connections // len(class_headers))
        self._crowds = [Crowd(asked.request_parts(*lines), limit) for lines in class_headers]
        self._poll = select.epoll()
        self._lines: dict[int, tuple[Line, Crowd]] = {}
        self._sent: deque[tuple[Line, int]] = deque()
        count = len(moments_s)
        self._told = Sent([0.0] * count, [GIVEN_UP] * count, [-1.0] * count)
        self._left = count

    def run(self) -> tuple[Sent, int]:
        """Send everything and wait for its end; return what became of it, and the number that comes next."""
        begin_s = time.perf_counter() + 0.05
        due_s = [begin_s + moment_s for moment_s in self._moments_s]
        place, count = 0, len(due_s)
        while self._left:
            now_s = time.perf_counter()
            while place < count and due_s[place] <= now_s:
                self._arrive(place, due_s[place], now_s)
                place += 1
            self._give_up(now_s, due_s)
            for descriptor, _ in self._poll.poll(self._pause_s(place, due_s)):
                if descriptor in self._lines:
                    self._hear(*self._lines[descriptor], due_s)
        for line, _ in self._lines.values():
            line.close()
        self._poll.close()
        return self._told, self._asked.first + count

    def _pause_s(self, place: int, due_s: Sequence[float]) -> float:
        """Return how long to wait for answers: not at all shortly before a moment, as waiting is a millisecond coarse."""
        if place >= len(due_s):
            return 0.005
        left_s = due_s[place] - time.perf_counter()
        return 0.0 if left_s < 0.002 else min(left_s - 0.0015, 0.005)

    def _arrive(self, place: int, due_s: float, now_s: float) -> None:
        crowd = self._crowds[self._classes[place]]
        if not crowd.free and crowd.open_count >= crowd.limit:
            crowd.queue.append(place)
            return
        self._told.late_ms.append(1000 * (now_s - due_s))
        self._send(crowd, place, due_s)

    def _send(self, crowd: Crowd, place: int, due_s: float) -> None:
        number = self._asked.first + place
        before, after = crowd.parts[number % len(crowd.parts)]
        request = before + b"%07d" % (number % 10_000_000) + after
        while True:
            is_kept = bool(crowd.free)
            try:
                line = crowd.free.pop() if is_kept else self._open(crowd)
            except OSError as gone:
                self._end(place, LOST, due_s, str(gone))
                return
            line.number, line.due_s, line.place = number, due_s, place
            try:
                line.send(request)
            except (
                OSError
            ) as gone:  # a kept connection that the server closed meanwhile is no fault of anyone
                self._close(line, crowd)
                if is_kept:
                    continue
                self._end(place, LOST, due_s, str(gone))
                return
            self._told.waited_ms[place] = round(1000 * (time.perf_counter() - due_s), 3)
            self._sent.append((line, place))
            return

    def _open(self, crowd: Crowd) -> Line:
        line = Line((self._asked.host, self._asked.port))
        crowd.open_count += 1
        self._lines[line.socket.fileno()] = (line, crowd)
        self._poll.register(line.socket.fileno(), select.EPOLLIN)
        return line

    def _close(self, line: Line, crowd: Crowd) -> None:
        del self._lines[line.socket.fileno()]
        crowd.open_count -= 1
        line.number = -1  # nothing is under way on it any more
        line.close()

    def _hear(self, line: Line, crowd: Crowd, due_s: Sequence[float]) -> None:
        is_asked = line.number >= 0
        try:
            answer = line.receive()
            if answer is None:
                return
        except OSError as gone:
            if line in crowd.free:
                crowd.free.remove(line)
            self._close(line, crowd)
            if is_asked:
                self._end(line.place, LOST, line.due_s, str(gone))
            return
        good = is_good(answer, self._mark)
        told = "" if good else answer[:12].decode("utf-8", "replace")
        if good and line.place % 512 == 0 and len(self._told.samples) < SAMPLES:
            self._told.samples.append((line.number, body_of(answer)))
        line.number = -1
        self._end(line.place, OK if good else REFUSED, line.due_s, told)
        if b"\r\nconnection: close" in answer[:400].lower():
            self._close(line, crowd)
        else:
            crowd.free.append(line)
        if crowd.queue:
            place = crowd.queue.popleft()
            self._send(crowd, place, due_s[place])

    def _give_up(self, now_s: float, due_s: Sequence[float]) -> None:
        """Leave what took too long: close its connection, or take it from the queue."""
        while self._sent:
            line, place = self._sent[0]
            is_done = line.place != place or line.number < 0
            if not is_done and due_s[place] + self._give_up_s > now_s:
                break
            self._sent.popleft()
            if not is_done:
                self._close(line, self._lines[line.socket.fileno()][1])
                self._end(place, GIVEN_UP, due_s[place], "given up")
        for crowd in self._crowds:
            while crowd.queue and due_s[crowd.queue[0]] + self._give_up_s <= now_s:
                place = crowd.queue.popleft()
                self._end(place, GIVEN_UP, due_s[place], "given up unsent")
            while crowd.queue and (crowd.free or crowd.open_count < crowd.limit):
                place = crowd.queue.popleft()
                self._send(crowd, place, due_s[place])

    def _end(self, place: int, how: int, due_s: float, told: str) -> None:
        self._told.took_ms[place] = round(1000 * (time.perf_counter() - due_s), 3)
        self._told.ends[place] = how
        self._left -= 1
        if told:
            self._told.errors[told] = self._told.errors.get(told, 0) + 1


def run(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a plan's phases, one after the other; yield what each found.

    Args:
        plan: `asked` (fields of `Asked`) and `phases`: each has `connections`, and either `warm_s` and `seconds`, or
            `moments_s`, `classes`, `class_headers` and `give_up_s`.
    """
    asked = Asked(**plan["asked"])
    first = asked.first
    for phase in plan["phases"]:
        now = Asked(**{**plan["asked"], "first": first})
        if "moments_s" in phase:
            names = ("moments_s", "classes", "class_headers")
            sent, first = Open(
                now,
                *(phase[name] for name in names),
                connections=phase["connections"],
                give_up_s=phase["give_up_s"],
            ).run()
            yield vars(sent)
        else:
            told, first = Closed(now, phase["connections"]).run(phase["warm_s"], phase["seconds"])
            yield vars(told)


def main() -> None:
    plan = json.load(sys.stdin)
    gc.disable()
    print(json.dumps(list(run(plan))))


if __name__ == "__main__":
    main()
