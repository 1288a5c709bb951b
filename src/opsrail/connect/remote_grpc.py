"""One model that is asked over gRPC; loaded by `opsrail.connect.remote_runtimes`."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import grpc

from opsrail.connect.remote import (
    LARGEST_ANSWER_BYTES,
    Remote,
    refused,
    request_of,
    scores_of,
    unavailable,
)
from opsrail.connect.remote_hosts import address_of
from opsrail.errors import InvalidInput
from opsrail.values.inference_proto import (
    SERVICE,
    message_class,
    message_of_request,
    response_from,
)
from opsrail.values.models import Score

ROWS_AT_FAULT = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE})
BACKOFF_MS = (("initial", 100), ("min", 100), ("max", 2_000))
"""Pauses between attempts to connect. Ours: gRPC's own grow to two minutes, and a server that is back would wait so long."""


class _Connection(NamedTuple):
    """A channel to one address.

    Attributes:
        ask: Asks ModelInfer.
        close: Ends it, once; it is also called when the model is gone.
    """

    address: str
    ask: Any
    close: Any


class GrpcModel:
    """A remote model. `score` may be called from several threads at once."""

    is_remote = True

    def __init__(self, remote: Remote, key: str | None) -> None:
        self.digest = remote.digest
        self.at_once = remote.described.at_once
        self._remote = remote
        self._timeout_s = remote.described.timeout_ms / 1000
        self._metadata = () if key is None else (("authorization", f"Bearer {key}"),)
        self._connecting = threading.Lock()
        self._connection: _Connection | None = None
        self._may_have_moved = False

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        """Return one score a row of named features, in order. Blocking, for `timeout_ms` at most.

        Raises:
            InvalidInput: a feature is absent or of the wrong type, or the server refuses the rows. Terminal.
            ModelUnavailable: the server did not answer, or not with scores. The decision falls back.
        """
        if not rows:
            return []
        described = self._remote.described
        asked = request_of(self._remote, rows)
        message = message_of_request(
            asked, described.model, described.version, is_raw=described.raw
        )
        ask = self._connected().ask
        try:
            answer = ask(message, timeout=self._timeout_s, metadata=self._metadata)
            response = response_from(answer)
        except grpc.RpcError as failed:
            code, told = failed.code(), failed.details() or ""
            if code in ROWS_AT_FAULT:
                raise refused(self._remote, told) from failed
            if code is grpc.StatusCode.UNAVAILABLE:
                self._may_have_moved = True
            raise unavailable(self._remote, f"answered {code.name}: {told[:200]}") from failed
        except InvalidInput as wrong:
            raise unavailable(self._remote, f"answered what cannot be read: {wrong}") from wrong
        return scores_of(self._remote, rows, response)

    def _connected(self) -> _Connection:
        """Return what asks the server. After a failure its name may lead elsewhere; if it does, the old place is left."""
        with self._connecting:
            connection = self._connection
            if connection is not None and not self._may_have_moved:
                return connection
            address = address_of(self._remote)
            self._may_have_moved = False
            if connection is None or connection.address != address:
                if connection is not None:
                    connection.close()
                self._connection = connection = self._connection_to(address)
            return connection

    def _connection_to(self, address: str) -> _Connection:
        """Return a connection to an address; it is made when it is first used, and again by itself when it breaks."""
        place = self._remote.place
        target = f"[{address}]:{place.port}" if ":" in address else f"{address}:{place.port}"
        options = [
            ("grpc.max_receive_message_length", LARGEST_ANSWER_BYTES),
            ("grpc.enable_retries", 0),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.default_authority", f"{place.host}:{place.port}"),
            *((f"grpc.{which}_reconnect_backoff_ms", most_ms) for which, most_ms in BACKOFF_MS),
        ]
        if place.scheme == "grpcs":
            options.append(("grpc.ssl_target_name_override", place.host))
            channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(), options)
        else:
            channel = grpc.insecure_channel(target, options)
        ask = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            message_class("ModelInferRequest").SerializeToString,
            message_class("ModelInferResponse").FromString,
        )
        return _Connection(address, ask, weakref.finalize(self, channel.close))
