"""The only reader of time, randomness and ids.

Everything else takes a `Clock` or a value read from one, so that a test can hold time still and a replay can repeat it.
Wall time (`now_ms`) is for rows and people; monotonic time (`monotonic_s`) is for limits and intervals and never
stored.
"""

from __future__ import annotations

import asyncio
import functools
import os
import random
import threading
import time
import types
from collections.abc import Callable, Coroutine, Generator
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, cast

from opsrail.errors import Fault, InvalidInput

T = TypeVar("T")
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = tuple(high + low for high in CROCKFORD for low in CROCKFORD)


MANUAL_START_MS = 1_767_258_000_000
"""2026-01-01T09:00:00Z, a Thursday morning: where a ManualClock starts; tests may rely on it."""
DISAGREEMENT_MS = 50
"""Ours: more than asking a database takes, less than the 100 ms by which a timer may be early."""
POOL_BYTES = 16_384
"""Random bytes fetched at once: a call of its own for each salt cost 50 us under load (bench cases)."""


class Clock(Protocol):
    """Time, chance and ids for one app."""

    def now_ms(self) -> int:
        """Return wall time, epoch milliseconds UTC. May jump when an operator sets the clock."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...

    def uniform(self) -> float:
        """Return a number in [0, 1), for jitter and sampling. Not for secrets."""
        ...

    def token(self, size_bytes: int) -> bytes:
        """Return random bytes fit for salts and keys."""
        ...

    def new_id(self) -> str:
        """Return a fresh ULID: 26 characters, sorts by time of making within this process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait at least `seconds` of this clock's time."""
        ...


class SystemClock:
    """The real thing."""

    def __init__(self) -> None:
        self._last_id = 0
        self._turn = threading.Lock()
        self._pool = b""
        self._pool_used = 0
        self._random = random.Random(os.urandom(16))  # noqa: S311 - jitter and sampling, never a secret

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    monotonic_s = staticmethod(time.monotonic)  # asked ten times a decision
    cpu_s = staticmethod(time.thread_time)  # of the calling thread

    def uniform(self) -> float:
        return self._random.random()

    def token(self, size_bytes: int) -> bytes:
        start, end = self._pool_used, self._pool_used + size_bytes
        if end > len(self._pool):
            self._pool = os.urandom(max(POOL_BYTES, size_bytes))
            start, end = 0, size_bytes
        self._pool_used = end
        return self._pool[start:end]

    def new_id(self) -> str:
        with self._turn:  # the store's writer thread makes ids too
            self._last_id = number = next_ulid(
                self._last_id, self.now_ms(), self._random.getrandbits(80)
            )
        return ulid_text(number)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock whose time another moves and whose chance is seeded, so that what a test sees repeats.

    Args:
        read_s: Returns the time passed, seconds from 0; e.g. a JumpingLoop's `time`.
        start_ms: Epoch ms at second 0.
    """

    def __init__(
        self, read_s: Callable[[], float], *, start_ms: int = MANUAL_START_MS, seed: int = 0
    ) -> None:
        self._read_s = read_s
        self._start_ms = start_ms
        self._random = random.Random(seed)  # noqa: S311 - a test's chance, not a secret
        self._last_id = 0

    def now_ms(self) -> int:
        return self._start_ms + round(self._read_s() * 1000)

    def monotonic_s(self) -> float:
        return self._read_s()

    def uniform(self) -> float:
        return self._random.random()

    def token(self, size_bytes: int) -> bytes:
        return self._random.randbytes(size_bytes)

    def new_id(self) -> str:
        self._last_id = next_ulid(self._last_id, self.now_ms(), self._random.getrandbits(80))
        return ulid_text(self._last_id)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


Chance = random.Random
"""Seeded chance; never for secrets."""


def chance(seed: str) -> Chance:
    """Return chance that gives the same numbers for the same seed, in every process."""
    return Chance(seed)


class AgreedClock:
    """The local clock, held to the time of a clock that several processes share.

    While the two agree the local one is read. When it was set wrong (an operator, a machine without time service), wall time
    goes on from what the shared clock last showed by the monotonic clock, so that no timer comes early and no lease is lost.
    Ids, chance and intervals are the local clock's.
    """

    def __init__(self, local: Clock) -> None:
        self._local = local
        self._shown_ms: int | None = None
        self._shown_s = 0.0
        self.monotonic_s = local.monotonic_s
        self.uniform = local.uniform
        self.token = local.token
        self.new_id = local.new_id
        self.sleep = local.sleep

    def agree(self, now_ms: int) -> None:
        """Take over what the shared clock shows now, epoch ms."""
        self._shown_ms, self._shown_s = now_ms, self._local.monotonic_s()

    def now_ms(self) -> int:
        local_ms = self._local.now_ms()
        if self._shown_ms is None:
            return local_ms
        since_ms = round((self._local.monotonic_s() - self._shown_s) * 1000)
        shared_ms = self._shown_ms + since_ms
        return local_ms if abs(local_ms - shared_ms) <= DISAGREEMENT_MS else shared_ms


async def in_time(coroutine: Coroutine[Any, Any, T], limit_s: float) -> T:
    """Return what a coroutine gives, if it does within a limit; one that never waits costs no timer.

    Raises:
        TimeoutError: it did not; it was cancelled.
    """
    try:
        waited_for = coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    async with asyncio.timeout(limit_s):
        return cast(T, await resumed(coroutine, waited_for))


@types.coroutine
def resumed(coroutine: Coroutine[Any, Any, Any], waited_for: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that was begun by `send(None)` and waits for something, as `await` would."""
    while True:
        try:
            sent = yield waited_for
        except BaseException as thrown:
            step = functools.partial(coroutine.throw, thrown)
        else:
            step = functools.partial(coroutine.send, sent)
        try:
            waited_for = step()
        except StopIteration as done:
            return done.value


