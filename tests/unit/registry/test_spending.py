"""Budgets by hour and by day."""

from __future__ import annotations

import sys
import threading

from hypothesis import given
from hypothesis import strategies as st

from opsrail.registry.spending import DAY_S, HOUR_S, SLOTS, Budget, Spending


def test_a_budget_is_spent_at_its_limit_and_comes_free_after_its_window() -> None:
    budget = Budget(usd_per_hour=1.0)
    budget.add(0.5, 0.0)
    assert not budget.is_spent(0.0)
    budget.add(0.5, 1_800.0)

    assert budget.is_spent(1_800.0)
    assert budget.is_spent(HOUR_S - 1)
    assert not budget.is_spent(HOUR_S + 60)
    assert budget.total_usd == 1.0


def test_the_day_counts_what_the_hour_forgot() -> None:
    budget = Budget(usd_per_hour=1.0, usd_per_day=3.0)
    for hour in range(3):
        budget.add(0.999, hour * 2 * HOUR_S)
    assert not budget.is_spent(5 * HOUR_S)

    budget.add(0.1, 8 * HOUR_S)

    assert budget.is_spent(8 * HOUR_S)
    assert not budget.is_spent(8 * HOUR_S + DAY_S)


def test_without_limits_nothing_is_ever_spent() -> None:
    budget = Budget()
    budget.add(1e9, 0.0)

    assert not budget.is_spent(0.0)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 2_000)), max_size=50))
def test_what_counts_is_what_was_spent_within_the_window_to_one_slot(
    spends: list[tuple[float, float]],
) -> None:
    spending, now_s = Spending(1.0, HOUR_S), 0.0
    told: list[tuple[float, float]] = []
    for usd, later_s in spends:
        now_s += later_s
        spending.add(usd, now_s)
        told.append((now_s, usd))
        slot_s = HOUR_S / SLOTS
        least = sum(usd for at_s, usd in told if now_s - at_s < HOUR_S - slot_s)
        most = sum(usd for at_s, usd in told if now_s - at_s < HOUR_S)

        assert least - 1e-9 <= spending.spent_usd(now_s) <= most + 1e-9


def test_a_budget_is_read_while_threads_of_several_models_add_to_it() -> None:
    budget, is_over, now_s = Budget(usd_per_hour=1e9), threading.Event(), 60.0 * (SLOTS - 1)
    for minute in range(SLOTS):
        budget.add(1.0, 60.0 * minute)

    def add() -> None:
        while not is_over.is_set():
            budget.add(1.0, now_s)

    threads = [threading.Thread(target=add) for _ in range(2)]
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for _ in range(3_000):
            assert not budget.is_spent(now_s)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(usual_s)
