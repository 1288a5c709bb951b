"""Equal questions at the same time, and who asks for all."""

from __future__ import annotations

import asyncio

import pytest

from opsrail.clock import SystemClock
from opsrail.decide.deadline import Deadline
from opsrail.decide.flights import Flights
from opsrail.decide.policy import NoScore
from opsrail.values.models import Score

KEY = ("m", "f", "t")
SCORE = Score(0.5, 1.0, "m")
CLOCK = SystemClock()


class Model:
    """Answers when told; counts who asks."""

    def __init__(self) -> None:
        self.asked = 0
        self.answers: asyncio.Queue[Score | NoScore] = asyncio.Queue()

    async def ask(self) -> Score | NoScore:
        self.asked += 1
        return await self.answers.get()


def due(seconds: float = 60.0, fair_s: float = 1.0) -> Deadline:
    return Deadline(CLOCK.monotonic_s() + seconds, fair_s)


async def test_of_a_thousand_equal_questions_one_is_asked() -> None:
    flights, model = Flights(CLOCK), Model()
    asks = [asyncio.create_task(flights.once(KEY, model.ask, due())) for _ in range(1000)]
    await asyncio.sleep(0)
    model.answers.put_nowait(SCORE)

    answers = await asyncio.gather(*asks)

    assert model.asked == 1
    assert answers == [(SCORE, False)] + [(SCORE, True)] * 999
    assert flights.shared == 999


async def test_a_failing_model_is_asked_once_for_all_too() -> None:
    flights, model, fault = Flights(CLOCK), Model(), NoScore("model-unavailable", "No.")
    asks = [asyncio.create_task(flights.once(KEY, model.ask, due())) for _ in range(10)]
    await asyncio.sleep(0)
    model.answers.put_nowait(fault)

    assert [answer for answer, _ in await asyncio.gather(*asks)] == [fault] * 10
    assert model.asked == 1


async def test_a_fault_is_not_kept_for_whoever_comes_later() -> None:
    flights, model = Flights(CLOCK), Model()
    for answer in (NoScore("model-unavailable", "No."), SCORE):
        model.answers.put_nowait(answer)

    answers = [await flights.once(KEY, model.ask, due()) for _ in range(2)]

    assert answers[1] == (SCORE, False)


async def test_questions_with_other_keys_do_not_wait() -> None:
    flights, model = Flights(CLOCK), Model()
    keys = [KEY, ("n", "f", "t"), ("m", "g", "t"), ("m", "f", "u")]
    asks = [asyncio.create_task(flights.once(key, model.ask, due())) for key in keys]
    await asyncio.sleep(0)

    assert model.asked == 4
    for _ in keys:
        model.answers.put_nowait(SCORE)
    await asyncio.gather(*asks)


async def test_when_the_one_who_asks_is_cancelled_another_asks() -> None:
    flights, model = Flights(CLOCK), Model()
    asks = [asyncio.create_task(flights.once(KEY, model.ask, due())) for _ in range(3)]
    await asyncio.sleep(0)
    asks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await asks[0]
    model.answers.put_nowait(SCORE)

    answers = await asyncio.gather(*asks[1:])

    assert answers == [(SCORE, False), (SCORE, True)]
    assert model.asked == 2


async def test_who_has_a_fair_time_left_does_not_share_anothers_haste() -> None:
    flights, model = Flights(CLOCK), Model()
    hasty = asyncio.create_task(flights.once(KEY, model.ask, due(2.0)))
    await asyncio.sleep(0)
    patient = asyncio.create_task(flights.once(KEY, model.ask, due(60.0, fair_s=30.0)))
    short = asyncio.create_task(flights.once(KEY, model.ask, due(60.0, fair_s=90.0)))
    await asyncio.sleep(0)
    late = NoScore("deadline-passed", "Late.")
    model.answers.put_nowait(late)
    model.answers.put_nowait(SCORE)

    answers = await asyncio.gather(*[hasty, patient, short])

    assert answers == [(late, False), (SCORE, False), (late, True)]


async def test_nobody_waits_for_another_past_its_own_deadline() -> None:
    flights, model = Flights(CLOCK), Model()
    asks = asyncio.create_task(flights.once(KEY, model.ask, due()))
    await asyncio.sleep(0)

    answer, is_shared = await flights.once(KEY, model.ask, due(0.0))

    assert isinstance(answer, NoScore)
    assert (answer.code, is_shared, model.asked) == ("deadline-passed", True, 1)
    model.answers.put_nowait(SCORE)
    await asks


async def test_who_was_cancelled_while_waiting_is_not_waited_for() -> None:
    flights, model = Flights(CLOCK), Model()
    asks = [asyncio.create_task(flights.once(KEY, model.ask, due())) for _ in range(2)]
    await asyncio.sleep(0)
    asks[1].cancel()
    model.answers.put_nowait(SCORE)

    assert await asks[0] == (SCORE, False)
