"""The lane before a model, on any road of asks, batches and time."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from opsrail.decide.asks import (
    DONE,
    HIGH,
    LATE,
    LEFT,
    LOW,
    QUEUED,
    RANKS,
    RUNNING,
    SHED,
    Ask,
    Batch,
)
from opsrail.decide.cost_model import CostModel, weighted_median
from opsrail.decide.devices import HUNG_RATIO, HUNG_S
from opsrail.decide.gradient import FLOOR
from opsrail.decide.lane import Lane
from opsrail.decide.shares import LEAST_LEFT

ranks = st.sampled_from(RANKS)
times_s = st.floats(0.0001, 0.2)


class LaneMachine(RuleBasedStateMachine):
    """A lane and books of our own on every ask it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 100.0
        self.lane = Lane(devices=2, max_batch=4, most_queued=12)
        self.queued: dict[object, Ask] = {}
        self.running: list[Batch] = []
        self.ended: list[Ask] = []
        self.numbers = 0

    def take_returned(self) -> None:
        """Strike off what the lane gave back: each was queued, and is now shed or late."""
        for ask in self.lane.returned:
            assert self.queued.pop(ask.key) is ask
            assert ask.state in (SHED, LATE)
            self.ended.append(ask)
        self.lane.returned.clear()

    @rule(rank=ranks, left_s=st.floats(-0.01, 0.3), key=st.integers(0, 30))
    def offer(self, rank: int, left_s: float, key: int) -> None:
        self.numbers += 1
        under_way = {ask.key: ask for batch in self.running for ask in batch.asks} | self.queued
        is_idle = not under_way
        lower = any(ask.rank > rank for ask in self.queued.values())
        due_s = self.now_s + left_s
        ask = self.lane.offer(key, self.numbers, rank, due_s, self.now_s)

        if due_s <= self.now_s:
            assert ask.state is LATE
        elif key in under_way:
            assert ask is under_way[key]
            assert ask.rank <= rank or ask.state is RUNNING
        elif ask.state is QUEUED:
            self.queued[key] = ask
        else:
            assert not (is_idle and ask.state is SHED), "a lone ask was shed"
            assert not (lower and len(self.queued) == 12 and not self.lane.cost.is_known)
        self.take_returned()

    @rule()
    def cut(self) -> None:
        busy = len(self.running)
        batch = self.lane.cut(self.now_s)
        self.take_returned()
        if batch is None:
            assert busy >= self.lane.limit or not self.queued
            return
        assert 1 <= len(batch.asks) <= 4
        places = [(ask.rank, ask.due_s) for ask in batch.asks]
        assert places == sorted(places)
        for ask in batch.asks:
            assert self.queued.pop(ask.key) is ask
            assert ask.state is RUNNING
            assert ask.last_s > self.now_s, "an ask was begun after its deadline"
        assert all(left.rank >= places[-1][0] for left in self.queued.values())
        if busy or not self.lane.cost.is_stale(self.now_s):
            end_s = self.now_s + self.lane.cost.predicted_s(len(batch.asks))
            assert end_s <= min(ask.last_s for ask in batch.asks) + 1e-9
        self.running.append(batch)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 1), took_s=times_s, is_learned=st.booleans())
    def finish(self, which: int, took_s: float, is_learned: bool) -> None:
        batch = self.running.pop(which % len(self.running))
        self.now_s += took_s
        self.lane.finish(batch, self.now_s, is_learned=is_learned)
        assert {ask.state for ask in batch.asks} == {DONE}
        self.ended += batch.asks

    @rule(passed_s=st.one_of(times_s, st.floats(0.5, 3.0)))
    def wait(self, passed_s: float) -> None:
        self.now_s += passed_s

    @rule()
    def expire(self) -> None:
        self.lane.expire(self.now_s)
        self.take_returned()
        assert all(ask.last_s > self.now_s for ask in self.queued.values())
        wake_s = self.lane.wake_s()
        assert (wake_s is None) == (not self.queued)

    @precondition(lambda self: self.queued)
    @rule(which=st.integers(0, 100))
    def leave(self, which: int) -> None:
        key = sorted(self.queued, key=str)[which % len(self.queued)]
        ask = self.queued.pop(key)
        self.lane.leave(ask)
        assert ask.state is LEFT
        self.ended.append(ask)

    @invariant()
    def the_books_agree(self) -> None:
        by_rank = tuple(sum(ask.rank == rank for ask in self.queued.values()) for rank in RANKS)
        assert self.lane.queued_by_rank == by_rank
        assert self.lane.running == len(self.running) <= 2
        assert self.lane.queued <= 12
        assert len({id(ask) for ask in self.ended}) == len(self.ended)
        assert self.lane.cost.a_s >= 0
        assert self.lane.cost.b_s >= 0

    def teardown(self) -> None:
        """Whatever is left comes to an end within the latest deadline."""
        for batch in self.running:
            self.lane.finish(batch, self.now_s)
        self.running.clear()
        while (batch_next := self.lane.cut(self.now_s)) is not None:
            self.take_returned()
            for ask in batch_next.asks:
                assert self.queued.pop(ask.key) is ask
            self.lane.finish(batch_next, self.now_s)
        self.take_returned()
        assert not self.queued
        assert self.lane.queued == self.lane.running == 0


