"""What a page of the console leads to: its links, and its forms that only ask. Standard library alone."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit


class Led(NamedTuple):
    """What stands in one page.

    Attributes:
        links: Addresses on the same server, path and query, in order, each once.
        next: The address behind `rel=next`; None: it is the last page, or no list.
        asks: Addresses that its GET forms lead to, a field filled each time.
        headings: Levels of headings, in order.
    """

    title: str
    links: tuple[str, ...]
    next: str | None
    asks: tuple[str, ...]
    headings: tuple[int, ...]


def led(html: str, address: str, word: str = "Honda") -> Led:
    """Return what a page at an address leads to.

    Args:
        word: What is written into text fields.
    """
    reader = _Reader(address, word)
    reader.feed(html)
    reader.close()
    return Led(
        " ".join("".join(reader.title).split()),
        tuple(dict.fromkeys(reader.links)),
        reader.next,
        tuple(dict.fromkeys(reader.asks)),
        tuple(reader.headings),
    )


class _Reader(HTMLParser):
    def __init__(self, address: str, word: str) -> None:
        super().__init__()
        self.title: list[str] = []
        self.links: list[str] = []
        self.next: str | None = None
        self.asks: list[str] = []
        self.headings: list[int] = []
        self._address, self._word = address, word
        self._action: str | None = None
        self._select = ""
        self._is_title = False
        self._svg = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        if tag == "svg":
            self._svg += 1
        elif tag == "title":
            self._is_title = not self._svg
        elif tag == "a" and (to := self._local(held.get("href", ""))):
            self.links.append(to)
            if "next" in held.get("rel", "").split():
                self.next = to
        elif tag == "form":
            is_get = held.get("method", "get").lower() == "get"
            self._action = self._local(held.get("action", "") or self._address) if is_get else None
        elif len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.headings.append(int(tag[1]))
        elif self._action:
            self._field(tag, held)

    def _field(self, tag: str, held: dict[str, str]) -> None:
        name = held.get("name", "")
        kind = held.get("type", "text").lower()
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select and held.get("value"):
            self._ask(self._select, held["value"])
        elif tag == "input" and name and kind in ("checkbox", "radio"):
            self._ask(name, held.get("value", "on"))
        elif tag == "input" and name and kind in ("text", "search"):
            self._ask(name, self._word)

    def _ask(self, name: str, value: str) -> None:
        assert self._action is not None
        self.asks.append(f"{self._action.partition('?')[0]}?{urlencode({name: value})}")

    def handle_endtag(self, tag: str) -> None:
        if tag == "svg":
            self._svg -= 1
        elif tag == "title":
            self._is_title = False
        elif tag == "form":
            self._action = None
        elif tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        if self._is_title:
            self.title.append(data)

    def _local(self, href: str) -> str | None:
        """Return path and query of an address on the same server."""
        parts = urlsplit(urljoin(f"http://here{self._address}", href))
        if parts.netloc != "here" or parts.scheme != "http":
            return None
        return parts.path + (f"?{parts.query}" if parts.query else "")
