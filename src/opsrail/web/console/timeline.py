"""A case's timeline: what it did when, what it waited for, and for how long. Pure.

A journal's entry tells when a call was over. When a step began is not recorded: it is drawn from the end of what came before
it in its task, which is when the code made the call, but for the author's own lines between. Decisions, reviews, sleeps and
actions have rows of their own that tell both ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import orjson

from opsrail.cases.journal import LANE_CALLS
from opsrail.cases.office import CaseView
from opsrail.review.reading import untold
from opsrail.values.cases import FINAL_STATES, JournalRow, OutboxRow, OutboxState
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import ReviewRow, ReviewState

UNDRAWN = frozenset({"now", "random"})
"""Kinds of entries that are no work: readings of clock and chance."""
TICKS = 5


class Piece(NamedTuple):
    """A part of a line: what was the matter from one moment to another.

    Attributes:
        what: `work`, `wait` (for a person, an attempt, a place), `held` (a person has it), `sleep`.
    """

    what: str
    begin_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a case did or does.

    Attributes:
        seq: Its place in the journal.
        kind: As in the journal.
        state: What became of it, in a word; `ok` for a step that returned.
        pieces: In the order of time, each beginning where the one before ended.
        attempts: How often it was tried; 0 where nothing is tried.
        said: What it came to, for people.
        subject_id: Of the decision, review or action; empty for what has no row of its own.
        is_open: Whether it has not ended.
    """

    seq: int
    kind: str
    name: str
    state: str
    pieces: tuple[Piece, ...]
    attempts: int = 0
    said: str = ""
    subject_id: str = ""
    is_open: bool = False

    @property
    def begin_ms(self) -> int:
        """When it began, epoch ms."""
        return self.pieces[0].begin_ms

    @property
    def end_ms(self) -> int:
        """When it was over; now where it is not."""
        return self.pieces[-1].end_ms

    @property
    def length_ms(self) -> int:
        """How long it took so far."""
        return self.end_ms - self.begin_ms


