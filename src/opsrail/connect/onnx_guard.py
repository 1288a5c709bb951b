"""What an ONNX artifact may hold, checked on its bytes before any runtime sees them.

The format is one Protocol Buffers message, so this walks its fields by number and needs no package. Refused are the parts
through which an artifact reaches beyond itself: tensors kept in other files (or at an address in memory), operators and
functions outside the standard's own domains, and session settings that the runtime would take from the artifact. What a
standard operator may cost in time or memory is not judged here.

Source:
    onnx.proto of ONNX 1.23 for the field numbers (a test compares them with the installed `onnx`); Protocol Buffers
    encoding guide for the wire format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from opsrail.errors import ArtifactRefused

LARGEST_ARTIFACT_BYTES = 200 * 1024 * 1024
"""A tabular model is far smaller; a larger artifact is a mistake or an attack on memory. Source: ours."""
DEEPEST = 100
"""Levels of nesting. Source: the default limit of Protocol Buffers' own parsers."""
DOMAINS = frozenset(("", "ai.onnx", "ai.onnx.ml"))
"""Operator sets of the ONNX standard: tensors and classical models; no training, no vendor's own."""

CHILDREN = {
    "model": {7: "graph", 8: "opset", 14: "property", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
}
"""The messages on the way to anything that is checked, by field number of the message that holds them."""
DOMAIN_FIELDS = frozenset((("opset", 1), ("node", 7), ("function", 10)))
OPERATOR = ("node", 4)
UNBOUNDED = frozenset(
    (
        "Loop", "Scan", "If", "SequenceMap",
        "ConstantOfShape", "Expand", "OneHot", "Pad", "Range", "Resize", "Tile", "Upsample",
    )
)  # fmt: skip
"""Operators that run others, or whose output is as large as a value says: how long they take is not told by the rows alone.
Source: ONNX 1.23, operator documentation."""
EXTERNAL_FIELDS = frozenset((("tensor", 13), ("tensor", 14)))
PROPERTY_KEY = ("property", 1)

VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5
TAG_BITS = 32
LONGEST_VARINT_BYTES = 10
SHORT_TEXT = b"|".join(rb"\x%02x[\x00-\xff]{%d}" % (length, length) for length in range(16))
PLAIN_VALUES = re.compile(
    rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f]|\x3d[\x00-\xff]{4}|\x4a(?:" + SHORT_TEXT + rb"))++"
)
"""Runs of an attribute's ints (field 8), floats (7) and short texts (9). A forest is made of them, one field a value:
stepping through 47 kB of forest field by field took 28 ms, over such runs 0.2 ms."""


def check_artifact(artifact: bytes) -> bool:
    """Refuse an artifact that is too large, damaged, or reaches beyond itself; return whether its rows bound its work.

    Raises:
        ArtifactRefused: says what was found. Terminal: nothing was loaded.
    """
    if len(artifact) > LARGEST_ARTIFACT_BYTES:
        raise ArtifactRefused(
            f"The artifact has {len(artifact)} bytes, more than {LARGEST_ARTIFACT_BYTES}; export a smaller model."
        )
    if artifact[4:8] == b"ORTM":
        raise ArtifactRefused(
            "The artifact is in ONNX Runtime's own format; export it as plain ONNX."
        )
    operators: set[bytes] = set()
    _check("model", memoryview(artifact), 0, operators)
    return not UNBOUNDED.intersection(name.decode("latin-1") for name in operators)


def _check(kind: str, message: memoryview, depth: int, operators: set[bytes]) -> None:
    if depth > DEEPEST:
        raise ArtifactRefused(
            f"The artifact is nested deeper than {DEEPEST} levels; export the model anew."
        )
    children = CHILDREN.get(kind, {})
    for field, content in fields(message, PLAIN_VALUES if kind == "attribute" else None):
        if (kind, field) in EXTERNAL_FIELDS and content != 0:
            raise ArtifactRefused(
                "The artifact keeps tensors outside itself; export it as one file."
            )
        if isinstance(content, int):
            continue
        if (kind, field) in DOMAIN_FIELDS and (domain := bytes(content)).decode(
            "latin-1"
        ) not in DOMAINS:
            raise ArtifactRefused(
                f"The artifact uses operators of domain {domain!r}; only the ONNX standard's own are allowed: "
                f"{', '.join(sorted(DOMAINS - {''}))}. Convert the model to those."
            )
        if (kind, field) == OPERATOR:
            operators.add(bytes(content))
        if (kind, field) == PROPERTY_KEY and bytes(content) == b"ort_config":
            raise ArtifactRefused(
                "The artifact brings settings for its own runtime; remove its property ort_config."
            )
        if child := children.get(field):
            _check(child, content, depth + 1, operators)


def fields(
    message: memoryview, skipped: re.Pattern[bytes] | None
) -> Iterator[tuple[int, memoryview | int]]:
    """Yield the number and content of each field of one message, but for runs that are skipped.

    Content is an int where the wire holds a varint, else bytes.
    """
    at = 0
    while at < len(message):
        if skipped and (run := skipped.match(message, at)):
            at = run.end()
            continue
        field, content, at = field_at(message, at)
        yield field, content


def field_at(message: memoryview, at: int) -> tuple[int, memoryview | int, int]:
    """Return number and content of the field that begins at a place, and where it ends. Raises ArtifactRefused."""
    tag, at = _varint(message, at)
    if tag >> TAG_BITS:  # readers in C++ would cut it to another field's tag
        raise _damaged()
    wire = tag & 7
    content: memoryview | int
    if wire == VARINT:
        content, at = _varint(message, at)
    elif wire == BYTES:
        length, start = _varint(message, at)
        content, at = message[start : start + length], start + length
    elif wire in (FIXED_64, FIXED_32):
        start, at = at, at + (8 if wire == FIXED_64 else 4)
        content = message[start:at]
    else:
        raise _damaged()
    if at > len(message):
        raise _damaged()
    return tag >> 3, content, at


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for place, byte in enumerate(message[at : at + LONGEST_VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise _damaged()


def _damaged() -> ArtifactRefused:
    return ArtifactRefused("The artifact is not a readable ONNX model; copy or export it anew.")
