"""Tensors of the Open Inference Protocol: a name, a datatype, a shape, and elements, which travel as JSON or as raw bytes.

A shape is a claim of the sender. It is multiplied and compared with what was really sent before any element is made, so that
one that lies costs nothing. Raw elements are little-endian and packed, row by row; a BYTES element stands behind its length,
4 bytes.

Source:
    Open Inference Protocol v2 (kserve/open-inference-protocol), Tensor Data Types; Triton's binary tensor extension.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

from opsrail.errors import Fault, InvalidInput

MOST_ELEMENTS = 1_000_000
"""Elements of one tensor. Ours: with bodies of 1 MB no honest one has more."""
MOST_DIMENSIONS = 8
LARGEST_DIMENSION = 2**31 - 1
LENGTH = struct.Struct("<I")
BYTES = "BYTES"
BOOL = "BOOL"


class Datatype(NamedTuple):
    """How elements of one kind are kept.

    Attributes:
        code: Of `struct`; empty for BYTES.
        size_bytes: Of one element; 0 for BYTES.
        low: Smallest element.
        high: Largest element; of floats, the largest finite one.
        is_float: Whether elements are floats.
    """

    code: str
    size_bytes: int
    low: float
    high: float
    is_float: bool = False


DATATYPES: Mapping[str, Datatype] = {
    BOOL: Datatype("?", 1, 0, 1),
    "UINT8": Datatype("B", 1, 0, 2**8 - 1),
    "UINT16": Datatype("H", 2, 0, 2**16 - 1),
    "UINT32": Datatype("I", 4, 0, 2**32 - 1),
    "UINT64": Datatype("Q", 8, 0, 2**64 - 1),
    "INT8": Datatype("b", 1, -(2**7), 2**7 - 1),
    "INT16": Datatype("h", 2, -(2**15), 2**15 - 1),
    "INT32": Datatype("i", 4, -(2**31), 2**31 - 1),
    "INT64": Datatype("q", 8, -(2**63), 2**63 - 1),
    "FP16": Datatype("e", 2, -65504.0, 65504.0, True),
    "FP32": Datatype("f", 4, -3.4028234663852886e38, 3.4028234663852886e38, True),
    "FP64": Datatype("d", 8, -1.7976931348623157e308, 1.7976931348623157e308, True),
    BYTES: Datatype("", 0, 0, 0),
}
"""Every datatype that is read and written. (Triton's BF16 is not of the protocol and has no form in Python.)"""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor.

    Attributes:
        name: Of the input or output.
        datatype: One of `DATATYPES`.
        shape: Sizes of the dimensions; their product is the number of elements.
        data: The elements, row by row: bool, int, float or, of BYTES, bytes.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[Any]


def shape_of(place: str, shape: object) -> tuple[int, ...]:
    """Return a shape that was sent, checked to be one. Raises InvalidInput."""
    if not isinstance(shape, list | tuple) or not 1 <= len(shape) <= MOST_DIMENSIONS:
        raise _wrong(f"{place}.shape", f"must be a list of 1 to {MOST_DIMENSIONS} sizes")
    sizes = [size for size in map(_whole, shape) if size is not None]
    if len(sizes) < len(shape) or not all(0 <= size <= LARGEST_DIMENSION for size in sizes):
        raise _wrong(f"{place}.shape", "its sizes must be whole numbers from 0 on")
    if math.prod(sizes) > MOST_ELEMENTS:
        raise _wrong(f"{place}.shape", f"claims more than {MOST_ELEMENTS:,} elements")
    return tuple(sizes)


def datatype_of(place: str, datatype: object) -> str:
    """Return the name of a datatype that was sent, checked to be one. Raises InvalidInput."""
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise _wrong(f"{place}.datatype", f"must be one of {', '.join(DATATYPES)}")
    return datatype


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: object) -> Tensor:
    """Return a tensor whose elements were sent as JSON: in one list, row by row, or in lists nested as the shape says.

    Raises:
        InvalidInput: the elements are not as many as the shape says, or not of the datatype. Terminal.
    """
    if not isinstance(data, list):
        raise _wrong(f"{name}.data", "must be a list of elements")
    count = math.prod(shape)
    if data and type(data[0]) is list:
        data = _flat(name, data, shape)
    if len(data) != count:
        raise _wrong(f"{name}.data", f"has {len(data)} elements; its shape says {count}")
    return checked(Tensor(name, datatype, shape, data))


