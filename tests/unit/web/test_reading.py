"""What is read from a request is exactly right, or refused with a reason."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from opsrail.errors import InvalidInput
from opsrail.web.problems import Malformed
from opsrail.web.reading import MOST_FAULTS, MOST_KEYS, check_json, model_of
from tests.unit.web.conftest import CLAIM, Caller

DECIDE = "/v1/decisions/fraud-risk"


class Person(BaseModel):
    name: str
    age: int
    size: float = 1.0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@given(JSON, st.booleans())
def test_json_that_all_read_alike_is_taken(tree: Any, is_ascii: bool) -> None:
    check_json(json.dumps(tree, ensure_ascii=is_ascii).encode("utf-8"))


@given(st.binary(max_size=200))
def test_whatever_comes_in_is_taken_or_refused_cleanly(body: bytes) -> None:
    try:
        check_json(body)
    except Malformed:
        return
    json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e400]",
        b"[-1e400]",
        b"[9007199254740992]",
        b"[-9007199254740992]",
        b"1" * 5000,
        b'{"a":1,"a":1}',
        b'[{"b":{"a":1,"a":2}}]',
        b'{"a": 1, "a": 1}',
        b'{"a":1,"a":2,"b":"\\u003a"}',
        b"[18446744073709551616]",
        b"[18446744073709551616, 1]",
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'{"\\ud800":1}',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b"[1,]",
        b"{'a':1}",
        b"// no",
    ],
)
def test_json_that_readers_take_differently_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        check_json(body)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_thirty_two_levels_are_the_most(opening: str) -> None:
    closing = {"[": "]", '{"a":': "}"}[opening]
    check_json((opening * 32 + "1" + closing * 32).encode())
    for levels in (33, 64, 200, 5_000, 90_000):
        with pytest.raises(Malformed, match="deeper than 32"):
            check_json((opening * levels + "1" + closing * levels).encode())


@pytest.mark.parametrize("part", ["[],", "{},", "1,", '{"a":1},'])
def test_a_body_of_very_many_values_is_not_even_read(part: str) -> None:
    with pytest.raises(Malformed, match="more than 100,000 values"):
        check_json(f"[{part * 100_001}0]".encode())


def test_an_object_of_very_many_keys_is_refused_before_any_model_sees_it() -> None:
    fits = {f"k{n}": n for n in range(MOST_KEYS)}

    for between in ((", ", ": "), (",", ":")):
        check_json(json.dumps(fits, separators=between).encode())
        with pytest.raises(Malformed, match="more than 10,000 keys"):
            check_json(json.dumps({**fits, "one": 1}, separators=between).encode())


def test_of_very_many_faults_only_the_number_is_told() -> None:
    class Crowd(BaseModel):
        people: list[Person]

    body = b'{"people": [' + b",".join([b"{}"] * MOST_FAULTS) + b"]}"

    with pytest.raises(InvalidInput, match="20,000 places are wrong") as refused:
        model_of(Crowd, body)
    assert len(refused.value.faults) == 1


def test_a_number_in_a_text_is_no_number() -> None:
    check_json(b'{"iban":"9999999999999999999999","note":"1e999"}')


def test_an_integer_may_be_written_with_a_point() -> None:
    person = model_of(Person, b'{"name":"a","age":42.0,"size":1}')

    assert person == Person(name="a", age=42, size=1.0)


@pytest.mark.parametrize("age", ['"42"', "42.5", "true", "null", "[42]"])
def test_types_are_not_guessed(age: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        model_of(Person, f'{{"name":"a","age":{age}}}'.encode())

    assert [fault.place for fault in refused.value.faults] == ["age"]


async def test_a_body_that_grows_beyond_the_limit_is_refused_while_it_arrives(door: Caller) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            yield b" " * 100_000

    answer = await door.client.post(
        DECIDE, content=endless(), headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 413
    assert sent <= 1_200_000


async def test_a_body_that_is_declared_too_large_is_not_read(door: Caller) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": "1000001"}
    answer = await door.client.post(DECIDE, content=b"{}", headers=headers)

    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "application/json; charset=latin-1"}, 415),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
        ({}, 415),
        ({"Content-Type": "application/json"}, 200),
        ({"Content-Type": 'Application/JSON; Charset="UTF-8"'}, 200),
        ({"Content-Type": "application/json", "Accept": "text/html"}, 200),
    ],
)
async def test_only_plain_json_is_taken(door: Caller, headers: dict[str, str], status: int) -> None:
    answer = await door.client.post(DECIDE, content=json.dumps(CLAIM), headers=headers)

    assert answer.status_code == status


async def test_no_body_is_no_json(door: Caller) -> None:
    answer = await door.client.post(DECIDE)

    assert answer.status_code == 400


async def test_an_error_repeats_no_value_that_was_sent(door: Caller) -> None:
    secret = "HIV-positive"
    answer = await door.post(
        DECIDE, {"claim_id": {"x": secret}, "amount": secret, "channel": secret}
    )

    assert answer.status_code == 422
    assert [fault["place"] for fault in answer.json()["faults"]] == [
        "claim_id",
        "amount",
        "channel",
    ]
    assert secret not in answer.text


async def test_all_faults_of_a_query_are_told_at_once(door: Caller) -> None:
    answer = await door.get("/v1/cases?limit=0&state=lost&colour=red&limit=2")

    places = sorted(fault["place"] for fault in answer.json()["faults"])
    assert answer.status_code == 400
    assert places == ["", "colour", "state"]


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "1e3", "", "٣", "99999999999999999999"])
async def test_a_page_has_one_to_a_thousand_rows(door: Caller, limit: str) -> None:
    answer = await door.get("/v1/cases", params={"limit": limit})

    assert answer.status_code == 400


async def test_parameters_where_there_are_none_are_refused(door: Caller) -> None:
    answer = await door.get("/healthz?verbose=1")

    assert answer.status_code == 400
