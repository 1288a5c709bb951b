"""The pages of reviews over HTTP, as a browser without JavaScript uses them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.counted import GATE
from tests.integration.reviewing.conftest import ROOT, Console, text_of
from tests.support.asking import asking, is_asking

RECEIPT = ROOT / "examples/claims/data/receipts/images/101.jpg"
PATH = "/console/reviews"


@contextmanager
def counted(app: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Count what requests of the block read of the store; not the look for who asks."""
    asked = 0

    def counting(read: Any) -> Any:
        async def reading(*args: Any, **how: Any) -> Any:
            nonlocal asked
            asked += is_asking() and sys._getframe(1).f_globals["__name__"] != GATE
            return await read(*args, **how)

        return reading

    with monkeypatch.context() as patch, asking():
        for name in ("get", "select", "columns", "count"):
            patch.setattr(app.store, name, counting(getattr(app.store, name)))
        yield lambda: asked


async def test_a_reviewer_takes_the_next_rules_and_is_led_to_the_next(console: Console) -> None:
    first, second = await console.review(amount=20), await console.review(amount=30)
    overview = await console.get(PATH)
    assert "open-desk 2 waiting" in text_of(overview)

    taken = await console.send(f"{PATH}/next", queue="open-desk")
    assert taken.url.path == f"{PATH}/{first}"
    assert "yours until" in text_of(taken)
    ruled = await console.send(
        f"{PATH}/{first}/rule",
        ("fields.amount_usd", "12.50"),
        ("fields.kind", "1"),
        ("fields.parts.0", "bumper"),
        ("fields.parts.1", "door"),
        queue="open-desk",
        verdict="approve",
    )

    assert ruled.url.path == f"{PATH}/{second}"
    assert "You ruled approve on the last one" in text_of(ruled)
    row = await console.app.desk.get(first)
    assert row.ruling == "approve"
    assert row.fields is not None
    assert '"amount_usd":12.5' in row.fields
    assert '"kind":"total loss"' in row.fields
    assert '"parts":["bumper","door"]' in row.fields


async def test_the_question_is_understood_and_the_cases_id_stands_beside_it(
    console: Console,
) -> None:
    review = await console.review(amount=1250)
    page = await console.get(f"{PATH}/{review}")
    case = (await console.app.desk.get(review)).case_id or ""

    assert "Approve or decline: risk of desk claims, number 1, name Ann, amount 1,250?" in text_of(
        page
    )
    assert case not in page.text.partition("<h1>")[2].partition("</h1>")[0]
    assert f"case {case}" in text_of(page)


async def test_a_ruling_is_taken_back_before_it_goes_out(console: Console) -> None:
    review = await console.review()
    await console.send(f"{PATH}/{review}/rule", ("fields.amount_usd", "20.0"), verdict="approve")
    assert "Undo" in text_of(await console.get(f"{PATH}/{review}"))

    undone = await console.send(f"{PATH}/{review}/undo")

    assert undone.url.path == f"{PATH}/{review}"
    assert "yours until" in text_of(undone)
    assert (await console.app.desk.get(review)).ruling is None


async def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(console: Console) -> None:
    review = await console.review(amount=20)

    refused = await console.send(
        f"{PATH}/{review}/rule",
        ("fields.amount_usd", "99999"),
        ("fields.parts.0", "hood"),
        verdict="decline",
        reason="",
    )

    assert refused.status_code == 422
    assert 'value="99999"' in refused.text
    assert 'value="hood"' in refused.text
    assert refused.text.count('aria-invalid="true"') == 2  # the amount, and the missing reason
    assert "say why you rule otherwise" in text_of(refused)
    assert (await console.app.desk.get(review)).ruling is None


async def test_a_form_that_is_no_number_is_told_without_asking_the_desk(console: Console) -> None:
    review = await console.review()

    refused = await console.send(
        f"{PATH}/{review}/rule", ("fields.amount_usd", "twelve"), verdict="approve"
    )

    assert refused.status_code == 422
    assert "is no number; write it with a point" in text_of(refused)


async def test_blind_first_keeps_the_machine_out_of_the_page_until_a_person_said_theirs(
    console: Console,
) -> None:
    review = await console.review(desk="blind-desk", amount=90)
    before = await console.get(f"{PATH}/{review}")
    assert "The machine looked at the amount" not in before.text
    assert "against" not in before.text

    said = await console.send(f"{PATH}/{review}/say", verdict="approve")

    assert "The machine looked at the amount" in text_of(said)
    assert "You said approve . Keep it, or reconsider" in text_of(said)
    await console.send(f"{PATH}/{review}/rule", verdict="decline", reason="the machine is right")
    (ruling,) = await console.app.desk.rulings(review)
    assert (ruling.first, ruling.verdict, ruling.is_reconsidered) == ("approve", "decline", True)


