"""Finds who issued a document: the name at its head, with the form of business as the surest sign."""

from __future__ import annotations

import re
from collections.abc import Sequence

from opsrail.documents.finding import Finding, Sighting, settle
from opsrail.documents.layout import Row

LEGAL_FORM = re.compile(
    r"\b(?:SDN\.?\s?BHD|S/B|SB(?=\s?\()|BHD|PTE\.?\s?LTD|LTD|LIMITED|PLT|LLP|LLC|INC|CORP|GMBH|AG|PLC|S\.?A|B\.?V|PTY)\b\.?"
    r"|SDN\.?BHD\b\.?"
)
TRADE = re.compile(
    r"ENTERPRISE|TRADING|RESTAURANT|RESTORAN|SYARIKAT|PERNIAGAAN|COMPANY|SHOP|STORE|MART\b|BAKER|CAF[EÉ]|KEDAI|HOTEL|PHARMACY"
    r"|FARMASI|HARDWARE|PIZZA|RESOURCES|VENTURE|INDUSTR|SERVICES|STATIONERY|HOLDINGS|HANDICRAFT|BOOK|ELECTRIC|MOTOR|SUPPL"
)
NOT_A_NAME = re.compile(
    r"INVOICE|RECEIPT|WELCOME|THANK|\bTEL\b|TEL\s?[:.]|\bFAX\b|GST|WWW|@|\.COM|COPY|\bDATE\b|\bTIME\b|CASHIER|DOC\b|\bNO\s?[.:]"
    r"|\bREG\b|\bJALAN\b|\bJLN\b|\bLOT\b|\bLEVEL\b|STREET|\bROAD\b|\bAVENUE\b|\bFLOOR\b|TAMAN|\b\d{5}\b|REF\b|POSTED|TABLE|GOODS|SHOPPING"
)
ANOTHER_COMPANY = re.compile(r"OWNED BY|FORMERLY|FKA|LICENSEE|BILL TO|SOLD TO|CUSTOMER|DELIVER")
REGISTRATION = re.compile(
    r"\(?\b(?:CO\.?\s?(?:REG)?\.?\s?NO|REG|COMPANY)?[.:\s]*[A-Z]{0,3}\d{4,}[-\s]*[A-Z]?\b\)?"
)
TAIL = re.compile(r"\s*\(?(?:\(\s*CO\b|CO\.? ?NO|FKA\b|FORMERLY\b|\(?[A-Z]{0,3}\d{4,}).*$")

LEGAL_FORM_POINTS = 4.0
TRADE_POINTS = 2.4
FIRST_NAME_POINTS = 1.3
REGISTRATION_POINTS = 1.0
DEPTH_POINTS = -5.0
NOT_A_NAME_POINTS = -4.0
ANOTHER_COMPANY_POINTS = -3.0
FEW_LETTERS_POINTS = -4.0
"""What a row is worth: for a form of business, a trade, being the first that can be a name, a registration number
beside or below it; for each whole page it stands down; for words no name has; beside words that speak of another
company; for too few letters. Source: ours."""


def find_company(pages: Sequence[Sequence[Row]]) -> Finding | None:
    """Return the issuer's name as printed, upper case, no registration number; None when no row can be one."""
    rows = pages[0] if pages else ()
    texts = [_text_of(row) for row in rows]
    sightings: list[Sighting] = []
    for at, row in enumerate(rows):
        text, above, below = (
            texts[at],
            "".join(texts[max(at - 1, 0) : at]),
            "".join(texts[at + 1 : at + 2]),
        )
        name, has_form = name_in(text)
        points = _own_points(name, has_form) + DEPTH_POINTS * row.position
        points += REGISTRATION_POINTS * any(
            REGISTRATION.search(near) is not None for near in (text, below)
        )
        points += ANOTHER_COMPANY_POINTS * bool(
            ANOTHER_COMPANY.search(above) or ANOTHER_COMPANY.search(name)
        )
        if points > 0:
            points += 0.0 if sightings else FIRST_NAME_POINTS
            if not has_form and _goes_on(rows[at : at + 2]):
                name = f"{name} {name_in(below)[0]}"
            sightings.append(Sighting(name, row.lines[0], "head", points))
    return settle(sightings)


def name_in(text: str) -> tuple[str, bool]:
    """Return the name that an upper-case row begins with, and whether it ends with a form of business."""
    mended = re.sub(r"(?<=[A-Z])0+(?=[0A-Z])", lambda zeros: "O" * len(zeros[0]), text)
    if (form := LEGAL_FORM.search(mended)) is not None:
        return mended[: form.end()].strip(" ,-:"), True
    return TAIL.sub("", mended).strip(" ,-:("), False


def _text_of(row: Row) -> str:
    texts = [line.text.upper() for line in row.lines]
    return " ".join(
        [text for text in texts if LEGAL_FORM.search(text) or not NOT_A_NAME.search(text)] or texts
    )


def _own_points(name: str, has_form: bool) -> float:
    points = LEGAL_FORM_POINTS if has_form else TRADE_POINTS * bool(TRADE.search(name))
    points += NOT_A_NAME_POINTS * bool(NOT_A_NAME.search(name))
    letters = sum(character.isalpha() for character in name)
    return points + FEW_LETTERS_POINTS * (letters < max(4, 0.6 * len(name.replace(" ", ""))))


def _goes_on(rows: Sequence[Row]) -> bool:
    """Return whether the first row's name runs on in the second: letters alone, as tall, close under it."""
    if len(rows) < 2 or any(len(row.lines) != 1 for row in rows):
        return False
    upper, lower = rows[0].lines[0], rows[1].lines[0]
    height, next_height = (max(line.box[3] - line.box[1], 1) for line in (upper, lower))
    text = lower.text.upper()
    is_near = lower.box[1] - upper.box[3] < height and 0.7 < next_height / height < 1.4
    return (
        is_near
        and re.fullmatch(r"[A-Z&'. -]{4,}", text) is not None
        and not NOT_A_NAME.search(text)
    )
