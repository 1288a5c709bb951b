"""What authors do wrong is set aside with an error that says what, where and how it is right."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from opsrail import Automation, Case, Retry
from opsrail.errors import InvalidInput
from opsrail.testing import Rehearsal
from opsrail.values.cases import CaseState
from tests.unit.cases.rehearsed import Order, Receipt, defined


async def one() -> int:
    return 1


async def swallows(case: Case, order: Order) -> Receipt:
    try:  # noqa: SIM105 - the mistake
        await case.review("desk")
    except BaseException:  # noqa: S110 - the mistake
        pass
    return Receipt(text="went on")


async def forgets_to_await(case: Case, order: Order) -> Receipt:
    call = case.step(one)
    call.close()
    return Receipt(text="too soon")


async def returns_something_else(case: Case, order: Order) -> Receipt:
    return "text"  # type: ignore[return-value]


async def gives_a_plain_function_to_act(case: Case, order: Order) -> Receipt:
    await case.act(one)  # type: ignore[arg-type]
    return Receipt(text="no")


async def steps_on_nothing(case: Case, order: Order) -> Receipt:
    await case.step("one")  # type: ignore[call-overload]
    return Receipt(text="no")


class Opaque:
    """Has no plain form."""


def opaque():  # type: ignore[no-untyped-def]
    return Opaque()


async def keeps_the_unkeepable(case: Case, order: Order) -> Receipt:
    try:  # noqa: SIM105 - the mistake
        await case.step(opaque)
    except Exception:  # noqa: S110 - the mistake
        pass
    return Receipt(text="no")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (swallows, "Catch `Exception` instead"),
        (forgets_to_await, "not awaited"),
        (returns_something_else, "it must return Receipt"),
        (gives_a_plain_function_to_act, "declare it: @orders.action()"),
        (steps_on_nothing, "wants a function, a @step or a Form"),
        (keeps_the_unkeepable, "Return plain values or a pydantic model"),
    ],
)
def test_a_mistake_sets_the_case_aside_and_says_what_to_do(
    function: Callable[[Case, Order], Awaitable[Receipt]], says: str
) -> None:
    with Rehearsal(defined(function)) as rehearsal:
        case = rehearsal.submit("orders", {})

        assert case.state == CaseState.SET_ASIDE
        assert says in str(case.reason)


def test_code_that_takes_another_path_is_noticed() -> None:
    runs: list[int] = []

    async def fickle(case: Case, order: Order) -> Receipt:
        runs.append(1)
        if len(runs) == 1:
            await case.step(one)
        await case.review("desk")
        return Receipt(text="no")

    with Rehearsal(defined(fickle)) as rehearsal:
        case = rehearsal.submit("orders", {})
        case = rehearsal.rule(case, "approve")

        assert case.state == CaseState.SET_ASIDE
        assert "call 0 was step 'one' when it first ran and is now review 'desk'" in str(
            case.reason
        )


def test_a_call_that_blocks_the_loop_is_named_with_its_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()  # the fence forbids time.sleep, which is the mistake here

    async def blocks(case: Case, order: Order) -> Receipt:
        time.sleep(4.0)  # noqa: ASYNC251 - the mistake
        await case.step(one)
        return Receipt(text="slow")

    with Rehearsal(defined(blocks)) as rehearsal:
        case = rehearsal.submit("orders", {})

        assert case.state == CaseState.SET_ASIDE
        assert "time.sleep(4.0)" in str(case.reason)
        assert "plain `def`" in str(case.reason)


def test_a_case_that_keeps_failing_is_set_aside_after_three_and_can_be_sent_on() -> None:
    runs: list[int] = []

    async def fails(case: Case, order: Order) -> Receipt:
        runs.append(1)
        if len(runs) <= 3:
            raise ValueError(f"run {len(runs)}")
        return Receipt(text="better")

    with Rehearsal(defined(fails)) as rehearsal:
        case = rehearsal.submit("orders", {})
        rehearsal.advance("1h")
        case = rehearsal.case(case.id)

        assert (case.state, case.reason, len(runs)) == (CaseState.SET_ASIDE, "ValueError: run 3", 3)


def test_limits_that_contradict_themselves_are_refused_all_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        Retry(attempts=0, base_s=5, cap_s=1, timeout_s=0)

    assert [fault.place for fault in refused.value.faults] == [
        "retry.attempts",
        "retry.cap_s",
        "retry.timeout_s",
    ]


def test_an_automation_without_an_async_function_is_refused() -> None:
    orders = Automation("orders", case=Order, outcome=Receipt)
    with pytest.raises(InvalidInput, match="must be `async def"):
        orders.run(lambda case, order: None)  # type: ignore[arg-type, return-value]


def test_an_automation_says_all_that_is_wrong_with_it() -> None:
    wrong: Any = dict
    with pytest.raises(InvalidInput) as refused:
        Automation("Bad Name", case=wrong, outcome=wrong)

    assert [fault.place for fault in refused.value.faults] == ["name", "case", "outcome"]
