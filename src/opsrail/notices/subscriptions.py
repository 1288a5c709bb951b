"""Which notices follow from a commit's writes, and for whom. Pure: a table of kinds, and channels that want some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import orjson

from opsrail.values.changes import ChangeRow, ChangeState
from opsrail.values.notices import (
    ALARM,
    ASKED,
    CHANGE,
    DUE,
    ESCALATED,
    EXPIRED,
    KINDS,
    OPENED,
    PASSED,
    URGENT,
    Notice,
)
from opsrail.values.reviews import NoticeRow, ReviewEventRow, ReviewRow
from opsrail.values.rollouts import AlarmRow
from opsrail.values.rows import Insert, Update, Write

TOLD = frozenset((ReviewRow, ReviewEventRow, AlarmRow, ChangeRow))
"""Rows that are told when they are new; most commits have none, and then cost little."""
EVERY = "*"
USER = "user:"


@dataclass(frozen=True, slots=True)
class Channel:
    """Who wants to know what.

    Attributes:
        name: As settings call it.
        to: Addresses, or `user:NAME` for that person's own; empty: the channel has one of its own. What is for one person
            alone goes to no other `user:NAME`.
        queues: Desks whose reviews are told; `*`: all.
        kinds: What is told.
        quiet: When nothing is sent, e.g. `22:00-07:00 Europe/Berlin`; empty: never.
        urgent: Kinds that are sent all the same.
        soon_ms: How long before its due time a review is told as due soon.
    """

    name: str
    to: tuple[str, ...] = ()
    queues: tuple[str, ...] = (EVERY,)
    kinds: tuple[str, ...] = KINDS
    quiet: str = ""
    urgent: tuple[str, ...] = URGENT
    soon_ms: int = 900_000

    def wants(self, kind: str, place: str) -> bool:
        """Return whether it wants to know; queues count for reviews alone."""
        if kind not in self.kinds:
            return False
        return not kind.startswith("review.") or EVERY in self.queues or place in self.queues


def notices_of(
    writes: Sequence[Write], channels: Sequence[Channel], now_ms: int, new_id: Callable[[], str]
) -> list[Write]:
    """Return the rows of all notices that follow from a commit's writes."""
    rows: list[Write] = []
    passed = {
        write.row.review_id
        for write in writes
        if isinstance(write, Insert)
        and isinstance(write.row, ReviewEventRow)
        and write.row.kind == "passed"
    }
    for write in writes:
        if isinstance(write, Insert):
            told = _told(write.row, now_ms) if type(write.row) in TOLD else iter(())
        elif isinstance(write, Update) and write.table is ReviewRow and "queue" in write.set:
            told = _moved(write, now_ms, is_passed=write.key[0] in passed)
        else:
            continue
        rows += [
            Insert(row)
            for notice in told
            for channel in channels
            for row in rows_of(notice, channel, now_ms, new_id)
        ]
    return rows


def rows_of(
    notice: Notice, channel: Channel, now_ms: int, new_id: Callable[[], str]
) -> Iterator[NoticeRow]:
    """Yield a row an address, if a channel wants to know."""
    if not channel.wants(notice.kind, notice.place):
        return
    due_ms = now_ms
    if notice.kind == DUE:
        due_ms = max(now_ms, (notice.due_at_ms or now_ms) - channel.soon_ms)
    for address in channel.to or ("",):
        if address.startswith(USER) and notice.person not in (None, address):
            continue
        yield NoticeRow(
            new_id(), channel.name, address, notice.kind, notice.subject_id, notice.kept(), "due", 0, due_ms, None,
            now_ms, None,
        )  # fmt: skip


def notice_of(row: NoticeRow, public_url: str = "") -> Notice:
    """Return what a row says, with a link where it is known how browsers reach this server."""
    known = orjson.loads(row.content)
    link = f"{public_url.rstrip('/')}{path_of(row)}" if public_url else ""
    return Notice(
        row.id, row.kind, row.subject_id, known["place"], known["at_ms"], known["due_at_ms"], link,
        known.get("person"),
    )  # fmt: skip


def path_of(row: NoticeRow) -> str:
    """Return where a person who signs in sees what a notice speaks of."""
    if row.kind.startswith("review."):
        return f"/console/reviews/{row.subject_id}"
    if row.kind == ALARM:
        return "/console/alarms"  # they have no pages of their own; those that ring stand there
    return f"/console/changes/{row.subject_id}"


def _moved(write: Update, now_ms: int, *, is_passed: bool) -> Iterator[Notice]:
    """Yield what is told when a queue has a review that it did not have; that it was passed on is told by its event."""
    review_id, queue, due_ms = (
        str(write.key[0]),
        str(write.set["queue"]),
        write.set.get("due_at_ms"),
    )
    if not is_passed:
        yield Notice("", ESCALATED, review_id, queue, now_ms)
    if isinstance(due_ms, int) and due_ms > now_ms:
        yield Notice("", DUE, review_id, queue, now_ms, due_ms)


def _told(row: tuple[object, ...], now_ms: int) -> Iterator[Notice]:
    """Yield what a new row is told as."""
    if isinstance(row, ReviewRow):
        yield Notice("", OPENED, row.id, row.queue, row.opened_at_ms, row.due_at_ms)
        if row.due_at_ms is not None:
            yield Notice("", DUE, row.id, row.queue, now_ms, row.due_at_ms)
    elif isinstance(row, ReviewEventRow):
        yield from _happened(row)
    elif isinstance(row, AlarmRow):
        yield Notice("", ALARM, row.id, row.point, row.at_ms)
    elif isinstance(row, ChangeRow) and row.state == ChangeState.PLANNED:
        yield Notice("", CHANGE, row.id, row.point, row.created_at_ms)


def _happened(event: ReviewEventRow) -> Iterator[Notice]:
    """Yield what is told of something that happened to a review."""
    if event.kind not in ("asked", "passed", "expired"):
        return
    content = orjson.loads(event.content)
    queue, review_id, at_ms = content.get("queue") or "", event.review_id, event.at_ms
    if event.kind == "expired":
        yield Notice("", EXPIRED, review_id, queue, at_ms)
    elif event.kind == "asked":
        yield Notice("", ASKED, review_id, queue, at_ms, person=content["to"])
    elif (person := content["person"]) or queue not in ("", content["from"]):
        yield Notice("", PASSED, review_id, queue or content["from"], at_ms, person=person)