def checked(tensor: Tensor) -> Tensor:
    """Return a tensor with each element as its datatype keeps it: whole floats as int, text as UTF-8.

    Raises:
        InvalidInput: an element is not of the datatype; the first one is named. Terminal.
    """
    kind = DATATYPES[tensor.datatype]
    if tensor.datatype == BOOL:
        elements: Sequence[Any] = [x if type(x) is bool else None for x in tensor.data]
    elif tensor.datatype == BYTES:
        elements = [_bytes(element) for element in tensor.data]
    elif kind.is_float:
        elements = [_float(element, kind) for element in tensor.data]
    else:
        whole = [_whole(element) for element in tensor.data]
        elements = [x if x is not None and kind.low <= x <= kind.high else None for x in whole]
    if None in elements:
        at = elements.index(None)
        raise _wrong(f"{tensor.name}.data[{at}]", f"is no {tensor.datatype}")
    return replace(tensor, data=elements)


def to_json(tensor: Tensor) -> list[Any]:
    """Return the elements as JSON has them, in one list.

    Raises:
        InvalidInput: one has no form in JSON: it is not finite, or bytes that are not UTF-8. Terminal: send it raw.
    """
    if tensor.datatype == BYTES:
        try:
            return [element.decode() for element in tensor.data]
        except UnicodeDecodeError as wrong:
            raise _wrong(f"{tensor.name}.data", "is not UTF-8 and goes raw only") from wrong
    if DATATYPES[tensor.datatype].is_float and not all(map(math.isfinite, tensor.data)):
        raise _wrong(f"{tensor.name}.data", "is not finite and goes raw only")
    return list(tensor.data)


def from_raw(name: str, datatype: str, shape: tuple[int, ...], raw: bytes | memoryview) -> Tensor:
    """Return a tensor whose elements were sent as raw bytes. Floats may be NaN or infinite.

    Raises:
        InvalidInput: the bytes are not as many as the shape says, or a BYTES element runs beyond them. Terminal.
    """
    count = math.prod(shape)
    kind = DATATYPES[datatype]
    if datatype == BYTES:
        # 4 bytes an element at least: what follows is no more work than was sent
        if count * LENGTH.size > len(raw):
            raise _too_few(name, len(raw), count)
        elements: Sequence[Any] = list(_lengthed(name, raw))
        if len(elements) != count:
            raise _wrong(name, f"has {len(elements)} elements; its shape says {count}")
        return Tensor(name, datatype, shape, elements)
    if len(raw) != count * kind.size_bytes:
        raise _too_few(name, len(raw), count)
    if datatype == BOOL and bytes(raw).translate(None, b"\x00\x01"):
        raise _wrong(name, "has a byte that is neither 0 nor 1")
    return Tensor(name, datatype, shape, struct.unpack(f"<{count}{kind.code}", raw))


def to_raw(tensor: Tensor) -> bytes:
    """Return the elements as raw bytes. Raises InvalidInput when one does not fit its datatype."""
    if tensor.datatype == BYTES:
        return b"".join(LENGTH.pack(len(element)) + element for element in tensor.data)
    try:
        return struct.pack(f"<{len(tensor.data)}{DATATYPES[tensor.datatype].code}", *tensor.data)
    except (struct.error, OverflowError) as wrong:
        raise _wrong(tensor.name, f"has an element that is no {tensor.datatype}") from wrong


def _flat(name: str, data: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Return the elements of lists that are nested as the shape says. Raises InvalidInput."""
    level = data
    for size, below in pairwise(shape):
        if len(level) > MOST_ELEMENTS or not all(
            type(part) is list and len(part) == below for part in level
        ):
            raise _wrong(f"{name}.data", f"is not nested as its shape {list(shape)} says ({size})")
        level = [element for part in level for element in part]
    if len(data) != shape[0]:
        raise _wrong(f"{name}.data", f"has {len(data)} parts; its shape says {shape[0]}")
    return level


def _lengthed(name: str, raw: bytes | memoryview) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        if at + LENGTH.size > len(raw):
            raise _wrong(name, "ends within the length of an element")
        (size,) = LENGTH.unpack_from(raw, at)
        at += LENGTH.size
        if size > len(raw) - at:
            raise _wrong(name, "has an element that says it is longer than what was sent")
        yield bytes(raw[at : at + size])
        at += size


def _whole(element: object) -> int | None:
    if type(element) is int:
        return element
    if type(element) is float and element.is_integer():
        return int(element)
    return None


def _float(element: object, kind: Datatype) -> float | None:
    if type(element) is not float and type(element) is not int:
        return None
    return float(element) if kind.low <= element <= kind.high else None


def _bytes(element: object) -> bytes | None:
    if isinstance(element, bytes):
        return element
    try:
        return element.encode() if isinstance(element, str) else None
    except UnicodeEncodeError:
        return None


def _too_few(name: str, size_bytes: int, count: int) -> InvalidInput:
    return _wrong(
        name, f"came with {size_bytes} bytes, which are not the {count} elements of its shape"
    )


def _wrong(place: str, message: str) -> InvalidInput:
    return InvalidInput("a tensor is wrong", [Fault(place, message)])
