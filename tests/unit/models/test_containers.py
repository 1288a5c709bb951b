from __future__ import annotations

import json
import math

import numpy as np
import pytest

from opsrail.connect import ubjson
from opsrail.errors import ArtifactRefused
from opsrail.values.columns import Number, category
from opsrail.values.containers import MAGIC, Signature, pack, unpack

COLUMNS = (Number("age", math.nan), category("kind", ["car", "van"]))
WHOLE = Signature(COLUMNS, {"edges": [], "confidences": [1.0]}, {"lows": [0.0, None]})


@pytest.mark.parametrize("signature", [Signature(COLUMNS), WHOLE])
@pytest.mark.parametrize("native", [b"", b"tree\n", bytes(range(256))])
def test_what_is_packed_comes_back_and_always_as_the_same_bytes(
    signature: Signature, native: bytes
) -> None:
    artifact = pack(native, "text", signature)

    assert unpack(artifact, "other", "text") == ("text", signature, native)
    assert pack(native, "text", signature) == artifact


@pytest.mark.parametrize(
    "artifact",
    [
        b"",
        MAGIC,
        MAGIC + b"\n",
        MAGIC + b"[]\n",
        MAGIC + b"[" * 100_000 + b"\n",
        MAGIC + b'{"format":"text","bytes":1}\n',
        MAGIC + b'{"format":"text","bytes":0}\n',
        MAGIC + b'{"format":"text","bytes":0,"columns":[{"name":"a"}]}\n',
        MAGIC + b'{"format":["text"],"bytes":0,"columns":[]}\n',
        pack(b"", "another", Signature(COLUMNS)),
        pack(b"x", "text", Signature(COLUMNS))[:-1],
        pack(b"x", "text", Signature(COLUMNS)) + b"x",
        MAGIC
        + b'{"bytes":0,"columns":[{"missing":0,"name":"a"}],"confidence":[],"format":"text"}\n',
    ],
)
def test_what_is_no_container_is_refused(artifact: bytes) -> None:
    with pytest.raises(ArtifactRefused):
        unpack(artifact, "text")


def test_the_head_is_one_line_that_a_person_can_read() -> None:
    head = json.loads(pack(b"abc", "text", WHOLE).split(b"\n")[1])

    assert head["bytes"] == 3
    assert head["columns"][0] == {"name": "age", "missing": "nan"}


def test_ubjson_is_read_as_it_is_written() -> None:
    tree = {
        "text": "K\N{SNOWMAN}",
        "number": -(2**40),
        "list": ["a", {"b": 1}],
        "floats": np.array([0.1, 1e-45], dtype=np.float32),
        "ints": np.array([-1, 2**31 - 1], dtype=np.int32),
        "long": np.array([2**40], dtype=np.int64),
        "flags": np.array([0, 255], dtype=np.uint8),
    }

    found = ubjson.read(ubjson.written(tree))

    assert list(found) == list(tree)
    for name, value in tree.items():
        assert (
            np.array_equal(found[name], value)
            if isinstance(value, np.ndarray)
            else found[name] == value
        )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[",
        b"[#L",
        b"[$d#L" + (2**40).to_bytes(8, "big"),
        b"[#L" + (2**62).to_bytes(8, "big"),
        b"[#i\xff",
        b"[$S#i\x01",
        b"{i\x01aZ",
        b"{i\x01aZi\x01aZ}",
        b"Si\x01\xff",
        b"Sd\x00\x00\x00\x00",
        b"[" * 40 + b"]" * 40,
        b"{}x",
        b"H",
    ],
)
def test_damaged_ubjson_is_refused(content: bytes) -> None:
    with pytest.raises(ArtifactRefused):
        ubjson.read(content)
