"""What the parent makes of a child that dies, hangs, refuses or stumbles. A small engine of our own stands in."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from opsrail.clock import SystemClock
from opsrail.documents.form import Form, MoneyField
from opsrail.documents.process import ReaderProcess
from opsrail.documents.reader import IMAGE_BYTES, DocumentReader, read_file
from opsrail.errors import ArtifactRefused, MissingExtra, NotFound, ReaderCrashed, TimedOut
from opsrail.values.documents import Document
from tests.integration.documents.readers import ObedientReader, StillbornReader, UninstalledReader

RECEIPT = Form("receipt", fields=[MoneyField("total")])


@asynccontextmanager
async def reading(
    factory: Callable[[], Any] = ObedientReader, **limits: Any
) -> AsyncIterator[DocumentReader]:
    reader = DocumentReader(factory, SystemClock(), **limits)
    try:
        yield reader
    finally:
        await reader.close()


def child_of(document: Document) -> int:
    return int(document.pages[0].lines[1].text)


async def test_one_child_reads_document_after_document() -> None:
    async with reading() as reader:
        documents = [await reader.read(RECEIPT, f"page {number}".encode()) for number in range(3)]

    assert {document["total"] for document in documents} == {Decimal("8.70")}
    assert {document.engine for document in documents} == {"obedient 1"}
    assert len({child_of(document) for document in documents}) == 1
    assert os.getpid() not in {child_of(document) for document in documents}
    assert len({document.digest for document in documents}) == 3


async def test_several_asked_at_once_each_get_their_own_answer() -> None:
    async with reading(workers=2) as reader:
        documents = await asyncio.gather(
            *(reader.read(RECEIPT, f"page {n}".encode()) for n in range(8))
        )

    assert len({document.digest for document in documents}) == 8
    assert len({child_of(document) for document in documents}) == 2


async def test_a_page_whose_child_is_killed_is_read_by_the_next(tmp_path: Path) -> None:
    async with reading() as reader:
        before = await reader.read(RECEIPT, b"page")
        document = await reader.read(RECEIPT, f"die once:{tmp_path / 'died'}".encode())

    assert document["total"] == Decimal("8.70")
    assert child_of(document) != child_of(before)


@pytest.mark.parametrize("order", [b"die", b"abort"])
async def test_a_page_that_kills_every_child_is_given_up_and_the_next_page_is_read(
    order: bytes,
) -> None:
    async with reading() as reader:
        with pytest.raises(
            ReaderCrashed, match=r"document of \d bytes ended its reader twice \(.* code -\d"
        ):
            await reader.read(RECEIPT, order)
        document = await reader.read(RECEIPT, b"page")

    assert document["total"] == Decimal("8.70")


async def test_a_page_that_takes_too_long_loses_its_child_not_the_reader() -> None:
    async with reading(timeout_s=0.2) as reader:
        with pytest.raises(TimedOut, match=r"document of 4 bytes took longer than 0.2 s"):
            await reader.read(RECEIPT, b"hang")
        reader._timeout_s = 60.0  # the next must not hang on how busy the machine is
        document = await reader.read(RECEIPT, b"page")

    assert document["total"] == Decimal("8.70")


async def test_a_caller_who_gives_up_does_not_leave_his_answer_to_the_next() -> None:
    async with reading() as reader:
        await reader.read(RECEIPT, b"page")
        waiting = asyncio.create_task(reader.read(RECEIPT, b"hang"))
        for _ in range(10):
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        document = await reader.read(RECEIPT, b"page")

    assert document["total"] == Decimal("8.70")


def test_a_child_that_is_ended_while_nobody_reads_is_reaped() -> None:
    child = ReaderProcess(ObedientReader)
    child.start()
    answered = child.read(b"page")
    pid = int(answered["lines"][1][0])
    child.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)

    assert not Path(f"/proc/{pid}").exists()


async def test_closing_ends_what_is_under_way_and_reads_no_more() -> None:
    async with reading() as reader:
        await reader.read(RECEIPT, b"page")
        waiting = asyncio.create_task(reader.read(RECEIPT, b"hang"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await reader.close()
        with pytest.raises(ReaderCrashed, match="its reader is closed"):
            await waiting
        with pytest.raises(ReaderCrashed, match="its reader is closed"):
            await reader.read(RECEIPT, b"page")


def test_a_loop_that_ends_with_pages_under_way_does_not_hang() -> None:
    async def leave() -> None:
        reader = DocumentReader(ObedientReader, SystemClock(), workers=2)
        with pytest.raises(ReaderCrashed):
            await asyncio.gather(*(reader.read(RECEIPT, b"die") for _ in range(6)))
        await reader.close()

    asyncio.run(leave())


async def test_a_refusal_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "torn.jpg"
    path.write_bytes(b"refuse")
    async with reading() as reader:
        with pytest.raises(
            ArtifactRefused, match=r"document .*/torn.jpg cannot be read: the image is damaged"
        ):
            await reader.read(RECEIPT, path)


async def test_an_engine_that_stumbles_over_a_page_keeps_its_process() -> None:
    async with reading() as reader:
        before = await reader.read(RECEIPT, b"page")
        with pytest.raises(ReaderCrashed, match="ArithmeticError: a bug in the engine"):
            await reader.read(RECEIPT, b"stumble")
        after = await reader.read(RECEIPT, b"page")

    assert child_of(before) == child_of(after)


async def test_what_a_library_prints_does_not_mix_with_answers() -> None:
    async with reading() as reader:
        document = await reader.read(RECEIPT, b"print")

    assert document["total"] == Decimal("8.70")


async def test_missing_packages_are_told_with_the_line_that_installs_them() -> None:
    async with reading(UninstalledReader) as reader:
        with pytest.raises(MissingExtra, match=r"pip install 'opsrail\[documents\]'"):
            await reader.read(RECEIPT, b"page")


async def test_an_engine_that_cannot_start_is_given_up_after_a_second_try() -> None:
    async with reading(StillbornReader) as reader:
        with pytest.raises(ReaderCrashed, match="ended its reader twice"):
            await reader.read(RECEIPT, b"page")


async def test_a_closed_reader_leaves_no_process_behind() -> None:
    async with reading() as reader:
        document = await reader.read(RECEIPT, b"page")
    await reader.close()

    with pytest.raises(ProcessLookupError):
        os.kill(child_of(document), 0)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"document .*/gone.jpg does not exist"):
        read_file(tmp_path / "gone.jpg", None)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)

    for path in (pipe, tmp_path, Path("/dev/zero")):
        with pytest.raises(ArtifactRefused, match=r"is not a regular file|Is a directory"):
            read_file(path, None)


def test_a_path_out_of_the_folder_is_refused_also_through_a_link(tmp_path: Path) -> None:
    folder, outside = tmp_path / "inbox", tmp_path / "secret.jpg"
    folder.mkdir()
    outside.write_bytes(b"x")
    (folder / "link.jpg").symlink_to(outside)
    (folder / "page.jpg").write_bytes(b"page")

    for path in (folder / "link.jpg", folder / ".." / "secret.jpg", outside):
        with pytest.raises(ArtifactRefused, match="lies outside"):
            read_file(path, folder)
    assert read_file(folder / "page.jpg", folder) == b"page"


def test_a_path_with_a_null_in_it_is_refused() -> None:
    with pytest.raises(ArtifactRefused, match="cannot be opened"):
        read_file(Path("a\0b.jpg"), None)


async def test_empty_and_oversized_documents_never_reach_the_engine(tmp_path: Path) -> None:
    empty, huge = tmp_path / "empty.jpg", tmp_path / "huge.tif"
    empty.touch()
    with huge.open("wb") as file:
        file.truncate(IMAGE_BYTES + 1)
    async with reading(StillbornReader) as reader:
        for source, message in (
            (empty, "empty.jpg is empty"),
            (huge, "20,000,001 bytes"),
            (b"", "is empty"),
        ):
            with pytest.raises(ArtifactRefused, match=message):
                await reader.read(RECEIPT, source)
