"""Finds cases by what a page's filters say, newest first, by at most two queries.

State, automation and trace are found by an index, time by the ids, which grow with it. What no index serves is looked for
among the last `LOOK_BACK` cases; the page tells how far that was and leads on from there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from opsrail.clock import epoch_ms, ulid_ms
from opsrail.errors import Fault, InvalidInput
from opsrail.ports import Store
from opsrail.values.cases import CaseRow, CaseState
from opsrail.values.rows import Where, equals
from opsrail.watch.rollouts import first_id
from opsrail.web.answers import is_ulid

FIELDS = ("q", "automation", "state", "source", "waiting", "since", "until", "trace")
WAITS: Mapping[str, tuple[str, str]] = {
    "person": ("review:", "review;"),
    "timer": ("timer", "times"),
}
"""What a case may wait for, and between which texts its topics lie. `;` follows `:`, as `s` follows `r`."""
TRACE = re.compile(r"[0-9a-f]{32}")
LOOK_BACK = 10_000
PAGE_COUNT = 50
LONGEST_TEXT = 200


class Search(NamedTuple):
    """What a page's filters ask for; None: anything.

    Attributes:
        case_id: Of the one case that is asked for.
        since_ms, until_ms: When it was accepted, epoch ms: from the first, up to and without the other.
    """

    case_id: str | None = None
    automation: str | None = None
    state: str | None = None
    source: str | None = None
    waiting: str | None = None
    trace: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def conditions(self) -> list[Where]:
        """Return what is asked of a row, but for its id."""
        where = [] if self.trace is None else list(equals(correlation_id=self.trace))
        for name in ("automation", "state", "source"):
            if (wanted := getattr(self, name)) is not None:
                where.append(Where(name, "=", wanted))
        if self.waiting is not None:
            first, behind = WAITS[self.waiting]
            where += [Where("waiting_for", ">=", first), Where("waiting_for", "<", behind)]
            if self.state is None:
                where.append(Where("state", "=", CaseState.WAITING))
        return where

    def bounds(self, after: str | None) -> list[Where]:
        """Return what is asked of a row's id."""
        uppers = [after] if after else []
        if self.until_ms is not None:
            uppers.append(first_id(self.until_ms))
        bounds = [Where("id", "<", min(uppers))] if uppers else []
        if self.since_ms is not None:
            bounds.append(Where("id", ">=", first_id(self.since_ms)))
        return bounds

    @property
    def is_served(self) -> bool:
        """Whether an index leads to the rows, so that none has to be looked at in vain."""
        if self.trace is not None:
            return True
        asked = [name for name in ("automation", "state") if getattr(self, name) is not None]
        return self.source is None and self.waiting is None and len(asked) <= 1


class Found(NamedTuple):
    """One page.

    Attributes:
        after: Where the next page begins; None: there is no more.
        looked_back_to_ms: How far was looked, where that ended the page before it was full.
    """

    rows: tuple[CaseRow, ...]
    after: str | None
    looked_back_to_ms: int | None


def search_of(query: Mapping[str, str]) -> Search:
    """Return the search that a page's query asks for; fields left empty ask for nothing.

    Raises:
        InvalidInput: all that is wrong at once. Terminal.
    """
    given = {name: query[name].strip() for name in FIELDS if query.get(name, "").strip()}
    faults = [
        Fault(name, f"is longer than {LONGEST_TEXT} characters")
        for name, text in given.items()
        if len(text) > LONGEST_TEXT
    ]
    if given.get("state", CaseState.READY) not in tuple(CaseState):
        faults.append(Fault("state", f"is none of {', '.join(CaseState)}"))
    if given.get("waiting", "person") not in WAITS:
        faults.append(Fault("waiting", f"is none of {', '.join(WAITS)}"))
    case_id, trace = None, given.get("trace", "").lower() or None
    if text := given.get("q"):
        if is_ulid(text.upper()):
            case_id = text.upper()
        elif TRACE.fullmatch(text.lower()):
            trace = text.lower()
        else:
            faults.append(
                Fault(
                    "q",
                    "is neither a case's id (26 letters and digits) nor a trace id (32 hex digits)",
                )
            )
    if trace is not None and not TRACE.fullmatch(trace):
        faults.append(Fault("trace", "is no trace id: 32 hex digits"))
    moments = {name: _moment(given, name, faults) for name in ("since", "until")}
    if moments["since"] and moments["until"] and moments["since"] >= moments["until"]:
        faults.append(Fault("until", "is not after `since`"))
    if faults:
        raise InvalidInput("cases cannot be looked for so", faults)
    plain = {name: given.get(name) for name in ("automation", "state", "source", "waiting")}
    since_ms, until_ms = moments["since"], moments["until"]
    return Search(case_id, trace=trace, since_ms=since_ms, until_ms=until_ms, **plain)


async def found(
    store: Store, search: Search, scopes: frozenset[str] | None, after: str | None = None
) -> Found:
    """Return a page of cases, newest first, by at most two queries.

    Args:
        scopes: Automations whose cases may be seen; None: all.
        after: Id of the case that the page begins behind.
    """
    conditions, bounds = search.conditions(), search.bounds(after)
    is_served = search.is_served
    if scopes is not None and search.automation is None:
        conditions.append(Where("automation", "in", tuple(sorted(scopes))))
        is_served = False
    floor = None
    if not is_served:
        floor = await _floor(store, search, bounds)
        if floor is not None:
            bounds = [*(one for one in bounds if one.op == "<"), Where("id", ">=", floor)]
    rows = await store.select(
        CaseRow, *conditions, *bounds, order=("id",), descending=True, limit=PAGE_COUNT + 1
    )
    if len(rows) > PAGE_COUNT:
        shown = tuple(rows[:PAGE_COUNT])
        return Found(shown, shown[-1].id, None)
    return Found(tuple(rows), floor, None if floor is None else ulid_ms(floor))


async def _floor(store: Store, search: Search, bounds: list[Where]) -> str | None:
    """Return the id that the look ends at; None: all that there is may be looked at."""
    (ids,) = await store.columns(CaseRow, ("id",), *bounds, descending=True, limit=LOOK_BACK)
    return ids[-1] if len(ids) == LOOK_BACK else None


def _moment(given: Mapping[str, str], name: str, faults: list[Fault]) -> int | None:
    """Return a moment as a browser's field for date and time writes it; without a zone it is UTC."""
    if (text := given.get(name)) is None:
        return None
    try:
        at_ms = epoch_ms(text, name)
    except InvalidInput as wrong:
        faults += wrong.faults
        return None
    if not 0 <= at_ms < 2**48:
        faults.append(Fault(name, "lies beyond what an id can hold"))
        return None
    return at_ms
