"""Sends files as one ZIP archive while they are read."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime
from typing import IO, cast

ZIP = "application/zip"


async def zipped(
    parts: AsyncIterator[tuple[str, bytes]], at: datetime
) -> AsyncGenerator[bytes, None]:
    """Yield an archive of files that come piece by piece, one file after another; memory holds one piece.

    An archive whose files could not be read to their end has no directory: programs that unpack say that it is broken.

    Args:
        parts: Name of a file, and what comes next in it.
        at: When the files were written, as the archive tells.
    """
    sink = _Sink()
    archive = zipfile.ZipFile(cast(IO[bytes], sink), "w", zipfile.ZIP_DEFLATED)
    member: IO[bytes] | None = None
    named = ""
    try:
        async for name, content in parts:
            if member is None or name != named:
                if member is not None:
                    member.close()
                info = zipfile.ZipInfo(name, at.timetuple()[:6])
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                member, named = archive.open(info, "w", force_zip64=True), name
            await asyncio.to_thread(member.write, content)
            yield sink.taken()
    except BaseException:
        if member is not None:
            member.close()
        archive.close()
        raise
    if member is not None:
        member.close()
    archive.close()
    yield sink.taken()


class _Sink:
    """What an archive is written to: it can be neither searched nor told where it stands."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        return

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
