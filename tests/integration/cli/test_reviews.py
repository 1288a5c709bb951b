"""A day at the desk on the command line: real commands on a folder with an SQLite file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from opsrail import Escalation, Queue
from opsrail.cli.main import main
from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.store.sqlite import SqliteStore
from opsrail.values.rows import Insert
from tests.unit.review.conftest import review

IDS = tuple(f"01K8ZC2V7N3T9D4M6Q0RWXYAB{letter}-0" for letter in "CDE")


class Correction(BaseModel):
    amount_usd: float = Field(ge=0)


QUEUE = Queue(
    "claims-desk",
    verdicts=("approve", "decline"),
    form=Correction,
    blind=True,
    undo="1h",
    escalate=[Escalation("2h", "seniors")],
)
Asked = Callable[..., Any]


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Return a folder in which reviews wait."""
    clock = SystemClock()
    store = SqliteStore(tmp_path / "opsrail.db", chain=WriterChain(clock), clock=clock)
    await store.open()
    now_ms = clock.now_ms()
    await store.commit(
        [Insert(review(QUEUE, now_ms, one, values={"amount_usd": 3})) for one in IDS]
    )
    await store.close()
    return tmp_path


@pytest.fixture
def asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Asked:
    monkeypatch.chdir(folder)

    def asked(*args: str, status: int = 0) -> Any:
        ended = main(["reviews", *args, "--data", str(folder), "--json"])
        said = capsys.readouterr()
        assert ended == status, said.err
        return json.loads(said.out)

    return asked


def test_a_day_at_the_desk(asked: Asked) -> None:
    (queue,) = asked("queues")["queues"]
    first = asked("next", "--queue", "claims-desk", "--by", "ana")["review"]
    hidden = asked("show", first["id"], "--by", "ana")["review"]
    said = asked("say", first["id"], "approve", "--by", "ana")["review"]
    refused = asked("rule", first["id"], "approve", "--field", "amount_usd=-1", "--by", "ana", status=1)  # fmt: skip
    ruled = asked("rule", first["id"], "decline", "--field", "amount_usd=4.5", "--by", "ana")["review"]  # fmt: skip
    changed = asked("reconsider", first["id"], "approve", "--reason", "so", "--by", "ana")["review"]
    undone = asked("undo", first["id"], "--by", "ana")["review"]
    events = asked("events", first["id"], "--by", "ana")["events"]
    others = asked("events", first["id"], "--by", "bob")["events"]

    assert (queue["queue"], queue["waiting"]) == ("claims-desk", 3)
    assert (hidden["verdict"], hidden["subject"]["decision"]["score"]) == (None, None)
    assert (said["is_shown"], said["verdict"]) == (True, "decline")
    assert {fault["place"] for fault in refused["error"]["faults"]} == {
        "reason",
        "fields.amount_usd",
    }
    assert (ruled["standing"], ruled["fields"]) == ("held", {"amount_usd": 4.5})
    assert (changed["ruling"], undone["standing"], undone["ruling"]) == ("approve", "claimed", None)
    assert [one["kind"] for one in events] == ["claimed", "said", "ruled", "reconsidered", "undone"]
    assert events[1]["content"] == {"verdict": "approve"}
    assert others[1]["content"] == {}


def test_questions_and_other_desks(asked: Asked) -> None:
    question = asked("ask", IDS[0], "Where is page 2?", "--to", "bob", "--by", "ana")["review"]
    mine = asked("list", "--mine", "bob")["reviews"]
    back = asked("answer", IDS[0], "There.", "--by", "bob")["review"]
    given = asked("pass", IDS[0], "--person", "cy", "--by", "ana")["review"]
    up = asked("escalate", IDS[1], "--reason", "too large", "--by", "ana")["review"]
    end = asked("escalate", IDS[1], "--by", "ana", status=1)
    free = asked("release", IDS[0], "--by", "cy")["review"]

    assert (question["state"], [one["id"] for one in mine]) == ("asked", [IDS[0]])
    assert (back["assignee"], given["assignee"], up["queue"]) == ("ana", "cy", "seniors")
    assert end["error"]["code"] == "conflict"
    assert free["state"] == "open"
    assert len(asked("list", "--state", "open")["reviews"]) == 3


def test_a_queue_that_there_is_not_is_refused_with_those_that_there_are(asked: Asked) -> None:
    said = [
        asked("pass", IDS[0], "--queue", "senior", "--by", "ana", status=1),
        asked("next", "--queue", "claims-dsk", "--by", "ana", status=1),
        asked("list", "--queue", "claims-dsk", status=1),
        asked("quality", "--queue", "claims-dsk", status=1),
        asked("export", "--out", "x.jsonl", "--queue", "claims-dsk", status=1),
    ]
    passed = asked("pass", IDS[0], "--queue", "seniors", "--by", "ana")["review"]

    for one in said:
        (fault,) = one["error"]["faults"]
        assert fault["place"] == "queue"
        assert "; there are: claims-desk" in fault["message"]
    assert passed["queue"] == "seniors"  # it is of the review's own chain


