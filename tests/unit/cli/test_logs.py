"""Where the command line logs, also when there is no room for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from opsrail.cli.logs import LOG_FILE, log_to

FULL = Path("/dev/full")
LOG = logging.getLogger("opsrail.tests")


@pytest.fixture(autouse=True)
def former() -> Iterator[None]:
    """Take the logger's handlers away, so that they are not closed, and give it back as it was."""
    logger = logging.getLogger("opsrail")
    held = (logger.handlers[:], logger.level, logger.propagate)
    logger.handlers.clear()
    yield
    for handler in logger.handlers:
        with suppress(OSError):  # what was not written is not written now
            handler.close()
    logger.handlers[:], logger.level, logger.propagate = held


@pytest.mark.skipif(not FULL.exists(), reason="this system has no full device")
def test_a_full_disk_is_told_once_and_not_with_every_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / LOG_FILE).symlink_to(FULL)
    log_to(tmp_path)
    for _ in range(3):
        LOG.warning("the database is full")
    told = capsys.readouterr().err

    assert told.count("cannot be written") == 1
    assert "Traceback" not in told
    assert len(told.splitlines()) == 1


def test_a_line_that_is_wrong_itself_is_shown_to_whoever_wrote_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_to(tmp_path)
    LOG.warning("%d", "no number")

    assert "Logging error" in capsys.readouterr().err
