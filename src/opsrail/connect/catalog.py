"""Which adapter a name stands for; each is imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opsrail.clock import Clock
from opsrail.config import ModelsConfig, PoolConfig, resolved
from opsrail.connect.child import ChildLimits, ChildRuntime
from opsrail.connect.quarantine import Patience
from opsrail.errors import InvalidInput, MissingExtra
from opsrail.ports import FeatureSource, ModelExchange, ModelFormat, ModelRuntime, PageReader
from opsrail.values.models import AuthorFunction

NO_FUNCTIONS: Mapping[str, AuthorFunction] = {}


def runtimes(
    remote_hosts: str = "",
    *,
    threads: int = 1,
    trusted_types: Iterable[str] = (),
    functions: Mapping[str, AuthorFunction] = NO_FUNCTIONS,
) -> Mapping[str, ModelRuntime]:
    """Return the model runtimes by name; their packages load with the first model.

    Args:
        remote_hosts: Hosts beside loopback that remote models may be asked at, separated by commas.
        threads: That one model may compute with in this process.
        trusted_types: Classes that skops files may hold besides the usual ones.
        functions: Models that are functions of the author's files, by digest.
    """
    from opsrail.connect.lightgbm import LightgbmRuntime
    from opsrail.connect.onnx import OnnxRuntime
    from opsrail.connect.python import PythonRuntime
    from opsrail.connect.remote_hosts import allowed_hosts
    from opsrail.connect.remote_runtimes import RemoteGrpcRuntime, RemoteHttpRuntime
    from opsrail.connect.skops import SkopsRuntime
    from opsrail.connect.xgboost import XgboostRuntime

    allowed = allowed_hosts(remote_hosts)
    found = (
        OnnxRuntime(threads),
        LightgbmRuntime(threads),
        XgboostRuntime(threads),
        SkopsRuntime(trusted_types),
        PythonRuntime(functions),
        RemoteHttpRuntime(allowed),
        RemoteGrpcRuntime(allowed),
    )
    return {runtime.name: runtime for runtime in found}


def formats(trusted_types: Iterable[str] = ()) -> Mapping[str, ModelFormat]:
    """Return what makes artifacts of files, by the files' endings.

    Args:
        trusted_types: As above.
    """
    from opsrail.connect.formats import LightgbmFile, OnnxFile, SkopsFile, XgboostFile

    xgboost = XgboostFile()
    return {
        ".onnx": OnnxFile(),
        ".txt": LightgbmFile(),
        ".json": xgboost,
        ".ubj": xgboost,
        ".skops": SkopsFile(frozenset(trusted_types)),
    }


FACTORY = f"{__name__}:runtimes"
"""Where a child process finds the runtimes."""


def child_runtimes(
    names: Iterable[str],
    pool: PoolConfig,
    clock: Clock,
    factory: str = FACTORY,
    options: Mapping[str, object] | None = None,
) -> Mapping[str, ModelRuntime]:
    """Return the runtimes of these names, each running its models in child processes.

    Args:
        pool: What the processes of one model may take there.
        factory: `module:name` of what returns the runtimes in the child.
        options: Its arguments by name; plain JSON.
    """
    patience = Patience(rest_s=pool.quarantine_s)
    limits = ChildLimits(pool.warm, pool.devices, pool.batch_s, pool.memory_bytes, patience)
    return {name: ChildRuntime(name, factory, limits, clock, options) for name in names}


def feast_source(
    url: str,
    references: Mapping[str, str],
    entity_key: str,
    secret: str,
    *,
    timeout_ms: int,
) -> FeatureSource:
    """Return a Feast feature server.

    Args:
        url: Its address, or a reference to it.
        references: Feast's `view:feature` by the name that it has here.
        secret: A reference; empty: none.

    Raises:
        InvalidInput: the address is none. Terminal.
        ConfigInvalid: a reference leads to nothing. Terminal.
        MissingExtra: the packages for it are not installed. Terminal.
    """
    try:
        from opsrail.connect.feast import FeastServer
        from opsrail.connect.outside_http import OutsideHttp, server_of
    except ModuleNotFoundError as error:
        raise MissingExtra("Features from Feast", "feast") from error
    key = resolved(secret) if secret else ""
    http = OutsideHttp(server_of(resolved(url)), "the Feast server", key)
    return FeastServer(http, references, entity_key, timeout_s=timeout_ms / 1000)


def model_exchange(models: ModelsConfig, uri: str, clock: Clock) -> ModelExchange:
    """Return the MLflow server at an address, else the one that the settings name.

    Args:
        uri: Empty: the setting's. The setting's key goes to the server that the settings name and to no other, unless they
            name none.

    Raises:
        InvalidInput: none is named, or the address is none. Terminal.
        MissingExtra: the packages for it are not installed. Terminal.
    """
    try:
        from opsrail.connect.mlflow import MlflowRegistry
        from opsrail.connect.outside_http import OutsideHttp, server_of
    except ModuleNotFoundError as error:
        raise MissingExtra("MLflow's model registry", "mlflow") from error
    named = uri or models.tracking_uri
    if not named:
        raise InvalidInput(
            "no MLflow server is named; add --tracking-uri http://HOST:PORT, or set models.tracking_uri"
        )
    server = server_of(named)
    is_set = not models.tracking_uri or server_of(models.tracking_uri).origin == server.origin
    secret = resolved(models.tracking_secret) if is_set and models.tracking_secret else ""
    http = OutsideHttp(server, "the MLflow server", secret)
    return MlflowRegistry(http, clock, timeout_s=models.tracking_timeout_s)


def page_reader() -> PageReader:
    """Return the document engine; called in the reading process."""
    from opsrail.connect.rapidocr import RapidOcrReader

    return RapidOcrReader()
