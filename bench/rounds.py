"""A round is a fresh process that measures one engine on one empty database and prints one line of JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ROUND_TIMEOUT_S = 1800


def ours(module: str, *args: object, status: int = 0) -> dict[str, Any]:
    """Run one of this package's modules in a process of its own; return what it printed."""
    return started([sys.executable, "-m", module], args, status=status)


def started(command: Sequence[str], args: Sequence[object], *, status: int = 0) -> dict[str, Any]:
    """Run a program and return the JSON object on its last line; its stderr is ours.

    Args:
        status: What it must end with; negative: killed by that signal.

    Raises:
        SystemExit: it failed; there is nothing to report.
    """
    done = subprocess.run(
        [*command, *map(str, args)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=ROUND_TIMEOUT_S,
        check=False,
    )
    if done.returncode != status or not done.stdout.strip():
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}; see above")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
