"""Which adapter a name stands for; each is imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping

from opsrail.ports import ModelRuntime, PageReader


def runtimes() -> Mapping[str, ModelRuntime]:
    """Return the model runtimes by name; their packages load with the first model."""
    from opsrail.connect.onnx import OnnxRuntime

    return {OnnxRuntime.name: OnnxRuntime()}


def page_reader() -> PageReader:
    """Return the document engine; called in the reading process."""
    from opsrail.connect.rapidocr import RapidOcrReader

    return RapidOcrReader()
