"""The process that reads pages, so that an engine's native code may die on a bad file without killing a case.

It speaks frames over its own pipes: four bytes of length, big-endian, then the body. In: an image. Out: JSON.
First out is who it is; then one answer an image. It ends when its input does, so it never outlives the process
that started it.
"""

from __future__ import annotations

import importlib
import os
import sys
from operator import attrgetter
from typing import Any, BinaryIO

import orjson

from opsrail.errors import ArtifactRefused, MissingExtra
from opsrail.ports import PageReader

LENGTH_BYTES = 4

BOOT = (
    "import json,sys;sys.path[:]=json.loads(sys.argv[1]);"
    "from opsrail.documents.child import main;main(sys.argv[2],int(sys.argv[3]))"
)
"""What the child's interpreter runs: the parent's import path first, so that both see the same packages."""


def frame(body: bytes) -> bytes:
    """Return the body with its length before it."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def main(factory: str, niceness: int) -> None:
    """Read images until the input ends. Blocking; owns the process.

    Args:
        factory: `module:name` of what makes the PageReader, called without arguments.
        niceness: Added to the process's own; 0..19.
    """
    os.nice(niceness)
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints must not land between the frames
        module, _, name = factory.partition(":")
        try:
            reader: PageReader = attrgetter(name)(importlib.import_module(module))()
        except MissingExtra as missing:
            _send(answers, {"extra": missing.extra})
            return
        _send(answers, {"engine": reader.name})
        while (image := _take(sys.stdin.buffer)) is not None:
            _send(answers, _answer(reader, image))


def _answer(reader: PageReader, image: bytes) -> dict[str, Any]:
    try:
        lines = reader.read(image)
    except ArtifactRefused as refusal:
        return {"refused": str(refusal)}
    except Exception as fault:  # whatever an engine raises concerns this page alone
        return {"failed": f"{type(fault).__name__}: {fault}"}
    return {"lines": [[line.text, line.confidence, line.box, line.page] for line in lines]}


def _send(answers: BinaryIO, answer: dict[str, Any]) -> None:
    answers.write(frame(orjson.dumps(answer)))
    answers.flush()


def _take(images: BinaryIO) -> bytes | None:
    head = images.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    size = int.from_bytes(head, "big")
    body = images.read(size)
    return body if len(body) == size else None
