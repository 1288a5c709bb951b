"""Many rows in one request, in memory."""

from __future__ import annotations

import asyncio
import io
import struct
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pyarrow
import pytest
from pydantic_core import to_json

from opsrail.config import Config, DecideConfig, WebConfig
from opsrail.decide.decider import Request
from opsrail.decide.rows import PATIENCE_S, in_order, patiently
from opsrail.errors import Overloaded
from opsrail.registry.pools import PoolRuntimes
from opsrail.registry.rollout import Stage
from opsrail.testing.models import FunctionRuntime
from opsrail.values.pools import Pool
from opsrail.web.bulk_arrow import ARROW
from opsrail.web.bulk_arrow_sizes import row_sizes
from opsrail.web.bulk_rows import EMPTY_AT_ONCE, JsonLines
from tests.support.decisions import StillClock
from tests.unit.web import claims
from tests.unit.web.conftest import Caller, app_of, client_of, running

BATCH = "/v1/decisions/fraud-risk:batch"


async def asked(
    caller: Caller, content: Any, media: str = "application/jsonl", **headers: str
) -> Any:
    return await caller.client.post(
        BATCH, content=content, headers={"content-type": media, **headers}
    )


def lines(*amounts: object) -> bytes:
    rows = [{"claim_id": f"c-{at}", "amount": amount} for at, amount in enumerate(amounts)]
    return b"\n".join(map(orjson.dumps, rows))


def told(answer: Any) -> list[Any]:
    return [orjson.loads(line) for line in answer.content.splitlines()]


async def test_each_line_is_a_recorded_decision_in_its_place(live: Caller) -> None:
    answer = await asked(live, lines(100, 1_500, 5_000))
    decisions = told(answer)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jsonl")
    assert [one["verdict"] for one in decisions] == ["approve", "review", "review"]
    for line, one in zip(answer.content.splitlines(), decisions, strict=True):
        assert (await live.get(f"/v1/decisions/{one['id']}")).content == line


async def test_a_bad_line_is_answered_in_its_place_and_stops_nobody(live: Caller) -> None:
    body = b"\n".join((lines(1), b"", b"nope", lines(-5), b'{"a":1,"a":2}', b"\xff", lines(3)))
    answers = told(await asked(live, body, "application/x-ndjson"))

    assert [one.get("line") for one in answers] == [None, 3, 4, 5, 6, None]
    assert [one.get("code") for one in answers[1:5]] == [
        "malformed", "invalid-input", "malformed", "malformed",
    ]  # fmt: skip
    assert answers[2]["faults"][0]["place"] == "amount"


async def test_a_line_that_is_too_long_is_skipped_whole(door: Caller) -> None:
    long = b'{"claim_id": "' + b"c" * 2_000_000 + b'"}'
    answers = told(await asked(door, b"\n".join((lines(1), long, lines(2)))))

    assert [one.get("code") for one in answers] == [None, "malformed", None]
    assert answers[1]["line"] == 2


async def test_others_run_while_empty_lines_are_passed_over() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    empty = io.BytesIO(b"\n" * 10 * EMPTY_AT_ONCE + b"{}")
    rows = [row async for row in JsonLines("application/jsonl", 1_000).rows(empty)]
    task.cancel()

    assert [row.line for row in rows] == [10 * EMPTY_AT_ONCE + 1]
    assert turns >= 9


async def test_the_key_of_the_whole_gives_each_line_its_own(live: Caller) -> None:
    key = {"idempotency-key": "k-1"}
    first = told(await asked(live, lines(1, 2), **key))
    again = told(await asked(live, lines(1, 2, 3), **key))
    changed = told(await asked(live, lines(1, 9), **key))

    assert again[:2] == first
    assert again[2]["id"] not in {one["id"] for one in first}
    assert changed[0] == first[0]
    assert changed[1]["code"] == "key-reused"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 415),
        ({"content-type": ""}, 415),
        ({"content-encoding": "gzip"}, 415),
        ({"idempotency-key": "k" * 250}, 400),
        ({"x-opsrail-deadline-ms": "0"}, 400),
    ],
)
async def test_what_is_wrong_with_the_whole_is_refused_before_any_row(
    live: Caller, headers: dict[str, str], status: int
) -> None:
    answer = await asked(live, lines(1), **headers) if "content-type" not in headers else (
        await live.client.post(BATCH, content=lines(1), headers=headers)
    )  # fmt: skip

    assert answer.status_code == status


async def test_a_body_beyond_the_limit_is_refused() -> None:
    app = app_of(WebConfig(bulk_bytes=1_000))

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield lines(1) + b"\n"

    async with running(app) as client:
        for content in (lines(*range(100)), endless()):
            answer = await client.post(
                BATCH, content=content, headers={"content-type": "application/jsonl"}
            )
            assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


