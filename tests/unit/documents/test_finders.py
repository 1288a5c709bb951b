"""Finders on the perfect text of the shipped receipts, and on rows made to be awkward."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsrail.documents.accuracy import accuracy, is_right
from opsrail.documents.companies import name_in
from opsrail.documents.dates import days_in
from opsrail.documents.form import CompanyField, DateField, Form, MoneyField
from opsrail.documents.layout import rows_of, slope_of
from opsrail.documents.totals import amounts_in, role_of
from opsrail.values.documents import Document, Page, TextLine

RECEIPTS = Path(__file__).parents[3] / "examples" / "claims" / "data" / "receipts"
RECEIPT = Form("receipt", fields=[CompanyField("company"), DateField("date"), MoneyField("total")])


def document_of(pages: Sequence[Page]) -> Document:
    return Document("0" * 64, tuple(pages), RECEIPT.extract(pages), "typed by hand", 0)


def page_of(*rows: str) -> Page:
    """Return a page of rows 20 px high; `~` parts what stands side by side."""
    lines = [
        TextLine(text.strip(), 0.99, (300 * column, 30 * at, 300 * column + 200, 30 * at + 20))
        for at, row in enumerate(rows)
        for column, text in enumerate(row.split("~"))
    ]
    return Page(1, tuple(lines))


@pytest.fixture(scope="module")
def truth() -> list[dict[str, Any]]:
    with (RECEIPTS / "truth.jsonl").open(encoding="utf-8") as rows:
        return [json.loads(row) for row in rows]


@pytest.fixture(scope="module")
def typed(truth: list[dict[str, Any]]) -> dict[str, Document]:
    """Return the receipts as a perfect engine would read them."""
    return {
        row["id"]: document_of(
            [
                Page(
                    1,
                    tuple(
                        TextLine(line["text"], 0.99, tuple(line["box"])) for line in row["lines"]
                    ),
                )
            ]
        )
        for row in truth
    }


def test_on_perfect_text_nearly_every_field_of_every_shipped_receipt_is_found(
    truth: list[dict[str, Any]], typed: dict[str, Document]
) -> None:
    shares = accuracy(typed, truth)

    assert shares["pages"] == 40
    assert shares["total_accuracy"] >= 0.95
    assert shares["date_accuracy"] >= 0.97
    assert shares["company_accuracy"] >= 0.92


def test_sums_that_agree_make_a_total_sure_and_totals_that_differ_do_not() -> None:
    sure = page_of("ACME SDN BHD", "TOTAL ~ 8.00", "CASH ~ 10.00", "CHANGE ~ 2.00")
    torn = page_of("ACME SDN BHD", "TOTAL ~ 8.00", "TOTAL ~ 3.00")

    confidence = [document_of([page]).field("total").confidence for page in (sure, torn)]

    assert confidence[0] >= RECEIPT.least_confidence > confidence[1]


@pytest.mark.parametrize(
    ("rows", "total"),
    [
        (("SUBTOTAL ~ 9.00", "TAX ~ 0.54", "TOTAL ~ 9.54"), "9.54"),
        (
            ("TOTAL ~ 31.02", "ROUNDING ADJ ~ -0.02", "TOTAL ROUNDED ~ 31.00", "CASH ~ 31.00"),
            "31.00",
        ),
        (("TOTAL ~ 31.02", "ROUNDING ~ -0.02", "TOTAL ~ 31.00", "CASH ~ 31.00"), "31.00"),
        (("TOTAL (EXCLUDING GST) ~ 8.96", "GST ~ 0.54", "TOTAL (INCLUSIVE OF GST) ~ 9.50"), "9.50"),
        (("AMOUNT INCL. GST ~ 5.00 RM", "ACCEPTED TOTAL ~ 10.00 RM", "CHANGE ~ 5.00 RM"), "5.00"),
        (("TOTAL ~ 40.00", "TOTAL ~ 33.55", "TOTAL PAYABLE ~ 73.55"), "73.55"),
        (("GRAND TOTAL ~ 1,007.50", "CASH ~ 1,100.00", "CHANGE ~ 92.50"), "1007.50"),
        (("TOTAL ~ 28.50", "TOTAL INCLUDES 6% GST ~ 1.61", "VISA ~ 28.50"), "28.50"),
        (("TOTAL ~ 5.00", "GST SUMMARY", "SR ~ 4.72", "TOTAL ~ 4.72"), "5.00"),
        (("QTY ~ 8 ~ 9.20", "DUE ~ 9.20", "PAY ~ 20.00", "CHANGE ~ 10.80"), "9.20"),
        (("TOTAL ~ 5.00", "POINTS ~ 50.00", "TOTAL QTY ~ 12.00"), "5.00"),
    ],
)
def test_the_total_is_what_is_owed_not_what_stands_near_it(
    rows: tuple[str, ...], total: str
) -> None:
    read = document_of([page_of(*rows)])["total"]

    assert read == Decimal(total)


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("RM 1,007.50", ["1007.50"]),
        ("1.007,50 EUR", ["1007.50"]),
        ("$8.70", ["8.70"]),
        ("Total RM21.85", ["21.85"]),
        ("TotalRM21.85", ["21.85"]),
        ("13,00", ["13.00"]),
        ("RM-0.20", ["-0.20"]),
        ("- 0.02", ["-0.02"]),
        (".00", ["0.00"]),
        ("2 X 2.50 5.00", ["2.50", "5.00"]),
        ("6.00%", []),
        ("12.10.2017", []),
        ("11:04.50", []),
        ("47.602.85", []),
        ("0122648835", []),
    ],
)
def test_amounts_are_told_from_other_figures(text: str, amounts: list[str]) -> None:
    found = amounts_in(text)

    assert found == [Decimal(amount) for amount in amounts]


@pytest.mark.parametrize(
    ("label", "role"),
    [
        ("GRAND TOTAL", "final"),
        ("T0TAL :", "total"),
        ("SUB TOTAL", "base"),
        ("CASHIER : 01", "other"),
        ("CASH TENDERED", "paid"),
        ("EXCHANGE WITHIN 3 DAYS", "other"),
        ("CHANGE DUE", "change"),
        ("GST PAYABLE (6%):", "tax"),
        ("TOTAL 6% SUPPLIES (INC. GST)", "inclusive"),
        ("ROUNDING ADJUSTMENT", "rounding"),
    ],
)
def test_a_label_says_what_its_amount_is(label: str, role: str) -> None:
    found = role_of(label)

    assert found == role


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("DATE: 13/03/2017 03:00:42PM", date(2017, 3, 13)),
        ("10/03/201817:24:07", date(2018, 3, 10)),
        ("05-05-18", date(2018, 5, 5)),
        ("05-05~18", date(2018, 5, 5)),
        ("2018-03-21T17:59", date(2018, 3, 21)),
        ("21 MAR 2018 17:59", date(2018, 3, 21)),
        ("01-Nov-2017 11:20", date(2017, 11, 1)),
        ("SATURDAY, 2 DECEMBER, 2017", date(2017, 12, 2)),
        ("March 3, 2019", date(2019, 3, 3)),
        ("03/25/2018", date(2018, 3, 25)),
    ],
)
def test_a_day_is_read_however_it_is_written(text: str, day: date) -> None:
    found = days_in(text, day_first=True)

    assert [day for day, _ in found] == [day]


@pytest.mark.parametrize(
    "text", ["31/02/2018", "99/99/99", "1.00-2.00", "TEL 03-40210276", "012-9719498"]
)
def test_what_is_no_day_is_not_read_as_one(text: str) -> None:
    found = days_in(text, day_first=True)

    assert found == []


def test_a_form_may_say_that_the_month_comes_first_and_which_days_can_be() -> None:
    page = page_of("DATE 04/06/2018", "DATE 05/06/1999")
    form = Form("invoice", fields=[DateField("date", day_first=False)])
    late = Form("invoice", fields=[DateField("date", earliest=date(2020, 1, 1))])

    assert form.extract([page])[0].typed == date(2018, 4, 6)
    assert late.extract([page])[0].typed is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("TRI SHAAS SDN BHD (728515-M)", "TRI SHAAS SDN BHD"),
        ("GARDENIA BAKERIES (KL) SDN BHD (139386 X)", "GARDENIA BAKERIES (KL) SDN BHD"),
        ("MYNEWS RETAIL SB(306295-X) FKA BISON STORES SB", "MYNEWS RETAIL SB"),
        ("DION REALTIES SDN BHD (CO. NO:20154-T)", "DION REALTIES SDN BHD"),
        ("KMF F00DICIOUS SDN BHD", "KMF FOODICIOUS SDN BHD"),
        ("RESTORAN WAN SHENG", "RESTORAN WAN SHENG"),
        ("ACME LTD. 12 HIGH ST", "ACME LTD."),
    ],
)
def test_a_name_ends_before_its_registration_number(text: str, name: str) -> None:
    found, _ = name_in(text)

    assert found == name


def test_the_owner_named_below_the_shop_is_not_taken_for_it() -> None:
    page = page_of(
        "SANYU STATIONERY SHOP",
        "NO. 31 JALAN SETIA",
        "OWNED BY :",
        "SANYU SUPPLY SDN BHD",
        "TOTAL ~ 1.00",
    )

    read = document_of([page])["company"]

    assert read == "SANYU STATIONERY SHOP"


def test_a_name_over_two_rows_is_read_whole() -> None:
    page = page_of(
        "RESTAURANT JIAWEI", "JIAWEI HOUSE", "002693074-K", "13, JLN TASIK", "TOTAL ~ 1.00"
    )

    read = document_of([page])["company"]

    assert read == "RESTAURANT JIAWEI JIAWEI HOUSE"


@pytest.mark.parametrize("slope", [-0.05, -0.02, 0.0, 0.03, 0.05])
def test_rows_are_found_on_a_page_that_lies_askew(slope: float) -> None:
    level = page_of(*(f"LABEL {at} ~ middle ~ {at}.00" for at in range(20)))
    tilted = Page(1, tuple(_tilted(line, slope) for line in level.lines))

    rows = rows_of(tilted)

    assert abs(slope_of(tilted.lines) - slope) <= 0.005
    assert [row.text for row in rows] == [f"LABEL {at} middle {at}.00" for at in range(20)]


def _tilted(line: TextLine, slope: float) -> TextLine:
    x0, y0, x1, y1 = line.box
    down = round(slope * (x0 + x1) / 2)
    return TextLine(line.text, line.confidence, (x0, y0 + down, x1, y1 + down))


def test_a_page_without_any_text_has_no_fields_and_goes_to_a_person() -> None:
    document = document_of([])

    assert RECEIPT.doubts(document) == ("company", "date", "total")
    assert not RECEIPT.is_readable(document)
    assert document["total"] is None


def test_accuracy_counts_what_differs(
    truth: list[dict[str, Any]], typed: dict[str, Document]
) -> None:
    row = truth[0] | {"fields": truth[0]["fields"] | {"total": "9.99"}}

    shares = accuracy(typed, [row, {"id": "unknown", "fields": {}}])

    assert shares == {
        "pages": 1,
        "total_accuracy": 0.0,
        "date_accuracy": 1.0,
        "company_accuracy": 1.0,
    }
    assert accuracy({}, truth)["total_accuracy"] == 0
    assert is_right(typed[row["id"]], "company", "Unihakka  International Sdn. Bhd.")


boxes = st.tuples(*[st.integers(0, 3000)] * 4).map(
    lambda corner: (
        min(corner[0], corner[2]),
        min(corner[1], corner[3]),
        max(corner[0], corner[2]),
        max(corner[1], corner[3]),
    )
)
words = st.one_of(
    st.text(min_size=1, max_size=40),
    st.sampled_from(
        [
            "TOTAL",
            "RM 8.70",
            "1,007.50",
            "CASH",
            "CHANGE",
            "12/13/14",
            "ACME SDN BHD",
            "GST SUMMARY",
            "-",
            "0.00",
        ]
    ),
)
lines = st.builds(TextLine, text=words, confidence=st.floats(0, 1), box=boxes, page=st.just(1))


untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@untimed
@given(st.lists(lines, max_size=40))
def test_no_page_makes_a_finder_fail_and_every_field_is_typed_and_weighed(
    found: list[TextLine],
) -> None:
    document = document_of([Page(1, tuple(found))])

    assert [field.name for field in document.fields] == ["company", "date", "total"]
    assert all(0 <= field.confidence <= 1 for field in document.fields)
    assert all(
        (field.value is None) == (field.confidence == 0 and field.page == 0)
        for field in document.fields
    )
    assert Document.from_json(json.loads(json.dumps(document.to_json()))) == document


@untimed
@given(st.lists(lines, max_size=30))
def test_rows_lose_no_line_and_double_none(found: list[TextLine]) -> None:
    rows = rows_of(Page(1, tuple(found)))

    assert Counter(line for row in rows for line in row.lines) == Counter(found)
