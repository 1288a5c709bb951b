"""Where the command line logs: `opsrail.log` in the installation's folder, never between what it prints."""

from __future__ import annotations

import logging
import sys
import tempfile
import traceback
from logging.handlers import RotatingFileHandler
from pathlib import Path

from opsrail.telemetry import JsonLines

LOG_FILE = "opsrail.log"
LOG_BYTES = 10_000_000


class LogFile(RotatingFileHandler):
    """A file that may become full: that is said once, and no line of it stops or drowns a command."""

    _is_told = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Say that lines are lost; what is wrong with a line itself is shown as logging does."""
        wrong = sys.exc_info()[1]
        if not isinstance(wrong, OSError):
            super().handleError(record)
        elif not self._is_told:
            self._is_told = True
            told = f"opsrail: {self.baseFilename} cannot be written ({wrong.strerror}); what would be logged is lost"
            print(told, file=sys.stderr)


def log_to(folder: Path) -> None:
    """Send what opsrail logs to the folder's file; a folder that cannot be written to gets none."""
    logger = logging.getLogger("opsrail")
    handler: logging.Handler
    try:
        handler = LogFile(
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
