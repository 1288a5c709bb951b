"""Reads documents off the event loop: a file or bytes in, a `Document` out."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

from opsrail.clock import Clock
from opsrail.documents.form import Form
from opsrail.documents.process import ReaderGone, ReaderProcess
from opsrail.errors import ArtifactRefused, NotFound, ReaderCrashed, TimedOut
from opsrail.ports import PageReader
from opsrail.values.documents import Document, Page, TextLine

IMAGE_BYTES = 20_000_000
"""Largest file taken. Source: ours; a 50-megapixel photograph as JPEG stays below it."""

START_S = 120.0
"""Time a child may take to import its engine and warm it. Source: ours; the shipped engine takes 2 s on an idle core."""


class DocumentReader:
    """Reads documents in child processes, started when first needed and kept warm.

    Args:
        factory: Makes the engine; a function or class at the top of an importable module, called in the child.
        clock: Says how long each page took.
        timeout_s: Time one document may take in the engine, queueing left out. > 0.
        workers: Children at once; each holds an engine (about 0.5 GB for the shipped one). >= 1.
        folder: Where documents given by path must lie, links followed; None: anywhere.
    """

    def __init__(
        self,
        factory: Callable[[], PageReader],
        clock: Clock,
        *,
        timeout_s: float = 60.0,
        workers: int = 1,
        folder: Path | None = None,
    ) -> None:
        self._factory = factory
        self._clock = clock
        self._timeout_s = timeout_s
        self._folder = folder
        self._turns = asyncio.Semaphore(workers)
        self._idle: list[ReaderProcess] = []
        self._busy: set[ReaderProcess] = set()
        self._is_closed = False

    async def read(self, form: Form, source: str | Path | bytes) -> Document:
        """Read one document and find the form's fields in it.

        Args:
            source: Path of an image (JPEG, PNG, TIFF or WebP), or its bytes; at most IMAGE_BYTES.

        Raises:
            NotFound: no such file. Terminal.
            ArtifactRefused: not a regular file, outside the folder, empty, too large, damaged or no image.
                Terminal. MissingExtra: the engine's packages are not installed. Terminal. TimedOut: it took longer
                than `timeout_s`; its process was ended. Retryable. ReaderCrashed: the process died on it twice.
                Retryable.
        """
        if isinstance(source, bytes):
            name, image = f"of {len(source)} bytes", source
        else:
            name = str(source)
            image = await asyncio.to_thread(read_file, Path(source), self._folder)
        _check_size(name, len(image))
        engine, answer, read_ms = await self._answer(name, image)
        if "refused" in answer:
            raise ArtifactRefused(f"document {name} cannot be read: {answer['refused']}")
        if "failed" in answer:
            raise ReaderCrashed(
                f"document {name} could not be read by {engine}: {answer['failed']}; look at the page or retry"
            )
        lines = [
            TextLine(text, confidence, _box(box), page)
            for text, confidence, box, page in answer["lines"]
        ]
        pages = tuple(
            Page(number, tuple(part)) for number, part in groupby(lines, key=lambda line: line.page)
        )
        digest = hashlib.sha256(image).hexdigest()
        return Document(digest, pages, form.extract(pages), engine, read_ms)

    async def read_before(self, path: str, digest: str) -> bytes:
        """Return the bytes of a document that was read before.

        Args:
            path: As it was given then; it must lie where documents may.
            digest: SHA-256 that was recorded then, 64 hex digits.

        Raises:
            NotFound: it is gone, or another file lies in its place. Terminal.
            ArtifactRefused: it lies outside the folder, or is no file that is read. Terminal.
        """

        def taken() -> bytes | None:
            image = read_file(Path(path), self._folder)
            return image if hashlib.sha256(image).hexdigest() == digest else None

        image = await asyncio.to_thread(taken)
        if image is None:
            raise NotFound("the document was changed since it was read; what was read then is gone")
        return image

    async def close(self) -> None:
        """End the children; a document under way ends with ReaderCrashed. For good; may be called twice."""
        self._is_closed = True
        for child in self._busy:
            child.kill()
        while self._idle:
            await asyncio.to_thread(self._idle.pop().close)

    async def _answer(self, name: str, image: bytes) -> tuple[str, dict[str, Any], int]:
        async with self._turns:
            try:
                return await self._attempt(name, image)
            except ReaderGone:
                pass  # once is chance: memory ran out, or an operator killed it
            try:
                return await self._attempt(name, image)
            except ReaderGone as gone:
                message = f"document {name} ended its reader twice ({gone}); look at the file before retrying"
                raise ReaderCrashed(message) from gone

    async def _warmed(self, child: ReaderProcess) -> None:
        try:
            async with asyncio.timeout(START_S):
                await asyncio.to_thread(child.start)
        except TimeoutError:
            raise ReaderGone(f"reader {child.engine} was not ready in {START_S:g} s") from None

    async def _attempt(self, name: str, image: bytes) -> tuple[str, dict[str, Any], int]:
        if self._is_closed:
            raise ReaderCrashed(
                f"document {name} was not read: its reader is closed; read it after the next start"
            )
        is_warm = bool(self._idle)
        child = self._idle.pop() if is_warm else ReaderProcess(self._factory)
        self._busy.add(child)
        try:
            if not is_warm:
                await self._warmed(child)
            begun_s = self._clock.monotonic_s()
            async with asyncio.timeout(self._timeout_s):
                answer = await asyncio.to_thread(child.read, image)
        except TimeoutError:
            child.kill()
            message = f"document {name} took longer than {self._timeout_s:g} s; raise documents.timeout_s or scan it smaller"
            raise TimedOut(message) from None
        except BaseException:
            child.kill()  # its next answer would be to this question
            raise
        finally:
            self._busy.discard(child)
        self._idle.append(child)
        return child.engine, answer, round((self._clock.monotonic_s() - begun_s) * 1000)


def read_file(path: Path, folder: Path | None) -> bytes:
    """Return the bytes of a regular file, at most IMAGE_BYTES. Blocking.

    Args:
        folder: Where it must lie, links followed; None: anywhere.

    Raises:
        NotFound: no such file. Terminal.
        ArtifactRefused: outside the folder, not a regular file, not readable, or too large. Terminal.
    """
    try:
        real = path.resolve(strict=True)
        if folder is not None and not real.is_relative_to(folder.resolve()):
            raise ArtifactRefused(
                f"document {path} lies outside {folder}; move it there or set documents.folder"
            )
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not hold us
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ArtifactRefused(
                    f"document {path} is not a regular file; give the path of an image"
                )
            _check_size(str(path), status.st_size)
            return file.read(IMAGE_BYTES + 1)
    except FileNotFoundError as fault:
        raise NotFound(f"document {path} does not exist; check the path") from fault
    except (OSError, ValueError) as fault:
        raise ArtifactRefused(
            f"document {path} cannot be opened: {fault}; check the path and its permissions"
        ) from fault


def _check_size(name: str, size_bytes: int) -> None:
    if size_bytes == 0:
        raise ArtifactRefused(f"document {name} is empty (0 bytes); scan or send it again")
    if size_bytes > IMAGE_BYTES:
        raise ArtifactRefused(
            f"document {name} has {size_bytes:,} bytes, more than {IMAGE_BYTES:,}; scan it at a lower resolution"
        )


def _box(box: list[int]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = box
    return x0, y0, x1, y1
