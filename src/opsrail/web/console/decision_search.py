"""Finds decisions by what a page's filters say, newest first, without ever looking through more than a bounded number.

No index serves these filters: each would cost every decision a write. Instead a page looks back through the last
`LOOK_BACK` decisions, tells how far that was, and leads on from there, so that its cost is the same at any size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from opsrail.clock import epoch_ms, ulid_ms, ulid_text
from opsrail.errors import Fault, InvalidInput
from opsrail.ports import Store
from opsrail.values.decisions import DecisionRow
from opsrail.values.rows import Where, equals
from opsrail.web.answers import is_ulid

LOOK_BACK = 10_000
"""Decisions that one page looks through. Ours: 15 ms on SQLite with a million of 4 kB, of which 4 find where they begin."""
PAGE_COUNT = 50
FIELDS = ("point", "verdict", "model", "degraded", "case", "from", "to")
MODEL = re.compile(r"([^/]{1,63})(?:/([1-9][0-9]{0,8}))?")
Bound = tuple[Where, ...]


class Search(NamedTuple):
    """What a page's filters ask for; None: anything.

    Attributes:
        model: Name and number; without a number every version of it.
        from_ms, to_ms: When it was asked, epoch ms: from the first, up to and without the other.
    """

    point: str | None = None
    verdict: str | None = None
    model: tuple[str, int | None] | None = None
    degraded: bool | None = None
    case: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def conditions(self, points: frozenset[str] | None) -> Bound:
        """Return what no index serves.

        Args:
            points: Those that may be seen; None: all.
        """
        return (
            *([] if self.point is None else equals(point=self.point)),
            *([] if points is None else [Where("point", "in", tuple(sorted(points)))]),
            *([] if self.verdict is None else equals(verdict=self.verdict)),
            *([] if self.model is None else _of_model(*self.model)),
            *([] if self.degraded is None else equals(degraded=self.degraded)),
        )

    def bounds(self, after: str | None) -> Bound:
        """Return what the primary key serves: ids grow with time."""
        uppers = [one for one in (after, self.to_ms and ulid_text(self.to_ms << 80)) if one]
        return (
            *([Where("id", "<", min(uppers))] if uppers else []),
            *([] if self.from_ms is None else [Where("id", ">=", ulid_text(self.from_ms << 80))]),
        )


class Found(NamedTuple):
    """One page of what was found.

    Attributes:
        after: Where the next page begins; None: there is no more.
        looked_back_to_ms: How far was looked, where that ended the page before it was full; else None.
    """

    rows: tuple[DecisionRow, ...]
    after: str | None
    looked_back_to_ms: int | None


def search_of(query: Mapping[str, str]) -> Search:
    """Return the search that a page's query asks for; fields left empty ask for nothing.

    Raises:
        InvalidInput: all that is wrong at once. Terminal.
    """
    faults: list[Fault] = []
    model = None
    if given := query.get("model"):
        if (read := MODEL.fullmatch(given)) is None:
            faults.append(Fault("model", "write name or name/number, e.g. claims-fraud/3"))
        else:
            model = read[1], int(read[2]) if read[2] else None
    if (case := query.get("case") or None) and not is_ulid(case):
        faults.append(Fault("case", "is no id of a case: 26 letters and digits"))
    moments: dict[str, int | None] = {"from": None, "to": None}
    for name in moments:
        if text := query.get(name):
            try:
                moments[name] = epoch_ms(text, name)
            except InvalidInput as wrong:
                faults += wrong.faults
    faults += _moment_faults(moments)
    if faults:
        raise InvalidInput("decisions cannot be looked for so", faults)
    degraded = {"yes": True, "no": False}.get(query.get("degraded", ""))
    point, verdict = query.get("point") or None, query.get("verdict") or None
    return Search(point, verdict, model, degraded, case, moments["from"], moments["to"])


async def found(
    store: Store, search: Search, points: frozenset[str] | None, after: str | None = None
) -> Found:
    """Return a page of decisions, newest first, by at most two queries.

    Args:
        points: Those that may be seen; None: all.
        after: Id of the decision that the page begins behind.
    """
    conditions, bounds = search.conditions(points), search.bounds(after)
    floor = None
    if search.case is not None:
        conditions += equals(case_id=search.case)
    elif conditions:
        (ids,) = await store.columns(
            DecisionRow, ("id",), *bounds, descending=True, limit=LOOK_BACK
        )
        if len(ids) == LOOK_BACK:
            floor = ids[-1]
            bounds = (*(one for one in bounds if one.op == "<"), Where("id", ">=", floor))
    rows = await store.select(
        DecisionRow, *conditions, *bounds, order=("id",), descending=True, limit=PAGE_COUNT + 1
    )
    if len(rows) > PAGE_COUNT:
        shown = tuple(rows[:PAGE_COUNT])
        return Found(shown, shown[-1].id, None)
    return Found(tuple(rows), floor, None if floor is None else ulid_ms(floor))


def _of_model(name: str, number: int | None) -> Bound:
    return (
        equals(model_name=name) if number is None else equals(model_name=name, model_number=number)
    )


def _moment_faults(moments: Mapping[str, int | None]) -> Iterator[Fault]:
    since, until = moments["from"], moments["to"]
    for name, at_ms in moments.items():
        if at_ms is not None and not 0 <= at_ms < 2**48:
            yield Fault(name, "lies beyond what an id can hold: years 1970 to 10889")
    if since is not None and until is not None and since >= until:
        yield Fault("to", "is not after `from`")