async def test_no_more_rows_are_under_way_than_the_setting_says(
    live: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.app.config = Config(decide=DecideConfig(rows_at_once=3))
    decide, now, most = live.app.decider.decide, 0, 0

    async def counted(request: Request[Any]) -> Any:
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return await decide(request)
        finally:
            now -= 1

    monkeypatch.setattr(live.app.decider, "decide", counted)
    answers = told(await asked(live, lines(*range(50))))

    assert (len(answers), most) == (50, 3)


async def test_a_server_that_is_being_stopped_says_so_for_each_line_left() -> None:
    app = app_of()
    async with app.running(), client_of(app, is_closing=lambda: True) as client:
        answer = await client.post(
            BATCH, content=lines(1, 2), headers={"content-type": "application/jsonl"}
        )

    assert [one["code"] for one in told(answer)] == ["store-unavailable"] * 2


async def test_rows_wait_for_room_instead_of_being_refused() -> None:
    clock, tries = StillClock(), 0

    async def ask() -> str:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise Overloaded("full", after_s=1.0)
        return "done"

    assert await patiently(ask, clock) == "done"
    assert tries == 4


async def test_a_row_that_finds_no_room_for_too_long_is_given_up() -> None:
    clock = StillClock()
    began_s = clock.monotonic_s()

    async def ask() -> str:
        raise Overloaded("full")

    with pytest.raises(Overloaded):
        await patiently(ask, clock)
    assert clock.monotonic_s() - began_s <= PATIENCE_S


async def test_nothing_is_begun_that_nobody_takes() -> None:
    begun: list[int] = []

    async def rows() -> AsyncIterator[int]:
        for row in range(1_000):
            yield row

    async def work(row: int) -> int:
        begun.append(row)
        await asyncio.sleep(0)
        return row

    answers = in_order(rows(), work, 4)
    taken = [await anext(answers) for _ in range(3)]
    await answers.aclose()

    assert taken == [0, 1, 2]
    assert len(begun) <= 7


async def test_rows_before_one_that_cannot_be_read_are_answered() -> None:
    async def rows() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise ValueError("the rest is lost")

    async def work(row: int) -> int:
        await asyncio.sleep(0)
        return row

    answers = in_order(rows(), work, 10)
    taken = [await anext(answers), await anext(answers)]

    assert taken == [1, 2]
    with pytest.raises(ValueError, match="the rest is lost"):
        await anext(answers)


# -- Arrow ---------------------------------------------------------------------------------------------------------------


def stream(table: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    how = pyarrow.ipc.IpcWriteOptions(**options)
    with pyarrow.ipc.new_stream(sink, table.schema, options=how) as writer:
        writer.write_table(table)
    return sink.getvalue()


TABLE = pyarrow.table(
    {
        "claim_id": pyarrow.array(["c-1", "c-2", "c-3"]).dictionary_encode(),
        "amount": [100.0, -4.0, 2_000.0],
        "parts": [[], [{"name": "door", "price": 1.5}], None],
    }
)


async def test_arrow_comes_back_as_arrow_in_order(live: Caller) -> None:
    answer = await asked(live, stream(TABLE), ARROW)
    rows = pyarrow.ipc.open_stream(answer.content).read_all().to_pylist()

    assert answer.headers["content-type"] == ARROW
    assert [row["line"] for row in rows] == [1, 2, 3]
    assert [row["verdict"] for row in rows] == ["approve", None, "review"]
    assert [row["code"] for row in rows] == [None, "invalid-input", None]
    assert "amount: Input should be greater" in rows[1]["detail"]
    record = (await live.get(f"/v1/decisions/{rows[0]['decision_id']}")).json()
    assert record["features"][0]["values"]["claim_id"] == "c-1"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense, and more of it than a length",
        stream(TABLE)[:300],
        stream(TABLE, compression="zstd"),
        stream(TABLE, compression="lz4"),
        stream(pyarrow.table({"claim_id": pyarrow.nulls(5)})),
        struct.pack("<iI", -1, 2**31 - 8) + b"x" * 64,
    ],
    ids=["empty", "nonsense", "cut", "zstd", "lz4", "nulls", "lying"],
)
async def test_a_stream_that_is_not_taken_is_refused_before_any_row(
    live: Caller, content: bytes
) -> None:
    answer = await asked(live, content, ARROW)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_a_stream_with_flipped_bytes_never_takes_the_server_down(live: Caller) -> None:
    whole = stream(TABLE)
    for at in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[at] ^= 0xFF
        answer = await asked(live, bytes(broken), ARROW)
        assert answer.status_code in (200, 400)


def beside(column: Any) -> Any:
    """Return three rows that are sound but for a column of their own."""
    amounts = [100.0, 200.0, 300.0]
    return pyarrow.table({"claim_id": ["c-1", "c-2", "c-3"], "amount": amounts, "note": column})


