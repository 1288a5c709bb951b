"""What every part of a scenario is: a frozen value that refuses keys it does not know, with files beside the scenario's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

FOLDER = "folder"
"""Key of a validation's context: where relative paths start; without it, the working folder."""


class Part(BaseModel):
    """A part of a scenario."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _placed(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get(FOLDER)
    return path if folder is None or path.is_absolute() else Path(folder) / path


InFolder = Annotated[Path, AfterValidator(_placed)]
