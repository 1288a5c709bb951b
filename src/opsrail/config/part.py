"""What every trade's settings are."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """One trade's settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def hidden(description: str) -> Any:
    """Return a setting that is never shown; the file names where it is instead."""
    told = f"{description}; a reference `env:NAME` or `file:PATH`"
    return Field("", repr=False, description=told)