@pytest.mark.parametrize(
    "column",
    [
        pyarrow.array([1, 2**31 - 1, 3], pyarrow.int32()).cast(pyarrow.date32()),
        pyarrow.array([1, 2**62, 3]).view(pyarrow.timestamp("s")),
        pyarrow.array([1, 2**62, 3]).view(pyarrow.duration("s")),
        pyarrow.array([b"a", b"\xff", b"c"]),
    ],
    ids=["date", "timestamp", "duration", "bytes"],
)
async def test_a_value_that_has_no_form_is_told_in_its_row_and_stops_no_other(
    live: Caller, column: Any
) -> None:
    answer = await asked(live, stream(beside(column)), ARROW)
    rows = pyarrow.ipc.open_stream(answer.content).read_all().to_pylist()

    assert [row["line"] for row in rows] == [1, 2, 3]
    assert rows[1]["code"] == "malformed"
    assert {rows[0]["code"], rows[2]["code"]} <= {None, "invalid-input"}


def viewed(depth: int) -> Any:
    """Return lists of eight views, of lists of eight views of the same, and so on."""
    array = pyarrow.array([0] * 8, pyarrow.int8())
    starts, counts = (pyarrow.array([number] * 8, pyarrow.int32()) for number in (0, 8))
    for _ in range(depth):
        array = pyarrow.ListViewArray.from_arrays(starts, counts, array)
    return array[:3]


def looked_up(depth: int) -> Any:
    """Return lists of eight words of a dictionary, whose one word is such a list, and so on."""
    array = pyarrow.array([0] * 8, pyarrow.int8())
    for _ in range(depth):
        word = pyarrow.ListArray.from_arrays(pyarrow.array([0, 8], pyarrow.int32()), array)
        array = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 8, pyarrow.int8()), word)
    return array[:3]


WORDS = pyarrow.DictionaryArray.from_arrays([0] * 1_000, ["w" * 10_000])


@pytest.mark.parametrize(
    "column",
    [
        viewed(12),
        looked_up(12),
        pyarrow.ListArray.from_arrays(pyarrow.array([0, 1_000, 1_000, 1_000], "int32"), WORDS),
    ],
    ids=["views", "dictionaries", "words"],
)
async def test_a_row_that_refers_to_more_than_may_be_sent_is_never_written_out(
    live: Caller, column: Any
) -> None:
    content = stream(beside(column))
    assert len(content) < 50_000
    answer = await asked(live, content, ARROW)
    rows = pyarrow.ipc.open_stream(answer.content).read_all().to_pylist()

    assert [row["line"] for row in rows] == [1, 2, 3]
    assert (rows[0]["code"], rows[0]["detail"][-6:]) == ("malformed", " bytes")


def test_sizes_of_rows_are_told_whatever_their_columns_are() -> None:
    text = ["a" * 100, None, ""]
    columns = {
        "plain": [1, None, 3],
        "text": pyarrow.array(text),
        "large": pyarrow.array(text, pyarrow.large_string()),
        "view": pyarrow.array(text, pyarrow.string_view()),
        "word": pyarrow.array(text).dictionary_encode(),
        "fixed": pyarrow.array([b"a" * 100, None, b"b" * 100], pyarrow.binary(100)),
        "list": [text, None, []],
        "map": pyarrow.array(
            [[("a" * 100, 1)], None, []], pyarrow.map_(pyarrow.string(), pyarrow.int8())
        ),
        "struct": [{"a": "a" * 100}, None, {"a": None}],
        "listed": pyarrow.array([text, None, []], pyarrow.list_view(pyarrow.string())),
    }
    for name, column in columns.items():
        for table in (pyarrow.table({name: column}), pyarrow.table({name: column}).slice(1)):
            (batch,) = pyarrow.ipc.open_stream(stream(table))
            sizes = row_sizes(batch).tolist()
            written = [len(to_json(row)) for row in batch.to_pylist()]
            assert all(
                size - 28 <= told <= size + 60 for told, size in zip(sizes, written, strict=True)
            ), (name, sizes, written)


async def test_a_canary_answers_its_share_of_the_rows(live: Caller) -> None:
    registry = live.app.registry
    functions = {"fraud-risk": claims.score, "bolder": lambda row: 0.9}
    registry.pools._placed["local"]._given = PoolRuntimes(
        Pool(), {"function": FunctionRuntime(functions)}
    )
    canary = await registry.register(
        "fraud-risk", b"bolder", runtime="function", training_digest="sha256:" + "1" * 64, by="ann"
    )
    await registry.promote("fraud-risk", canary, Stage.CANARY, by="ann", reason="try", share=0.5)
    decisions = told(await asked(live, lines(*[1] * 100)))
    bold = sum(one["model"]["number"] == canary.number for one in decisions)

    assert 25 < bold < 75
    assert len({one["correlation_id"] for one in decisions}) == 1
