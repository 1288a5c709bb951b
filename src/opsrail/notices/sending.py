"""Sends notices: at least once, always under the same id, heeding quiet hours; what cannot be sent is dead and kept.

A notice is leased to this process by its due time, sent, and marked; a crash between sending and marking sends it again
after the lease. What is over by then is not told: a review that was ruled, an alarm that was seen to, a change that was
decided.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opsrail import faults
from opsrail.clock import Clock
from opsrail.errors import (
    Conflict,
    Denied,
    InvalidInput,
    NotFound,
    OpsrailError,
    StaleWrite,
    Unavailable,
)
from opsrail.notices.quiet import quiet_until
from opsrail.notices.subscriptions import USER, Channel, notice_of
from opsrail.ports import Notifier, Store
from opsrail.values.access import UserRow
from opsrail.values.changes import ChangeRow, ChangeState
from opsrail.values.notices import ALARM, ASKED, CHANGE, DUE, ESCALATED, OPENED, PASSED
from opsrail.values.reviews import UNRULED_STATES, NoticeRow, ReviewRow, ReviewState
from opsrail.values.rollouts import AlarmRow
from opsrail.values.rows import Delete, Update, Value, Where, equals

log = logging.getLogger("opsrail.notices")
AT_ONCE = 20
FIRST_S, LONGEST_S = 5.0, 3_600.0
"""Pauses between attempts: 5 s, 10 s, 20 s up to an hour. Source: Standard Webhooks, exponential backoff; figures ours."""
KEPT_MS = 30 * 86_400_000
"""How long it is remembered that a notice was sent. Ours: as long as somebody may ask whether they were told."""
CLEARED_S = 600.0
CLEARED_COUNT = 500
LONGEST_TOLD = 300
STORE = "store"


class SenderStats(NamedTuple):
    """How sending fares in this process, since it began.

    Attributes:
        faults: What keeps it from its work, by channel, until the channel takes a notice again; `store` for all of them.
    """

    sent: int
    failed: int
    dropped: int
    faults: Mapping[str, str]


class Sender:
    """Takes due notices and sends them.

    Args:
        channels: Who wants to know what, by name.
        notifiers: What sends for each of them.
        attempts: After so many a notice is dead.
        lease_s: How long one attempt may take before another process tries; above what a notifier takes at most.
        public_url: How browsers reach this server; empty: notices carry no link.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        channels: Mapping[str, Channel],
        notifiers: Mapping[str, Notifier],
        *,
        attempts: int = 12,
        lease_s: float = 60.0,
        poll_s: float = 1.0,
        public_url: str = "",
    ) -> None:
        self._store = store
        self._clock = clock
        self._channels = channels
        self._notifiers = notifiers
        self._attempts = attempts
        self._lease_ms = round(lease_s * 1000)
        self._poll_s = poll_s
        self._public_url = public_url
        self._clear_at_s = 0.0
        self._counts = {"sent": 0, "failed": 0, "dropped": 0}
        self._faults: dict[str, str] = {}

    def stats(self) -> SenderStats:
        """Return how it fares."""
        return SenderStats(**self._counts, faults=dict(self._faults))

    async def run(self) -> None:
        """Send until cancelled; nothing that goes wrong ends this."""
        try:
            while True:
                try:
                    taken = await self.turn()
                    self._faults.pop(STORE, None)
                except (Unavailable, Conflict) as down:
                    log.warning("notices wait: %s", down)
                    self._faults[STORE] = _told(down)
                    taken = 0
                if taken < AT_ONCE:
                    await self._clock.sleep(self._poll_s)
        finally:
            await self.close()

    async def turn(self) -> int:
        """Send what is due, a few at once; return how many were looked at."""
        now_ms = self._clock.now_ms()
        rows = await self._store.take(
            NoticeRow, *equals(state="due"), Where("due_at_ms", "<=", now_ms),
            Where("channel", "in", tuple(self._channels)),
            set={"due_at_ms": now_ms + self._lease_ms}, add={"attempts": 1}, order=("due_at_ms",), limit=AT_ONCE,
        )  # fmt: skip
        await asyncio.gather(*(self._deal_with(row) for row in rows))
        if not rows and self._clock.monotonic_s() >= self._clear_at_s:
            await self._clear(now_ms - KEPT_MS)
        return len(rows)

    async def _clear(self, before_ms: int) -> None:
        """Forget what was sent long ago; dead notices stay until they are sent again."""
        old = await self._store.select(
            NoticeRow,
            *equals(state="sent"),
            Where("due_at_ms", "<", before_ms),
            limit=CLEARED_COUNT,
        )
        if old:
            await self._store.commit([Delete(NoticeRow, {"id": row.id}) for row in old])
        if len(old) < CLEARED_COUNT:
            self._clear_at_s = self._clock.monotonic_s() + CLEARED_S

    async def close(self) -> None:
        """Close what sends."""
        for notifier in self._notifiers.values():
            await notifier.close()

    async def _deal_with(self, row: NoticeRow) -> None:
        try:
            now_ms = self._clock.now_ms()
            until_ms = await self._later(row, now_ms)
            if until_ms is None:
                self._counts["dropped"] += 1
                await self._store.commit(
                    [Delete(NoticeRow, {"id": row.id, "attempts": row.attempts})]
                )
            elif until_ms > now_ms:
                await self._mark(row, {"due_at_ms": until_ms, "attempts": row.attempts - 1})
            else:
                await self._send(row)
        except StaleWrite:  # the lease had run out, and another process dealt with it
            log.warning("notice %s was dealt with by another process", row.id)
        except Unavailable as down:  # of the store: the lease gives it back
            log.warning("notice %s: %s", row.id, down)

    async def _send(self, row: NoticeRow) -> None:
        faults.point("notice.before_send")
        try:
            address = await self._address(row)
            await self._notifiers[row.channel].send(notice_of(row, self._public_url), address)
        except OpsrailError as failed:
            is_addressed = isinstance(failed, InvalidInput | NotFound) and row.address
            if (
                not is_addressed
            ):  # else it is the person's address that is wrong: the channel may be well
                self._faults[row.channel] = _told(failed)
            return await self._failed(row, failed)
        except Exception as failed:  # an adapter's fault must not end the others'
            log.exception("notice %s", row.id)
            unknown = Unavailable(f"{type(failed).__name__}")
            self._faults[row.channel] = _told(unknown)
            return await self._failed(row, unknown)
        faults.point("notice.after_send")
        self._counts["sent"] += 1
        self._faults.pop(row.channel, None)
        await self._mark(
            row, {"state": "sent", "sent_at_ms": self._clock.now_ms(), "last_error": None}
        )

    async def _failed(self, row: NoticeRow, failed: OpsrailError) -> None:
        self._counts["failed"] += 1
        told: dict[str, Value] = {"last_error": _told(failed)}
        is_hopeless = isinstance(failed, InvalidInput | Denied | NotFound)
        if is_hopeless or row.attempts >= self._attempts:
            log.error("notice %s by %s is dead: %s", row.id, row.channel, failed)
            return await self._mark(row, {**told, "state": "dead"})
        pause_s = min(LONGEST_S, FIRST_S * 2 ** (row.attempts - 1)) * (
            0.8 + 0.4 * self._clock.uniform()
        )
        await self._mark(row, {**told, "due_at_ms": self._clock.now_ms() + round(pause_s * 1000)})

    async def _mark(self, row: NoticeRow, change: Mapping[str, Value]) -> None:
        mine: dict[str, Value] = {"state": "due", "attempts": row.attempts}
        await self._store.commit([Update(NoticeRow, (row.id,), change, mine)])

    async def _later(self, row: NoticeRow, now_ms: int) -> int | None:
        """Return when it is to be sent, epoch ms; None: never, what it speaks of is over."""
        channel = self._channels[row.channel]
        if row.kind in (OPENED, DUE, ASKED, PASSED, ESCALATED):
            review = await self._store.get(ReviewRow, row.subject_id)
            if review is None or review.state not in UNRULED_STATES:
                return None
            told = notice_of(row)
            if told.place != review.queue:  # another queue has it now, and was told
                return None
            if told.person not in (None, review.assignee):  # it is another's now
                return None
            if row.kind == ASKED and review.state != ReviewState.ASKED:
                return None
            if row.kind == DUE and review.due_at_ms is None:
                return None
            soon_ms = (review.due_at_ms or 0) - channel.soon_ms
            if row.kind == DUE and soon_ms > now_ms:
                return soon_ms
            if row.kind == DUE and await self._is_told(row, review.queue, soon_ms):
                return None
        elif row.kind == ALARM:
            alarm = await self._store.get(AlarmRow, row.subject_id)
            if alarm is None or alarm.ended_at_ms is not None:
                return None
        elif row.kind == CHANGE:
            change = await self._store.get(ChangeRow, row.subject_id)
            if change is None or change.state != ChangeState.PLANNED:
                return None
        return (
            now_ms if row.kind in channel.urgent else await self._after_quiet(row, channel, now_ms)
        )

    async def _is_told(self, row: NoticeRow, queue: str, soon_ms: int) -> bool:
        """Return whether another notice tells the same there that a review is due: it left a queue and came back.

        Args:
            queue: That has the review now.
            soon_ms: From when on it is due soon, epoch ms: what was sent before spoke of an earlier due time.
        """
        same = equals(subject_id=row.subject_id, kind=DUE, channel=row.channel, address=row.address)
        return any(
            (one.sent_at_ms or 0) >= soon_ms
            if one.state == "sent"
            else one.state == "due" and one.id < row.id and notice_of(one).place == queue
            for one in await self._store.select(NoticeRow, *same)
            if one.id != row.id
        )

    async def _after_quiet(self, row: NoticeRow, channel: Channel, now_ms: int) -> int:
        """Return the moment from which neither channel nor person is quiet."""
        ends = [quiet_until(channel.quiet, now_ms)]
        user = await self._user(row.address)
        if user is not None and user.quiet:
            try:
                ends.append(quiet_until(user.quiet, now_ms, user.zone))
            except InvalidInput as wrong:
                log.warning("quiet hours of %s are not heeded: %s", row.address, wrong)
        return max([now_ms, *(end for end in ends if end is not None)])

    async def _address(self, row: NoticeRow) -> str:
        """Return where to send it. Raises NotFound: its person is unknown or has no address."""
        if not row.address.startswith(USER):
            return row.address
        user = await self._user(row.address)
        if user is None or not user.address or user.state != "active":
            raise NotFound(f"{row.address} is no active user with an address")
        return user.address

    async def _user(self, address: str) -> UserRow | None:
        if not address.startswith(USER):
            return None
        return await self._store.get(UserRow, address.removeprefix(USER))