TestAnyRoad = LaneMachine.TestCase
TestAnyRoad.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_an_ask_is_not_begun_at_its_very_deadline() -> None:
    lane = Lane()
    ask = lane.offer(0, None, HIGH, 100.125, 100.0)

    assert lane.cut(100.125) is None
    assert lane.returned == [ask]
    assert ask.state is LATE


def learned(lane: Lane, a_s: float, b_s: float, now_s: float) -> float:
    """Let a lane learn what batches cost; return the time after it."""
    for number in range(40):
        rows = 1 + number % 4
        for row in range(rows):
            lane.offer((number, row), None, HIGH, now_s + 1e6, now_s)
        while (batch := lane.cut(now_s)) is not None:
            now_s += a_s + b_s * len(batch.asks)
            lane.finish(batch, now_s)
    return now_s


@given(
    st.lists(st.tuples(st.floats(0.001, 0.2), st.booleans()), max_size=60),
    st.floats(0.0, 0.01),
    st.floats(0.0001, 0.01),
)
def test_no_high_ask_is_turned_away_for_lower_ones_in_the_queue(
    arrivals: Sequence[tuple[float, bool]], a_s: float, b_s: float
) -> None:
    """What becomes of the high asks is the same with and without low ones, while one batch runs."""
    fates = []
    for with_low in (True, False):
        lane = Lane(max_batch=4)
        now_s = learned(lane, a_s, b_s, 100.0)
        lane.offer("running", None, HIGH, now_s + 10, now_s)
        assert lane.cut(now_s) is not None
        fate = []
        for number, (left_s, is_high) in enumerate(arrivals):
            if is_high or with_low:
                ask = lane.offer(number, None, HIGH if is_high else LOW, now_s + left_s, now_s)
                if is_high:
                    fate.append(ask.state)
        assert all(ask.rank == LOW for ask in lane.returned)
        fates.append(fate)
    assert fates[0] == fates[1]


@given(st.integers(1, 20), st.lists(ranks, min_size=1, max_size=60))
def test_a_full_queue_makes_room_for_a_higher_class(most: int, arriving: Sequence[int]) -> None:
    lane = Lane(most_queued=most)
    lane.offer("running", None, HIGH, 110.0, 100.0)
    lane.cut(100.0)
    for number, rank in enumerate(arriving):
        lane.offer(number, None, rank, 101.0, 100.0)

    kept = sorted(arriving)[:most]
    assert lane.queued_by_rank == tuple(kept.count(rank) for rank in RANKS)
    assert sum(lane.shed_count) == max(0, len(arriving) - most)


@given(ranks, st.floats(0.001, 10.0), times_s, st.floats(0.0, 5.0))
def test_a_lone_ask_starts_at_once(rank: int, left_s: float, took_s: float, idle_s: float) -> None:
    """Unless the model is known, by a batch of the last second, to take longer than there is."""
    lane = Lane(devices=3)
    lane.offer(1, None, rank, 101.0, 100.0)
    first = lane.cut(100.0)
    assert first is not None
    lane.finish(first, 100.0 + took_s)
    now_s = 100.0 + took_s + idle_s
    ask = lane.offer(2, None, rank, now_s + left_s, now_s)
    batch = lane.cut(now_s)

    assume(abs(lane.cost.predicted_s(1) - left_s) > 1e-9)
    if lane.cost.is_stale(now_s) or lane.cost.predicted_s(1) < left_s:
        assert batch is not None
        assert batch.asks == [ask]
    else:
        assert ask.state is LATE
        assert ask.blames_model


