"""What drives lanes: where batches run, who is told what, and when."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import pytest

from opsrail.decide.asks import HIGH, LOW, NORMAL
from opsrail.decide.inline import INLINE_S, LIMIT_S, PAUSE_S, TRIED_S, Inline
from opsrail.decide.scheduler import Scheduler, results_of
from opsrail.errors import DeadlinePassed, InvalidInput, ModelUnavailable, Overloaded
from opsrail.values.models import Score

Rows = Sequence[Mapping[str, object]]


class Watched:
    """A model that notes its calls and the threads they came in; a test may disturb it through `before`."""

    def __init__(self, *, is_bounded: bool = False, at_once: int = 1) -> None:
        self.digest = "sha256:" + "a" * 64
        self.is_bounded = is_bounded
        self.is_remote = False
        self.at_once = at_once
        self.calls: list[list[object]] = []
        self.threads: list[int] = []
        self.before: Callable[[Rows], object] = lambda rows: None

    def score(self, rows: Rows) -> list[Score]:
        self.calls.append([row["n"] for row in rows])
        self.threads.append(threading.get_ident())
        self.before(rows)
        return [Score(0.5, 1.0, self.digest) for _ in rows]


@pytest.fixture
async def scheduler() -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(max_batch=8)
    yield scheduler
    scheduler.close()


async def ask(
    scheduler: Scheduler, model: Watched, number: int, *, wait_s: float = 5.0, rank: int = NORMAL
) -> Score:
    return await scheduler.submit(model, {"n": number}, str(number), wait_s, rank)


async def test_a_bounded_model_is_called_on_the_event_loop_once_it_is_known_to_be_quick(
    scheduler: Scheduler,
) -> None:
    model, loop_thread = Watched(is_bounded=True), threading.get_ident()
    for number in range(12):
        await ask(scheduler, model, number)

    assert model.threads[0] != loop_thread
    assert model.threads[-1] == loop_thread


async def test_a_model_that_does_not_say_it_is_bounded_never_runs_on_the_event_loop(
    scheduler: Scheduler,
) -> None:
    model = Watched()
    for number in range(12):
        await ask(scheduler, model, number)

    assert threading.get_ident() not in model.threads


async def test_the_higher_class_goes_first_and_what_queued_goes_together(
    scheduler: Scheduler,
) -> None:
    model, gate = Watched(), threading.Event()
    model.before = lambda rows: gate.wait(10)
    first = asyncio.create_task(ask(scheduler, model, 0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ranks = [LOW, NORMAL, HIGH, LOW, HIGH]
    rest = [
        asyncio.create_task(ask(scheduler, model, n + 1, rank=rank)) for n, rank in enumerate(ranks)
    ]
    await asyncio.sleep(0)
    waiting = scheduler.stats(model.digest)
    gate.set()
    await asyncio.gather(first, *rest)

    assert waiting is not None
    assert waiting.queued == (2, 1, 2)
    assert model.calls == [[0], [3, 5, 2, 1, 4]]


async def test_equal_rows_are_scored_once_and_each_keeps_its_own_deadline(
    scheduler: Scheduler,
) -> None:
    model, gate = Watched(), threading.Event()
    model.before = lambda rows: gate.wait(10)
    running = asyncio.create_task(ask(scheduler, model, 0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    short = asyncio.create_task(ask(scheduler, model, 1, wait_s=0.02))
    await asyncio.sleep(0)
    long = asyncio.create_task(ask(scheduler, model, 1))
    gone = asyncio.create_task(ask(scheduler, model, 1))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(DeadlinePassed):
        await short
    gate.set()

    assert (await long).value == 0.5
    assert (await running).value == 0.5
    assert model.calls == [[0], [1]]


async def test_who_asks_a_model_that_hangs_leaves_at_the_deadline_and_blames_it(
    scheduler: Scheduler,
) -> None:
    model, gate = Watched(), threading.Event()
    model.before = lambda rows: gate.wait(10)
    late = await asyncio.gather(
        *(ask(scheduler, model, number, wait_s=0.03) for number in range(3)),
        return_exceptions=True,
    )
    gate.set()

    assert [type(one) for one in late] == [DeadlinePassed] * 3
    assert all(isinstance(one, DeadlinePassed) and one.blames_model for one in late)


async def test_what_nobody_waits_for_any_more_is_not_begun(scheduler: Scheduler) -> None:
    model, gate = Watched(), threading.Event()
    model.before = lambda rows: gate.wait(10)
    running = asyncio.create_task(ask(scheduler, model, 0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    left = asyncio.create_task(ask(scheduler, model, 1))
    stays = asyncio.create_task(ask(scheduler, model, 2))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(running, stays)

    assert model.calls == [[0], [2]]


async def test_a_row_that_spoils_its_batch_is_found(scheduler: Scheduler) -> None:
    model = Watched()

    def refuse_two(rows: Rows) -> None:
        if any(row["n"] == 2 for row in rows):
            raise InvalidInput("two")

    model.before = refuse_two
    told = await asyncio.gather(
        *(ask(scheduler, model, number) for number in range(4)), return_exceptions=True
    )

    assert [type(one) for one in told] == [Score, Score, InvalidInput, Score]
    assert model.calls == [[0, 1, 2, 3], [0], [1], [2], [3]]


async def test_a_model_that_takes_several_calls_at_once_gets_them(scheduler: Scheduler) -> None:
    model, both = Watched(at_once=2), threading.Barrier(2, timeout=10)
    model.before = lambda rows: both.wait()
    first = asyncio.create_task(ask(scheduler, model, 0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    await asyncio.gather(first, ask(scheduler, model, 1))
    assert sorted(model.calls) == [[0], [1]]
    assert len(set(model.threads)) == 2


async def test_more_than_can_be_had_in_time_is_refused_at_once() -> None:
    """Time stands at the model's calls: each takes 10 ms however few its rows, and the queue is reckoned with that."""
    now = [1_000.0]
    scheduler = Scheduler(max_batch=1, now_s=lambda: now[0])
    model, gate = Watched(), threading.Event()
    model.before = lambda rows: now.__setitem__(0, now[0] + 0.01)
    for number in range(5):
        await ask(scheduler, model, number)
    model.before = lambda rows: gate.wait(10)
    asked = [asyncio.create_task(ask(scheduler, model, 100 + n, wait_s=0.055)) for n in range(12)]
    for _ in range(4):
        await asyncio.sleep(0)
    refused = [one for one in asked if one.done()]
    gate.set()
    told = await asyncio.gather(*asked, return_exceptions=True)
    scheduler.close()

    assert len(refused) == 7
    assert [type(one) for one in told] == [Score] * 5 + [Overloaded] * 7
    assert all(0 < one.after_s < 1 for one in told if isinstance(one, Overloaded) and one.after_s)