def _told(failed: OpsrailError) -> str:
    return f"{failed.code}: {failed}"[:LONGEST_TOLD]


class Notices:
    """What was and will be sent, for whoever looks after it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def listed(
        self, *, state: str | None = None, subject_id: str | None = None, limit: int = 100
    ) -> list[NoticeRow]:
        """Return notices, newest first."""
        where = [
            *([] if state is None else equals(state=state)),
            *([] if subject_id is None else equals(subject_id=subject_id)),
        ]
        return await self._store.select(
            NoticeRow, *where, order=("id",), descending=True, limit=limit
        )

    async def retry(self, ids: Sequence[str] = ()) -> list[NoticeRow]:
        """Let dead notices be sent again from now on; without ids all of them.

        Raises:
            NotFound: one of them is not dead. Terminal; nothing was changed.
        """
        dead = equals(state="dead")
        rows = await self._store.select(
            NoticeRow, *dead, *([Where("id", "in", tuple(ids))] if ids else []), limit=10_000
        )
        if lost := sorted(set(ids) - {row.id for row in rows}):
            raise NotFound(
                f"no dead notice {', '.join(lost)}; see `opsrail notices list --state dead`"
            )
        change: dict[str, Any] = {"state": "due", "attempts": 0, "due_at_ms": self._clock.now_ms()}
        if rows:
            await self._store.commit(
                [Update(NoticeRow, (row.id,), change, {"state": "dead"}) for row in rows]
            )
        return [row._replace(**change) for row in rows]
