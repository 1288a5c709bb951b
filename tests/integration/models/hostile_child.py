"""Loads and asks many damaged artifacts of one runtime; its parent sees whether it lives through them.

Usage: hostile_child.py RUNTIME SEED COUNT
"""

from __future__ import annotations

import random
import resource
import struct
import sys
from collections.abc import Callable, Iterator

from opsrail.errors import ArtifactRefused, InvalidInput, ModelUnavailable
from opsrail.testing.contracts.runtime import Subject
from opsrail.values.canonical import digest
from opsrail.values.containers import MAGIC, pack, unpack
from tests.contract.runtime.sklearn_models import rewritten
from tests.contract.runtime.test_contract import MAKERS

CPU_S = 120
MEMORY_BYTES = 4 * 2**30
NUMBERS = (b"0", b"-1", b"1", b"999999999", b"2147483647", b"-2147483648", b"1e308", b"nan", b"")


def main(runtime: str, seed: int, count: int) -> None:
    subject = MAKERS[runtime]()
    subject.load().score(subject.rows)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    refused = loaded = 0
    for artifact in damaged(subject, random.Random(seed), count):
        try:
            model = subject.runtime.load(artifact, digest(artifact))
        except ArtifactRefused:
            refused += 1
            continue
        loaded += 1
        try:
            model.score(subject.rows)
            getattr(model, "contributions", lambda rows: None)(subject.rows[:4])
        except (InvalidInput, ModelUnavailable):
            continue
    print(refused, loaded)


def damaged(subject: Subject, chance: random.Random, count: int) -> Iterator[bytes]:
    """Yield artifacts with a few places changed, most of them inside what the native code would read."""
    whole = subject.artifact
    if not whole.startswith(MAGIC):
        for _ in range(count):
            yield changed(whole, chance)
        return
    form, signature, native = unpack(whole, "lightgbm-text", "xgboost", "skops")
    for _ in range(count):
        yield pack(
            (member_changed if form == "skops" else changed)(native, chance), form, signature
        )


def member_changed(archive: bytes, chance: random.Random) -> bytes:
    """Change one file in a zip: a change of the zip itself only spoils its checksum."""

    def change(members: dict[str, bytes]) -> None:
        name = chance.choice(sorted(members))
        members[name] = changed(members[name], chance)

    return rewritten(archive, change)


def changed(content: bytes, chance: random.Random) -> bytes:
    ways: list[Callable[[bytearray, int], None]] = [flip, cut_out, numbers, twice, integer]
    twin = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        chance.choice(ways)(twin, chance.randrange(max(1, len(twin))))
    return bytes(twin)


def flip(content: bytearray, place: int) -> None:
    content[place] ^= 1 << (place % 8)


def cut_out(content: bytearray, place: int) -> None:
    del content[place : place + 1 + place % 7]


def numbers(content: bytearray, place: int) -> None:
    """Put another number where one stands in the text."""
    while place < len(content) and not chr(content[place]).isdigit():
        place += 1
    end = place
    while end < len(content) and chr(content[end]).isdigit():
        end += 1
    content[place:end] = NUMBERS[place % len(NUMBERS)]


def twice(content: bytearray, place: int) -> None:
    content[place:place] = content[place : place + 40]


def integer(content: bytearray, place: int) -> None:
    content[place : place + 4] = struct.pack(">i", (-1, 2**31 - 1, 0, 7)[place % 4])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