async def test_four_eyes_are_two_people_and_who_ruled_is_told_why_not(console: Console) -> None:
    review = await console.review(desk="four-desk")
    await console.send(f"{PATH}/{review}/rule", verdict="approve")

    again = await console.get(f"{PATH}/{review}")
    refused = await console.send(f"{PATH}/{review}/rule", verdict="approve")

    assert "wants two different people" in text_of(again)
    assert 'name="verdict"' not in again.text
    assert refused.status_code == 403
    await console.app.desk.rule(review, "approve", by="user:bob")
    assert (await console.app.desk.get(review)).state == "ruled"


async def test_of_two_people_one_wins_and_the_other_keeps_what_they_typed(console: Console) -> None:
    review = await console.review()
    await console.app.desk.claim(review, "user:bob")

    lost = await console.send(
        f"{PATH}/{review}/rule", ("fields.amount_usd", "77"), verdict="approve", reason="a long one"
    )

    assert lost.status_code == 409
    assert "Your ruling does not count" in text_of(lost)
    assert "a long one" in lost.text
    assert 'value="77"' in lost.text
    assert (await console.app.desk.get(review)).assignee == "user:bob"


async def test_a_lease_is_renewed_taken_again_and_lost(console: Console) -> None:
    review = await console.review()
    await console.send(f"{PATH}/{review}/claim")
    kept = await console.send(f"{PATH}/{review}/heartbeat")
    assert kept.json()["lease_until_ms"] > console.app.clock.now_ms()

    await console.send(f"{PATH}/{review}/release")
    assert (await console.app.desk.get(review)).state == "open"
    assert (await console.send(f"{PATH}/{review}/heartbeat")).status_code == 200
    await console.send(f"{PATH}/{review}/release")
    await console.app.desk.claim(review, "user:bob")

    assert (await console.send(f"{PATH}/{review}/heartbeat")).status_code == 409


async def test_a_question_is_asked_and_answered_and_a_review_goes_to_other_desks(
    console: Console,
) -> None:
    review = await console.review()
    asked = await console.send(f"{PATH}/{review}/ask", question="Which car?", to="user:bob")
    assert "Nothing more waits for you" in text_of(asked)
    assert "Which car?" in text_of(await console.get(f"{PATH}/{review}"))
    await console.app.desk.answer(review, "The red one", by="user:bob")
    assert "The red one" in text_of(await console.get(f"{PATH}/{review}"))

    await console.send(f"{PATH}/{review}/escalate", why="too large for me")
    assert (await console.app.desk.get(review)).queue == "chief-desk"
    await console.send(f"{PATH}/{review}/pass", to="open-desk", why="no, it is yours")

    assert (await console.app.desk.get(review)).queue == "open-desk"


async def test_a_review_goes_to_no_queue_that_there_is_not_and_the_fault_names_those_that_there_are(
    console: Console,
) -> None:
    review = await console.review()

    refused = await console.send(f"{PATH}/{review}/pass", to="cheif-desk", why="too large")

    assert refused.status_code == 422
    assert 'id="queue-fault"' in refused.text
    assert "there are: blind-desk, chief-desk, four-desk, open-desk" in text_of(refused)
    assert 'value="cheif-desk"' in refused.text
    assert (await console.app.desk.get(review)).queue == "open-desk"


async def test_nobody_is_asked_without_a_question_and_the_fault_stands_at_it(
    console: Console,
) -> None:
    review = await console.review()

    refused = await console.send(f"{PATH}/{review}/ask", question=" ", to="user:bob")

    assert refused.status_code == 422
    assert 'id="question-fault"' in refused.text


async def test_alike_reviews_are_ruled_at_once_each_with_its_own_ruling(console: Console) -> None:
    reviews = [await console.review(desk="four-desk") for _ in range(3)]
    listed = await console.get(f"{PATH}?queue=four-desk")
    assert listed.text.count('type="checkbox"') == 3

    done = await console.send(
        f"{PATH}/alike", *(("id", one) for one in reviews), queue="four-desk", verdict="approve"
    )

    assert "3 ruled alike" in text_of(done)
    for review in reviews:
        assert len(await console.app.desk.rulings(review)) == 1


async def test_what_could_not_be_ruled_with_the_others_is_named(console: Console) -> None:
    reviews = [await console.review(desk="four-desk") for _ in range(2)]
    await console.app.desk.claim(reviews[0], "user:bob")

    done = await console.send(
        f"{PATH}/alike", *(("id", one) for one in reviews), queue="four-desk", verdict="approve"
    )

    assert done.status_code == 409
    assert reviews[0] in text_of(done)
    assert "1 ruled alike" in text_of(done)


async def test_reviews_that_are_gone_or_unlike_are_each_named_and_none_is_ruled(
    console: Console,
) -> None:
    mine, other = await console.review(desk="four-desk"), await console.review()
    unknown = [f"{'0' * 26}-{number}" for number in (1, 2)]

    refused = await console.send(
        f"{PATH}/alike",
        *(("id", one) for one in (mine, unknown[0], other, unknown[1])),
        queue="four-desk",
        verdict="approve",
    )

    assert refused.status_code == 422
    for one in (*unknown, other):
        assert f'href="/console/reviews/{one}"' in refused.text
    assert await console.app.desk.rulings(mine) == []


