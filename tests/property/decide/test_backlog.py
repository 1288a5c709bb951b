"""What waits for challengers: nothing is lost or doubled, nobody takes more than its share, whoever hangs."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from opsrail.decide.backlog import SAVED_S, Backlog, Call, Key, Limits

KEYS: list[Key] = [("a", 1), ("a", 2), ("b", 1)]
LIMITS = Limits(rows_waiting=5, at_once=2, time_ratio=0.25, call_s=3.0, max_batch=3)


class BacklogMachine(RuleBasedStateMachine):
    """Rows are offered, cut, ended and given up in any order; what came in has to come out once."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 100.0
        self.backlog: Backlog[int] = Backlog(LIMITS, self.now_s)
        self.calls: list[Call[int]] = []
        self.inside: dict[Key, list[int]] = {key: [] for key in KEYS}
        self.spent_s = 0.0
        self.longest_s = 0.0
        self.number = 0

    @rule(key=st.sampled_from(KEYS), rows=st.integers(1, 4))
    def offer(self, key: Key, rows: int) -> None:
        for _ in range(rows):
            self.number += 1
            has_room = len(self.inside[key]) < LIMITS.rows_waiting
            assert self.backlog.offer(key, self.number, self.now_s) == has_room
            if has_room:
                self.inside[key].append(self.number)

    @rule(passed_s=st.floats(0.0, 2.0))
    def wait(self, passed_s: float) -> None:
        self.now_s += passed_s

    @rule(ready=st.sets(st.sampled_from(KEYS)), freely=st.booleans())
    def cut(self, ready: set[Key], freely: bool) -> None:
        call = self.backlog.cut(self.now_s, ready.__contains__, freely=freely)
        if call is None:
            return
        assert call.key in ready
        assert call.key not in {one.key for one in self.calls}
        assert 1 <= len(call.rows) <= LIMITS.max_batch
        assert call.rows == self.inside[call.key][: len(call.rows)]
        del self.inside[call.key][: len(call.rows)]
        self.calls.append(call)

    @precondition(lambda self: self.calls)
    @rule(place=st.integers(0, 2))
    def end(self, place: int) -> None:
        call = self.calls.pop(place % len(self.calls))
        self.backlog.end(call, self.now_s - call.begun_s)

    @rule()
    def give_up(self) -> None:
        for call in self.backlog.overdue(self.now_s):
            assert self.now_s - call.begun_s >= LIMITS.call_s
            assert call.is_given_up

    @rule(key=st.sampled_from(KEYS))
    def empty(self, key: Key) -> None:
        assert self.backlog.empty(key) == self.inside[key]
        self.inside[key] = []

    @invariant()
    def counts_agree(self) -> None:
        assert self.backlog.queued == sum(map(len, self.inside.values()))
        assert self.backlog.running <= LIMITS.at_once
        assert self.backlog.running == sum(not call.is_given_up for call in self.calls)


TestBacklog = BacklogMachine.TestCase
TestBacklog.settings = settings(max_examples=60, stateful_step_count=40)


@given(st.lists(st.floats(0.0, 0.5), min_size=1, max_size=60), st.floats(0.05, 1.0))
def test_calls_take_no_more_than_their_share_of_time(took_s: list[float], ratio: float) -> None:
    backlog: Backlog[int] = Backlog(Limits(time_ratio=ratio), 0.0)
    now_s = spent_s = 0.0
    for each_s in took_s:
        backlog.offer(KEYS[0], 1, now_s)
        while (call := backlog.cut(now_s, lambda key: True)) is None:
            now_s += 0.01
        now_s += each_s
        spent_s += each_s
        backlog.end(call, each_s)

        assert spent_s <= ratio * (now_s + SAVED_S) + max(took_s) + 1e-9


def test_challengers_take_turns() -> None:
    backlog: Backlog[int] = Backlog(LIMITS._replace(at_once=1, time_ratio=64.0), 0.0)
    for key in KEYS:
        for number in range(5):
            backlog.offer(key, number, 0.0)
    turns = []
    while (call := backlog.cut(0.0, lambda key: True)) is not None:
        turns.append(call.key)
        backlog.end(call, 0.001)

    assert turns == KEYS * 3  # of one row, of three, of what is left


def test_one_that_hangs_leaves_its_place_to_the_others_and_waits_for_its_end() -> None:
    backlog: Backlog[int] = Backlog(LIMITS._replace(at_once=1, time_ratio=64.0), 0.0)
    for key in KEYS[:2]:
        for number in range(5):
            backlog.offer(key, number, 0.0)

    hung = backlog.cut(0.0, lambda key: True)

    assert hung is not None
    assert backlog.cut(2.9, lambda key: True) is None
    assert backlog.overdue(2.9) == []
    assert backlog.overdue(3.0) == [hung]
    assert backlog.overdue(3.0) == []
    for _ in range(3):
        beside = backlog.cut(3.0, lambda key: True)
        assert beside is not None
        assert beside.key == KEYS[1]
        backlog.end(beside, 0.01)
    assert backlog.cut(3.0, lambda key: True) is None
    backlog.end(hung, 9.0)
    after = backlog.cut(9.0, lambda key: True)
    assert after is not None
    assert (after.key, after.rows) == (KEYS[0], [1])


@given(st.floats(0.01, 1.4), st.integers(1, 200))
def test_one_that_is_slow_ends_every_call_in_time(row_s: float, rows: int) -> None:
    limits = Limits(rows_waiting=200, time_ratio=64.0, call_s=3.0, max_batch=64)
    backlog: Backlog[int] = Backlog(limits, 0.0)
    for number in range(rows):
        backlog.offer(KEYS[0], number, 0.0)
    now_s, scored = 0.0, []
    while (call := backlog.cut(now_s, lambda key: True)) is not None:
        now_s += row_s * len(call.rows)
        assert backlog.overdue(now_s) == []
        scored += call.rows
        backlog.end(call, row_s * len(call.rows))

    assert scored == list(range(rows))


def test_one_whose_first_call_hung_is_asked_for_fewer_rows_once_it_ended() -> None:
    backlog: Backlog[int] = Backlog(LIMITS, 0.0)
    for number in range(5):
        backlog.offer(KEYS[0], number, 0.0)
    quick = backlog.cut(0.0, lambda key: True)
    assert quick is not None
    backlog.end(quick, 0.01)
    many = backlog.cut(1.0, lambda key: True)
    assert many is not None
    assert len(many.rows) == LIMITS.max_batch
    assert backlog.overdue(4.0) == [many]
    backlog.end(many, 6.0)
    fewer = backlog.cut(60.0, lambda key: True)

    assert fewer is not None
    assert len(fewer.rows) == 1
