"""The risk-automation curve as a picture."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from opsrail.lab import tune
from opsrail.lab.curve import draw, ticks

SVG = "{http://www.w3.org/2000/svg}"


def drawn(risks: list[str], bad_from: float = 0.6) -> ElementTree.Element:
    scores = np.arange(2000) / 2000
    return ElementTree.fromstring(draw(tune(scores, scores >= bad_from, risks=risks)))  # noqa: S314 - our own


def test_a_curve_has_its_limit_what_was_counted_and_what_is_promised() -> None:
    picture = drawn(["approved is fraud <= 5%"])
    texts = [text.text for text in picture.iter(f"{SVG}text")]

    assert "approved is fraud <= 5%" in texts
    assert "limit 5%" in texts
    assert any(
        (text or "").startswith("Promised with 0.95 confidence: approve 6") for text in texts
    )
    assert len(list(picture.iter(f"{SVG}polyline"))) == 1
    assert len(list(picture.iter(f"{SVG}circle"))) == 1


def test_each_risk_has_a_curve_of_its_own_and_nothing_stands_outside() -> None:
    picture = drawn(
        ["approved is fraud <= 20%", "declined is honest <= 20%", "approved among fraud <= 30%"]
    )
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])

    assert len(list(picture.iter(f"{SVG}polyline"))) == 3
    assert height == 3 * 360
    for line in picture.iter(f"{SVG}polyline"):
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= width
            assert 0 <= y <= 360


def test_what_cannot_be_promised_is_said_in_the_picture() -> None:
    picture = drawn(["approved is fraud <= 5%"], bad_from=0.0)

    assert any(
        "Nothing can be promised" in (text.text or "") for text in picture.iter(f"{SVG}text")
    )
    assert not list(picture.iter(f"{SVG}circle"))


def test_the_words_of_a_risk_are_text_and_no_markup() -> None:
    picture = draw(tune([0.1] * 40, [0] * 40, risks=["approved is fraud <= 5%"]))

    assert "fraud &lt;= 5%" in picture
    assert ElementTree.fromstring(picture) is not None  # noqa: S314 - our own


@pytest.mark.parametrize("end", [1.0, 0.025, 0.3, 0.0077])
def testticks_are_few_round_numbers(end: float) -> None:
    found = ticks(end, 5)

    assert 3 <= len(found) <= 7
    assert found[0] == 0
    assert found[-1] <= end * 1.0001
