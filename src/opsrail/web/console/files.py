"""The console's own style sheet and scripts, served from memory under addresses that name their content."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from opsrail.web.door import Operation

STATIC = Path(__file__).parent / "static"
FOLDER = "/console/static/"
MEDIA = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
KEPT_S = 31_536_000
"""How long a browser keeps a file under an address that names its content: a year, the longest that caches honour."""


@cache
def contents() -> dict[str, bytes]:
    """Return every file by name."""
    return {
        each.name: each.read_bytes() for each in sorted(STATIC.iterdir()) if each.suffix in MEDIA
    }


@cache
def address_of(name: str) -> str:
    """Return where a browser finds a file; another content has another address."""
    digest = hashlib.sha256(contents()[name]).hexdigest()[:16]
    return f"{FOLDER}{name}?v={digest}"


async def serve(request: Request) -> Response:
    """Answer with the file that the path names."""
    name = request.url.path.removeprefix(FOLDER)
    is_named = request.url.query == address_of(name).partition("?")[2]
    kept = f"public, max-age={KEPT_S}, immutable" if is_named else "no-cache"
    headers = {"cache-control": kept}
    return Response(contents()[name], 200, headers, media_type=MEDIA[Path(name).suffix])


def operations() -> list[Operation]:
    """Return what is served, a path a file; the page where people sign in needs them too."""
    return [
        Operation(
            "GET", FOLDER + name, "console_file", "A file.", serve, is_open=True, is_told=False
        )
        for name in contents()
    ]
