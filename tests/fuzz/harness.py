"""What the harnesses of all parsers share: their names, how one input is tried, and small changes of samples.

A harness is a module with `run_one(data)`, which raises when the parser did what it must not, and `SAMPLES`, inputs to begin
from. Errors of `opsrail.errors` are answers; whatever else comes out is a finding, and so is CPU time beyond `MOST_S`.
"""

from __future__ import annotations

import importlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol, cast

from opsrail.errors import OpsrailError

PARSERS = (
    "body",
    "headers",
    "row_files",
    "onnx_artifact",
    "notes",
    "records",
    "canonical_json",
    "inference",
)
MOST_S = 1.0
"""CPU time for one input of 1 MB. Source: ours, ten times what FAULTS F17 allows, for coverage is counted meanwhile."""
JOINTS = (
    b"",
    b"\0",
    b'"',
    b"\\",
    b"{",
    b"[",
    b",",
    b":",
    b"\n",
    b"\n\n",
    b"\xff",
    b"\xed\xa0\x80",
    b"9" * 400,
)


class Harness(Protocol):
    """One parser's harness."""

    SAMPLES: Sequence[bytes]
    run_one: Callable[[bytes], None]


class TooSlow(AssertionError):
    """An input kept the parser for too long."""


def harness_of(name: str) -> Harness:
    """Return the harness of a parser."""
    return cast(Harness, importlib.import_module(f"tests.fuzz.{name}"))


def tried(harness: Harness, data: bytes) -> None:
    """Try one input. Raises whatever makes it a finding."""
    begun_s = time.thread_time()
    with suppress(OpsrailError):
        harness.run_one(data)
    if (took_s := time.thread_time() - begun_s) > MOST_S:
        raise TooSlow(f"{len(data)} bytes took {took_s:.2f} s of CPU time")


def changed(samples: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """Yield the samples, then changes of them: bytes put in, taken out, doubled or exchanged."""
    yield from samples
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(chance.choice(samples))
        for _ in range(chance.choice((1, 1, 2, 4, 8))):
            begin = chance.randrange(len(data) + 1)
            end = min(len(data), begin + chance.choice((0, 0, 1, 1, 2, 8)))
            piece = bytes(data[begin:end]) * 2
            data[begin:end] = chance.choice((*JOINTS, piece, chance.randbytes(1)))
        yield bytes(data)
