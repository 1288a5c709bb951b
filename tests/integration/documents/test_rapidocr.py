"""The shipped engine on real scans, on files that are none, and without a network."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from opsrail.clock import SystemClock
from opsrail.documents.accuracy import accuracy
from opsrail.documents.form import CompanyField, DateField, Form, MoneyField
from opsrail.documents.reader import DocumentReader
from opsrail.errors import ArtifactRefused, MissingExtra

image_module = pytest.importorskip("PIL.Image")
pytest.importorskip("rapidocr")

from opsrail.connect import rapidocr  # noqa: E402 - after the packages are known to be there

RECEIPTS = Path(__file__).parents[3] / "examples" / "claims" / "data" / "receipts"
RECEIPT = Form("receipt", fields=[CompanyField("company"), DateField("date"), MoneyField("total")])


def scan(number: str) -> Path:
    return RECEIPTS / "images" / f"{number}.jpg"


@asynccontextmanager
async def reading() -> AsyncIterator[DocumentReader]:
    reader = DocumentReader(rapidocr.RapidOcrReader, SystemClock())
    try:
        yield reader
    finally:
        await reader.close()


def truth() -> list[dict[str, Any]]:
    with (RECEIPTS / "truth.jsonl").open(encoding="utf-8") as rows:
        return [json.loads(row) for row in rows]


def tiff_of(*numbers: str) -> bytes:
    pages = [image_module.open(scan(number)) for number in numbers]
    file = BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:], compression="jpeg")
    return file.getvalue()


def bomb_png(side: int) -> bytes:
    """Return a well-formed black PNG of side x side pixels, one bit each; 64 million of them pack into 8 kB."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    body = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


async def test_real_scans_give_typed_fields_and_bad_files_harm_nothing(tmp_path: Path) -> None:
    text = tmp_path / "letter.jpg"
    text.write_text("Dear sir, please find no image here.", encoding="ascii")
    torn = scan("090").read_bytes()[:40_000]
    async with reading() as reader:
        first = await reader.read(RECEIPT, str(scan("056")))
        with pytest.raises(ArtifactRefused, match=r"letter.jpg cannot be read: it is not a JPEG"):
            await reader.read(RECEIPT, text)
        with pytest.raises(
            ArtifactRefused, match="document of 40000 bytes cannot be read: the image is damaged"
        ):
            await reader.read(RECEIPT, torn)
        with pytest.raises(ArtifactRefused, match="unpacks to more than 50,000,000 pixels"):
            await reader.read(RECEIPT, bomb_png(8_000))
        two = await reader.read(RECEIPT, tiff_of("063", "321"))

    assert first["total"] == Decimal("8.70")
    assert first["date"] == date(2018, 3, 21)
    assert first["company"] == "UNIHAKKA INTERNATIONAL SDN BHD"
    assert RECEIPT.is_readable(first)
    assert [page.number for page in two.pages] == [1, 2]
    assert any("PETRODELI" in line.text.upper() for line in two.pages[0].lines)
    assert any("RESOURCES" in line.text.upper() for line in two.pages[1].lines)


@pytest.mark.slow
async def test_at_least_nine_in_ten_totals_of_all_shipped_scans_are_read() -> None:
    async with reading() as reader:
        documents = {
            row["id"]: await reader.read(RECEIPT, RECEIPTS / row["image"]) for row in truth()
        }

    shares = accuracy(documents, truth())

    assert shares["pages"] == 40
    assert shares["total_accuracy"] >= 0.9
    assert shares["date_accuracy"] >= 0.95
    assert shares["company_accuracy"] >= 0.8


OFFLINE = """
import socket, sys
def refuse(*_, **__):
    raise SystemExit("a connection was tried")
class Mute(socket.socket):  # may be made (a library asks for IPv6 that way), never used
    connect = connect_ex = sendto = sendmsg = refuse
socket.socket, socket.create_connection, socket.getaddrinfo = Mute, refuse, refuse
sys.path[:] = sys.argv[2:]
from opsrail.connect.rapidocr import RapidOcrReader
lines = RapidOcrReader().read(open(sys.argv[1], "rb").read())
print(" ".join(line.text for line in lines))
"""


async def test_a_page_is_read_where_no_connection_can_be_opened() -> None:
    alone = ["unshare", "--user", "--net"]
    has_namespaces = (
        shutil.which("unshare") and not subprocess.run([*alone, "true"], check=False).returncode
    )
    command = [sys.executable, "-c", OFFLINE, str(scan("056")), *sys.path]
    command = [*alone, *command] if has_namespaces else command

    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complaints = await child.communicate()

    assert child.returncode == 0, complaints.decode()
    assert "UNIHAKKA INTERNATIONAL SDN BHD" in said.decode().upper()


def test_models_that_are_missing_from_the_wheel_are_told_not_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import rapidocr as package

    monkeypatch.setattr(package, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(MissingExtra, match=r"pip install 'opsrail\[documents\]'"):
        rapidocr.RapidOcrReader()


def test_a_package_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(MissingExtra, match=r"pip install 'opsrail\[documents\]'"):
        rapidocr.RapidOcrReader()


@pytest.mark.parametrize("format_name", rapidocr.FORMATS)
def test_every_format_is_decoded_upright_on_white_blue_first(format_name: str) -> None:
    page = image_module.new("RGB", (60, 40), "red")
    exif = page.getexif()
    exif[0x0112] = 6  # a camera held upright
    file = BytesIO()
    page.save(file, format_name, exif=exif)

    (pixels,) = rapidocr.decoded(file.getvalue())

    assert pixels.shape == (60, 40, 3)
    assert pixels[30, 20, 2] > 250 > 5 > pixels[30, 20, 0]


def test_what_is_clear_is_read_as_white_paper() -> None:
    file = BytesIO()
    image_module.new("RGBA", (8, 8), (0, 0, 0, 0)).save(file, "PNG")

    (pixels,) = rapidocr.decoded(file.getvalue())

    assert pixels.min() == 255


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"GIF89a" + bytes(100), "it is not a JPEG"),
        (b"%PDF-1.7", "it is not a JPEG"),
        (b"\xff\xd8\xff\xe0" + bytes(200), "it is not a JPEG|damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "it is not a JPEG|damaged"),
        (bomb_png(64)[:60], "it is not a JPEG|damaged"),
        (bomb_png(8_000), "more than 50,000,000 pixels"),
        (bomb_png(20_000), "more than 50,000,000 pixels"),
    ],
)
def test_files_that_are_no_sound_image_are_refused(image: bytes, message: str) -> None:
    with pytest.raises(ArtifactRefused, match=message):
        rapidocr.decoded(image)


def test_a_flipped_byte_is_damage() -> None:
    sound = bomb_png(512)
    torn = sound[:50] + bytes([sound[50] ^ 0xFF]) + sound[51:]

    with pytest.raises(ArtifactRefused, match="damaged"):
        rapidocr.decoded(torn)


def test_a_file_of_too_many_pages_is_refused() -> None:
    file = BytesIO()
    pages = [image_module.new("L", (8, 8)) for _ in range(rapidocr.PAGES + 1)]
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])

    with pytest.raises(ArtifactRefused, match="it has 21 pages, more than 20; split it"):
        rapidocr.decoded(file.getvalue())