WHY = "The score 0.52 is below 0.9, the limit of 'approve', and not below 0.2, that of 'decline'"


@pytest.fixture
async def told_of(folder: Path) -> None:
    """Put a review with much to tell, and one with nothing, beside the others."""
    clock = SystemClock()
    store = SqliteStore(folder / "opsrail.db", chain=WriterChain(clock), clock=clock)
    await store.open()
    decision = {"id": "d-1", "point": "triage", "verdict": "review", "reasons": [{"text": WHY}]}
    given = {"vendor": "A\u202ecme\n of " + "x" * 300, "city": "Bonn", "amount_usd": "120.5"}
    subject = json.dumps({"input": given, "decision": decision, "show": None})
    due_ms = clock.now_ms() + 3 * 3_600_000 + 600_000
    row = review(PLAIN, clock.now_ms(), PLAIN_IDS[0], subject=subject, due_at_ms=due_ms)
    late = row._replace(id=PLAIN_IDS[1], due_at_ms=clock.now_ms() - 7_000_000, subject="{}")
    await store.commit([Insert(row), Insert(late)])
    await store.close()


@pytest.mark.usefixtures("told_of")
def test_a_list_says_what_each_review_is_about_and_why_it_was_sent_in_100_characters(
    folder: Path, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = asked("list", "--queue", "plain-desk")["reviews"]
    blind = asked("list", "--queue", "claims-desk")["reviews"][0]

    assert (first["point"], first["why"], first["verdict"]) == ("triage", [WHY], "decline")
    assert first["about"].startswith("vendor A cme of xxx")
    assert first["about"].endswith("city Bonn, amount 120.50 USD")
    assert (second["point"], second["about"], second["why"]) == (None, None, [])
    assert (blind["about"], blind["verdict"], blind["why"]) == ("amount 9", None, [])
    assert main(["reviews", "list", "--data", str(folder)]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 100
    for word in (*PLAIN_IDS[:2], "triage:", "Bonn", "in 3 h", "1 h late", "hidden", "0.52"):
        assert word in told


PLAIN = Queue("plain-desk", verdicts=("approve", "decline"), form=Correction)
PLAIN_IDS = tuple(f"01K8ZC2V7N3T9D4M6Q0RWXYAB{letter}-1" for letter in "CDE")


@pytest.fixture
async def alike(folder: Path) -> None:
    """Put reviews that may be ruled on at once beside the others."""
    clock = SystemClock()
    store = SqliteStore(folder / "opsrail.db", chain=WriterChain(clock), clock=clock)
    await store.open()
    rows = [review(PLAIN, clock.now_ms(), one, values={"amount_usd": 3}) for one in PLAIN_IDS]
    await store.commit([Insert(row) for row in rows])
    await store.close()


@pytest.mark.usefixtures("alike")
def test_alike_reviews_are_ruled_at_once_and_those_that_fail_are_named(asked: Asked) -> None:
    asked("claim", PLAIN_IDS[1], "--by", "bob")
    ids = PLAIN_IDS
    wrong = asked("rule-alike", "burn", *ids, "--field", "amount_usd=-1", "--by", "ana", status=1)
    done = asked(
        "rule-alike", "decline", *ids, "--field", "amount_usd=4.5", "--by", "ana", status=1
    )
    rest = asked("rule-alike", "decline", ids[1], "--by", "bob")

    assert wrong["ruled"] == []
    assert [one["id"] for one in wrong["failed"]] == list(ids)
    assert "'burn'" in wrong["failed"][0]["detail"]
    assert "amount_usd" in wrong["failed"][0]["detail"]
    assert [(one["id"], one["fields"]) for one in done["ruled"]] == [
        (ids[0], {"amount_usd": 4.5}),
        (ids[2], {"amount_usd": 4.5}),
    ]
    assert [(one["id"], one["code"]) for one in done["failed"]] == [(ids[1], "already-ruled")]
    assert (rest["ruled"][0]["fields"], rest["failed"]) == ({"amount_usd": 3}, [])


@pytest.mark.usefixtures("alike")
def test_reviews_that_are_not_alike_are_refused_with_every_fault_and_none_is_ruled(
    asked: Asked,
) -> None:
    mixed = (PLAIN_IDS[0], IDS[0], "NOTHING-1", "NOTHING-2")
    refused = asked("rule-alike", "decline", *mixed, "--by", "ana", status=1)["error"]
    unreadable = asked(
        *("rule-alike", "decline", PLAIN_IDS[0], "--field", "x", "--field", "=1", "--by", "ana"),
        status=2,
    )

    assert refused["code"] == "contradictory"
    assert [fault["place"] for fault in refused["faults"]] == ["ids.1", "ids.2", "ids.3"]
    assert "'x', '=1'" in unreadable["error"]["message"]
    assert asked("show", PLAIN_IDS[0])["review"]["ruling"] is None
