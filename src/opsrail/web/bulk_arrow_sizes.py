"""What the rows of an Arrow batch come to when they are written out, told before any of them is.

A value that many rows or list elements refer to, by a dictionary, a view or a view of a list, is sent once and written out
each time: nested, a few hundred bytes say more than any memory holds. So sizes are added up by references alone.

Source:
    Apache Arrow, Columnar Format: physical memory layout; views of text keep their length in the first 4 of 16 bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute

PLAIN_BYTES = 8
"""Of a number, a truth, a date, a null, and of a list or text beside what it holds. Ours: roughly what it takes as JSON."""
MOST_BYTES = 10**9
"""What is counted of one value; more is this. Ours: beyond any row that is taken, and sums of it fit in 64 bits."""
VIEW_WORDS = 4
"""32-bit words of a view; the first one is the length."""


def row_sizes(batch: Any) -> Any:
    """Return about how many bytes each row has when it is written out. int64 [rows].

    Args:
        batch: A record batch that was validated in full, without unions, fixed-size lists and run-end encoded columns.
    """
    return sum(map(_sizes, batch.columns), np.zeros(batch.num_rows, dtype=np.int64))


def _sizes(array: Any) -> Any:
    """Return the size of each element of an array, at most `MOST_BYTES`. int64 [elements]."""
    types, kind = pyarrow.types, array.type
    if isinstance(array, pyarrow.ExtensionArray):
        return _sizes(array.storage)
    if types.is_dictionary(kind):
        words = _sizes(array.dictionary)
        places = _numbers(array.indices.cast(pyarrow.int64()).fill_null(len(words)))
        return np.append(words, PLAIN_BYTES)[places]
    if types.is_struct(kind):
        inner = sum(_sizes(array.field(at)) for at in range(kind.num_fields))
    elif types.is_map(kind):
        inner = _listed(_numbers(array.offsets), _sizes(array.keys) + _sizes(array.items))
    elif types.is_list(kind) or types.is_large_list(kind):
        inner = _listed(_numbers(array.offsets), _sizes(array.values))
    elif types.is_list_view(kind) or types.is_large_list_view(kind):
        starts = _numbers(array.offsets)
        inner = _summed(starts, starts + _numbers(array.sizes), _sizes(array.values))
    else:
        inner = _lengths(array)
    return np.minimum(PLAIN_BYTES + inner, MOST_BYTES)


def _listed(offsets: Any, sizes: Any) -> Any:
    return _summed(offsets[:-1], offsets[1:], sizes)


def _summed(begins: Any, ends: Any, sizes: Any) -> Any:
    """Return the sum of each run of sizes; runs may overlap."""
    until = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))
    return until[ends] - until[begins]


def _lengths(array: Any) -> Any:
    """Return how many bytes each text has; of numbers, 0."""
    types, kind = pyarrow.types, array.type
    if types.is_string_view(kind) or types.is_binary_view(kind):
        words = np.frombuffer(array.buffers()[1], dtype="<i4")[::VIEW_WORDS]
        return words[array.offset : array.offset + len(array)].astype(np.int64)
    try:
        lengths = pyarrow.compute.binary_length(array)
    except pyarrow.ArrowNotImplementedError:  # it is no text
        return np.zeros(len(array), dtype=np.int64)
    return _numbers(lengths.fill_null(0))


def _numbers(array: Any) -> Any:
    return array.to_numpy(zero_copy_only=False).astype(np.int64)