async def test_a_model_that_answers_with_too_few_scores_is_unavailable(
    scheduler: Scheduler,
) -> None:
    class Short(Watched):
        def score(self, rows: Rows) -> list[Score]:
            return super().score(rows)[1:]

    with pytest.raises(ModelUnavailable):
        await ask(scheduler, Short(), 1)


def test_a_slow_call_on_the_event_loop_sends_the_model_to_its_thread_for_a_while() -> None:
    inline, now_s = Inline(), 100.0
    assert not inline.may(1, 0.0, now_s)  # nothing is known
    assert not inline.may(1, 2 * TRIED_S, now_s)
    for _ in range(5):
        now_s += 0.01
        assert inline.may(1, 0.0002, now_s)
        inline.observe(1, 0.0002, now_s)
    inline.observe(1, 2 * LIMIT_S, now_s)
    assert inline.may(1, 0.0002, now_s)  # one alone may be the machine's
    inline.observe(1, 2 * LIMIT_S, now_s)

    assert not inline.may(1, 0.0002, now_s + 0.9 * PAUSE_S)
    assert inline.may(1, 0.0002, now_s + 1.1 * PAUSE_S)


def test_a_batch_that_would_hold_the_event_loop_too_long_goes_to_the_thread() -> None:
    inline, now_s = Inline(), 100.0
    for rows in (1, 2, 4, 8) * 4:
        now_s += 0.01
        inline.observe(rows, 0.0001 * rows, now_s)

    assert inline.may(8, 0.0008, now_s)
    assert not inline.may(1 + round(INLINE_S / 0.0001), 0.0011, now_s)