async def test_the_document_is_shown_with_boxes_and_only_as_it_was_read(
    console: Console, tmp_path: Path
) -> None:
    page = tmp_path / "page.jpg"
    page.write_bytes(RECEIPT.read_bytes())
    review = await console.review(receipt=str(page))

    shown = await console.get(f"{PATH}/{review}")
    picture = await console.get(f"{PATH}/{review}/documents/0?page=1")

    assert '<rect id="box-field-0-0" class="box doubtful"' in shown.text
    assert picture.content == page.read_bytes()
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in picture.headers["content-security-policy"]
    page.write_bytes(RECEIPT.with_name("056.jpg").read_bytes())
    assert (await console.get(f"{PATH}/{review}/documents/0")).status_code == 404
    assert "was changed since it was read" in text_of(await console.get(f"{PATH}/{review}"))


async def test_where_a_document_lies_is_told_nowhere_in_its_review(
    console: Console, tmp_path: Path
) -> None:
    page, other = tmp_path / "page.jpg", tmp_path / "scan-0007"
    for each in (page, other):
        each.write_bytes(RECEIPT.read_bytes())
    reviews = [await console.review(receipt=str(each)) for each in (page, other)]
    seen = [(await console.get(f"{PATH}/{review}")).text for review in reviews]
    seen.append((await console.get(f"{PATH}?queue=open-desk")).text)
    seen.append((await console.get(f"/v1/reviews/{reviews[0]}")).text)
    page.unlink()
    gone = await console.get(f"{PATH}/{reviews[0]}")
    no_picture = await console.get(f"{PATH}/{reviews[0]}/documents/0")

    assert 'id="box-field-0-0"' in seen[0]
    assert 'id="box-field-0-0"' in seen[1]
    for text in (seen[0], *seen[2:], gone.text):
        assert "page.jpg" in text
        assert str(page) not in text
    assert "page.jpg is gone" in text_of(gone)
    assert no_picture.status_code == 404
    for text in (*seen[:2], seen[3], gone.text, no_picture.text):
        assert str(tmp_path) not in text


@pytest.mark.parametrize("seq", ["1", "7", "...", "0x0", "00"])
async def test_nothing_but_the_documents_of_the_case_has_an_address(
    console: Console, tmp_path: Path, seq: str
) -> None:
    page = tmp_path / "page.jpg"
    page.write_bytes(RECEIPT.read_bytes())
    review = await console.review(receipt=str(page), name=str(RECEIPT.with_name("056.jpg")))

    assert (await console.get(f"{PATH}/{review}/documents/{seq}")).status_code == 404


async def test_what_a_claimant_wrote_is_text(console: Console) -> None:
    hostile = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"
    review = await console.review(name=hostile)

    for page in (f"{PATH}/{review}", f"{PATH}?queue=open-desk"):
        text = (await console.get(page)).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "49" not in text.partition("alert(1)&gt;")[2][:40]


async def test_no_text_turns_others_around_or_pushes_the_ruling_out_of_sight(
    console: Console,
) -> None:
    review = await console.review(name="R\u202eTL " + "long " * 100)
    page, listed = (
        await console.get(f"{PATH}/{review}"),
        await console.get(f"{PATH}?queue=open-desk"),
    )

    assert '<div class="long"><dt>name</dt>' in page.text
    assert "<dt>number</dt><dd><bdi>1</bdi></dd>" in page.text
    assert "\u202e" not in page.text.partition("<h1>")[2].partition("</h1>")[0]
    assert "\u202e" not in listed.text
    assert "name R TL long" in text_of(listed)


async def test_each_page_reads_at_most_five_times(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.jpg"
    page.write_bytes(RECEIPT.read_bytes())
    first, second = await console.review(receipt=str(page)), await console.review()
    await console.send(f"{PATH}/{second}/rule", ("fields.amount_usd", "20.0"), verdict="approve")

    for path in (
        f"{PATH}?last={second}",
        f"{PATH}?queue=open-desk&after={first}&last={second}",
        f"{PATH}/{first}?last={second}",
        f"{PATH}/{first}/documents/0",
    ):
        with counted(console.app, monkeypatch) as asked:
            assert (await console.get(path)).status_code == 200
            assert 1 <= asked() <= 5, path


async def test_an_id_that_is_none_is_a_page_that_says_so(console: Console) -> None:
    absent = await console.get(f"{PATH}/01ARZ3NDEKTSV4RRFFQ69G5FAV-1")

    assert absent.status_code == 404
    assert absent.headers["content-type"].startswith("text/html")
    assert (await console.get(f"{PATH}/nonsense")).status_code == 404
