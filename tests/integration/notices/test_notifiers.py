"""Mail, Slack and webhooks against servers that listen: what arrives, and every way in which it may not."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from opsrail.clock import SystemClock
from opsrail.connect.mail import Mail, MailServer
from opsrail.connect.slack import Slack
from opsrail.connect.webhook import Webhook, keys_of, signatures
from opsrail.errors import InvalidInput, Unavailable
from opsrail.values.notices import OPENED, Notice
from tests.support.hook_server import HookServer
from tests.support.mail_server import PASSWORD, certificate
from tests.support.mail_server import MailServer as Served
from tests.support.notified import SECRET

LINK = "https://ops.example.com/console/reviews/01K8ZC2V7N3T9D4M6Q0RWXYABC-1"
NOTICE = Notice(
    "n-1", OPENED, LINK[-28:], "claims & <desk>", 1_767_258_000_000, 1_767_261_600_000, LINK
)
KEYS = keys_of([SECRET])
CLOCK = SystemClock()
WAIT_S, QUICK_S = 20.0, 1.5


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return certificate(tmp_path)


def mail_to(port: int, context: ssl.SSLContext | None = None, **how: Any) -> Mail:
    given = {
        "tls": "starttls",
        "user": "ops",
        "password": PASSWORD,
        "sender": "ops@example.org",
        **how,
    }
    wait_s = given.pop("wait_s", WAIT_S)
    return Mail(MailServer("localhost", port, **given), wait_s=wait_s, context=context)


@pytest.mark.parametrize("kind", ["starttls", "tls"])
async def test_a_mail_comes_over_tls_after_a_password_and_says_what_is_to_be_done(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], kind: str
) -> None:
    async with Served(tls[0], from_first_byte=kind == "tls") as server:
        mail = mail_to(server.port, tls[1], tls=kind)
        await mail.send(NOTICE, "bo@example.org")
        await mail.close()
        ((address, message),) = server.taken

    assert server.is_secret == [(True, True)]
    assert (address, message["To"], message["From"]) == (
        "bo@example.org",
        "bo@example.org",
        "ops@example.org",
    )
    assert message["Subject"] == "A review waits: claims & <desk>"
    assert message["Message-ID"] == "<n-1@example.org>"
    text = message.get_content()
    assert LINK in text
    assert "Due: 2026-01-01T10:00:00.000Z" in text


async def test_a_server_that_nobody_vouches_for_gets_no_password(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with Served(tls[0]) as server:
        with pytest.raises(Unavailable):
            await mail_to(server.port).send(NOTICE, "bo@example.org")
        with pytest.raises(Unavailable):
            await mail_to(server.port, ssl.create_default_context()).send(NOTICE, "bo@example.org")

    assert server.is_secret == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (("RCPT", "550 no such user"), InvalidInput),
        (("RCPT", "450 later"), Unavailable),
        (("MAIL", "421 closing"), Unavailable),
        (("DATA", "554 no"), Unavailable),
        (("AUTH", "535 no"), Unavailable),
        (("DATA", "hang"), Unavailable),
    ],
)
async def test_what_a_mail_server_refuses_is_told_apart(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], fault: tuple[str, str], error: type[Exception]
) -> None:
    async with Served(tls[0]) as server:
        server.faults = [fault]
        mail = mail_to(server.port, tls[1], wait_s=QUICK_S if fault[1] == "hang" else WAIT_S)
        with pytest.raises(error) as told:
            await mail.send(NOTICE, "bo@example.org")

    assert PASSWORD not in str(told.value).replace("localhost", "")
    assert server.taken == []


@pytest.mark.parametrize(
    "address", ["", "bo", "bo@x.org\r\nBcc: eve@x.org", "Bo <bo@x.org>", "a@b.org, c@d.org"]
)
async def test_what_is_no_address_is_sent_to_nobody(address: str) -> None:
    with pytest.raises(InvalidInput):
        await mail_to(1).send(NOTICE, address)


async def test_a_webhook_is_signed_and_says_the_same_id_when_it_comes_again() -> None:
    async with HookServer() as server:
        hook = Webhook(server.url, KEYS, CLOCK, wait_s=WAIT_S)
        server.answers = ["cut"]  # it arrived, and nobody here knows
        with pytest.raises(Unavailable):
            await hook.send(NOTICE, "")
        await hook.send(NOTICE, "")
        await hook.close()
        (first, _), (headers, body) = server.taken

    assert first["webhook-id"] == headers["webhook-id"] == "n-1"
    stamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == signatures(KEYS, "n-1", stamp, body)
    assert abs(stamp - CLOCK.now_ms() / 1000) < 60
    record = json.loads(body)
    assert (record["type"], record["timestamp"]) == ("review.opened", "2026-01-01T09:00:00.000Z")
    assert record["data"]["link"] == LINK
    assert server.paths == ["/hooks/a-secret"] * 2


@pytest.mark.parametrize("adapter", ["webhook", "slack"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (500, Unavailable), (429, Unavailable), ("hang", Unavailable), ("endless", Unavailable),
        ("redirect", Unavailable), ("cut", Unavailable), (410, InvalidInput),
    ],
)  # fmt: skip
async def test_what_goes_wrong_over_http_is_told_without_the_secret_address(
    adapter: str, answer: int | str, error: type[Exception]
) -> None:
    async with HookServer() as server:
        server.answers = [answer]
        wait_s = QUICK_S if answer == "hang" else WAIT_S
        notifier: Webhook | Slack = Slack(server.url, wait_s=wait_s)
        if adapter == "webhook":
            notifier = Webhook(server.url, KEYS, CLOCK, wait_s=wait_s)
        with pytest.raises(error) as told:
            await notifier.send(NOTICE, "")
        await notifier.close()

    assert "a-secret" not in str(told.value)
    assert len(server.taken) == 1


async def test_who_listens_nowhere_is_down() -> None:
    hook = Webhook("http://127.0.0.1:9/x", KEYS, CLOCK, wait_s=WAIT_S)
    with pytest.raises(Unavailable):
        await hook.send(NOTICE, "")
    with pytest.raises(Unavailable):
        await mail_to(9).send(NOTICE, "bo@example.org")


async def test_slack_gets_text_that_it_does_not_interpret() -> None:
    async with HookServer() as server:
        slack = Slack(server.url, wait_s=WAIT_S)
        await slack.send(NOTICE, "")
        await slack.close()
        ((headers, body),) = server.taken

    text = json.loads(body)["text"]
    assert headers["content-type"] == "application/json"
    assert text.startswith("A review waits: claims &amp; &lt;desk&gt;.")
    assert LINK in text


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/x",
        "http://10.0.0.1/x",
        "ftp://example.org",
        "https://u:p@example.org/x",
        "https://x.org/?a=b",
    ],
)
def test_an_address_that_may_not_be_asked_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(InvalidInput):
        Webhook(url, KEYS, CLOCK)
    with pytest.raises(InvalidInput):
        Slack(url)


async def test_a_name_that_leads_to_this_machine_or_to_metadata_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for address in ("127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"):

        async def found(*_: object, to: str = address, **__: object) -> list[Any]:
            return [(0, 0, 0, "", (to, 443))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
        with pytest.raises(Unavailable, match="not connected to"):
            await Webhook("https://rebound.example.org/x", KEYS, CLOCK, wait_s=WAIT_S).send(
                NOTICE, ""
            )
