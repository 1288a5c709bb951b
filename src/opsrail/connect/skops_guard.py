"""What a skops file may hold, checked on its table of contents before skops sees it.

The file is a zip of `schema.json`, a tree of objects with their classes, and of arrays in numpy's own format. Refused are
classes that are not trusted, kinds of nodes that call or import something, forms of older skops, arrays that claim another
size than they have, and zips that grow.

Source:
    skops 0.16, `skops/io`; NumPy enhancement proposal 1 for the array files.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from opsrail.errors import ArtifactRefused

LARGEST_SKOPS_BYTES = 100 * 1024 * 1024
"""Of the file, and of all it holds when unpacked. Ours: a forest of a thousand deep trees has some 50 MB."""
MOST_MEMBERS = 100_000
DEEPEST = 60
"""Levels of objects; skops reads each by a few calls within another. Ours."""
PROTOCOL = 2
"""Form of skops 0.13 and later; a lower number makes skops read by older code."""
SCHEMA = "schema.json"
ARRAY = re.compile(r"[0-9]{1,24}\.npy")
PLAIN = frozenset(("DictNode", "JsonNode", "ListNode", "SetNode", "SliceNode", "TupleNode"))
"""Kinds of nodes that hold data and nothing else."""
NUMBERS = frozenset(("DTypeNode", "NdArrayNode", "RandomGeneratorNode", "RandomStateNode"))
OBJECTS = frozenset(("LossNode", "ObjectNode", "TreeNode", "TypeNode"))
BUILTINS = frozenset(
    f"builtins.{name}"
    for name in ("bool", "dict", "float", "int", "list", "set", "slice", "str", "tuple")
)
NUMPY = frozenset(
    f"numpy.{name}"
    for name in (
        "bool", "bool_", "dtype", "float32", "float64", "int16", "int32", "int64", "int8", "ndarray", "random.RandomState",
        "random._generator.Generator", "random.mtrand.RandomState", "str_", "uint16", "uint32", "uint64", "uint8",
    )
)  # fmt: skip
UNREADABLE = (
    zipfile.BadZipFile, AttributeError, EOFError, KeyError, NotImplementedError, OSError, RuntimeError, ValueError,
)  # fmt: skip
"""What the readers of zip and JSON raise at damaged bytes."""


class _Node(NamedTuple):
    """One object of the schema.

    Attributes:
        kind: How skops makes it, e.g. `ObjectNode`.
        type: Full name of its class.
    """

    kind: str
    type: str
    content: Mapping[str, Any]


def check_file(content: bytes, trusted: Collection[str]) -> None:
    """Refuse a file that is damaged, grows, or holds what is not trusted.

    Args:
        trusted: Full names of classes.

    Raises:
        ArtifactRefused: says what was found, all types at once. Terminal: nothing was loaded.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_members(archive.infolist())
            schema = orjson.loads(archive.read(SCHEMA))
            nodes = list(_nodes(schema))
            _check_nodes(nodes, trusted)
            if schema.get("protocol") != PROTOCOL:
                raise ArtifactRefused(
                    f"The artifact is of skops protocol {schema.get('protocol')!r}, not {PROTOCOL}; save it anew with skops "
                    "0.13 or later."
                )
            for info in archive.infolist():
                if info.filename != SCHEMA:
                    _check_array(archive.read(info), info.filename)
    except UNREADABLE as error:
        raise ArtifactRefused(
            f"The artifact is no readable skops file ({type(error).__name__}: {str(error)[:200]}); save it anew."
        ) from error


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    if (
        len(names) > MOST_MEMBERS
        or sum(member.file_size for member in members) > LARGEST_SKOPS_BYTES
    ):
        raise ArtifactRefused(
            f"The artifact unpacks to more than {LARGEST_SKOPS_BYTES} bytes or {MOST_MEMBERS} arrays; train a smaller "
            "model."
        )
    if len(set(names)) != len(names):
        raise ArtifactRefused("The artifact holds two files of one name; save the model anew.")
    if wrong := [name for name in names if name != SCHEMA and not ARRAY.fullmatch(name)]:
        raise ArtifactRefused(
            f"The artifact holds {wrong[0][:80]!r}, which is neither schema nor array; others are not read."
        )


def _nodes(schema: Any) -> Iterator[_Node]:
    left: list[tuple[Any, int]] = [(schema, 0)]
    while left:
        value, depth = left.pop()
        if depth > DEEPEST:
            raise ArtifactRefused(f"The artifact is nested deeper than {DEEPEST} levels.")
        if isinstance(value, dict):
            if "__loader__" in value:
                named = f"{value['__module__']}.{value['__class__']}"
                yield _Node(str(value["__loader__"]), named, value)
            left += [(part, depth + 1) for part in value.values()]
        elif isinstance(value, list):
            left += [(part, depth + 1) for part in value]


def _check_nodes(nodes: list[_Node], trusted: Collection[str]) -> None:
    if not nodes:
        raise ArtifactRefused("The artifact's schema holds no object; save the model anew.")
    kinds = {node.kind for node in nodes}
    if odd := kinds - PLAIN - NUMBERS - OBJECTS:
        raise ArtifactRefused(
            f"The artifact holds {', '.join(sorted(odd))[:400]}, which call or import something when they are loaded; "
            "a model that decides may not. Export it as ONNX, or train it without."
        )
    known = BUILTINS | NUMPY | frozenset(trusted)
    if untrusted := {node.type for node in nodes} - known:
        raise ArtifactRefused(
            f"The artifact holds types that are not trusted: {', '.join(sorted(untrusted))[:2000]}. Add those you answer "
            "for to the setting models.trusted_types, or train a model without them."
        )


def _check_array(content: bytes, name: str) -> None:
    """Refuse an array that claims more numbers than it brings: numpy would take the memory first."""
    from numpy.lib import format as array_format

    stream = io.BytesIO(content)
    read = {(1, 0): array_format.read_array_header_1_0, (2, 0): array_format.read_array_header_2_0}
    try:
        shape, _, kind = read[array_format.read_magic(stream)](stream)
    except (
        Exception
    ) as error:  # numpy's reader, and Python's own that it asks, raise whatever they meet
        raise ArtifactRefused(
            f"The artifact's array {name} cannot be read; save it anew."
        ) from error
    count = 1
    for size in shape:
        count *= size
    if kind.hasobject or count * kind.itemsize != len(content) - stream.tell():
        raise ArtifactRefused(f"The artifact's array {name} is not as large as it says.")
