"""One LightGBM model in memory, asked through LightGBM's C interface.

One row through 100 trees of 15 leaves: 2 us by the interface for single rows, 7 us by that for many, 45 us by the package's
`Booster.predict`.

Source:
    LightGBM 4.7, `include/LightGBM/c_api.h`.
"""

from __future__ import annotations

import ctypes
import weakref
from collections import deque
from typing import Any

import numpy as np

from opsrail.connect.booster import BoosterModel, pointer
from opsrail.connect.contained import check_columns
from opsrail.connect.lightgbm_text import LightgbmText, read_text
from opsrail.connect.native import library
from opsrail.errors import ArtifactRefused, ModelUnavailable
from opsrail.values.containers import Signature

FLOAT64, BY_ROW = 1, 1
SCORES, PARTS = 0, 3
ALL_TREES = -1
FEW = 3
"""Rows up to which one call a row is faster than one for all: 3 us a row against 6 to begin with and 1.4 a row."""


def open_model(native: bytes, signature: Signature, digest: str, threads: int) -> LightgbmModel:
    """Return the model of a checked container, after one trial run.

    Raises:
        ArtifactRefused: the text is not one that `lightgbm_text` reads, or it fails its trial. Terminal: nothing was loaded.
        MissingExtra: LightGBM's library is not installed. Terminal.
    """
    text = read_text(native)
    check_columns(signature, text.names, len(text.names), digest)
    interface = library("lightgbm", "lib_lightgbm", "The lightgbm model runtime", "boosters")
    interface.LGBM_GetLastError.restype = ctypes.c_char_p
    interface.LGBM_RegisterLogCallback(QUIET)
    handle, rounds = ctypes.c_void_p(), ctypes.c_int()
    if interface.LGBM_BoosterLoadModelFromString(
        text.text.encode(), ctypes.byref(rounds), ctypes.byref(handle)
    ):
        raise ArtifactRefused(f"Model {digest} cannot be loaded: {_last_error(interface)}")
    model = LightgbmModel(interface, handle, text, signature, digest, threads)
    model.try_out()
    return model


def _hear(text: bytes) -> None:
    """Let go what LightGBM would print: its errors are raised and say the same."""


QUIET = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(_hear)
"""Kept for ever: LightGBM keeps its address."""


class LightgbmModel(BoosterModel):
    """One model in memory. `score` may be called from several threads at once."""

    def __init__(
        self,
        interface: Any,
        handle: ctypes.c_void_p,
        text: LightgbmText,
        signature: Signature,
        digest: str,
        threads: int,
    ) -> None:
        super().__init__(signature, digest, "float64", text.edges, is_whole=text.is_whole)
        self._interface = interface
        self._handle = handle
        self._scale = text.scale
        self._settings = f"num_threads={threads}".encode()
        self._single_rows: deque[_SingleRow] = deque()
        weakref.finalize(self, interface.LGBM_BoosterFree, handle)

    def _answer(self, numbers: Any) -> Any:
        if len(numbers) > FEW:
            return self._predict(numbers, SCORES, 1)
        try:
            single = self._single_rows.pop()
        except IndexError:  # none yet, or each is with another thread
            single = _SingleRow(self._interface, self._handle, len(self.columns), self._settings)
        try:
            return np.array([single.score(row) for row in numbers])
        finally:
            self._single_rows.append(single)

    def _predict(self, numbers: Any, what: int, width: int) -> Any:
        """Return `width` numbers a row. float64 [rows, width]."""
        count, columns = numbers.shape
        answer = np.empty((count, width))
        length = ctypes.c_int64()
        status = self._interface.LGBM_BoosterPredictForMat(
            self._handle,
            pointer(numbers),
            FLOAT64,
            ctypes.c_int32(count),
            ctypes.c_int32(columns),
            BY_ROW,
            what,
            0,
            ALL_TREES,
            self._settings,
            ctypes.byref(length),
            pointer(answer),
        )
        if status or length.value != answer.size:
            raise ModelUnavailable(_last_error(self._interface))
        return answer

    def _parts(self, numbers: Any) -> Any:
        return self._predict(numbers, PARTS, len(self.columns) + 1) * self._scale


class _SingleRow:
    """LightGBM's fast way to score one row: settings are read once, memory is bound before. One thread at a time."""

    def __init__(
        self, interface: Any, booster: ctypes.c_void_p, columns: int, settings: bytes
    ) -> None:
        self._row = np.zeros(columns)
        self._answer = np.zeros(1)
        self._length = ctypes.c_int64()
        self._interface = interface
        self._prepared = ctypes.c_void_p()
        if interface.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster,
            SCORES,
            0,
            ALL_TREES,
            FLOAT64,
            ctypes.c_int32(columns),
            settings,
            ctypes.byref(self._prepared),
        ):
            raise ModelUnavailable(_last_error(interface))
        self._arguments = (
            self._prepared,
            pointer(self._row),
            ctypes.byref(self._length),
            pointer(self._answer),
        )
        weakref.finalize(self, interface.LGBM_FastConfigFree, self._prepared)

    def score(self, row: Any) -> float:
        self._row[:] = row
        if self._interface.LGBM_BoosterPredictForMatSingleRowFast(*self._arguments):
            raise ModelUnavailable(_last_error(self._interface))
        return float(self._answer[0])


def _last_error(interface: Any) -> str:
    told: bytes = interface.LGBM_GetLastError()
    return told.decode("utf-8", "replace")
