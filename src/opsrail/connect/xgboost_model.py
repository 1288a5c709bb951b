"""One XGBoost model in memory, asked through XGBoost's C interface.

One row through 100 trees of depth 4: 52 us so, 120 us by the package's `inplace_predict`, 234 us by a `DMatrix`.

Source:
    XGBoost 3.2, `include/xgboost/c_api.h`; the array interface protocol of numpy, version 3.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from opsrail.connect.booster import BoosterModel
from opsrail.connect.contained import check_columns
from opsrail.connect.native import library
from opsrail.connect.xgboost_file import read_file
from opsrail.errors import ArtifactRefused, ModelUnavailable
from opsrail.values.containers import Signature

SETTINGS = (
    b'{"type":0,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":false,'
    b'"cache_id":0,"missing":NaN}'
)
PARTS = b'{"type":2,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":false}'


def open_model(native: bytes, signature: Signature, digest: str, threads: int) -> XgboostModel:
    """Return the model of a checked container, after one trial run.

    Raises:
        ArtifactRefused: the bytes are not what `xgboost_file` reads, or fail their trial. Terminal: nothing was loaded.
        MissingExtra: XGBoost's library is not installed. Terminal.
    """
    file = read_file(native)
    check_columns(signature, file.names, file.count, digest)
    interface = library("xgboost", "libxgboost", "The xgboost model runtime", "boosters")
    interface.XGBGetLastError.restype = ctypes.c_char_p
    handle = ctypes.c_void_p()
    try:
        _call(interface.XGBSetGlobalConfig, interface, b'{"verbosity":0}')
        _call(interface.XGBoosterCreate, interface, None, ctypes.c_uint64(0), ctypes.byref(handle))
        weight = ctypes.c_uint64(len(file.content))
        _call(interface.XGBoosterLoadModelFromBuffer, interface, handle, file.content, weight)
        _call(interface.XGBoosterSetParam, interface, handle, b"nthread", str(threads).encode())
    except ModelUnavailable as error:
        interface.XGBoosterFree(handle)
        raise ArtifactRefused(f"Model {digest} cannot be loaded: {error}") from error
    model = XgboostModel(interface, handle, signature, digest, threads, file.edges)
    model.try_out()
    return model


class XgboostModel(BoosterModel):
    """One model in memory. `score` may be called from several threads at once."""

    def __init__(
        self,
        interface: Any,
        handle: ctypes.c_void_p,
        signature: Signature,
        digest: str,
        threads: int,
        edges: Mapping[int, tuple[float, ...]],
    ) -> None:
        super().__init__(signature, digest, "float32", edges, is_whole=True)
        self._interface = interface
        self._handle = handle
        self._matrix_settings = f'{{"missing":NaN,"nthread":{threads}}}'.encode()
        weakref.finalize(self, interface.XGBoosterFree, handle)

    def _answer(self, numbers: Any) -> Any:
        answer = _Answer()
        _call(
            self._interface.XGBoosterPredictFromDense,
            self._interface,
            self._handle,
            _described(numbers),
            SETTINGS,
            None,
            *answer.places,
        )
        return answer.copy(len(numbers))

    def _parts(self, numbers: Any) -> Any:
        interface, matrix, answer = self._interface, ctypes.c_void_p(), _Answer()
        _call(
            interface.XGDMatrixCreateFromDense,
            interface,
            _described(numbers),
            self._matrix_settings,
            ctypes.byref(matrix),
        )
        try:
            _call(
                interface.XGBoosterPredictFromDMatrix,
                interface,
                self._handle,
                matrix,
                PARTS,
                *answer.places,
            )
            width = len(self.columns) + 1
            found = answer.copy(len(numbers) * width)
            return found.reshape(len(numbers), width).astype(float)
        finally:
            interface.XGDMatrixFree(matrix)


class _Answer:
    """Where XGBoost says what it answered: memory of its own, that the thread's next call overwrites."""

    def __init__(self) -> None:
        self._shape = ctypes.POINTER(ctypes.c_uint64)()
        self._rank = ctypes.c_uint64()
        self._numbers = ctypes.POINTER(ctypes.c_float)()
        self.places = tuple(map(ctypes.byref, (self._shape, self._rank, self._numbers)))

    def copy(self, count: int) -> Any:
        """Return the numbers, which must be that many. float32 [count]."""
        size = 1
        for place in range(self._rank.value):
            size *= self._shape[place]
        if size != count or not self._rank.value:
            raise ModelUnavailable(f"XGBoost answered {size} numbers, not {count}")
        return np.ctypeslib.as_array(self._numbers, (count,)).copy()


def _described(numbers: Any) -> bytes:
    """Return where an array lies and how it is laid out, as XGBoost wants it told."""
    rows, columns = numbers.shape
    kind = numbers.dtype.str
    address = numbers.ctypes.data
    return (
        f'{{"data":[{address},true],"shape":[{rows},{columns}],"typestr":"{kind}","version":3}}'
    ).encode()


def _call(function: Any, interface: Any, *arguments: Any) -> None:
    """Call a C function. Raises ModelUnavailable with what it says when it fails."""
    if function(*arguments):
        told: bytes = interface.XGBGetLastError()
        raise ModelUnavailable(told.decode("utf-8", "replace").splitlines()[0][:500])