@given(st.floats(0.0001, 1.0), st.floats(0.0, 0.01), st.lists(st.integers(1, 64), min_size=40))
def test_a_line_is_found_and_outliers_do_not_move_it(
    a_s: float, b_s: float, sizes: Sequence[int]
) -> None:
    model, now_s = CostModel(), 0.0
    for number, rows in enumerate([1, 2, 4, 8, 16, 32, 64] * 6 + list(sizes)):
        took_s = (a_s + b_s * rows) * (50 if number % 8 == 7 else 1)
        now_s += 0.001
        model.observe(rows, took_s, now_s)

    assert abs(model.predicted_s(1) - a_s - b_s) <= 0.5 * (a_s + b_s)
    assert abs(model.predicted_s(32) - a_s - 32 * b_s) <= 0.5 * (a_s + 32 * b_s)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0.1, 10)), min_size=1))
def test_a_weighted_median_lies_among_its_values(weighted: list[tuple[float, float]]) -> None:
    middle = weighted_median(weighted)
    below = sum(weight for value, weight in weighted if value < middle)
    above = sum(weight for value, weight in weighted if value > middle)

    assert below <= sum(weight for _, weight in weighted) / 2 + 1e-9
    assert above <= sum(weight for _, weight in weighted) / 2 + 1e-9


def test_a_lane_whose_devices_hang_blames_the_model_and_else_the_queue() -> None:
    lane = Lane()
    now_s = learned(lane, 0.010, 0.001, 100.0)
    lane.offer("runs", None, HIGH, now_s + 10, now_s)
    assert lane.cut(now_s) is not None
    for number in range(30):
        lane.offer(number, None, HIGH, now_s + 0.05, now_s)
    shed = [lane.offer(f"s{n}", None, HIGH, now_s + 0.05, now_s) for n in range(5)]
    assert {ask.state for ask in shed} == {SHED}
    assert all(0.01 <= ask.after_s < 1 for ask in shed)

    now_s += HUNG_RATIO * 0.02 + HUNG_S + 1.0
    lane.expire(now_s)
    assert {(ask.state, ask.blames_model) for ask in lane.returned} == {(LATE, True)}
    hung = lane.offer("late", None, HIGH, now_s + 0.05, now_s)
    assert (hung.state, hung.blames_model) == (LATE, True)


@given(st.integers(1, 200), st.lists(times_s, max_size=200))
def test_the_limit_stays_between_its_floor_and_the_devices(
    devices: int, took_s: Sequence[float]
) -> None:
    lane, now_s = Lane(devices=devices), 0.0
    for number, spent_s in enumerate(took_s):
        lane.offer(number, None, HIGH, now_s + 1e6, now_s)
        batch = lane.cut(now_s)
        assert batch is not None
        now_s += spent_s
        lane.finish(batch, now_s)
        assert min(devices, FLOOR) <= lane.limit <= devices


def test_many_devices_that_share_few_processors_are_not_all_used() -> None:
    """64 connections before 8 processors: above 8 batches at once each takes as much longer as there are more."""
    lane = Lane(devices=64, max_batch=1)
    now_s, ends, number = 0.0, [], 0
    for _ in range(6_000):
        number += 1
        lane.offer(number, None, HIGH, now_s + 1e6, now_s)
        while (batch := lane.cut(now_s)) is not None:
            ends.append((now_s + 0.01 * max(1.0, lane.running / 8), batch))
            number += 1
            lane.offer(number, None, HIGH, now_s + 1e6, now_s)
        ends.sort(key=lambda end: end[0])
        end_s, batch = ends.pop(0)
        now_s = max(now_s, end_s)
        lane.finish(batch, now_s)

    assert 8 <= lane.limit <= 32


@given(st.lists(st.tuples(ranks, times_s, st.floats(0.0, 0.02)), max_size=150))
def test_what_is_left_for_a_class_never_grows_with_a_lower_class(
    arrivals: Sequence[tuple[int, float, float]],
) -> None:
    lane, now_s = Lane(), 0.0
    for number, (rank, left_s, passed_s) in enumerate(arrivals):
        lane.offer(number, None, rank, now_s + left_s, now_s)
        batch = lane.cut(now_s)
        now_s += passed_s
        if batch is not None:
            lane.finish(batch, now_s)
        high, normal, low = lane.left
        assert 1.0 >= high >= normal >= low >= LEAST_LEFT
