"""Finds the shared library inside an installed package, to be called through its C interface.

The package itself is not imported: LightGBM's and XGBoost's own Python layers bring pandas and scipy along when these are
installed, and spend 30 to 70 us a call on what is known here before.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from importlib.util import find_spec
from pathlib import Path

from opsrail.errors import MissingExtra

FOLDERS = ("lib", "bin")
ENDING = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")


@functools.cache
def library(package: str, stem: str, what: str, extra: str) -> ctypes.CDLL:
    """Return a package's shared library, loaded.

    Args:
        what: Who needs it, for the error.
        extra: Of opsrail, which brings it.

    Raises:
        MissingExtra: it is not installed. Terminal: install what the message names.
    """
    spec = find_spec(package)
    roots = [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]
    for root in roots:
        for folder in FOLDERS:
            path = root / folder / f"{stem}{ENDING}"
            if path.is_file():
                return ctypes.CDLL(str(path))
    raise MissingExtra(what, extra)
