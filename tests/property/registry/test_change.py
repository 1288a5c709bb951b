"""The life of a change: the table is total, and no path leads to applied without the people who have to agree."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.errors import Conflict, Denied
from opsrail.registry.change import (
    APPROVERS,
    TRANSITIONS,
    ChangeEvent,
    Standing,
    agreed,
    key_of,
    missing,
    moved,
    next_state,
    tier_of,
)
from opsrail.values.changes import ChangeState
from opsrail.values.decisions import IMPACTS

OVER = {ChangeState.REJECTED, ChangeState.WITHDRAWN, ChangeState.ROLLED_BACK}
people = st.sampled_from(["ann", "bob", "cleo", "dan"])
words = st.lists(
    people | st.sampled_from([event for event in ChangeEvent if event != ChangeEvent.APPROVE]),
    max_size=12,
)


def test_every_state_and_event_has_an_answer() -> None:
    for state, event in product(ChangeState, ChangeEvent):
        if (state, event) in TRANSITIONS:
            assert next_state(state, event) in ChangeState
        else:
            with pytest.raises(Conflict):
                next_state(state, event)


def test_what_is_over_stays_over() -> None:
    assert {
        state for state in ChangeState if all(begun != state for begun, _ in TRANSITIONS)
    } == OVER


@given(st.sampled_from(IMPACTS), words)
def test_no_path_leads_to_applied_without_the_approvals(
    tier: str, said: list[str | ChangeEvent]
) -> None:
    change, heard, passed = Standing(ChangeState.PLANNED, tier, "ann"), set(), [ChangeState.PLANNED]
    for word in said:
        try:
            if isinstance(word, ChangeEvent):
                change = moved(change, word)
            else:
                change = agreed(change, word)
                heard.add(word)
        except (Conflict, Denied):
            continue
        passed.append(change.state)

    assert change.approvers == heard <= {"bob", "cleo", "dan"}
    if ChangeState.APPLIED in passed:
        assert len(heard) >= APPROVERS[tier]
    if ChangeState.ROLLED_BACK in passed:
        assert ChangeState.APPLIED in passed


@given(st.sampled_from(ChangeState), st.sampled_from(IMPACTS), st.frozensets(people))
def test_whatever_the_rows_say_nothing_short_of_the_approvals_is_applied(
    state: ChangeState, tier: str, approvers: frozenset[str]
) -> None:
    change = Standing(state, tier, "ann", approvers)
    try:
        applied = moved(change, ChangeEvent.APPLY)
    except Conflict:
        return

    assert applied.state == ChangeState.APPLIED
    assert len(approvers - {"ann"}) >= APPROVERS[tier]
    assert missing(applied) == 0


@given(st.sampled_from([*IMPACTS, None, "odd"]), st.sampled_from([*IMPACTS, None, "odd"]))
def test_the_tier_is_never_below_what_is_known_and_high_where_the_impact_is_not(
    impact: str | None, model_tier: str | None
) -> None:
    tier = tier_of(impact, model_tier)

    assert all(
        IMPACTS.index(tier) >= IMPACTS.index(one) for one in (impact, model_tier) if one in IMPACTS
    )
    assert tier == "high" or impact in IMPACTS


@given(st.text(max_size=12))
def test_a_name_written_otherwise_is_the_same_persons(name: str) -> None:
    assert key_of(key_of(name)) == key_of(name) == key_of(f"  {name}\t")
