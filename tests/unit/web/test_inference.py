"""The Open Inference Protocol at `/v2`, in memory."""

from __future__ import annotations

import gzip
from decimal import Decimal
from typing import Any

import orjson
import pytest
import tritonclient.grpc.service_pb2 as tritons
from pydantic import BaseModel

from opsrail.config import WebConfig
from opsrail.registry.pools import PoolRuntimes
from opsrail.registry.rollout import Stage
from opsrail.testing.models import FunctionRuntime
from opsrail.values.inference import InferenceRequest
from opsrail.values.inference_proto import TABLE, message_class
from opsrail.values.pools import Pool
from opsrail.values.tensors import Tensor
from opsrail.web.signature import facts_of, fields_of
from tests.unit.web import claims
from tests.unit.web.conftest import Caller, app_of, running

INFER = "/v2/models/fraud-risk/infer"


def body(*amounts: float, **more: Any) -> dict[str, Any]:
    count = len(amounts)
    ids = [f"c-{at}" for at in range(count)]
    return {
        "inputs": [
            {"name": "claim_id", "datatype": "BYTES", "shape": [count], "data": ids},
            {"name": "amount", "datatype": "FP64", "shape": [count, 1], "data": list(amounts)},
        ],
        **more,
    }


def outputs(answer: Any) -> dict[str, list[Any]]:
    return {one["name"]: one["data"] for one in answer.json()["outputs"]}


async def test_each_row_is_a_decision_of_its_own(live: Caller) -> None:
    answer = await live.post(INFER, body(100, 1_500))
    told = outputs(answer)

    assert (answer.status_code, answer.json()["model_version"]) == (200, "1")
    assert told["score"] == [0.05, 0.75]
    assert told["verdict"] == ["approve", "review"]
    assert told["degraded"] == [False, False]
    for claim, found in zip(("c-0", "c-1"), told["decision_id"], strict=True):
        record = (await live.get(f"/v1/decisions/{found}")).json()
        assert record["features"][0]["values"]["claim_id"] == claim


async def test_without_a_model_the_fallback_answers_each_row(door: Caller) -> None:
    answer = await door.post(INFER, body(100, 1_500))
    told = outputs(answer)

    assert told["verdict"] == ["approve", "review"]
    assert (told["score"], told["confidence"]) == ([-1.0, -1.0], [-1.0, -1.0])
    assert told["degraded"] == [True, True]
    assert "model_version" not in answer.json()
    assert (await door.get("/v2/models/fraud-risk/ready")).status_code == 503
    assert (await door.get("/v2/health/ready")).json() == {"ready": True}


async def test_the_same_key_gives_the_same_rows_and_another_body_none(live: Caller) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = await live.post(INFER, body(100, 200), headers=key)
    second = await live.post(INFER, body(100, 200), headers=key)
    other = await live.post(INFER, body(100, 300), headers=key)

    assert first.json() == second.json()
    assert (other.status_code, other.json()["code"]) == (422, "key-reused")


async def test_a_version_may_be_asked_for_while_it_answers(live: Caller) -> None:
    registry = live.app.registry
    canary = await registry.register(
        "fraud-risk", b"bolder", runtime="function", training_digest="sha256:" + "1" * 64, by="ann"
    )
    await registry.promote("fraud-risk", canary, Stage.CANARY, by="ann", reason="try", share=0.01)
    asked = [
        outputs(await live.post(f"/v2/models/fraud-risk/versions/{number}/infer", body(200)))
        for number in (1, 2)
    ]
    await registry.promote("fraud-risk", canary, Stage.SHADOW, by="ann", reason="enough")
    gone = await live.post("/v2/models/fraud-risk/versions/2/infer", body(200))

    assert [told["score"] for told in asked] == [[0.1], [0.9]]
    assert (gone.status_code, gone.json()["error"]) == (
        404,
        "no version '2' of 'fraud-risk' answers; these do: 1",
    )


@pytest.fixture
async def live() -> Any:
    app = app_of()
    functions = {"fraud-risk": claims.score, "bolder": lambda row: 0.9}
    app.registry.pools._placed["local"]._given = PoolRuntimes(
        Pool(), {"function": FunctionRuntime(functions)}
    )  # a second model
    async with running(app) as client:
        version = await app.registry.register(
            "fraud-risk",
            b"fraud-risk",
            runtime="function",
            training_digest="sha256:" + "0" * 64,
            by="a-test",
        )
        await app.registry.promote("fraud-risk", version, Stage.LIVE, by="a-test", reason="first")
        yield Caller(app, client)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": []}, "inputs: must name at least one tensor"),
        ({"outputs": [{"name": "logits"}]}, "outputs.logits: there is no such output"),
        ({"more": 1}, "more: is none of id, inputs"),
        ({"inputs": [{"name": "age", "datatype": "INT64", "shape": [0], "data": []}]}, "have 0 rows"),
        ({"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": ["a"]}]}, "no such input"),
        ({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 9], "data": [0] * 9}]}, "[rows, 3]"),
        ({"inputs": [{"name": "amount", "datatype": "FP64", "shape": [1], "data": [1]}]}, "claim_id: Field"),
    ],
)  # fmt: skip
async def test_a_request_that_is_wrong_is_told_in_the_protocols_words(
    live: Caller, change: dict[str, Any], said: str
) -> None:
    answer = await live.post(INFER, body(100, **change))

    assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text
    assert answer.headers["content-type"] == "application/json"


