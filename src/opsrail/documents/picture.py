"""A document's pages as a browser can show them. Blocking; call it off the event loop.

Only bytes that a reader has read before are decoded here: what an engine choked on in its own process never got a digest.
"""

from __future__ import annotations

import warnings
from io import BytesIO
from typing import Any, NamedTuple

from opsrail.errors import ArtifactRefused, MissingExtra, NotFound

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
"""What readers take."""
MEDIA = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""What browsers show as it is."""
BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}
PIXELS = 50_000_000
"""Largest page that is turned into another format. Source: ours; as `connect/rapidocr.py`."""
SHOWN_SIDE_PX = 2_000
"""A page in another format is made no larger than this: nobody reads more on a screen. Ours."""


class Picture(NamedTuple):
    """A page that a browser shows."""

    media: str
    image: bytes


class Size(NamedTuple):
    """A page turned upright, as boxes count its pixels."""

    width: int
    height: int


def format_of(image: bytes) -> str | None:
    """Return the format that an image's first bytes show; None: none that is shown."""
    for beginning, name in BEGINNINGS.items():
        if image.startswith(beginning):
            return name
    return "WEBP" if image[:4] == b"RIFF" and image[8:12] == b"WEBP" else None


def sizes_of(image: bytes) -> tuple[Size, ...]:
    """Return the size of each page; empty where nothing installed can tell.

    Raises:
        ArtifactRefused: it is damaged. Terminal.
    """
    try:
        return tuple(_upright(frame) for frame in _frames(image))
    except MissingExtra:
        return ()


def picture_of(image: bytes, number: int = 1) -> Picture:
    """Return a page: the file itself where browsers know its format, else made a PNG.

    Args:
        number: Of the page, from 1.

    Raises:
        NotFound: it has no such page. Terminal.
        ArtifactRefused: it is no image that is shown, damaged or too large. Terminal.
        MissingExtra: it needs another format, and Pillow is not installed. Terminal.
    """
    name = format_of(image)
    if name is None:
        raise ArtifactRefused("the document is no JPEG, PNG, TIFF or WebP image")
    if name in MEDIA:
        if number != 1:
            raise NotFound(f"the document has no page {number}")
        return Picture(MEDIA[name], image)
    from PIL import ImageOps

    for at, frame in enumerate(_frames(image), start=1):
        if at == number:
            if frame.width * frame.height > PIXELS:
                raise ArtifactRefused(f"page {number} has more than {PIXELS:,} pixels")
            upright = ImageOps.exif_transpose(frame).convert("RGB")
            upright.thumbnail((SHOWN_SIDE_PX, SHOWN_SIDE_PX))
            made = BytesIO()
            upright.save(made, "PNG")
            return Picture("image/png", made.getvalue())
    raise NotFound(f"the document has no page {number}")


def _frames(image: bytes) -> Any:
    """Yield a file's pages, not decoded yet."""
    try:
        from PIL import Image, ImageSequence
    except ImportError as missing:
        raise MissingExtra("Showing this document", "documents") from missing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata is not damage; sizes are checked here
            with Image.open(BytesIO(image), formats=FORMATS) as file:
                yield from ImageSequence.Iterator(file) if file.format == "TIFF" else (file,)
    except Exception as fault:
        if isinstance(fault, ArtifactRefused | NotFound):
            raise
        raise ArtifactRefused(f"the document cannot be shown: {fault}") from fault


def _upright(frame: Any) -> Size:
    orientation = frame.getexif().get(0x0112, 1)
    return Size(frame.height, frame.width) if orientation >= 5 else Size(frame.width, frame.height)
