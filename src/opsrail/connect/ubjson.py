"""Reads and writes Universal Binary JSON as XGBoost uses it: lengths are int64, arrays of numbers carry one type.

Source:
    Universal Binary JSON specification, draft 12; XGBoost 3.2, `src/common/json.cc` (`UBJReader`, `UBJWriter`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from opsrail.errors import ArtifactRefused

DEEPEST = 32
"""Levels; XGBoost's own files have eight."""
NUMBERS = {
    b"i": ">i1",
    b"U": ">u1",
    b"I": ">i2",
    b"l": ">i4",
    b"L": ">i8",
    b"d": ">f4",
    b"D": ">f8",
}
FIXED = {b"Z": None, b"T": True, b"F": False}
WRITTEN = {"u1": b"U", "i4": b"l", "i8": b"L", "f4": b"d"}


def read(content: bytes) -> Any:
    """Return the value: objects as dict, typed arrays as numpy arrays, other arrays as lists.

    Raises:
        ArtifactRefused: it is damaged. Terminal.
    """
    reader = _Reader(content)
    try:
        value = reader.value(reader.take(1), 0)
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise _damaged() from error
    if not reader.is_done:
        raise _damaged()
    return value


class _Reader:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def is_done(self) -> bool:
        return self._at == len(self._content)

    def take(self, count: int) -> bytes:
        part = self._content[self._at : self._at + count]
        if count < 0 or len(part) < count:
            raise _damaged()
        self._at += count
        return part

    def value(self, marker: bytes, depth: int) -> Any:
        if depth > DEEPEST:
            raise _damaged()
        if marker in NUMBERS:
            return self._numbers(marker, 1)[0].item()
        if marker == b"S":
            return self._text()
        if marker == b"{":
            return self._object(depth)
        if marker == b"[":
            return self._array(depth)
        if marker in FIXED:
            return FIXED[marker]
        raise _damaged()

    def _numbers(self, marker: bytes, count: int) -> Any:
        kind = np.dtype(NUMBERS[marker])
        return np.frombuffer(self.take(count * kind.itemsize), dtype=kind)

    def _length(self) -> int:
        marker = self.take(1)
        if marker not in NUMBERS or marker in b"dD":
            raise _damaged()
        length = int(self._numbers(marker, 1)[0])
        if not 0 <= length <= len(self._content):  # each element takes a byte at least
            raise _damaged()
        return length

    def _text(self) -> str:
        return self.take(self._length()).decode("utf-8")

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (marker := self.take(1)) != b"}":
            self._at -= 1
            name = self._text()
            if name in found or not marker:
                raise _damaged()
            found[name] = self.value(self.take(1), depth + 1)
        return found

    def _array(self, depth: int) -> Any:
        marker, kind = self.take(1), b""
        if marker == b"$":
            kind, marker = self.take(1), self.take(1)
        if marker == b"#":
            count = self._length()
            if kind:
                if kind not in NUMBERS:
                    raise _damaged()
                return self._numbers(kind, count)
            return [self.value(self.take(1), depth + 1) for _ in range(count)]
        found = []
        while marker != b"]":
            found.append(self.value(marker, depth + 1))
            marker = self.take(1)
        return found


def written(value: object) -> bytes:
    """Return a value as bytes. Arrays are numpy's, of uint8, int32, int64 or float32; whole numbers become int64."""
    if isinstance(value, Mapping):
        parts = [_named(str(name)) + written(part) for name, part in value.items()]
        return b"{" + b"".join(parts) + b"}"
    if isinstance(value, str):
        return b"S" + _named(value)
    if isinstance(value, int):
        return b"L" + struct.pack(">q", value)
    if isinstance(value, np.ndarray):
        kind = WRITTEN[value.dtype.str[1:]]
        numbers = value.astype(NUMBERS[kind]).tobytes()
        return b"[$" + kind + b"#L" + struct.pack(">q", len(value)) + numbers
    if isinstance(value, Sequence):
        head = b"[#L" + struct.pack(">q", len(value))
        return head + b"".join(map(written, value))
    raise TypeError(f"{type(value).__name__} is not written here")


def _named(text: str) -> bytes:
    content = text.encode()
    return b"L" + struct.pack(">q", len(content)) + content


def _damaged() -> ArtifactRefused:
    return ArtifactRefused("The artifact is no readable UBJSON; save the model anew.")
