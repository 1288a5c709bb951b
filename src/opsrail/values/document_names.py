"""A document is told by its name, not by where it lies: who looks need not know a server's folders. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

DOCUMENT_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf")
PLACE = re.compile(r"(?<![\w:/.])(?:/[^\s/'\":;,()]+){2,}/?|\b[A-Za-z]:(?:\\+[^\s\\'\":;,()]+)+")
"""In a message: where something lies, from the root on; `/v1/cases/ID` and the like are addresses."""
ADDRESSES = ("/v1/", "/v2/", "/console/")


def without_paths(value: Any, known: Collection[str] = ()) -> Any:
    """Return plain values in which each text that is the path of a document is the document's name.

    Args:
        known: Paths of documents that do not end as documents do.
    """
    if isinstance(value, str):
        return name_of(value) if value in known or is_path(value) else value
    if isinstance(value, Mapping):
        return {name: without_paths(each, known) for name, each in value.items()}
    return [without_paths(each, known) for each in value] if isinstance(value, list) else value


def said_without_paths(message: str, given: Any, known: Collection[str] = ()) -> str:
    """Return a message without where things lie.

    Args:
        given: Plain values whose documents the message may speak of.
        known: Paths of documents that do not end as documents do.
    """
    return PLACE.sub(_named, named_in(message, given, known))


def named_in(message: str, given: Any, known: Collection[str] = ()) -> str:
    """Return a message in which documents of plain values are told by their names; all else stays as it is."""
    paths = {text for text in texts_of(given) if is_path(text)}.union(known)
    for path in sorted(paths, key=len, reverse=True):
        message = message.replace(path, name_of(path))
    return message


def texts_of(value: Any) -> Iterator[str]:
    """Yield every text in plain values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_of(each)


def name_of(path: str) -> str:
    """Return the last part of a path, of whatever system."""
    return path.replace("\\", "/").rpartition("/")[2] or path


def is_path(text: str) -> bool:
    """Return whether a text is the path of a document; an address elsewhere is none."""
    is_document = text.lower().endswith(DOCUMENT_ENDINGS) and "\n" not in text
    return is_document and ("://" not in text or text.lower().startswith("file:"))


def _named(found: re.Match[str]) -> str:
    place = found[0]
    return place if place.startswith(ADDRESSES) else name_of(place.rstrip("/\\"))
