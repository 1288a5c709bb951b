"""Loads models that other servers hold: Triton, KServe, MLServer, another opsrail, over the Open Inference Protocol v2.

Loading asks nobody: a server that is down now must not keep its model from being registered. Asking does, with a timeout
each time, no redirect, no proxy from the environment and no retry; `decide/asking.py` retries and hedges, from a budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opsrail.config import resolved
from opsrail.connect.remote import Remote, read
from opsrail.connect.remote_hosts import check_host
from opsrail.errors import ArtifactRefused, ConfigInvalid, MissingExtra
from opsrail.ports import LoadedModel

HTTP: Mapping[str, int] = {"http": 80, "https": 443}
GRPC: Mapping[str, int] = {"grpc": 80, "grpcs": 443}
"""Schemes, with the port that goes without saying."""


class RemoteHttpRuntime:
    """Loads descriptions of models that are asked over HTTP.

    Args:
        allowed: Hosts beside loopback that may be asked.
    """

    name = "remote-http"

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    def load(self, artifact: bytes, expected_digest: str) -> LoadedModel:
        """Return the model; nobody is asked.

        Raises:
            ArtifactRefused: it is not described as `opsrail.connect.remote` says, or its host is not allowed. Terminal.
            MissingExtra: httpx is not installed. Terminal.
        """
        remote = read(artifact, expected_digest, HTTP)
        check_host(remote, self._allowed)
        try:
            from opsrail.connect.remote_http import HttpModel
        except ModuleNotFoundError as missing:
            raise MissingExtra("The remote-http model runtime", "remote") from missing
        return HttpModel(remote, _key(remote))


class RemoteGrpcRuntime:
    """Loads descriptions of models that are asked over gRPC; arguments and errors as `RemoteHttpRuntime`."""

    name = "remote-grpc"

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    def load(self, artifact: bytes, expected_digest: str) -> LoadedModel:
        """Return the model; nobody is asked."""
        remote = read(artifact, expected_digest, GRPC)
        check_host(remote, self._allowed)
        try:
            from opsrail.connect.remote_grpc import GrpcModel
        except ModuleNotFoundError as missing:
            raise MissingExtra("The remote-grpc model runtime", "grpc") from missing
        return GrpcModel(remote, _key(remote))


def _key(remote: Remote) -> str | None:
    """Return the key that a description refers to. Raises ArtifactRefused when the reference leads nowhere."""
    if remote.described.secret is None:
        return None
    try:
        key = resolved(remote.described.secret)
    except ConfigInvalid as wrong:
        raise ArtifactRefused(f"Remote model {remote.digest}: {wrong.summary}") from wrong
    if not key or not key.isascii() or not key.isprintable():
        raise ArtifactRefused(f"Remote model {remote.digest}: its secret is no key.")
    return key
