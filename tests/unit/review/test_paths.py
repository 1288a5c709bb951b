"""Reviewers see the name of a document, and not where it lies."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import to_json

from opsrail import Queue
from opsrail.review.showing import record_of
from opsrail.values.document_names import said_without_paths, without_paths
from tests.unit.review.conftest import review


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/srv/claims/receipts/101.jpg", "101.jpg"),
        ("receipts/A 1.TIFF", "A 1.TIFF"),
        ("C:\\scans\\7.pdf", "7.pdf"),
        ("file:///srv/7.png", "7.png"),
        ("7.png", "7.png"),
        ("https://cdn.example/7.png", "https://cdn.example/7.png"),
        ("/srv/claims/notes", "/srv/claims/notes"),
        ("see\n/srv/7.png", "see\n/srv/7.png"),
        ("km/h", "km/h"),
        (7, 7),
    ],
)
def test_a_text_that_is_a_documents_path_is_its_name(given: Any, shown: Any) -> None:
    assert without_paths({"a": [given]}) == {"a": [shown]}
    assert without_paths("/srv/claims/notes", {"/srv/claims/notes"}) == "notes"


def test_no_part_of_what_is_shown_has_the_path() -> None:
    lies = "/srv/claims/receipts/101.jpg"
    decision = {"features": [{"values": {"receipt": lies}}]}
    subject = {"input": {"receipt": lies}, "decision": decision, "show": {"pages": [lies]}}
    row = review(Queue("desk"), 0, subject=to_json(subject).decode())
    record = record_of(row, sees=True, now_ms=0)

    assert record["subject"]["input"] == {"receipt": "101.jpg"}
    assert "/srv" not in str(record)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("document /srv/a b/7.png does not exist", "document 7.png does not exist"),
        ("document scans/1.pdf is empty (0 bytes)", "document 1.pdf is empty (0 bytes)"),
        ("/srv/inbox/9 lies outside /srv/docs; move it", "9 lies outside docs; move it"),
        ("[Errno 13] Permission denied: '/var/x/y.pdf'", "[Errno 13] Permission denied: 'y.pdf'"),
        (r"cannot open C:\\scans\\7.pdf", "cannot open 7.pdf"),
        (
            "see /v1/cases/01K and http://a.example/b/c",
            "see /v1/cases/01K and http://a.example/b/c",
        ),
        ("60 km/h, 1/2/3, and/or/not, /tmp", "60 km/h, 1/2/3, and/or/not, /tmp"),
    ],
)
def test_a_message_says_what_and_not_where(said: str, shown: str) -> None:
    given = {"pages": ["/srv/a b/7.png", "scans/1.pdf"], "note": "nothing"}

    assert said_without_paths(said, given) == shown
