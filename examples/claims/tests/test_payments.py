from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import httpx

from examples.claims.payments import Book, endpoint


def test_a_key_that_comes_again_is_answered_with_its_first_payment_and_pays_nothing(
    tmp_path: Path,
) -> None:
    book = Book.opened(tmp_path / "payments.jsonl")

    first = book.arrived("case-2", 15001, "1100")
    again = book.arrived("case-2", 15001, "1100")

    assert (first[0], again[0]) == (HTTPStatus.CREATED, HTTPStatus.OK)
    assert first[1] == again[1]
    assert (len(book.payments), book.again_count, book.doubled_count) == (1, 1, 0)


def test_a_claim_paid_under_two_keys_is_paid_twice(tmp_path: Path) -> None:
    book = Book.opened(tmp_path / "payments.jsonl")
    book.arrived("case-2", 15001, "1100")
    book.arrived("other-2", 15001, "1100")

    assert book.doubled_count == 1


def test_a_key_with_another_amount_is_refused(tmp_path: Path) -> None:
    book = Book.opened(tmp_path / "payments.jsonl")
    book.arrived("case-2", 15001, "1100")

    status, _ = book.arrived("case-2", 15001, "9999")

    assert status == HTTPStatus.CONFLICT
    assert book.paid_usd == 1100


def test_the_book_is_read_again_and_a_line_cut_off_by_a_crash_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "payments.jsonl"
    book = Book.opened(path)
    book.arrived("a-1", 1, "10")
    book.arrived("a-1", 1, "10")
    path.write_bytes(path.read_bytes() + b'{"key": "b-')

    reopened = Book.opened(path)

    assert (reopened.payments, reopened.again_count) == (book.payments, 1)
    assert path.read_bytes().endswith(b"}\n")


def test_the_endpoint_pays_over_http_and_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    book = Book.opened(tmp_path / "payments.jsonl")
    with endpoint(book) as url:
        paid = httpx.post(
            url, json={"claim": 7, "amount_usd": "12.50"}, headers={"Idempotency-Key": "k-1"}
        )
        keyless = httpx.post(url, json={"claim": 7, "amount_usd": "12.50"})
        garbled = httpx.post(url, json=[], headers={"Idempotency-Key": "k-2"})

    assert (paid.status_code, keyless.status_code, garbled.status_code) == (201, 400, 400)
    assert paid.json() == {"key": "k-1", "claim": 7, "amount_usd": "12.50"}
    assert list(book.payments) == ["k-1"]
