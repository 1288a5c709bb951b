"""Outcomes from a file: every row is checked before the first one is written, and a row that is there is not written again.

Rows are read twice, once to check, once to write, so that a file of any length takes little memory: of each row its
decision, name and value are kept to find those that contradict each other. A run that was stopped is begun again with the
same file: what stands already as the file says is passed over.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from opsrail.clock import Clock, epoch_ms
from opsrail.decide.outcomes import Told, faults_of, plain, row_of, standing
from opsrail.errors import Fault, InvalidInput
from opsrail.ports import Store
from opsrail.review.labels import writes
from opsrail.values.cases import KeyRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.rows import Where

PAGE_ROWS = 500
"""Rows in one commit. Ours, as of a file of cases: one fsync for about half a megabyte."""
MOST_FAULTS = 1_000
"""Faults that are told one by one; more are told by their number. Ours."""
MOST_OF_A_DECISION = 1_000
WORDS: Mapping[str, float] = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
COLUMNS = ("decision_id", "case_key", "name", "value", "source", "ratio", "known_at", "by")


class GivenRow(NamedTuple):
    """One row as it stands in a file.

    Attributes:
        line: Where it begins, counted from 1.
        values: By column, as `COLUMNS`; text, numbers, or nothing.
        faults: Why it could not be read.
    """

    line: int
    values: Mapping[str, Any]
    faults: Sequence[Fault] = ()


class Defaults(NamedTuple):
    """What holds where a row does not say.

    Attributes:
        automation: Whose case keys `case_key` means.
        point: Of the decisions of a case, those made here; None: a case that made one decision.
    """

    by: str
    name: str | None = None
    source: str = "import"
    ratio: float = 1.0
    automation: str | None = None
    point: str | None = None


class Imported(NamedTuple):
    """What an import did.

    Attributes:
        rows: Rows in the file.
        recorded: Written by this run.
        unchanged: Stood as the file says before.
    """

    rows: int
    recorded: int
    unchanged: int


Reading = Callable[[], Iterable[GivenRow]]
Progress = Callable[[str, int], None]
"""Called with `checked` or `written` and the number of rows so far."""


class OutcomeImport:
    """One file on its way in, over a store.

    Args:
        read: Returns the rows from the first one on; called twice.
        progress: Called after each page.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        read: Reading,
        defaults: Defaults,
        progress: Progress = lambda what, count: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._read = read
        self._defaults = defaults
        self._progress = progress

    async def run(self) -> Imported:
        """Check every row, then write what does not stand yet, page by page.

        Raises:
            InvalidInput: rows are faulty: all of them, with their lines. Terminal: nothing was written.
            StoreUnavailable: pages before this one are written; run it again to go on.
        """
        await self._check()
        row_count = recorded = 0
        for page in _pages(self._read()):
            wrong, told = await self._resolved(page)
            if wrong:
                raise InvalidInput(
                    f"the file changed while it was read; {recorded:,} rows are written, run it again",
                    wrong,
                )
            fresh = await self._fresh([one for _, one in told])
            if fresh:
                await self._store.commit([write for row in fresh for write in writes(row)])
            row_count += len(page)
            recorded += len(fresh)
            self._progress("written", row_count)
            await asyncio.sleep(0)
        return Imported(row_count, recorded, row_count - recorded)

    async def _check(self) -> None:
        found: list[Fault] = []
        count = 0
        seen: dict[tuple[str, str], tuple[int, float]] = {}
        for page in _pages(self._read()):
            wrong, told = await self._resolved(page)
            for line, one in told:
                wrong += _contradiction(seen, line, one)
            found += wrong[: max(0, MOST_FAULTS - len(found))]
            count += len(wrong)
            self._progress("checked", page[-1].line)
            await asyncio.sleep(0)
        if count > len(found):
            found.append(Fault("", f"and {count - len(found):,} faults more"))
        if found:
            raise InvalidInput("nothing was imported: mend every line that is listed", found)

    async def _resolved(
        self, page: Sequence[GivenRow]
    ) -> tuple[list[Fault], list[tuple[int, Told]]]:
        """Return the faults of a page's rows, and what the good ones say, with their lines."""
        found: list[Fault] = []
        read: list[tuple[int, Told]] = []
        keys = await self._decided([str(row.values.get("case_key") or "") for row in page])
        for row in page:
            told, wrong = self._told(row, keys)
            found += wrong
            if told is not None:
                read.append((row.line, told))
        decided_at_ms = await self._decided_at([told.decision_id for _, told in read])
        good = []
        for line, told in read:
            at_ms = decided_at_ms.get(told.decision_id)
            wrong = list(faults_of(row_of(told, "", self._clock.now_ms()), at_ms))
            if at_ms is None:
                wrong.append(Fault("decision_id", f"no decision {told.decision_id[:63]!r}"))
            found += [_at(line, fault) for fault in wrong]
            if not wrong:
                good.append((line, told))
        return found, good

    def _told(
        self, row: GivenRow, keys: Mapping[str, list[str]]
    ) -> tuple[Told | None, list[Fault]]:
        """Return what a row says, or what is wrong with how it is written."""
        if row.faults:
            return None, [_at(row.line, fault) for fault in row.faults]
        given = {name: value for name, value in row.values.items() if value not in (None, "")}
        defaults, wrong = self._defaults, list(_unknown(row.values))
        value, ratio = _number(given.get("value")), _number(given.get("ratio", defaults.ratio))
        if value is None:
            wrong.append(Fault("value", f"{given.get('value')!r} is no number, yes or no"))
        if ratio is None:
            wrong.append(Fault("ratio", f"{given.get('ratio')!r} is no number"))
        known_at_ms = None
        if "known_at" in given:
            try:
                known_at_ms = epoch_ms(str(given["known_at"]), "known_at")
            except InvalidInput as unread:
                wrong += unread.faults
        name = given.get("name", defaults.name)
        if name is None:
            wrong.append(Fault("name", "is not told; give a column `name`, or --name"))
        decision_id = self._decision_id(given, keys, wrong)
        if wrong or value is None or ratio is None:
            return None, [_at(row.line, fault) for fault in wrong]
        source, by = given.get("source", defaults.source), given.get("by", defaults.by)
        told = Told(decision_id, str(name), value, str(source), str(by), ratio, known_at_ms)
        return told, []

    def _decision_id(
        self, given: Mapping[str, Any], keys: Mapping[str, list[str]], wrong: list[Fault]
    ) -> str:
        if ("decision_id" in given) == ("case_key" in given):
            wrong.append(Fault("decision_id", "give a decision_id or a case_key, one of them"))
            return ""
        if "decision_id" in given:
            return str(given["decision_id"])
        if self._defaults.automation is None:
            wrong.append(Fault("case_key", "of which automation? give --automation"))
            return ""
        key = str(given["case_key"])
        decisions = keys.get(key, [])
        if len(decisions) != 1:
            where = "" if self._defaults.point is None else f" at {self._defaults.point}"
            wrong.append(
                Fault(
                    "case_key",
                    f"the case {key[:63]!r} made {len(decisions)} decisions{where}; "
                    f"{'give --point, or ' if decisions and not where else ''}give the decision_id",
                )
                if key in keys
                else Fault(
                    "case_key", f"no case of {self._defaults.automation} has key {key[:63]!r}"
                )
            )
            return ""
        return decisions[0]

    async def _decided(self, keys: Sequence[str]) -> dict[str, list[str]]:
        """Return the decisions of the cases with these business keys."""
        wanted = tuple({key for key in keys if key})
        if not wanted or self._defaults.automation is None:
            return {}
        scope = Where("scope", "=", f"case:{self._defaults.automation}")
        rows = await self._store.select(
            KeyRow, scope, Where("key", "in", wanted), limit=len(wanted)
        )
        key_of = {row.subject_id: row.key for row in rows}
        found: dict[str, list[str]] = {row.key: [] for row in rows}
        where = [Where("case_id", "in", tuple(key_of))]
        if self._defaults.point is not None:
            where.append(Where("point", "=", self._defaults.point))
        if key_of:
            made = await self._store.count(DecisionRow, *where, by=("case_id", "id"))
            for case_id, decision_id in made:
                found[key_of[case_id]].append(decision_id)
        return found

    async def _decided_at(self, ids: Sequence[str]) -> dict[str, int]:
        """Return when the decisions were made that there are, epoch ms."""
        wanted = tuple(
            {decision_id for decision_id in ids if decision_id.isascii() and decision_id.isalnum()}
        )
        if not wanted:
            return {}
        where = Where("id", "in", wanted)
        made = await self._store.count(DecisionRow, where, by=("id", "at_ms"))
        return dict(made.keys())

    async def _fresh(self, told: Sequence[Told]) -> list[OutcomeRow]:
        """Return the rows of a page that do not stand yet as they are told."""
        held: dict[str, list[OutcomeRow]] = defaultdict(list)
        wanted = tuple({one.decision_id for one in told})
        rows = await self._store.select(
            OutcomeRow,
            Where("decision_id", "in", wanted),
            limit=MOST_OF_A_DECISION * len(wanted),
        )
        for row in rows:
            held[row.decision_id].append(row)
        fresh = []
        for one in dict.fromkeys(told):
            stands = standing(held[one.decision_id]).get(one.name)
            if stands is None or not _is_same(stands, one):
                row = plain(row_of(one, self._clock.new_id(), self._clock.now_ms()))
                held[one.decision_id].append(row)
                fresh.append(row)
        return fresh


