"""What a change may ask for, checked whole before it becomes a plan. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from opsrail.errors import Fault, InvalidInput
from opsrail.registry.rollout import Stage
from opsrail.values.bands import Band
from opsrail.values.canonical import canonical
from opsrail.values.decisions import Impact
from opsrail.values.guarantees import guarantee_of
from opsrail.values.guards import guard_of
from opsrail.values.settings import AUTONOMIES, settings_faults
from opsrail.values.versions import VERSION, version_of

SETTING_OF: Mapping[str, str] = {
    "bands": "bands",
    "deadline": "deadline_ms",
    "autonomy": "autonomy",
}
"""Kinds of changes that alter a point's settings, and which of them."""
KINDS = ("promote", *SETTING_OF)
FIELDS: Mapping[str, frozenset[str]] = {
    "promote": frozenset({"model", "stage", "share", "steps", "guard"}),
    "bands": frozenset({"bands", "guarantee"}),
    "deadline": frozenset({"deadline_ms"}),
    "autonomy": frozenset({"autonomy", "level", "where"}),
}
POINT = re.compile(r"[a-z][a-z0-9-]{0,62}")
MOST_STEPS = 20
LONGEST_HOLD_S = 90 * 86_400
REASON_CHARACTERS = 4_000
NAME_CHARACTERS = 200
LARGEST_BYTES = 200_000
"""Of what is asked for and attached, as JSON. Ours: a back-test's summary with its segments takes 20 kB."""


class Declared(NamedTuple):
    """What the code says of a decision point, as far as changes look at it.

    Attributes:
        arm_of: A recorded request's values -> what a canary's choice hangs on; None: the case, or the correlation id.
    """

    impact: Impact
    bands: tuple[Band, ...]
    deadline_ms: int
    verdicts: tuple[str, ...]
    review: str
    fields: frozenset[str]
    segments: tuple[str, ...] = ()
    arm_of: Callable[[Mapping[str, Any]], str | None] | None = None


class Wish(NamedTuple):
    """A change that somebody wants.

    Attributes:
        content: What of, by kind; see `FIELDS`.
        backtest: What the whole history says of it, where that was looked at.
    """

    point: str
    kind: str
    content: Mapping[str, Any]
    by: str
    reason: str
    backtest: Mapping[str, Any] | None = None


def check(wish: Wish, declared: Declared | None) -> None:
    """Raise InvalidInput with everything that is wrong with a wish. Terminal.

    Args:
        declared: What the point's code says; None: it is not at hand.
    """
    found = [*_who_faults(wish.by, wish.reason)]
    if not POINT.fullmatch(wish.point):
        found.append(Fault("point", f"{wish.point[:80]!r} is no name of a decision point"))
    if wish.kind not in KINDS:
        found.append(Fault("kind", f"{wish.kind[:40]!r} is none of {', '.join(KINDS)}"))
    else:
        found += _content_faults(wish.kind, wish.content)
        if not found and declared is not None:
            found += _declared_faults(wish, declared)
    if found:
        raise InvalidInput(f"no change of {wish.point[:63]!r} was planned", found)


def check_word(what: str, by: str, reason: str) -> None:
    """Raise InvalidInput unless it is said who acts and why. Terminal."""
    if found := list(_who_faults(by, reason)):
        raise InvalidInput(f"{what} was left as it is", found)


def asked_version(content: Mapping[str, Any]) -> tuple[str, int]:
    """Return name and number of the version that a checked `promote` asks for."""
    return version_of(str(content["model"]))


def _who_faults(by: str, reason: str) -> Iterator[Fault]:
    if not 1 <= len(by.strip()) <= NAME_CHARACTERS:
        yield Fault("by", f"say who, in 1 to {NAME_CHARACTERS} characters")
    if not 1 <= len(reason.strip()) <= REASON_CHARACTERS:
        yield Fault("reason", f"say why, in 1 to {REASON_CHARACTERS:,} characters")


def _content_faults(kind: str, content: Mapping[str, Any]) -> Iterator[Fault]:
    if len(canonical(dict(content))) > LARGEST_BYTES:
        yield Fault("", f"is longer than {LARGEST_BYTES:,} bytes")
        return
    for name in content.keys() - FIELDS[kind]:
        known = ", ".join(sorted(FIELDS[kind]))
        yield Fault(str(name)[:63], f"says nothing in a change of kind {kind!r}; it takes {known}")
    if kind == "promote":
        yield from _promote_faults(content)
        return
    name = SETTING_OF[kind]
    if kind == "autonomy" and name not in content:
        yield from _level_faults(content)
    elif name not in content:
        yield Fault(name, "is missing; null stands for what the code says")
    else:
        yield from settings_faults({name: content[name]})
    yield from _guarantee_faults(content.get("guarantee"))


