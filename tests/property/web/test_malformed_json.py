"""F17: whatever JSON hypothesis makes up, every path that takes a body refuses it with 4xx, soon."""

from __future__ import annotations

import asyncio
import json
import re
import time

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.unit.web.conftest import app_of, running

MOST_MS = 100
"""For a body of up to 1 MB. Source: FAULTS F17."""
MEGABYTE = 1_000_000
SOME_ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
UNTOLD = ("/v1/cases/unheard-of", "/v1/decisions/unheard-of")
"""Paths that no description tells of."""


def nested(levels: int, way: str) -> str:
    opening, closing = {"[": ("[", "]"), "{": ('{"a":', "}")}[way]
    return opening * levels + "1" + closing * levels


def doubled(key: str) -> str:
    escaped = "".join(f"\\u{ord(character):04x}" for character in key)
    return f'{{{json.dumps(key)}: 1, "{escaped}": 2}}'


keys = st.text(st.characters(max_codepoint=0xD7FF, min_codepoint=32), min_size=1, max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800"),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(keys, parts, max_size=4),
    max_leaves=20,
)
troubles = (
    values.map(json.dumps)
    | st.builds(nested, st.sampled_from([31, 32, 33, 64, 1_000, 20_000]), st.sampled_from("[{"))
    | st.integers(16, 5_000).map(lambda digits: "9" * digits)
    | st.sampled_from(["NaN", "Infinity", "-Infinity", "1e999", "-1e309", "1" + "0" * 310 + ".0"])
    | keys.map(doubled)
    | st.sampled_from(["\\ud800", "\\udc00\\ud800", "\\uD83D"]).map(lambda half: f'"{half}"')
    | st.sampled_from([",", ":", "[0]", "x" * 17, '"\\"']).map(lambda one: f'"{one * 1000}')
)
LARGE = MEGABYTE - 1_000
bodies = (
    troubles.map(str.encode)
    | troubles.map(lambda value: f'{{"claim_id": "c", "amount": 1, "x": {value}}}'.encode())
    | troubles.map(lambda value: f'{{"x": {value}, "x\\u0079": {value}}}'.encode())
    | st.binary(max_size=100).map(lambda raw: b'{"claim_id": "' + raw)
)
LARGER = {
    "bracketed": b"[" * LARGE,
    "nested objects": b'{"a":' * (LARGE // 6) + b"1" + b"}" * (LARGE // 6),
    "digits": b"9" * LARGE,
    "a number's digits": b'{"claim_id": "c", "amount": ' + b"9" * LARGE + b"}",
    "a long text": b'{"claim_id": "' + b"x" * LARGE + b'", "amount": 1}',
    "ones": b"[" + b"1," * (LARGE // 2) + b"1]",
    "empty lists": b"[" + b"[]," * (LARGE // 3) + b"1]",
    "escapes": b'"' + b"\\u00e9" * (LARGE // 6) + b'"',
    "half pairs": b'{"claim_id": "' + b"\\ud800" * (LARGE // 6) + b'"}',
    "keys": b"{" + b",".join(b'"k%d":1.5' % n for n in range(LARGE // 15)) + b"}",
    "no UTF-8": b"\xff" * LARGE,
    "blanks": b" " * LARGE,
}


async def paths_of(client: httpx.AsyncClient) -> list[str]:
    """Return every path that takes a POST."""
    told = (await client.get("/v1/openapi.json")).json()["paths"]
    found = [re.sub(r"\{[^}]+\}", SOME_ID, path) for path, item in told.items() if "post" in item]
    return [*found, *UNTOLD]


async def test_every_path_refuses_all_of_it_within_a_tenth_of_a_second(
    request: pytest.FixtureRequest,
) -> None:
    """Time is what the process used: other work on the machine does not count."""
    loop = asyncio.get_running_loop()
    headers = {"content-type": "application/json"}
    async with running(app_of(), headers) as client:
        paths, longest_ms = await paths_of(client), [0.0]

        @settings(
            max_examples=400,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.sampled_from(paths), bodies | st.sampled_from(sorted(LARGER)))
        @example(paths[0], b"")
        def is_refused(path: str, given_body: bytes | str) -> None:
            body = LARGER[given_body] if isinstance(given_body, str) else given_body
            begun_s = time.process_time()
            asked = asyncio.run_coroutine_threadsafe(client.post(path, content=body), loop)
            status = asked.result().status_code
            took_ms = 1000 * (time.process_time() - begun_s)
            longest_ms[0] = max(longest_ms[0], took_ms)
            assert 400 <= status < 500, (path, body[:200])
            assert took_ms < MOST_MS, (path, len(body), body[:60])

        await asyncio.to_thread(is_refused)
        assert (await client.get("/v1/cases")).json()["cases"] == []
    request.node.user_properties.append(("took_max_ms", round(longest_ms[0], 1)))
    assert len(paths) >= 8
