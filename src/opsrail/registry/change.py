"""The life of a change: who must agree before it alters live behaviour, and what may follow. Pure.

    planned      a plan as data; nothing is altered
    approved     as many agreed as its tier asks for
    applied      what it says holds
    rejected     somebody who was asked said no
    withdrawn    its author, or whoever finds it outdated, took it back
    rolled-back  what stood before holds again

Three rules. A move that is not in TRANSITIONS does not exist. Nobody agrees to their own change, and everybody speaks once.
A change is applied only to what it was planned on: after anything else was changed at the point, it is planned anew.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple

from opsrail.errors import Conflict, Denied
from opsrail.values.changes import ChangeState
from opsrail.values.decisions import IMPACTS


class ChangeEvent(StrEnum):
    """What can happen to a change."""

    AGREE = "agree"  # one approves, and more are needed
    APPROVE = "approve"  # the last one approves that is needed
    REJECT = "reject"  # one says no
    WITHDRAW = "withdraw"  # it is taken back
    APPLY = "apply"  # it takes hold
    ROLL_BACK = "roll back"  # what stood before is restored


TRANSITIONS: Mapping[tuple[ChangeState, ChangeEvent], ChangeState] = {
    (ChangeState.PLANNED, ChangeEvent.AGREE): ChangeState.PLANNED,
    (ChangeState.PLANNED, ChangeEvent.APPROVE): ChangeState.APPROVED,
    (ChangeState.PLANNED, ChangeEvent.REJECT): ChangeState.REJECTED,
    (ChangeState.PLANNED, ChangeEvent.WITHDRAW): ChangeState.WITHDRAWN,
    (ChangeState.APPROVED, ChangeEvent.REJECT): ChangeState.REJECTED,
    (ChangeState.APPROVED, ChangeEvent.WITHDRAW): ChangeState.WITHDRAWN,
    (ChangeState.APPROVED, ChangeEvent.APPLY): ChangeState.APPLIED,
    (ChangeState.APPLIED, ChangeEvent.ROLL_BACK): ChangeState.ROLLED_BACK,
}

SAID = {state: state.value.replace("-", " ") for state in ChangeState}
DONE: Mapping[ChangeEvent, str] = {
    ChangeEvent.AGREE: "approved",
    ChangeEvent.APPROVE: "approved",
    ChangeEvent.REJECT: "rejected",
    ChangeEvent.WITHDRAW: "withdrawn",
    ChangeEvent.APPLY: "applied",
    ChangeEvent.ROLL_BACK: "rolled back",
}
NEXT: Mapping[ChangeState, str] = {
    ChangeState.PLANNED: "people have to agree first, see `opsrail changes approve`",
    ChangeState.APPROVED: "apply it with `opsrail changes apply`, or reject it",
    ChangeState.APPLIED: "take it back with `opsrail changes rollback`",
    ChangeState.REJECTED: "it is over; plan it anew",
    ChangeState.WITHDRAWN: "it is over; plan it anew",
    ChangeState.ROLLED_BACK: "it is over; plan it anew",
}
"""What somebody may do who tried something else."""

APPROVERS: Mapping[str, int] = {"low": 1, "medium": 1, "high": 2}
"""How many must agree, by tier. Ours: four eyes for each change, six where a wrong verdict costs most."""


class Standing(NamedTuple):
    """Where a change stands.

    Attributes:
        author: Who planned it, as `key_of` names people.
        approvers: Who agreed, as `key_of` names people.
    """

    state: ChangeState
    tier: str
    author: str
    approvers: frozenset[str] = frozenset()


def next_state(state: ChangeState, event: ChangeEvent) -> ChangeState:
    """Return where the event leads.

    Raises:
        Conflict: the event cannot happen in this state. Look at the change again before acting.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise Conflict(
            f"a change that is {SAID[state]} cannot be {DONE[event]}; {NEXT[state]}"
        ) from None


def agreed(change: Standing, by: str) -> Standing:
    """Return where a change stands when one more approves it.

    Args:
        by: As `key_of` names people.

    Raises:
        Denied: it is their own. Terminal.
        Conflict: they spoke before, or nobody is asked any more.
    """
    if by == change.author:
        raise Denied("nobody approves their own change; ask somebody else")
    if by in change.approvers:
        raise Conflict(f"{by} approved it before; {missing(change)} more must agree")
    approvers = change.approvers | {by}
    is_last = len(approvers) >= APPROVERS[change.tier]
    event = ChangeEvent.APPROVE if is_last else ChangeEvent.AGREE
    return change._replace(state=next_state(change.state, event), approvers=approvers)


def moved(change: Standing, event: ChangeEvent) -> Standing:
    """Return where a change stands after anything but an approval.

    Raises:
        Conflict: see `next_state`; also of an approved change that lacks approvals: its rows were altered by hand.
    """
    state = next_state(change.state, event)
    if state == ChangeState.APPLIED and missing(change):
        raise Conflict(f"{missing(change)} more must agree before the change is applied")
    return change._replace(state=state)


def missing(change: Standing) -> int:
    """Return how many must still agree."""
    return max(0, APPROVERS[change.tier] - len(change.approvers - {change.author}))


def tier_of(impact: str | None, model_tier: str | None) -> str:
    """Return how much a change matters: by the point's impact and the model's risk tier, whichever is higher.

    Args:
        impact: None, or no known word: nobody knows, which counts as `high`.
        model_tier: None, or no known word: the model's card says nothing, which adds nothing.
    """
    ranks = [IMPACTS.index(impact) if impact in IMPACTS else len(IMPACTS) - 1]
    if model_tier in IMPACTS:
        ranks.append(IMPACTS.index(model_tier))
    return IMPACTS[max(ranks)]


def key_of(name: str) -> str:
    """Return what tells a person from others: names that differ in case, form or space alone are one person's.

    So are `user:ann`, who signed in, and `ann`, whom somebody named on the command line.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split()).removeprefix("user:")


def diagram(table: Mapping[tuple[ChangeState, ChangeEvent], ChangeState] = TRANSITIONS) -> str:
    """Return the table as Markdown, as `docs/changes.md` shows it."""
    events = list(ChangeEvent)
    lines = [
        "| it is | " + " | ".join(events) + " |",
        "|---" * (len(events) + 1) + "|",
    ]
    for state in ChangeState:
        cells: Collection[str] = [str(table.get((state, event), "-")) for event in events]
        lines.append(f"| {state} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
