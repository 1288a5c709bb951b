"""What every request and answer has in common: trace, admission, headers, problems."""

from __future__ import annotations

import re

import pytest

from opsrail.config import WebConfig
from opsrail.errors import ConfigInvalid
from opsrail.web.asgi import create_asgi
from tests.unit.web.conftest import CLAIM, Caller, app_of, client_of, running

KEY = "a-key-of-sixteen-or-more"
TRACE = "0af7651916cd43dd8448eb211c80319c"
DECIDE = "/v1/decisions/fraud-risk"


async def test_an_answer_goes_on_with_the_callers_trace(door: Caller) -> None:
    answer = await door.post(
        DECIDE, CLAIM, headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    )

    assert re.fullmatch(
        f"00-{TRACE}-(?!b7ad6b7169203331)[0-9a-f]{{16}}-01", answer.headers["traceparent"]
    )
    assert answer.json()["correlation_id"] == TRACE


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "x",
        f"00-{TRACE}",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"ff-{TRACE}-b7ad6b7169203331-01",
    ],
)
async def test_a_malformed_trace_begins_a_new_one(door: Caller, malformed: str) -> None:
    answer = await door.get("/healthz", headers={"traceparent": malformed})

    assert answer.status_code == 200
    assert re.fullmatch("00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-00", answer.headers["traceparent"])
    assert TRACE not in answer.headers["traceparent"]


async def test_a_problem_carries_the_trace_id(door: Caller) -> None:
    answer = await door.get(
        "/nothing/here", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    )

    assert answer.json()["correlation_id"] == TRACE


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/v1/cases", "/v1/cases?limit=x"])
async def test_every_answer_has_the_security_headers(door: Caller, path: str) -> None:
    headers = (await door.get(path)).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "server" not in headers


async def test_what_goes_wrong_inside_is_not_told(
    door: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret /srv/path")

    monkeypatch.setattr(door.app.desk, "page", fail)
    answer = await door.get("/v1/reviews")

    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["correlation_id"] in answer.headers["traceparent"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/cases", "GET, HEAD"),
        ("GET", "/v1/cases/claims-intake", "POST"),
        ("GET", DECIDE, "POST"),
        ("PUT", "/v1/cases/01ARZ3NDEKTSV4RRFFQ69G5FAV", "GET, HEAD"),
        ("POST", "/v1/cases/01ARZ3NDEKTSV4RRFFQ69G5FAV", "GET, HEAD"),
        ("GET", "/v1/cases/01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel", "POST"),
        ("TRACE", "/", "GET, HEAD"),
        ("OPTIONS", "/healthz", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_learns_the_right_ones(
    door: Caller, method: str, path: str, allow: str
) -> None:
    answer = await door.client.request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_head_is_a_get_without_its_body(door: Caller) -> None:
    got, headed = await door.get("/healthz"), await door.client.head("/healthz")

    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-length"] == got.headers["content-length"]


@pytest.mark.parametrize(
    "path", ["/v1/cases/", "//v1/cases", "/v1", "/v1/cases/%00", "/v1/cases/a/b/c", "/.env"]
)
async def test_an_unknown_path_is_a_problem_and_no_redirect(door: Caller, path: str) -> None:
    answer = await door.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.8:8321", "localhost@evil.example"]
)
async def test_a_name_that_was_bound_anew_to_this_machine_is_refused(
    door: Caller, host: str
) -> None:
    answer = await door.get("/v1/cases", headers={"Host": host})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    "host", ["localhost:8321", "LOCALHOST", "127.0.0.1:1", "[::1]:8321", "127.8.8.8"]
)
async def test_this_machine_has_several_names(door: Caller, host: str) -> None:
    answer = await door.get("/v1/cases", headers={"Host": host})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8321"},
    ],
)
async def test_a_page_of_another_site_cannot_post(door: Caller, headers: dict[str, str]) -> None:
    answer = await door.post("/v1/cases/claims-intake", CLAIM, headers=headers)

    assert answer.status_code == 403
    assert (await door.get("/v1/cases")).json()["cases"] == []


async def test_a_page_of_this_very_origin_can_post(door: Caller) -> None:
    headers = {"Origin": "http://127.0.0.1:8321", "Sec-Fetch-Site": "same-origin"}

    assert (await door.post(DECIDE, CLAIM, headers=headers)).status_code == 200


@pytest.mark.parametrize("authorization", ["", f"Bearer {KEY}x", "Bearer", f"Basic {KEY}", KEY])
async def test_where_a_key_is_set_nothing_goes_without_it(authorization: str) -> None:
    app = app_of(WebConfig(host="0.0.0.0", api_key=KEY))  # noqa: S104 - nothing listens here
    async with app.opened(), client_of(app, {"Authorization": authorization}) as client:
        answers = [
            await client.get("/v1/cases"),
            await client.post(DECIDE, json=CLAIM),
            await client.get("/x"),
        ]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert answers[0].headers["www-authenticate"] == "Bearer"


async def test_with_the_key_any_name_of_the_machine_will_do() -> None:
    app = app_of(WebConfig(host="0.0.0.0", api_key=KEY))  # noqa: S104 - nothing listens here
    headers = {"Authorization": f"bearer {KEY}", "Host": "claims.example"}
    async with running(app, headers) as client:
        answer = await client.post(DECIDE, json=CLAIM)

    assert answer.status_code == 200
    assert answer.json()["actor"] == "http:key"


async def test_health_needs_no_key_and_tells_strangers_no_details() -> None:
    app = app_of(WebConfig(host="0.0.0.0", api_key=KEY))  # noqa: S104 - nothing listens here
    async with running(app) as client:
        alive, ready = await client.get("/healthz"), await client.get("/readyz")

    assert alive.json() == {"status": "ok"}
    assert ready.json() == {"status": "degraded", "findings": []}


@pytest.mark.parametrize(
    "web",
    [
        WebConfig(host="0.0.0.0"),  # noqa: S104 - nothing listens here
        WebConfig(host=""),
        WebConfig(host="192.168.1.5"),
        WebConfig(host="::"),
        WebConfig(api_key="short"),
        WebConfig(api_key="env:OPSRAIL_NO_SUCH_KEY"),
    ],
)
def test_a_door_that_would_stand_open_is_not_made(web: WebConfig) -> None:
    with pytest.raises(ConfigInvalid):
        create_asgi(app_of(web))
