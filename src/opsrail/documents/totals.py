"""Finds what a receipt comes to.

Every amount on the page is a candidate. Its row's label says what role it plays (a table, first match wins), the
tax summary at the foot is left out, and sums that must hold - paid less change, base plus tax, plus rounding -
lend points to what they give.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import combinations, product
from typing import NamedTuple

from opsrail.documents.finding import Finding, Sighting, settle
from opsrail.documents.layout import Row
from opsrail.values.documents import TextLine

_CURRENCY = r"(?:RM|MYR|USD|EUR|GBP|SGD|[$€£])"
AMOUNT = re.compile(
    rf"(?:(?<![\w.,/%-])(?<!\d:)|(?={_CURRENCY}))(?P<sign>-\s?)?{_CURRENCY}?\s?(?P<minus>-)?"
    r"(?:(?P<points>\d{1,3}(?:\.\d{3})+),|(?P<commas>\d{1,3}(?:,\s?\d{3})+)\.|(?P<whole>\d{1,7})?\s?[.,])\s?(?P<cents>\d{2})"
    r"(?![\d%]|[.,:/-]\d|\s?%)",
    re.IGNORECASE,
)
"""An amount with two decimals, point or comma, thousands marked or not, a currency before it or none."""

ROLES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (role, re.compile(pattern))
    for role, pattern in (
        ("other", r"QTY|QUANTITY|ITEMS?(?!.*(SUB)?TOTAL)|POINT|LIT(RE|ER)"),
        ("change", r"(?<!EX)CHANGE|BAKI"),
        ("rounded", r"(TOTAL|AMT|AMOUNT).*ROUND|ROUNDED(TOTAL|AMOUNT)"),
        ("rounding", r"ROUND"),
        ("exclusive", r"EXCL|EXC?GST|BEFORE|WITHOUT"),
        ("final", r"(TOTAL|AMOUNT|BALANCE|PAYMENT)(DUE|PAYABLE|TOPAY)|^DUE"),
        ("paid", r"PAID|TENDER|ACCEPTED|CASH(?!IER|SALE|BILL)|^PAY$|PAYMENT|RECEIVED"),
        ("paid", r"VISA|MASTER|DEBIT|CREDIT|CARD"),
        ("base", r"SUB.?T[OA]TA[LI]"),
        ("tax", r"INCLUDE[SD]"),
        (
            "tax",
            r"^(?!.*(INC|INCL|INCLUSIVE|INCLUSIVEOF|INCLUDING)(GST|SST|VAT|TAX)).*(GST|SST|VAT|TAX)(?!.*INC)",
        ),
        ("discount", r"DISC|SAVING|VOUCHER|REBATE"),
        ("charge", r"(SERV|SERVICE)CHARGE"),
        ("final", r"(GRAND|NETT?|FINAL)T[OA]TA[LI]|T[OA]TA[LI](AMOUNT|BILL|RM$)"),
        ("final", r"NETT?AMOUNT|JUMLAH"),
        ("inclusive", r"INC"),
        ("total", r"T[OA]TA[LI]"),
        ("amount", r"AMOUNT|AMT"),
    )
)
"""Role by label, its letters only, upper case. Order is part of it: what is named first hides what comes after."""

POINTS = {
    "rounded": 3.2,
    "final": 3.0,
    "total": 2.2,
    "inclusive": 2.0,
    "amount": 1.2,
    "base": 0.6,
    "paid": 0.5,
}
"""What a label is worth; a role not named here brings nothing. Source: ours."""

PAID_LESS_CHANGE_POINTS = 2.5
PAID_WHOLE_POINTS = 1.0
SUM_POINTS = 1.5
"""What sums that agree lend to their result. Source: ours."""

SUMMARY = re.compile(
    r"SUMMARY|^(?!.*(ITEM|QTY|DESC|PRICE)).*((GST|TAX|VAT)(RATE|CODE)|(AMOUNT|AMT)(EXCLGST)?(RM)?(GST|TAX|VAT)(RM)?$)"
)
"""The head of the tax summary, not of the items: what stands below it speaks of tax."""


class Amount(NamedTuple):
    """An amount and the part it plays."""

    value: Decimal
    role: str
    line: TextLine
    in_summary: bool


def amounts_in(text: str) -> list[Decimal]:
    """Return the amounts written in a text, left to right."""
    found = []
    for match in AMOUNT.finditer(text):
        whole = re.sub(r"\D", "", match["points"] or match["commas"] or match["whole"] or "0")
        sign = "-" if match["sign"] or match["minus"] else ""
        found.append(Decimal(f"{sign}{whole}.{match['cents']}"))
    return found


def role_of(label: str) -> str:
    """Return the role that a row's label gives its amount; `other` when it says nothing known."""
    letters = letters_of(AMOUNT.sub(" ", label))
    return next((role for role, pattern in ROLES if pattern.search(letters)), "other")