async def test_rows_of_different_numbers_are_refused(live: Caller) -> None:
    wrong = body(1, 2)
    wrong["inputs"][0].update(shape=[1], data=["c-1"])
    answer = await live.post(INFER, wrong)

    assert (answer.status_code, "different numbers of rows: [1, 2]" in answer.text) == (400, True)


async def test_more_rows_than_are_decided_at_once_are_refused(live: Caller) -> None:
    answer = await live.post(INFER, body(*range(1_001)))

    assert (answer.status_code, "1,000" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"content-type": "text/plain"}, b"{}", 415),
        ({"content-encoding": "br"}, b"{}", 415),
        ({"content-encoding": "gzip"}, b"{}", 400),
        ({"content-encoding": "gzip"}, gzip.compress(b"{}") + b"more", 400),
        ({"content-encoding": "gzip"}, gzip.compress(b"x" * 60)[:-4], 400),
        ({"inference-header-content-length": "99"}, b"{}", 400),
        ({"inference-header-content-length": "-1"}, b"{}", 400),
        ({}, b"", 400),
        ({}, b'{"inputs": [], "inputs": []}', 400),
        ({}, b"[" * 50_000, 400),
    ],
)
async def test_a_body_that_is_none_is_refused_in_the_protocols_shape(
    live: Caller, headers: dict[str, str], content: bytes, status: int
) -> None:
    answer = await live.client.post(INFER, content=content, headers=headers)

    assert (answer.status_code, set(answer.json()) >= {"error", "code"}) == (status, True)


async def test_other_doors_keep_their_own_shape_of_errors(live: Caller) -> None:
    assert "error" in (await live.get("/v2/nothing")).json()
    assert "error" not in (await live.get("/v2nothing")).json()
    assert (await live.get(INFER)).json()["code"] == "method-not-allowed"


async def test_where_a_key_is_needed_only_health_goes_without() -> None:
    app = app_of(WebConfig(api_key="a-key-of-sixteen-or-more"))
    async with running(app) as client:
        statuses = [
            (await client.get(path)).status_code
            for path in ("/v2/health/live", "/v2/health/ready", "/v2", "/v2/models/fraud-risk")
        ]

    assert statuses == [200, 200, 401, 401]


class Wide(BaseModel):
    count: int
    ratio: float | None = None
    price: Decimal = Decimal(0)
    is_new: bool = False
    words: list[str] = []


def facts(*inputs: Tensor) -> list[Wide]:
    return facts_of(Wide, fields_of(Wide), InferenceRequest(inputs))


def test_fields_have_the_datatypes_of_what_they_hold() -> None:
    kinds = {field.name: field.datatype for field in fields_of(Wide)}

    assert kinds == {"count": "INT64", "ratio": "FP64", "price": "FP64", "is_new": "BOOL", "words": "BYTES"}  # fmt: skip


def test_one_tensor_may_hold_all_numbers_in_the_order_of_the_metadata() -> None:
    made = facts(
        Tensor("input-0", "FP32", (2, 4), [1.0, 0.5, 2.5, 1.0, 2.0, float("nan"), 0.0, 0.0])
    )

    assert made == [
        Wide(count=1, ratio=0.5, price=Decimal("2.5"), is_new=True),
        Wide(count=2, ratio=None, price=Decimal(0)),
    ]


def test_a_list_comes_as_one_json_text_a_row() -> None:
    count = Tensor("count", "INT32", (1,), [3])

    assert facts(count, Tensor("words", "BYTES", (1,), [b'["a"]']))[0].words == ["a"]
    for wrong in (b"nope", b'{"a":1,"a":2}', b"\xff", b"[" * 100 + b"]" * 100):
        with pytest.raises(Exception, match=r"rows\[0\]\.words"):
            facts(count, Tensor("words", "BYTES", (1,), [wrong]))


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1.5, 2.0**60])
def test_a_number_that_is_no_integer_is_refused_where_one_is_needed(value: float) -> None:
    with pytest.raises(Exception, match=r"rows\[0\]\.count"):
        facts(Tensor("count", "FP64", (1,), [value]))


@pytest.mark.parametrize("name", sorted(TABLE))
def test_messages_are_those_that_tritons_client_speaks(name: str) -> None:
    theirs = tritons.DESCRIPTOR.pool.FindMessageTypeByName(f"inference.{name}")
    ours = message_class(name).DESCRIPTOR

    assert [(field.name, field.number, field.type) for field in ours.fields] == [
        (field.name, field.number, field.type) for field in theirs.fields
    ]


async def test_the_description_shows_what_one_row_is(live: Caller) -> None:
    paths = (await live.get("/v1/openapi.json")).json()["paths"]
    schema = paths[INFER]["post"]["requestBody"]["content"]["application/json"]["schema"]
    shown = [
        one["properties"]["name"]["const"] for one in schema["properties"]["inputs"]["prefixItems"]
    ]

    assert shown[:2] == ["claim_id", "amount"]
    assert "parts" not in shown
    assert orjson.dumps(schema)
