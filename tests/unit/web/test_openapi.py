"""The description says what is served, all of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from opsrail.config import WebConfig
from tests.unit.web.conftest import Caller, app_of, client_of


async def test_every_path_is_described_and_every_described_path_is_served(door: Caller) -> None:
    paths = (await door.get("/v1/openapi.json")).json()["paths"]
    missing = []
    for path, methods in paths.items():
        for method in methods:
            answer = await door.client.request(
                method, re.sub(r"\{\w+\}", "01ARZ3NDEKTSV4RRFFQ69G5FAV", path)
            )
            if str(answer.status_code) not in methods[method]["responses"]:
                missing.append((method, path, answer.status_code))

    assert missing == []
    assert {
        "/v1/cases/claims-intake",
        "/v1/decisions/fraud-risk",
        "/v1/cases/{case_id}/retry",
    } <= set(paths)


async def test_the_authors_models_are_described(door: Caller) -> None:
    description = (await door.get("/v1/openapi.json")).json()
    body = description["paths"]["/v1/cases/claims-intake"]["post"]["requestBody"]
    schema = description["components"]["schemas"]["Claim"]

    assert body["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Claim"}
    assert schema["required"] == ["claim_id", "amount"]


async def test_no_reference_leads_nowhere(door: Caller) -> None:
    description = (await door.get("/v1/openapi.json")).json()
    parts = description["components"]
    lost = [ref for ref in refs(description) if ref.split("/")[3] not in parts[ref.split("/")[2]]]

    assert lost == []


async def test_where_a_key_is_needed_the_description_says_so() -> None:
    key = "a-key-of-sixteen-or-more"
    app = app_of(WebConfig(api_key=key))
    async with app.opened(), client_of(app, {"Authorization": f"Bearer {key}"}) as client:
        description = (await client.get("/v1/openapi.json")).json()

    assert description["paths"]["/v1/cases"]["get"]["security"] == [{"key": []}]
    assert "401" in description["paths"]["/v1/cases"]["get"]["responses"]
    assert description["paths"]["/healthz"]["get"]["security"] == [{}]


def refs(node: Any) -> Iterator[str]:
    """Yield every `$ref` below a node."""
    if isinstance(node, dict):
        if isinstance(ref := node.get("$ref"), str):
            yield ref
        for part in node.values():
            yield from refs(part)
    elif isinstance(node, list):
        for part in node:
            yield from refs(part)
