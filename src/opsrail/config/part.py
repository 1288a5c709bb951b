"""What every trade's settings are."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json


class Part(BaseModel):
    """One trade's settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def from_text(value: Any) -> Any:
    """Return a table of names and values that may be written as JSON, as in a variable of the environment."""
    if not isinstance(value, str):
        return value
    try:
        return from_json(value)
    except ValueError as wrong:
        raise ValueError(f'write it as JSON, e.g. {{"claims-desk": 0.05}}: {wrong}') from wrong


def hidden(description: str) -> Any:
    """Return a setting that is never shown; the file names where it is instead."""
    told = f"{description}; a reference `env:NAME` or `file:PATH`"
    return Field("", repr=False, description=told)
