"""One model that is asked over gRPC; loaded by `opsrail.connect.remote_runtimes`."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

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


class GrpcModel:
    """A remote model. `score` may be called from several threads at once."""

    is_remote = True

    def __init__(self, remote: Remote, key: str | None) -> None:
        self.digest = remote.digest
        self._remote = remote
        self._timeout_s = remote.described.timeout_ms / 1000
        self._metadata = () if key is None else (("authorization", f"Bearer {key}"),)
        self._asking: Any = None

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
        asking = self._asking = self._asking or self._connected()
        try:
            answer = asking(message, timeout=self._timeout_s, metadata=self._metadata)
            response = response_from(answer)
        except grpc.RpcError as failed:
            code, told = failed.code(), failed.details() or ""
            if code in ROWS_AT_FAULT:
                raise refused(self._remote, told) from failed
            if code is grpc.StatusCode.UNAVAILABLE:
                self._asking = None  # the name may lead elsewhere by now
            raise unavailable(self._remote, f"answered {code.name}: {told[:200]}") from failed
        except InvalidInput as wrong:
            raise unavailable(self._remote, f"answered what cannot be read: {wrong}") from wrong
        return scores_of(self._remote, rows, response)

    def _connected(self) -> Any:
        """Return what asks the server; no connection is made before it is used."""
        place = self._remote.place
        address = address_of(self._remote)
        target = f"[{address}]:{place.port}" if ":" in address else f"{address}:{place.port}"
        options = [
            ("grpc.max_receive_message_length", LARGEST_ANSWER_BYTES),
            ("grpc.enable_retries", 0),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.default_authority", f"{place.host}:{place.port}"),
        ]
        if place.scheme == "grpcs":
            options.append(("grpc.ssl_target_name_override", place.host))
            channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(), options)
        else:
            channel = grpc.insecure_channel(target, options)
        asking = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            message_class("ModelInferRequest").SerializeToString,
            message_class("ModelInferResponse").FromString,
        )
        weakref.finalize(self, channel.close)
        return asking
