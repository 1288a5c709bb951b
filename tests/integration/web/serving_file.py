"""A child process that serves an author's file from a folder: `python -m tests.integration.web.serving_file FOLDER FILE`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from opsrail.app import build
from opsrail.cases.loader import load_file
from opsrail.config import load
from opsrail.web.server import serve

if __name__ == "__main__":
    app = build(load()[0], Path(sys.argv[1]), load_file(Path(sys.argv[2])), runs=True)
    asyncio.run(serve(app, port=0, announce=partial(print, flush=True)))
