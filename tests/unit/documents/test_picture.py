"""Pages of documents as a browser shows them."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from opsrail.documents.picture import Size, format_of, picture_of, sizes_of
from opsrail.errors import ArtifactRefused, NotFound


def image(name: str, size: tuple[int, int] = (30, 20), **how: object) -> bytes:
    made = BytesIO()
    Image.new("RGB", size, "white").save(made, name, **how)
    return made.getvalue()


def tiff(*sizes: tuple[int, int]) -> bytes:
    first, *rest = [Image.new("RGB", size, "white") for size in sizes]
    made = BytesIO()
    first.save(made, "TIFF", save_all=True, append_images=rest)
    return made.getvalue()


@pytest.mark.parametrize(
    ("name", "media"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")]
)
def test_what_browsers_know_is_sent_as_it_is(name: str, media: str) -> None:
    made = image(name)

    assert picture_of(made) == (media, made)
    assert sizes_of(made) == (Size(30, 20),)


def test_a_page_of_a_tiff_is_made_a_png() -> None:
    made = tiff((30, 20), (40, 50))

    media, page = picture_of(made, 2)

    assert sizes_of(made) == (Size(30, 20), Size(40, 50))
    assert media == "image/png"
    assert Image.open(BytesIO(page)).size == (40, 50)


def test_a_page_that_lies_on_its_side_has_the_size_of_the_upright_one() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6

    assert sizes_of(image("JPEG", exif=turned)) == (Size(20, 30),)


def test_a_page_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        picture_of(image("PNG"), 2)
    with pytest.raises(NotFound):
        picture_of(tiff((3, 3)), 2)


@pytest.mark.parametrize(
    "hostile",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<!doctype html><script>alert(1)</script>",
        b"GIF89a",
        b"%PDF-1.7",
        b"",
    ],
)
def test_what_is_no_page_image_is_never_sent(hostile: bytes) -> None:
    assert format_of(hostile) is None
    with pytest.raises(ArtifactRefused):
        picture_of(hostile)


def test_a_damaged_tiff_is_refused_in_our_words() -> None:
    with pytest.raises(ArtifactRefused, match="cannot be shown"):
        picture_of(b"II*\0" + b"\xff" * 60)


def test_a_tiff_of_too_many_pixels_is_refused_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("opsrail.documents.picture.PIXELS", 100)

    with pytest.raises(ArtifactRefused, match="more than 100 pixels"):
        picture_of(tiff((30, 20)))