def _promote_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    model, stage = content.get("model"), content.get("stage", "live")
    if not isinstance(model, str) or not VERSION.fullmatch(model):
        yield Fault("model", f"{model!r} names no version; write e.g. claims-fraud/7")
    if stage not in list(Stage):
        yield Fault("stage", f"{stage!r} is none of {', '.join(Stage)}")
    share, steps = content.get("share"), content.get("steps")
    if stage == "canary" and not _is_share(share):
        yield Fault("share", f"{share!r} is not above 0 and up to 1")
    if stage != "canary" and share is not None:
        yield Fault("share", "goes with stage 'canary'; a version on its way to live takes `steps`")
    if steps is not None and stage != "live":
        yield Fault("steps", f"lead to live, not to {stage!r}")
    if steps is not None:
        yield from _steps_faults(steps)
    elif content.get("guard") is not None:
        yield Fault("guard", "watches a version that goes live in `steps`; there are none")
    yield from _read_faults("guard", lambda: guard_of(content.get("guard") or {}))


def _guarantee_faults(found: object) -> Iterator[Fault]:
    for position, one in enumerate(found if isinstance(found, list) else [found] if found else []):
        place = f"guarantee[{position}]" if isinstance(found, list) else "guarantee"
        yield from _read_faults(place, partial(guarantee_of, one))


def _read_faults(place: str, read: Callable[[], object]) -> Iterator[Fault]:
    """Yield what whoever watches it would not be able to read."""
    try:
        read()
    except InvalidInput as wrong:
        for fault in wrong.faults:
            yield Fault(f"{place}.{fault.place}", fault.message)


def _steps_faults(steps: object) -> Iterator[Fault]:
    if not isinstance(steps, list) or not 1 <= len(steps) <= MOST_STEPS:
        yield Fault("steps", f"are no list of 1 to {MOST_STEPS} of {{share, hold_s}}")
        return
    floor = 0.0
    for position, step in enumerate(steps):
        place = f"steps[{position}]"
        if not isinstance(step, dict) or step.keys() != {"share", "hold_s"}:
            yield Fault(place, "is not {share, hold_s}")
            continue
        share, hold_s = step["share"], step["hold_s"]
        if not _is_share(share) or not floor < share < 1:
            yield Fault(f"{place}.share", f"{share!r} is not above {floor:g} and below 1")
        else:
            floor = share
        if not _is_number(hold_s) or not 0 <= hold_s <= LONGEST_HOLD_S:
            yield Fault(f"{place}.hold_s", f"{hold_s!r} is not in 0..{LONGEST_HOLD_S} seconds")


def _level_faults(content: Mapping[str, Any]) -> Iterator[Fault]:
    level, where = content.get("level"), content.get("where", {})
    if level not in AUTONOMIES:
        yield Fault("level", f"{level!r} is none of {', '.join(AUTONOMIES)}")
    if not isinstance(where, dict):
        yield Fault("where", "is no object of fields and values")


def _declared_faults(wish: Wish, declared: Declared) -> Iterator[Fault]:
    content = wish.content
    for position, band in enumerate(content.get("bands") or ()):
        if band["verdict"] not in declared.verdicts:
            known = ", ".join(declared.verdicts)
            text = f"the code knows no verdict {band['verdict']!r}; it knows {known}"
            yield Fault(f"bands[{position}]", text)
    if wish.kind != "autonomy":
        return
    segments: Sequence[Mapping[str, Any]] = content.get("autonomy") or ()
    asked = [(f"autonomy[{n}].where", each["where"]) for n, each in enumerate(segments)]
    for place, where in [*asked, ("where", content.get("where", {}))]:
        for name in where.keys() - declared.fields:
            yield Fault(place, f"the request of {wish.point} has no field {name!r}")
    if declared.review not in declared.verdicts:
        yield Fault(
            "autonomy",
            f"the policy never says {declared.review!r}, with which people are asked; name the verdict that it knows: "
            "Policy(review=...)",
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0.0 < value <= 1.0