def _pages(rows: Iterable[GivenRow]) -> Iterator[list[GivenRow]]:
    rest = iter(rows)
    while page := list(islice(rest, PAGE_ROWS)):
        yield page


def _contradiction(
    seen: dict[tuple[str, str], tuple[int, float]], line: int, told: Told
) -> Iterator[Fault]:
    """Yield the fault of a row that says otherwise than one before it."""
    before, value = seen.setdefault((told.decision_id, told.name), (line, told.value))
    if value != told.value:
        yield Fault(
            f"line {line}",
            f"value: {told.name} of decision {told.decision_id} is {value:g} in line {before}; keep one of them",
        )


def _is_same(row: OutcomeRow, told: Told) -> bool:
    known = told.known_at_ms is None or row.known_at_ms == told.known_at_ms
    said = (row.value, row.source, row.ratio)
    return known and said == (told.value, told.source, told.ratio)


def _unknown(values: Mapping[str, Any]) -> Iterator[Fault]:
    for name in values:
        if name not in COLUMNS:
            yield Fault(
                str(name)[:63], f"is no column of outcomes; there are: {', '.join(COLUMNS)}"
            )


def _number(given: object) -> float | None:
    """Return a number, or yes and no as 1 and 0; None when it is neither."""
    if isinstance(given, bool | int | float):
        return float(given)
    word = str(given).strip().lower()
    if word in WORDS:
        return WORDS[word]
    try:
        return float(word)
    except ValueError:
        return None


def _at(line: int, fault: Fault) -> Fault:
    if fault.place.startswith("line "):
        return fault
    return Fault(
        f"line {line}", f"{fault.place}: {fault.message}" if fault.place else fault.message
    )
