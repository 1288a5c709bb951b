"""Notices to a Slack channel by an incoming webhook: plain text that Slack does not interpret.

The URL is a secret: it is named by a reference and stands in no message.

Source:
    Slack, "Sending messages using incoming webhooks": its errors; "Formatting text for app surfaces": &, < and > are
    escaped.
"""

from __future__ import annotations

import orjson

from opsrail.connect.webhook import outside, posted
from opsrail.connect.wording import lines_of
from opsrail.values.notices import Notice

HOPELESS = (400, 403, 404, 410)
"""The URL is no more, or Slack will not have such a message; anything else may pass."""


class Slack:
    """Sends notices to one incoming webhook. Raises InvalidInput: the URL is none that may be asked."""

    def __init__(self, url: str, *, wait_s: float = 10.0) -> None:
        self._http = outside(url, "Slack")
        self._wait_s = wait_s

    async def send(self, notice: Notice, address: str) -> None:
        """As `ports.Notifier.send`. Slack knows no ids: a message that comes twice is there twice."""
        body = orjson.dumps({"text": text_of(notice)})
        headers = {"content-type": "application/json"}
        await posted(self._http, body, headers, self._wait_s, hopeless=HOPELESS)

    async def close(self) -> None:
        """Close its connections."""
        await self._http.close()


def text_of(notice: Notice) -> str:
    """Return the message, with what Slack would interpret escaped; a link is shown as it is."""
    text = "\n".join(lines_of(notice))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
