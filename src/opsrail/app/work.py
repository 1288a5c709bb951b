"""What the work of a command and of a job is given and gives back; each kind of work is a file beside this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypeAliasType

from opsrail.values.canonical import LARGEST_INTEGER

Ticks = Callable[[float, float, str], None]
"""Told how far work is: done, total, and a few words."""
MODEL = r"[a-z][a-z0-9-]{0,62}[/@][1-9][0-9]{0,8}"
FILE_ID = "[0-9A-HJKMNP-TV-Z]{26}"
DIGEST = "sha256:[0-9a-f]{64}"
POINT = "[a-z][a-z0-9-]{0,62}"
FIELD = "[A-Za-z_][A-Za-z0-9_]{0,99}"
FileId = Annotated[
    str, StringConstraints(pattern=f"^{FILE_ID}$"), Field(description="Of `POST /v1/files`")
]
Digest = Annotated[str, StringConstraints(pattern=f"^{DIGEST}$")]


Number = Annotated[float, Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
Whole = Annotated[int, Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | bool | Whole | Number | str | None")
"""Any JSON value whose numbers every reader understands the same way (RFC 7493)."""


class Part(BaseModel):
    """A part of what a job is asked."""

    model_config = ConfigDict(extra="forbid")


class Bench(NamedTuple):
    """Where a job works.

    Attributes:
        data: Folder of the installation.
        desk: Folder of this job alone, removed after it.
        tick: Takes how far it is.
    """

    data: Path
    desk: Path
    tick: Ticks


class Made(NamedTuple):
    """What came of a job.

    Attributes:
        result: As plain JSON.
        file: That it made, in `desk`; None: none.
    """

    result: Mapping[str, Any]
    file: Path | None = None
    media: str = ""