def next_ulid(last: int, now_ms: int, chance: int) -> int:
    """Return the next ULID as a number, above `last` even when the clock stood still or went back.

    Args:
        last: The ULID made before by this process, 0 for none.
        now_ms: Epoch milliseconds, < 2**48.
        chance: 80 random bits.

    Source:
        ULID specification, section Monotonicity.
    """
    fresh = (now_ms << 80) | chance
    return fresh if fresh > last else last + 1


def ulid_text(number: int) -> str:
    """Return a 128-bit number as 26 Crockford base-32 characters."""
    pairs = _PAIRS  # written out: it is on the road of every case (bench cases: 4.1 us as a generator, 2.3 so)
    return (
        f"{pairs[number >> 120]}{pairs[number >> 110 & 1023]}{pairs[number >> 100 & 1023]}"
        f"{pairs[number >> 90 & 1023]}{pairs[number >> 80 & 1023]}{pairs[number >> 70 & 1023]}"
        f"{pairs[number >> 60 & 1023]}{pairs[number >> 50 & 1023]}{pairs[number >> 40 & 1023]}"
        f"{pairs[number >> 30 & 1023]}{pairs[number >> 20 & 1023]}{pairs[number >> 10 & 1023]}"
        f"{pairs[number & 1023]}"
    )


def ulid_ms(text: str) -> int:
    """Return the moment that a ULID was made, epoch milliseconds; of its first ten characters alone."""
    number = 0
    for letter in text[:10]:
        number = number * 32 + CROCKFORD.index(letter)
    return number


def rfc3339(moment_ms: int) -> str:
    """Return epoch milliseconds as RFC 3339 text in UTC with milliseconds, e.g. `2026-01-31T09:00:00.000Z`."""
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment_ms % 1000:03d}Z"


def rfc3339_or_none(moment_ms: int | None) -> str | None:
    """Return a moment that may not have come as `rfc3339` does; None where it has not."""
    return None if moment_ms is None else rfc3339(moment_ms)


def datetime_of(moment_ms: int) -> datetime:
    """Return epoch milliseconds as an aware moment in UTC."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC)


def epoch_ms(text: str, place: str = "moment") -> int:
    """Return the moment that a text names as epoch milliseconds; without an offset it is UTC.

    Args:
        text: ISO 8601, e.g. `2026-05-03 14:03`, `2026-05-03T14:03:00+02:00` or `2026-05-03` for its first instant.
        place: What it was given for, for the error.

    Raises:
        InvalidInput: it names no moment. Terminal.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    except (ValueError, OverflowError):
        fault = Fault(place, f"{text[:80]!r} is no moment; write it like 2026-05-03T14:03Z")
        raise InvalidInput("a moment cannot be read", [fault]) from None
