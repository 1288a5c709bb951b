"""docs/http.md tells of every path, and of every command's path."""

from __future__ import annotations

import re

import httpx

from tests.house.source import ROOT
from tests.unit.web.conftest import app_of, client_of

PAGE = (ROOT / "docs/http.md").read_text(encoding="utf-8")
PARAMETER = re.compile(r"\{[a-z_]+\}")


async def test_every_path_is_told() -> None:
    client: httpx.AsyncClient = client_of(app_of())
    paths = (await client.get("/v1/openapi.json")).json()["paths"]
    text = PARAMETER.sub("{}", PAGE)
    last = {path: PARAMETER.sub("{}", path).rstrip("/").rpartition("/")[2] for path in paths}
    own = ("claims-intake", "slow", "broken", "fraud-risk")  # those of the file, told as a template

    untold = [
        path
        for path, end in last.items()
        if not any(name in path for name in own)
        and not path.startswith("/v2")
        and PARAMETER.sub("{}", path) not in text
        and f"/{end}" not in text
    ]
    assert untold == []
