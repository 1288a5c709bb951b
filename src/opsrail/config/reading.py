"""Reads the settings. The only reader of the environment.

Order: defaults, then the file (`opsrail.toml` in the working folder, or `--config`), then `OPSRAIL_<TRADE>__<NAME>`. Unknown
keys are refused.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from opsrail.config.parts import Config, Part
from opsrail.errors import ConfigInvalid, Fault

PREFIX = "OPSRAIL_"
FILE = "opsrail.toml"
NOT_SETTINGS = frozenset({"CRASH_AT", "CI"})


def load(
    path: Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Config, dict[str, str]]:
    """Return the settings and where each that is not a default came from (`web.port` -> `opsrail.toml`).

    Args:
        path: Settings file; None: `opsrail.toml` in the working folder if there.
        environ: Stands in for the process's environment.

    Raises:
        ConfigInvalid: every unknown key and value out of bounds, with its origin. Terminal.
    """
    tree, origins = _from_file(path)
    for name, value in (os.environ if environ is None else environ).items():
        trade, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if name.startswith(PREFIX) and key and name.removeprefix(PREFIX) not in NOT_SETTINGS:
            *pool, key = key.split("__", 1)  # OPSRAIL_POOLS__<NAME>__<SETTING>
            part = tree.setdefault(trade, {})
            for each in pool:
                part = part.setdefault(each, {})
            part[key] = value
            origins[".".join((trade, *pool, key))] = name
    try:
        return Config.model_validate(tree), origins
    except ValidationError as wrong:
        found = []
        for error in wrong.errors(include_url=False, include_input=False):
            place = ".".join(str(part) for part in error["loc"])
            message = (
                "no such setting; see `opsrail config show`"
                if error["type"] == "extra_forbidden"
                else error["msg"].removeprefix("Value error, ")
            )
            found.append(
                Fault(
                    place,
                    f"{message} (from {_origin(place, origins)})",
                )
            )
        raise ConfigInvalid("the settings are not usable", found) from wrong


def _origin(place: str, origins: dict[str, str]) -> str:
    """Return where a setting comes from, or the first of those within it."""
    within = (origin for key, origin in origins.items() if key.startswith(f"{place}."))
    return origins.get(place) or next(within, "the settings file")


def _from_file(path: Path | None) -> tuple[dict[str, Any], dict[str, str]]:
    chosen = path or Path(FILE)
    if not chosen.is_file():
        if path is not None:
            raise ConfigInvalid(f"settings file {path} does not exist")
        return {}, {}
    try:
        tree = tomllib.loads(chosen.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise ConfigInvalid(f"settings file {chosen} cannot be read: {wrong}") from wrong
    origins = {
        f"{trade}.{key}": str(chosen)
        for trade, part in tree.items()
        if isinstance(part, dict)
        for key in _keys(part)
    }
    return tree, origins


def _keys(part: Mapping[str, Any]) -> list[str]:
    """Return the names of a part's settings; of a pool's with the pool before them."""
    return [
        f"{key}.{inner}" if inner else key
        for key, value in part.items()
        for inner in (value if isinstance(value, dict) else ("",))
    ]


def parts(config: Config) -> Iterator[tuple[str, Part]]:
    """Yield every part with the name of its table, `decide` or `pools.gpu`."""
    for trade in type(config).model_fields:
        part = getattr(config, trade)
        if isinstance(part, Part):
            yield trade, part
        else:
            yield from ((f"{trade}.{name}", each) for name, each in part.items())


def resolved(reference: str, environ: Mapping[str, str] | None = None) -> str:
    """Return what a secret's reference stands for: `env:NAME`, `file:PATH`, or the text itself.

    Raises:
        ConfigInvalid: the variable is unset or the file cannot be read; the message never holds the secret. Terminal.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = (os.environ if environ is None else environ).get(name)
        if value is None:
            raise ConfigInvalid(f"secret {reference}: the environment has no {name}")
        return value
    if kind == "file":
        try:
            return Path(name).read_text(encoding="utf-8").strip()
        except OSError as wrong:
            raise ConfigInvalid(f"secret {reference}: {wrong.strerror}") from wrong
    return reference


CHILD_ENVIRONMENT = (
    "PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS",
)  # fmt: skip
"""What a model's process is told of the environment: how to find libraries and devices. No secret is among it."""


def child_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that a model's process gets."""
    known = os.environ if environ is None else environ
    return {name: known[name] for name in CHILD_ENVIRONMENT if name in known}


def crash_points(environ: Mapping[str, str] | None = None) -> str:
    """Return what `OPSRAIL_CRASH_AT` asks for; empty outside of crash tests."""
    return (os.environ if environ is None else environ).get("OPSRAIL_CRASH_AT", "")
