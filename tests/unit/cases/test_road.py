"""A case from the doorstep to its end, and through crashes, on the real engine in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel, Field

from opsrail import Action, Automation, Case, Retry, StepFailed, Terminal, step
from opsrail.cases.loader import Definitions
from opsrail.errors import InvalidInput, KeyReused, NotFound
from opsrail.testing import Rehearsal
from opsrail.testing.rehearsal import names_of
from opsrail.values.cases import CaseState
from tests.unit.cases.rehearsed import Order, Receipt, defined


def doubled(number: int) -> int:
    return 2 * number


async def tripled(number: int) -> int:
    return 3 * number


def test_a_case_runs_its_steps_in_order_and_settles() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        two = await case.step(doubled, order.amount)
        six = await case.step(tripled, two)
        return Receipt(text=str(six))

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {"amount": 7})

        assert (case.state, case.outcome) == (CaseState.SETTLED, '{"text":"42"}')
        assert names_of(rehearsal.journal(case)) == ["step doubled", "step tripled"]


def test_a_restart_repeats_no_step_that_had_finished() -> None:
    ran: list[str] = []

    def noted(name: str) -> str:
        ran.append(name)
        return name

    async def run(case: Case, order: Order) -> Receipt:
        first = await case.step(noted, "before")
        await case.review("desk")
        second = await case.step(noted, "after")
        return Receipt(text=first + second)

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        rehearsal.restart()
        rehearsal.restart()
        case = rehearsal.rule(case, "approve")

        assert (case.state, ran) == (CaseState.SETTLED, ["before", "after"])


def test_a_ruling_reaches_the_code_with_all_that_was_said() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        ruling = await case.review("desk", due="4h", show={"why": "new customer"})
        return Receipt(text=f"{ruling.verdict} by {ruling.ruled_by}: {ruling.reason}")

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        (review,) = rehearsal.reviews(case)
        case = rehearsal.rule(case, "decline", by="ann", reason="too dear")

        assert case.outcome == '{"text":"decline by ann: too dear"}'
        assert review.due_at_ms is not None
        assert review.due_at_ms - review.opened_at_ms == 4 * 3_600_000


def test_an_action_goes_out_once_with_the_key_the_code_was_given() -> None:
    keys: list[tuple[str, int]] = []

    async def ship(key: str, amount: int) -> str:
        keys.append((key, amount))
        return "shipped"

    async def run(case: Case, order: Order) -> Receipt:
        key = await case.act(action, order.amount)
        return Receipt(text=key)

    definitions = defined(run, ship=ship)
    action: Action[[int]] = definitions.automations["orders"].actions["ship"]
    with Rehearsal(definitions) as rehearsal:
        case = rehearsal.submit("orders", {"amount": 3})
        (sent,) = rehearsal.sent("ship")
        rehearsal.restart()
        rehearsal.advance("1h")

        assert keys == [(sent.key, 3)]
        assert case.outcome == f'{{"text":"{sent.key}"}}'


def test_an_action_that_fails_is_sent_again_under_the_same_key_until_it_arrives() -> None:
    keys: list[str] = []

    async def ship(key: str) -> None:
        keys.append(key)
        if len(keys) < 4:
            raise ConnectionError("far side is away")

    async def run(case: Case, order: Order) -> Receipt:
        await case.act(definitions.automations["orders"].actions["ship"])
        return Receipt(text="ok")

    definitions = defined(run, ship=ship)
    with Rehearsal(definitions) as rehearsal:
        rehearsal.submit("orders", {})
        rehearsal.advance("1h")

        assert len(keys) == 4
        assert len(set(keys)) == 1


def test_a_case_that_fails_sends_none_of_its_actions() -> None:
    async def ship(key: str) -> None: ...

    async def run(case: Case, order: Order) -> Receipt:
        await case.act(definitions.automations["orders"].actions["ship"])
        raise ValueError("after the act")

    definitions = defined(run, ship=ship)
    with Rehearsal(definitions) as rehearsal:
        case = rehearsal.submit("orders", {})
        rehearsal.advance("1h")

        assert (rehearsal.case(case.id).state, rehearsal.sent()) == (CaseState.SET_ASIDE, [])


def test_a_step_is_tried_as_often_as_it_says() -> None:
    tries: list[int] = []

    @step(retry=Retry(attempts=5, base_s=10, cap_s=100))
    async def flaky() -> int:
        tries.append(1)
        if len(tries) < 5:
            raise ConnectionError("not yet")
        return 5

    async def run(case: Case, order: Order) -> Receipt:
        return Receipt(text=str(await case.step(flaky)))

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        rehearsal.advance("10m")
        case = rehearsal.case(case.id)

        assert (case.outcome, len(tries)) == ('{"text":"5"}', 5)
        assert rehearsal.journal(case)[0].attempts == 5


def test_a_terminal_error_ends_a_step_at_its_first_attempt() -> None:
    tries: list[int] = []

    async def refused() -> None:
        tries.append(1)
        raise Terminal("never")

    async def run(case: Case, order: Order) -> Receipt:
        try:
            await case.step(refused)
        except StepFailed as failed:
            return Receipt(text=str(failed))
        raise AssertionError

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})

        assert len(tries) == 1
        assert "refused failed: Terminal: never" in str(case.outcome)


def test_a_step_that_takes_too_long_is_given_up() -> None:
    @step(retry=Retry(attempts=2, timeout_s=30))
    async def endless() -> None:
        await asyncio.Event().wait()

    async def run(case: Case, order: Order) -> Receipt:
        try:
            await case.step(endless)
        except StepFailed as failed:
            return Receipt(text=str(failed))
        raise AssertionError

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        rehearsal.advance("5m")

        assert "ran past 30 s" in str(rehearsal.case(case.id).outcome)


def test_a_failure_the_code_handled_is_the_same_after_a_restart() -> None:
    weather = {"is_bad": True}

    async def depends() -> None:
        if weather["is_bad"]:
            raise Terminal("bad weather")

    async def run(case: Case, order: Order) -> Receipt:
        try:
            await case.step(depends)
            plan = "walk"
        except StepFailed:
            plan = "bus"
        await case.review("desk")
        return Receipt(text=plan)

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        weather["is_bad"] = False
        rehearsal.restart()
        case = rehearsal.rule(case, "approve")

        assert case.outcome == '{"text":"bus"}'


def test_a_sleep_costs_a_row_and_lasts_as_long_as_it_says() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        begun = await case.now()
        await case.sleep("36h")
        return Receipt(text=str((await case.now() - begun) >= timedelta(hours=36)))

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        rehearsal.advance("35h")
        rehearsal.restart()
        waiting = rehearsal.case(case.id).state
        rehearsal.advance("1h 5m")

        assert waiting == CaseState.WAITING
        assert rehearsal.case(case.id).outcome == '{"text":"True"}'


def test_time_and_chance_are_the_same_on_every_run() -> None:
    seen: list[tuple[datetime, float]] = []

    async def run(case: Case, order: Order) -> Receipt:
        seen.append((await case.now(), await case.random()))
        await case.review("desk")
        return Receipt(text="done")

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        rehearsal.advance("1d")
        rehearsal.restart()
        rehearsal.rule(case, "approve")

        assert len(seen) == 2
        assert seen[0] == seen[1]
        assert seen[0][0].tzinfo == UTC


def test_steps_may_run_at_the_same_time() -> None:
    both = asyncio.Event()
    waiting: list[int] = []

    async def meets(number: int) -> int:
        waiting.append(number)
        if len(waiting) == 2:
            both.set()
        await both.wait()
        return number

    async def run(case: Case, order: Order) -> Receipt:
        pair = await asyncio.gather(case.step(meets, 1), case.step(meets, 2))
        return Receipt(text=str(pair))

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})

        assert case.outcome == '{"text":"[1, 2]"}'


def test_a_review_inside_a_task_group_parks_the_case() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(case.review("desk"))
        return Receipt(text=task.result().verdict)

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        parked = case.state
        case = rehearsal.rule(case, "approve")

        assert (parked, case.outcome) == (CaseState.WAITING, '{"text":"approve"}')


def test_the_same_key_and_input_is_the_same_case() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        return Receipt(text="ok")

    with Rehearsal(defined(run)) as rehearsal:
        first = rehearsal.submit("orders", {"amount": 1}, key="k")
        second = rehearsal.submit("orders", {"amount": 1}, key="k")

        assert first.id == second.id
        with pytest.raises(KeyReused, match="another input"):
            rehearsal.submit("orders", {"amount": 2}, key="k")


def test_a_wrong_input_is_refused_with_every_fault_and_without_its_values() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        return Receipt(text="ok")

    with Rehearsal(defined(run)) as rehearsal:
        with pytest.raises(InvalidInput) as refused:
            rehearsal.submit("orders", {"amount": "secret-7"})
        with pytest.raises(NotFound, match="defines: orders"):
            rehearsal.submit("other", {})

        assert [fault.place for fault in refused.value.faults] == ["amount"]
        assert "secret-7" not in str(refused.value)


def test_an_input_that_cannot_be_read_back_is_refused_at_the_door() -> None:
    class Weight(BaseModel):
        kilos: float

    scales = Automation("scales", case=Weight, outcome=Receipt)

    @scales.run
    async def weigh(case: Case, weight: Weight) -> Receipt:
        return Receipt(text=str(weight.kilos))

    definitions = Definitions({"scales": scales}, {}, (), ())
    with Rehearsal(definitions) as rehearsal:
        with pytest.raises(InvalidInput, match="does not read back the same"):
            rehearsal.submit("scales", {"kilos": float("nan")})

        assert rehearsal.submit("scales", {"kilos": 1.5}).outcome == '{"text":"1.5"}'


def test_an_input_may_come_under_an_alias() -> None:
    class Parcel(BaseModel):
        weight: int = Field(validation_alias="Gewicht")

    parcels = Automation("parcels", case=Parcel, outcome=Receipt)

    @parcels.run
    async def send(case: Case, parcel: Parcel) -> Receipt:
        return Receipt(text=str(parcel.weight))

    with Rehearsal(Definitions({"parcels": parcels}, {}, (), ())) as rehearsal:
        assert rehearsal.submit("parcels", {"Gewicht": 3}).outcome == '{"text":"3"}'
