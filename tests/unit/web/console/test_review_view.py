"""What a person sees of a review and why they may not rule: over plain rows."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest

from opsrail.cases.journal import digest_of
from opsrail.review.opening import UNRULED
from opsrail.values.cases import JournalRow
from opsrail.values.documents import Document, ExtractedField
from opsrail.values.reviews import ReviewRow, RulingRow
from opsrail.web.console.review_documents import documents_of
from opsrail.web.console.review_view import choices_of, undo_of, view_of

NOW_MS = 1_000_000


def review(**changed: Any) -> ReviewRow:
    row = ReviewRow(
        id="r-1", case_id="c", automation="a", queue="q", decision_id=None,
        subject='{"input": {"a": 1}, "decision": null, "show": null}', verdict="approve", state="open",
        priority=5, due_at_ms=None, version=0, salt="", opened_at_ms=0, **UNRULED,
    )  # fmt: skip
    return row._replace(**changed)


def ruling(by: str, verdict: str = "approve", first: str | None = None) -> RulingRow:
    return RulingRow("r-1", by, verdict, "", None, first, False, None, 0)


HELD = {"state": "claimed", "assignee": "bob", "lease_until_ms": NOW_MS + 1}


@pytest.mark.parametrize(
    ("changed", "rulings", "told"),
    [
        ({}, [], ""),
        (HELD, [], "bob holds it now."),
        (HELD | {"lease_until_ms": NOW_MS - 1}, [], ""),
        ({"requester": "ann"}, [], "You handed this case in"),
        ({"eyes": 2}, [ruling("ann")], "You ruled on it already"),
        ({"eyes": 2}, [ruling("bob")], ""),
        ({"blind": True}, [ruling("ann", verdict="", first="approve")], ""),
        ({"state": "ruled", "ruled_by": "bob"}, [], "It was ruled by bob"),
        ({"state": "withdrawn"}, [], "It was withdrawn"),
    ],
)
def test_why_a_person_may_not_rule_is_told(
    changed: dict[str, Any], rulings: list[RulingRow], told: str
) -> None:
    view = view_of(review(**changed), rulings, (), "ann", NOW_MS)

    assert view.why_not.startswith(told)
    assert bool(view.why_not) == bool(told)
    assert view.may_take == (not told)


@pytest.mark.parametrize(
    ("rulings", "is_hidden"),
    [([], True), ([ruling("bob")], True), ([ruling("ann", verdict="", first="decline")], False)],
)
def test_a_blind_review_hides_what_policy_said_until_one_said_theirs(
    rulings: list[RulingRow], is_hidden: bool
) -> None:
    view = view_of(review(blind=True), rulings, (), "ann", NOW_MS)

    assert view.is_hidden == is_hidden
    assert any(choice.is_against for choice in view.choices) == (not is_hidden)


def test_a_ruling_may_be_taken_back_by_who_ruled_while_it_is_held() -> None:
    held = review(state="ruled", ruled_by="ann", wake_at_ms=NOW_MS + 5_000)
    gone = held._replace(delivered_at_ms=NOW_MS, wake_at_ms=None)
    rulings = [ruling("ann"), ruling("bob")]

    assert undo_of(held, rulings, "ann", NOW_MS) == ("r-1", "approve", NOW_MS + 5_000)
    assert undo_of(held, rulings, "bob", NOW_MS) is None
    assert undo_of(gone, rulings, "ann", NOW_MS) is None
    assert undo_of(review(eyes=2), rulings, "bob", NOW_MS) == ("r-1", "approve", None)


def test_verdicts_have_keys_that_nothing_else_uses() -> None:
    choices = choices_of(("approve", "decline", "delay", "pay"), "approve")

    assert [choice.keys for choice in choices] == ["a 1", "d 2", "3", "4"]
    assert [choice.is_against for choice in choices] == [False, True, True, True]


def test_a_document_is_found_by_the_digest_of_what_the_step_was_given() -> None:
    total = ExtractedField("total", "money", "1.00", "1.00", 0.9, 1, (0, 0, 1, 1))
    document = Document(hashlib.sha256(b"x").hexdigest(), (), (total,), "engine", 1)
    text = orjson.dumps(document.to_json()).decode()

    def step(path: str, result: str = text) -> JournalRow:
        return JournalRow("c", 0, "step", "receipt", digest_of((path,), {}), result, 1, 0)

    given = {"name": "/etc/passwd", "files": [{"receipt": "/scans/1.png"}]}

    (found,) = documents_of(given, [step("/scans/1.png")])
    assert (found.path, found.document) == ("/scans/1.png", document)
    (lost,) = documents_of(given, [step("/elsewhere.png")])
    assert lost.path is None
    assert documents_of(given, [step("/scans/1.png", '{"engine": "no document"}')]) == ()
