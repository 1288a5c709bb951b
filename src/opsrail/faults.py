"""Named crash points: places where a test may end this process to see what survives.

`point(name)` does nothing until armed. Arming is by the environment of a child process that a crash test starts
(`OPSRAIL_CRASH_AT=name:n` ends the process at the n-th pass, as `kill -9` would) or by `armed()` in a test.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

POINTS = (
    "case.accepted",  # the case's row is durable, nothing ran
    "case.step_ran",  # a step's function returned, its result is not durable
    "case.step_durable",  # the result is durable, the author's next line has not run
    "case.before_commit",  # the stretch ended, its end is not durable
    "case.after_commit",  # the end is durable, memory does not know yet
    "case.claimed",  # a due case is claimed, its function has not started
    "case.before_set_aside",  # the third failure is known, not yet written
    "commit.begun",  # a group's transaction is open, nothing written
    "commit.written",  # rows written, not committed
    "commit.done",  # committed, the writers not told
    "decide.before_record",  # score and verdict known, decision not durable
    "decide.after_record",  # decision durable, answer not sent
    "change.before_apply",  # an approved change is about to take hold, not durable
    "change.after_apply",  # it holds, whoever applied it not told
    "change.before_rollback",  # what stood before is about to be restored, not durable
    "change.after_rollback",  # it stands again, whoever rolled back not told
    "review.before_ruling",  # a ruling arrived, not durable
    "review.after_ruling",  # ruling durable, the case not woken
    "review.before_delivery",  # a held ruling is due, not with its case
    "review.after_delivery",  # with its case, the loop does not know yet
    "sampling.before_open",  # spot checks or control cases are drawn, not durable
    "sampling.after_open",  # they and the cursor are durable, memory does not know yet
    "notice.before_send",  # a notice is taken, not sent
    "notice.after_send",  # sent, its row not marked
    "outbox.before_send",  # an action is taken from the outbox, not sent
    "outbox.after_send",  # sent, its row not marked
    "outbox.after_mark",  # marked as sent
    "ledger.before_sequence",  # entries wait for their index
    "ledger.sequenced",  # indexes given, checkpoint not signed
    "ledger.checkpointed",  # checkpoint durable
    "intake.file_checked",  # an input file was checked, no row accepted
    "intake.batch_accepted",  # some rows of a file accepted
    "retention.marked",  # a batch of old cases is marked, nothing removed
    "retention.removed",  # a batch is removed, more wait
    "retention.expired",  # a batch of expired keys is removed, more wait
    "guard.before_keep",  # decisions counted, not written down
    "guard.after_keep",  # written down, memory does not know yet
    "guard.before_act",  # what follows is known, nothing of it written
    "guard.after_act",  # versions moved and the rollout changed, memory does not know yet
    "schema.before_statement",  # between two statements of a migration
)
"""Every name that `point` may be called with; a test kills a process at each."""

_armed: dict[str, Callable[[], None]] = {}


def point(name: str) -> None:
    """Pass a crash point: nothing happens unless a test armed it."""
    if _armed and (act := _armed.get(name)) is not None:
        act()


def die() -> None:
    """End this process at once, as `kill -9` does: no handlers, no flushing."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm_from(text: str) -> None:
    """Arm crash points from `name:n[,name:n]`: the process dies at the n-th pass, counted from 1.

    Raises:
        ValueError: a name is not in POINTS. Terminal: the test names a place that does not exist.
    """
    for part in filter(None, text.split(",")):
        name, _, nth = part.partition(":")
        if name not in POINTS:
            raise ValueError(f"crash point {name!r} does not exist; known: {', '.join(POINTS)}")
        _armed[name] = _Countdown(int(nth or "1"), die)


@contextmanager
def armed(name: str, act: Callable[[], None], nth: int = 1) -> Iterator[None]:
    """Run `act` at the n-th pass of a crash point while the block runs (tests)."""
    if name not in POINTS:
        raise ValueError(f"crash point {name!r} does not exist")
    _armed[name] = _Countdown(nth, act)
    try:
        yield
    finally:
        _armed.pop(name, None)


class _Countdown:
    def __init__(self, passes: int, act: Callable[[], None]) -> None:
        self._left = passes
        self._act = act

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._act()
