"""What every trade's settings are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """One trade's settings: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