def letters_of(text: str) -> str:
    """Return the letters alone, upper case, digits that stand for letters inside a word put right."""
    words = re.findall(r"[A-Z0-9]+", text.upper())
    mended = (
        word.replace("0", "O").replace("1", "I") if re.search(r"[A-Z]{2}", word) else word
        for word in words
    )
    return re.sub(r"[^A-Z]", "", "".join(mended))


def amounts_of(rows: Iterable[Row]) -> list[Amount]:
    """Return every amount of a page with its role; in a row of several the last is the row's own."""
    found: list[Amount] = []
    in_summary = False
    for row in rows:
        here = [(value, line) for line in row.lines for value in amounts_in(line.text)]
        in_summary = in_summary or (not here and SUMMARY.search(letters_of(row.text)) is not None)
        role = role_of(row.text) if here else "other"
        found += [Amount(value, "other", line, in_summary) for value, line in here[:-1]]
        found += [Amount(value, role, line, in_summary) for value, line in here[-1:]]
    return found


def find_total(pages: Sequence[Sequence[Row]]) -> Finding | None:
    """Return the amount the document comes to, as decimal text; None when nothing bears a known label."""
    amounts = [amount for rows in pages for amount in amounts_of(rows)]
    sums = _sums(amounts)
    sightings = []
    for amount in amounts:
        if amount.value > 0 and not amount.in_summary:
            seen = Sighting(
                str(amount.value), amount.line, amount.role, POINTS.get(amount.role, 0.0)
            )
            sightings += [seen, seen._replace(sign="sums", points=sums.get(amount.value, 0.0))]
    return settle(sightings)


def _sums(amounts: Sequence[Amount]) -> dict[Decimal, float]:
    """Return what the page's own arithmetic says of values, in points."""
    by_role: dict[str, list[Decimal]] = {}
    for amount in amounts:
        if not amount.in_summary:
            by_role.setdefault(amount.role, []).append(amount.value)
    changes = by_role.get("change", [])
    points = dict.fromkeys(by_role.get("paid", []), PAID_WHOLE_POINTS if not changes else 0.0)
    for paid, change in product(by_role.get("paid", []), changes):
        points[abs(paid) - abs(change)] = PAID_LESS_CHANGE_POINTS
    bases = [
        value
        for role in ("exclusive", "base", "inclusive", "total")
        for value in by_role.get(role, [])
    ][:8]
    extras = [[Decimal(0), *by_role.get(role, [])[:3]] for role in ("tax", "charge", "rounding")]
    reached = {base + sum(extra) for base in bases for extra in product(*extras) if any(extra)}
    reached |= {one + other for one, other in combinations(set(bases), 2)}
    printed = {amount.value for amount in amounts}
    rounded_on = {
        base
        for base in bases
        for step in by_role.get("rounding", [])
        if step and base + step in printed
    }
    for value in reached - rounded_on:
        points[value] = points.get(value, 0.0) + SUM_POINTS
    return points
