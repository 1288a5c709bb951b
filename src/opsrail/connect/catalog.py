"""Which adapter a name stands for; each is imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping

from opsrail.ports import ModelRuntime, PageReader


def runtimes(remote_hosts: str = "", *, threads: int = 1) -> Mapping[str, ModelRuntime]:
    """Return the model runtimes by name; their packages load with the first model.

    Args:
        remote_hosts: Hosts beside loopback that remote models may be asked at, separated by commas.
        threads: That one model may compute with in this process.
    """
    from opsrail.connect.lightgbm import LightgbmRuntime
    from opsrail.connect.onnx import OnnxRuntime
    from opsrail.connect.remote_hosts import allowed_hosts
    from opsrail.connect.remote_runtimes import RemoteGrpcRuntime, RemoteHttpRuntime
    from opsrail.connect.xgboost import XgboostRuntime

    allowed = allowed_hosts(remote_hosts)
    found = (
        OnnxRuntime(threads),
        LightgbmRuntime(threads),
        XgboostRuntime(threads),
        RemoteHttpRuntime(allowed),
        RemoteGrpcRuntime(allowed),
    )
    return {runtime.name: runtime for runtime in found}


def page_reader() -> PageReader:
    """Return the document engine; called in the reading process."""
    from opsrail.connect.rapidocr import RapidOcrReader

    return RapidOcrReader()
