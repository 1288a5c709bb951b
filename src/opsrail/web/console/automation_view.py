"""What an automation's page says, from its latest cases and their journals. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opsrail.cases.definition import Automation
from opsrail.decide.point import DecisionPoint
from opsrail.errors import InvalidInput
from opsrail.values.cases import CaseRow
from opsrail.values.changes import SettingsRow
from opsrail.values.registry import RolloutRow
from opsrail.values.rollouts import GuaranteeRow
from opsrail.values.settings import PointSettings, settings_of
from opsrail.watch.guarantees import standing_of

STAGES = ("live", "canary", "standby", "shadow")


class DefinitionSeen(NamedTuple):
    """One state of an automation's code, among the latest cases.

    Attributes:
        is_current: Whether this process carries cases by it.
        first_ms, last_ms: When the first and the last of these cases was accepted.
    """

    digest: str
    is_current: bool
    cases: int
    first_ms: int
    last_ms: int


class PointSeen(NamedTuple):
    """One decision point of an automation.

    Attributes:
        standing: Versions that stand at a stage, `live` first.
        settings: What holds instead of its code; None: nothing.
        is_open: Whether who looks may know what stands there and holds.
        deadline_ms: What holds, from settings or code.
    """

    name: str
    is_defined: bool
    impact: str
    deadline_ms: int | None
    standing: tuple[RolloutRow, ...]
    settings: PointSettings | None
    bands: tuple[tuple[str, float], ...]
    guarantees: tuple[tuple[str, bool], ...]
    is_open: bool = True


def definitions_of(
    automation: Automation[Any, Any], cases: Sequence[CaseRow]
) -> list[DefinitionSeen]:
    """Return the states of the code, newest first."""
    moments: dict[str, list[int]] = {}
    for row in cases:
        moments.setdefault(row.definition, []).append(row.accepted_at_ms)
    seen = [
        DefinitionSeen(digest, digest == automation.digest, len(each), min(each), max(each))
        for digest, each in moments.items()
    ]
    return sorted(seen, key=lambda one: -one.last_ms)


def point_of(
    name: str,
    known: DecisionPoint[Any] | None,
    rollouts: Sequence[RolloutRow],
    settings: Sequence[SettingsRow],
    guarantees: Sequence[GuaranteeRow],
) -> PointSeen:
    """Return how a point stands; rows of other points are left out."""
    held = next((_settings(row) for row in settings if row.point == name), None)
    standing = sorted(
        (row for row in rollouts if row.point == name and row.stage in STAGES),
        key=lambda row: (STAGES.index(row.stage), row.at_ms),
    )
    bands: tuple[Any, ...] = () if known is None else tuple(known.policy.bands)
    if held is not None and held.bands is not None:
        bands = held.bands
    deadline_ms = None if known is None else known.deadline_ms
    if held is not None and held.deadline_ms is not None:
        deadline_ms = held.deadline_ms
    return PointSeen(
        name,
        known is not None,
        "" if known is None else known.impact,
        deadline_ms,
        tuple(standing),
        held,
        tuple((band.verdict, band.below) for band in bands),
        tuple(_promise(row) for row in guarantees if row.point == name),
    )


def _settings(row: SettingsRow) -> PointSettings | None:
    try:
        return settings_of(row.content, row.revision)
    except InvalidInput:
        return None


def _promise(row: GuaranteeRow) -> tuple[str, bool]:
    """Return a guarantee in a sentence, and whether it is broken."""
    try:
        return standing_of(row).sentence(), row.broken_at_ms is not None
    except InvalidInput:
        return f"guarantee {row.id} cannot be read", row.broken_at_ms is not None


def states_of(cases: Sequence[CaseRow]) -> Mapping[str, int]:
    """Return how many cases stand where, most first."""
    counts: dict[str, int] = {}
    for row in cases:
        counts[row.state] = counts.get(row.state, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