@dataclass(frozen=True, slots=True)
class Timeline:
    """A case from its acceptance until it came to rest, or until now.

    Attributes:
        spent_ms: By `work`, `wait`, `held` and `sleep`: how long at least one line was at it.
    """

    begin_ms: int
    end_ms: int
    is_open: bool
    lines: tuple[Line, ...]
    spent_ms: Mapping[str, int]

    def ratio(self, at_ms: int) -> float:
        """Return a moment's place on the axis, in [0, 1]."""
        return min(1.0, max(0.0, (at_ms - self.begin_ms) / max(1, self.end_ms - self.begin_ms)))

    def ticks(self) -> list[tuple[float, int]]:
        """Return places on the axis with how long after the beginning they are, milliseconds."""
        length_ms = self.end_ms - self.begin_ms
        return [(part / TICKS, length_ms * part // TICKS) for part in range(TICKS + 1)]


def timeline_of(
    view: CaseView, now_ms: int, shows: Callable[[str], bool] = lambda point: True
) -> Timeline:
    """Return a case's timeline.

    Args:
        shows: Whether what a decision point said may be seen: who is to rule before they know it must not read it here.
    """
    case = view.case
    is_open = case.state not in FINAL_STATES
    lines = sorted(_lines(view, now_ms, shows), key=lambda line: (line.begin_ms, line.seq))
    ended_ms = now_ms if is_open else case.settled_at_ms or case.updated_at_ms
    begin_ms = min((case.accepted_at_ms, *(line.begin_ms for line in lines)))
    end_ms = max((begin_ms, ended_ms, *(line.end_ms for line in lines)))
    pieces = [piece for line in lines if line.kind != "act" for piece in line.pieces]
    spent_ms = {
        what: _covered([piece for piece in pieces if piece.what == what])
        for what in ("work", "wait", "held", "sleep")
    }
    return Timeline(begin_ms, end_ms, is_open, tuple(lines), spent_ms)


def _lines(view: CaseView, now_ms: int, shows: Callable[[str], bool]) -> Iterator[Line]:
    named = view.naming()
    decisions = {row.seq: row for row in view.decisions if row.seq is not None}
    actions = {_seq_of(row.key): row for row in view.actions}
    reviews = {
        _seq_of(row.id): row for row in view.reviews if row.id.startswith(f"{view.case.id}-")
    }
    told = {entry.seq: entry for entry in view.journal if entry.kind == "review"}
    for entry, begin_ms in _begun(view):
        if entry.kind == "decide" and entry.seq in decisions:
            decision = decisions[entry.seq]
            yield _decided(decision, is_shown=shows(decision.point))
        elif entry.kind == "act" and entry.seq in actions:
            line = _acted(entry.seq, actions[entry.seq], now_ms)
            yield replace(line, said=named(line.said))
        elif entry.kind == "sleep":
            yield _slept(entry, now_ms)
        elif entry.kind not in UNDRAWN and not (entry.kind == "review" and entry.seq in reviews):
            yield _stepped(entry, begin_ms)
    for seq, review in reviews.items():
        yield _reviewed(seq, review, told.get(seq), now_ms)


def _begun(view: CaseView) -> Iterator[tuple[JournalRow, int]]:
    """Yield each entry with the end of what came before it in its task; of a task's first, the last end before it at all."""
    ends_ms: dict[int, int] = {}
    latest_ms = view.case.accepted_at_ms
    for entry in sorted(view.journal, key=lambda entry: (entry.at_ms, entry.seq)):
        lane = entry.seq // LANE_CALLS
        begin_ms = ends_ms.get(lane, latest_ms if lane == 0 else ends_ms.get(0, latest_ms))
        yield entry, min(begin_ms, entry.at_ms)
        ends_ms[lane] = _end_of(entry)
        latest_ms = max(latest_ms, ends_ms[lane])


def _end_of(entry: JournalRow) -> int:
    if entry.kind == "sleep" and entry.result.isdecimal():
        return max(entry.at_ms, int(entry.result))
    return entry.at_ms


def _stepped(entry: JournalRow, begin_ms: int) -> Line:
    kind = "step" if entry.kind == "failed" else entry.kind
    state = "failed" if entry.kind == "failed" else "ok"
    pieces = (Piece("work", begin_ms, entry.at_ms),)
    return Line(entry.seq, kind, entry.name, state, pieces, entry.attempts)


def _decided(row: DecisionRow, *, is_shown: bool) -> Line:
    score = "no score" if row.score is None else f"score {row.score:.4g}"
    pieces = (Piece("work", row.at_ms, row.at_ms + -(-row.latency_us // 1000)),)
    if not is_shown:
        return Line(row.seq or 0, "decide", row.point, "made", pieces)
    state = "degraded" if row.degraded else row.verdict
    said = f"{row.verdict}, {score}, {row.reason}"
    return Line(row.seq or 0, "decide", row.point, state, pieces, 0, said, row.id)


def _slept(entry: JournalRow, now_ms: int) -> Line:
    end_ms = _end_of(entry)
    is_open = end_ms > now_ms
    return Line(
        entry.seq,
        "sleep",
        entry.name,
        "asleep" if is_open else "over",
        (Piece("sleep", entry.at_ms, min(end_ms, max(now_ms, entry.at_ms))),),
        is_open=is_open,
    )


def _reviewed(seq: int, row: ReviewRow, told: JournalRow | None, now_ms: int) -> Line:
    is_open = row.state in (ReviewState.OPEN, ReviewState.CLAIMED)
    ended_ms = row.ruled_at_ms
    if ended_ms is None:
        ended_ms = now_ms if is_open or told is None else told.at_ms
    ended_ms = max(ended_ms, row.opened_at_ms)
    claimed_ms = row.claimed_at_ms
    if claimed_ms is None or not row.opened_at_ms <= claimed_ms <= ended_ms:
        pieces = [Piece("wait", row.opened_at_ms, ended_ms)]
    else:
        pieces = [
            Piece("wait", row.opened_at_ms, claimed_ms),
            Piece("held", claimed_ms, ended_ms),
        ]
    if row.ruled_at_ms is not None and told is not None and told.at_ms > ended_ms:
        pieces.append(Piece("wait", ended_ms, told.at_ms))
    row = untold(row, None)
    who = row.ruled_by or row.assignee
    said = " ".join(
        part
        for part in (
            row.ruling or "",
            f"by {who}" if who else "",
            f"({row.ruling_reason})" if row.ruling_reason else "",
        )
        if part
    )
    return Line(seq, "review", row.queue, str(row.state), tuple(pieces), 0, said, row.id, is_open)


def _in_words(response: str | None) -> str:
    """Return what a system answered: names and values of a flat object, anything else as it came."""
    if not response:
        return ""
    try:
        told = orjson.loads(response)
    except orjson.JSONDecodeError:
        return response
    if not isinstance(told, dict) or any(isinstance(each, dict | list) for each in told.values()):
        return response
    words = {True: "yes", False: "no", None: "none"}
    return ", ".join(
        f"{name} {words[value] if value is None or isinstance(value, bool) else value}"
        for name, value in told.items()
    )


def _acted(seq: int, row: OutboxRow, now_ms: int) -> Line:
    is_open = row.state == OutboxState.DUE
    end_ms = row.sent_at_ms if row.sent_at_ms is not None else now_ms if is_open else row.due_at_ms
    pieces = (Piece("wait", row.created_at_ms, max(row.created_at_ms, end_ms)),)
    said = _in_words(row.response) or row.last_error or ""
    return Line(
        seq, "act", row.action, str(row.state), pieces, row.attempts, said, row.key, is_open
    )


def _seq_of(key: str) -> int:
    """Return the number behind a case's id in a key."""
    number = key.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0


def _covered(pieces: Sequence[Piece]) -> int:
    """Return how long at least one of the pieces lasted; overlaps count once."""
    total_ms, until_ms = 0, 0
    for piece in sorted(pieces, key=lambda piece: piece.begin_ms):
        begin_ms = max(piece.begin_ms, until_ms)
        total_ms += max(0, piece.end_ms - begin_ms)
        until_ms = max(until_ms, piece.end_ms)
    return total_ms