def test_a_call_that_others_interrupted_is_not_slow_but_one_that_held_everything_up_is() -> None:
    inline, now_s = Inline(), 100.0
    for _ in range(5):
        inline.observe(1, 0.0002, now_s, 3 * LIMIT_S)

    assert inline.may(1, 0.0002, now_s)
    inline.observe(1, 0.0002, now_s, 11 * LIMIT_S)
    assert not inline.may(1, 0.0002, now_s)


async def test_who_shares_a_score_keeps_its_own_time_though_the_first_to_ask_has_left(
    scheduler: Scheduler,
) -> None:
    model, gate = Watched(), threading.Event()
    model.before = lambda rows: gate.wait(10)
    first = asyncio.create_task(ask(scheduler, model, 1, wait_s=0.3))
    await asyncio.sleep(0)
    second = asyncio.create_task(ask(scheduler, model, 1))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    third = asyncio.create_task(ask(scheduler, model, 1))
    await asyncio.sleep(0.4)
    gate.set()

    scores = await asyncio.gather(second, third)
    assert [score.value for score in scores] == [0.5, 0.5]
    assert model.calls == [[1]]


async def test_a_model_is_not_to_blame_that_others_were_asked_of_it_before_a_shared_row(
    scheduler: Scheduler,
) -> None:
    model, pause = Watched(), threading.Event()
    model.before = lambda rows: pause.wait(0.05 * len(rows))
    for number in range(4):
        await ask(scheduler, model, number)
    others = [
        asyncio.create_task(ask(scheduler, model, 10 + number, wait_s=60.0, rank=HIGH))
        for number in range(24)
    ]
    await asyncio.sleep(0.01)
    patient = asyncio.create_task(ask(scheduler, model, 5, wait_s=60.0, rank=LOW))
    await asyncio.sleep(0)

    with pytest.raises(DeadlinePassed) as late:
        await ask(scheduler, model, 5, wait_s=0.15, rank=LOW)
    assert not late.value.blames_model
    await asyncio.gather(*others, patient)


async def test_a_model_that_moves_to_processes_is_asked_as_many_at_once_as_they_are(
    scheduler: Scheduler,
) -> None:
    here, apart = Watched(), Watched(at_once=2)
    await ask(scheduler, here, 0)
    both = threading.Barrier(2, timeout=5)
    apart.before = lambda rows: both.wait()

    asks = []
    for number in (1, 2):
        asks.append(asyncio.create_task(ask(scheduler, apart, number)))
        await asyncio.sleep(0.05)

    assert [score.value for score in await asyncio.gather(*asks)] == [0.5, 0.5]
    assert sorted(apart.calls) == [[1], [2]]


@pytest.mark.parametrize(("bad", "most_calls"), [({13}, 9), ({3, 4}, 22), (set(range(16)), 21)])
async def test_rows_that_a_remote_model_refuses_are_found_in_few_calls(
    bad: set[int], most_calls: int
) -> None:
    model = Watched()
    model.is_remote = True

    def refuse(rows: Rows) -> None:
        if bad & {row["n"] for row in rows}:
            raise InvalidInput("no such word")

    model.before = refuse

    results, is_whole = results_of(model, [{"n": number} for number in range(16)])

    assert {n for n, result in enumerate(results) if isinstance(result, InvalidInput)} == bad
    assert all(isinstance(result, Score) for n, result in enumerate(results) if n not in bad)
    assert not is_whole
    assert len(model.calls) <= most_calls
