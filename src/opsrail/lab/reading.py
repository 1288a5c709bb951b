"""A scenario from a TOML or JSON file: checked whole, every fault at once, nothing run before."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from opsrail.errors import Fault, InvalidInput
from opsrail.lab.parts import FOLDER
from opsrail.lab.scenario import FAULTS, Scenario

MOST_BYTES = 1_000_000
WRONG = "the scenario cannot be simulated; nothing was run"


def read(path: Path) -> Scenario:
    """Return the scenario of a `.toml` or `.json` file.

    Raises:
        InvalidInput: it is none; every fault with its place. Terminal: mend them.
    """
    if path.suffix.lower() not in {".toml", ".json"}:
        raise InvalidInput(WRONG, [Fault(str(path), "its name ends in neither .toml nor .json")])
    if path.stat().st_size > MOST_BYTES:
        raise InvalidInput(WRONG, [Fault(str(path), f"is above {MOST_BYTES:,} bytes")])
    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (
        ValueError,
        RecursionError,
    ) as wrong:  # TOML's, JSON's and UTF-8's faults are ValueErrors
        raise InvalidInput(WRONG, [Fault(str(path), str(wrong))]) from wrong
    return scenario_of(found, path.parent)


def scenario_of(found: object, folder: Path | None = None) -> Scenario:
    """Return the scenario that plain values describe.

    Args:
        folder: Where relative paths start; None: the working folder.

    Raises:
        InvalidInput: it is none; every fault with its place. Terminal: mend them.
    """
    try:
        return Scenario.model_validate(found, context={FOLDER: folder})
    except ValidationError as wrong:
        raise InvalidInput(WRONG, list(_faults(wrong))) from wrong


def changed(scenario: Scenario, changes: Mapping[str, object]) -> Scenario:
    """Return a scenario with other values at some dotted places, e.g. `policy.queue`, `devices.0.count`.

    Raises:
        InvalidInput: a place or a value is wrong. Terminal.
    """
    plain = scenario.model_dump()
    faults = [
        Fault(place, "is no place of this scenario")
        for place, value in changes.items()
        if not _put(plain, place.split("."), value)
    ]
    if faults:
        raise InvalidInput(WRONG, faults)
    return scenario_of(plain)


def example() -> str:
    """Return a scenario file that shows every part."""
    return files("opsrail.lab").joinpath("example.toml").read_text(encoding="utf-8")


def example_scenario() -> Scenario:
    """Return what the example file says."""
    return scenario_of(tomllib.loads(example()))


def _put(plain: Any, way: list[str], value: object) -> bool:
    """Put a value where the way leads; False: it leads nowhere."""
    for step in way[:-1]:
        plain = _at(plain, step)
    last = way[-1]
    if isinstance(plain, dict) and last in plain:
        plain[last] = value
        return True
    return False


def _at(plain: Any, step: str) -> Any:
    if isinstance(plain, dict):
        return plain.get(step)
    if isinstance(plain, list | tuple):
        if step.isdecimal():
            return plain[int(step)] if int(step) < len(plain) else None
        return next(
            (one for one in plain if isinstance(one, dict) and one.get("name") == step), None
        )
    return None


def _faults(wrong: ValidationError) -> Iterator[Fault]:
    errors = wrong.errors(include_url=False)
    for error in errors:
        length = len(error["loc"])
        within = [one for one in errors if one["loc"][:length] == error["loc"] != one["loc"]]
        if error["type"] == "too_short" and within:
            continue  # a list is counted without what is wrong in it
        listed = (error.get("ctx") or {}).get(FAULTS)
        if listed:
            yield from listed
        else:
            yield Fault(".".join(map(str, error["loc"])), error["msg"])
