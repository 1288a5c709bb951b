"""A child process that serves the claims automation from a folder: `python -m tests.integration.web.serving FOLDER`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from opsrail.app import build
from opsrail.cases.loader import collect
from opsrail.config import load
from opsrail.web.server import serve
from tests.unit.web import claims

if __name__ == "__main__":
    config, _ = load()
    if "slow" in sys.argv:
        claims.GATE.clear()
        claims.PATIENCE_S = 4.0
    app = build(config, Path(sys.argv[1]), collect(claims), runs=True)
    asyncio.run(serve(app, port=0, announce=partial(print, flush=True)))
