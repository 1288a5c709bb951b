"""The same claim as a review that a case asked for, as a spot check and as a control case: what people are told is the same.

Each is rendered wherever a reviewer looks, before and after they said theirs. What differs may only be values of the case.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from opsrail.app import App, build
from opsrail.cases.intake import Submission
from opsrail.cases.loader import load_file
from opsrail.cases.office import Office, at_rest
from opsrail.cli.main import main
from opsrail.config import Config
from opsrail.config.parts import ReviewsConfig
from opsrail.review.controls import Given
from opsrail.values.cases import CaseRow
from opsrail.values.reviews import Purpose, ReviewRow
from opsrail.values.rows import equals
from opsrail.web.asgi import create_asgi
from tests.integration.reviewing.conftest import HOST, ROOT, Console, text_of

PATH = "/console/reviews"
ULID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b")
DIGEST = re.compile(r"\b[0-9a-f]{32,64}\b")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( UTC|Z)?|\b1[0-9]{12}\b")
NUMBER = re.compile(r"\d+(\.\d+)?( m?s\b)?")

Three = Mapping[str, str]


class Folder(Console):
    """A folder in which the same claim waits three times."""

    ids: Three


async def submitted(app: App, number: int, amount: float) -> CaseRow:
    given = {"number": number, "amount": amount}
    row, is_new = await app.intake.accept(
        Submission("desk-claims", given, "test", caller="user:rita")
    )
    office = Office(app.store, app.clock)
    await at_rest(office, app.runner, row, is_new=is_new, wait_s=20)
    return row


async def found(app: App, purpose: Purpose) -> ReviewRow:
    for _ in range(400):
        for row in await app.store.select(ReviewRow, *equals(purpose=purpose)):
            return row
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {purpose} appeared")


@asynccontextmanager
async def filled(tmp_path: Path) -> AsyncIterator[Folder]:
    config = Config(reviews=ReviewsConfig(controls={"blind-desk": 0.5}))
    app = build(config, tmp_path, load_file(ROOT / "tests/support/unmarked.py"), runs=True)
    async with app.running():
        transport = httpx.ASGITransport(create_asgi(app))
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            folder = Folder(app, client)
            first = await submitted(app, 1, 80)
            real = await found(app, Purpose.CASE)
            assert real.case_id == first.id
            subject = (await folder.get(f"/v1/reviews/{real.id}")).json()["subject"]
            values = {"queue": "blind-desk", "truth": "decline", "subject": subject}
            await app.controls.add([Given("line 1", values)], by="ann")
            await asyncio.sleep(1.2)  # both loops have begun: they draw from what comes now
            await submitted(app, 2, 20)
            await submitted(app, 3, 80)
            audit, control = await found(app, Purpose.AUDIT), await found(app, Purpose.CONTROL)
            folder.ids = {"case": real.id, "audit": audit.id, "control": control.id}
            yield folder


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Folder]:
    async with filled(tmp_path) as folder:
        yield folder


def levelled(text: str) -> str:
    """Return a text without what is a value of the case: ids, digests, moments, numbers."""
    text = MOMENT.sub("MOMENT", ULID.sub("ULID", DIGEST.sub("DIGEST", text)))
    return NUMBER.sub("NUMBER", text)


def told(page: httpx.Response) -> str:
    """Return all of a page that is told, tags and attributes among it."""
    assert page.status_code == 200, page.text
    body = page.text.partition("<main")[2].partition("</main>")[0]
    return levelled(re.sub(r'(csrf" value=|nonce=)"[^"]*"', r"\1", unescape(body)))


def shape(value: Any) -> Any:
    """Return plain values with each value of a case replaced by its kind, so that names, order and kinds are left."""
    if isinstance(value, dict):
        return [(name, shape(each)) for name, each in value.items()]
    if isinstance(value, list):
        return [shape(each) for each in value]
    if isinstance(value, str):
        return levelled(value)
    return type(value).__name__ if isinstance(value, int | float) else value


def all_same(told: Mapping[str, Any]) -> None:
    assert told["audit"] == told["case"]
    assert told["control"] == told["case"]


async def test_a_page_an_answer_and_events_tell_the_same_of_each(folder: Folder) -> None:
    for path in (f"{PATH}/%s", f"{PATH}/%s?queue=blind-desk"):
        all_same({name: told(await folder.get(path % one)) for name, one in folder.ids.items()})
    for path in ("/v1/reviews/%s", "/v1/reviews/%s/events"):
        answers = {name: await folder.get(path % one) for name, one in folder.ids.items()}
        all_same({name: shape(answer.json()) for name, answer in answers.items()})


async def test_lists_tell_the_same_of_each(folder: Folder) -> None:
    by_id = {one: name for name, one in folder.ids.items()}
    answer = (await folder.get("/v1/reviews")).json()["reviews"]
    all_same({by_id[each["id"]]: shape(each) for each in answer if each["id"] in by_id})
    page = await folder.get(f"{PATH}?queue=blind-desk")
    rows = re.findall(r"<tr.*?</tr>", page.text, re.DOTALL)
    lines = {name: levelled(row) for row in rows for name, one in folder.ids.items() if one in row}
    all_same(lines)
    ids = [each["id"] for each in answer]
    assert ids == sorted(ids)
    assert [at for at, one in enumerate(ids) if one in by_id] == sorted(
        ids.index(one) for one in by_id
    )


async def test_what_is_done_is_told_alike(folder: Folder) -> None:
    events = {}
    for name, one in folder.ids.items():
        await folder.send(f"{PATH}/{one}/claim")
        claimed = told(await folder.get(f"{PATH}/{one}"))
        said = await folder.send(f"{PATH}/{one}/say", verdict="approve")
        ruled = await folder.send(
            f"{PATH}/{one}/rule", ("fields.amount", "20.0"), verdict="approve", reason="fine"
        )
        answer = (await folder.get(f"/v1/reviews/{one}")).json()
        happened = (await folder.get(f"/v1/reviews/{one}/events")).json()
        assert (said.status_code, ruled.status_code) == (200, 200), text_of(said)
        keys = [list(answer), list(answer["subject"]), list(answer["subject"]["decision"])]
        plain = {key: shape(value) for key, value in answer.items() if key != "subject"}
        events[name] = (claimed, keys, plain, shape(happened))
    all_same(events)


def test_the_command_shows_the_same_of_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fill() -> Three:
        async with filled(tmp_path) as folder:
            return folder.ids

    ids = asyncio.run(fill())
    capsys.readouterr()

    def output(*args: str) -> str:
        assert main(["reviews", *args, "--data", str(tmp_path)]) == 0
        return capsys.readouterr().out

    for verb in ("show", "events"):
        all_same(
            {name: shape(json.loads(output(verb, one, "--json"))) for name, one in ids.items()}
        )
        all_same(
            {name: re.sub("[ -]+", " ", levelled(output(verb, one))) for name, one in ids.items()}
        )
