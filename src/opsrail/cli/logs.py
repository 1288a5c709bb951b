"""Where the command line logs: `opsrail.log` in the installation's folder, never between what it prints."""

from __future__ import annotations

import logging
import tempfile
import traceback
from logging.handlers import RotatingFileHandler
from pathlib import Path

from opsrail.telemetry import JsonLines

LOG_FILE = "opsrail.log"
LOG_BYTES = 10_000_000


def log_to(folder: Path) -> None:
    """Send what opsrail logs to the folder's file; a folder that cannot be written to gets none."""
    logger = logging.getLogger("opsrail")
    handler: logging.Handler
    try:
        handler = RotatingFileHandler(
            folder / LOG_FILE, maxBytes=LOG_BYTES, backupCount=2, encoding="utf-8", delay=True
        )
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(JsonLines())
    for former in logger.handlers[:]:
        logger.removeHandler(former)
        former.close()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def write_traceback(error: Exception, folder: Path) -> Path:
    """Write the traceback of an error nobody expected; return where it is."""
    text = "".join(traceback.format_exception(error))
    for home in (folder, Path(tempfile.gettempdir())):
        try:
            with (home / LOG_FILE).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            continue
        return home / LOG_FILE
    return Path(LOG_FILE)
