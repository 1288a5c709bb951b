"""What held at a decision point at any moment: who answered, who stood beside, and by which settings.

Each change says where all versions stand after it, so that one look-up in an index tells, however many changes there were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from opsrail.clock import epoch_ms, rfc3339, rfc3339_or_none
from opsrail.errors import Fault, InvalidInput, NotFound
from opsrail.ports import Store
from opsrail.values.changes import SettingsChangeRow
from opsrail.values.registry import RolloutChangeRow
from opsrail.values.rows import Where, equals

ORDER = ("at_ms", "revision")
AHEAD_MS = 60_000
"""How far the clock of whoever asks may be ahead of ours. Ours."""


class Stood(NamedTuple):
    """One version where it stood.

    Attributes:
        share: Part of the requests it answered.
        since_ms: Since when it stood there so, epoch ms.
    """

    stage: str
    name: str
    number: int
    share: float
    since_ms: int

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "stage": self.stage,
            "model_name": self.name,
            "model_number": self.number,
            "share": self.share,
            "since": rfc3339(self.since_ms),
        }


@dataclass(frozen=True, slots=True)
class Held:
    """What held at one moment.

    Attributes:
        change: The rollout's last change before it; None: there was none yet.
        standing: Versions at each stage but `retired`.
        settings: The last change of the settings before it; None: all was as in the code.
        until_ms: When the rollout or the settings were changed next, epoch ms; None: they still hold.
    """

    point: str
    at_ms: int
    change: RolloutChangeRow | None
    standing: tuple[Stood, ...]
    settings: SettingsChangeRow | None
    until_ms: int | None

    def at(self, stage: str) -> list[Stood]:
        """Return who stood at a stage."""
        return [stood for stood in self.standing if stood.stage == stage]

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        live, canary = self.at("live"), self.at("canary")
        settings = self.settings
        return {
            "point": self.point,
            "at": rfc3339(self.at_ms),
            "until": rfc3339_or_none(self.until_ms),
            "revision": 0 if self.change is None else self.change.revision,
            "live": live[0].record() if live else None,
            "canary": canary[0].record() if canary else None,
            "standby": [stood.record() for stood in self.at("standby")],
            "shadow": [stood.record() for stood in self.at("shadow")],
            "settings": None if settings is None else orjson.loads(settings.content),
            "settings_revision": 0 if settings is None else settings.revision,
        }


def moment_of(text: str, now_ms: int, place: str) -> int:
    """Return the moment of the past that a text names, epoch ms; without an offset it is UTC.

    Args:
        place: What it was given for, for the error.

    Raises:
        InvalidInput: it names no moment, or one that has not come. Terminal.
    """
    at_ms = epoch_ms(text, place)
    if at_ms > now_ms + AHEAD_MS:
        told = f"{rfc3339(at_ms)} has not come; it is {rfc3339(now_ms)}"
        raise InvalidInput("what will hold is not known", [Fault(place, told)])
    return at_ms


async def held_at(store: Store, point: str, at_ms: int) -> Held:
    """Return what held at a point at a moment.

    Args:
        at_ms: Epoch ms; a change of that very millisecond counts.

    Raises:
        NotFound: no version ever stood at the point and no setting was ever changed. Terminal.
    """
    of_point = equals(point=point)
    until, since = Where("at_ms", "<=", at_ms), Where("at_ms", ">", at_ms)
    before: list[Any] = []
    after: list[int] = []
    tables: tuple[type[Any], ...] = (RolloutChangeRow, SettingsChangeRow)
    for table in tables:
        last = await store.select(table, *of_point, until, order=ORDER, descending=True, limit=1)
        following = await store.select(table, *of_point, since, order=ORDER, limit=1)
        before.append(last[0] if last else None)
        after += [row.at_ms for row in following]
    change, settings = before
    if change is None and settings is None and not after:
        raise NotFound(f"nothing was ever changed at {point[:63]!r}; see `opsrail models list`")
    standing = (
        () if change is None else tuple(Stood(**one) for one in orjson.loads(change.standing))
    )
    return Held(point, at_ms, change, standing, settings, min(after, default=None))


async def changes_until(store: Store, point: str, at_ms: int, limit: int) -> list[RolloutChangeRow]:
    """Return the rollout's changes up to a moment, newest first."""
    until = Where("at_ms", "<=", at_ms)
    return await store.select(
        RolloutChangeRow, *equals(point=point), until, order=ORDER, descending=True, limit=limit
    )


def change_record(row: RolloutChangeRow) -> dict[str, Any]:
    """Return a change as plain JSON values."""
    plain = row._asdict()
    plain["standing"] = [Stood(**one).record() for one in orjson.loads(row.standing)]
    plain["at"] = rfc3339(plain.pop("at_ms"))
    return {**plain, "stage": str(row.stage)}
