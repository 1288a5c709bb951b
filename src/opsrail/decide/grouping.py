"""When decisions that wait to be recorded go to the store together, one commit for all. Pure; `now_s` is an argument.

A commit costs an fsync and two changes of thread, however many decisions it holds. So a group waits for those who are likely
to come: as many as the larger of the two groups before had, since callers who were answered together ask again together, and
one who is out of step with them must not be their measure. It goes as soon as they are there, or after `linger_s`. While a
commit is under way the next group gathers; it waits for the commit's end unless all who are expected are there: then the
store has it next, without a turn of the event loop between. A lone caller waits for nobody, as the groups before were one.

Source:
    Group commit: DeWitt et al. 1984, Implementation techniques for main memory database systems, section 3; the wait with
    an expected number: MySQL's binlog_group_commit_sync_delay and ..._no_delay_count. That the number learns itself: ours.
"""

from __future__ import annotations


class Grouping:
    """One stream of decisions.

    Args:
        linger_s: How long the first of a group waits for others, at most.
        most: Decisions of one group, at most; more go without waiting.

    Attributes:
        waiting: Decisions of the group that gathers now.
        expected: How many are waited for.
    """

    def __init__(self, linger_s: float = 0.002, most: int = 512) -> None:
        self._linger_s = linger_s
        self._most = most
        self._first_s = 0.0
        self._under_way = 0
        self._before = 1
        self.waiting = 0
        self.expected = 1

    def add(self, now_s: float) -> None:
        """A decision waits to be recorded."""
        if not self.waiting:
            self._first_s = now_s
        self.waiting += 1

    def is_due(self, now_s: float) -> bool:
        """Return whether the group goes now."""
        if not self.waiting:
            return False
        if self.waiting >= self._most:
            return True
        if self._under_way:
            return self._under_way == 1 and self.waiting >= self.expected > 1
        return self.waiting >= self.expected or now_s - self._first_s >= self._linger_s

    def due_in_s(self, now_s: float) -> float | None:
        """Return after which time to look again if nobody comes; None: nothing waits, or for a commit's end."""
        if not self.waiting or self._under_way:
            return None
        return max(0.0, self._first_s + self._linger_s - now_s)

    def begin(self) -> int:
        """The group goes; return how many it holds."""
        count, self.waiting = self.waiting, 0
        self.expected, self._before = max(count, self._before), count
        self._under_way += 1
        return count

    def end(self) -> None:
        """A group's commit ended, however it did."""
        self._under_way -= 1
