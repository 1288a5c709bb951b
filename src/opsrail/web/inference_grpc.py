"""The Open Inference Protocol v2 over gRPC: the same models, rules and records as `/v2` over HTTP. Needs `opsrail[grpc]`.

A call's own deadline shortens the decisions' (never lengthens it: clients set timeouts of minutes out of habit), so that the
fallback answers before the caller has gone. Browsers cannot speak this protocol: there is no other site's page to fear.

Source:
    Open Inference Protocol v2 (kserve/open-inference-protocol), GRPCInferenceService.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from opsrail.access.keys import Gate, Principal
from opsrail.app import App
from opsrail.cases.office import Office
from opsrail.config import resolved
from opsrail.errors import ConfigInvalid, Denied, Fault, ReadOnly, StoreUnavailable
from opsrail.telemetry import CORRELATION, next_trace, parse_traceparent
from opsrail.values.inference_proto import (
    SERVICE,
    message_class,
    message_of_response,
    request_from,
)
from opsrail.web.door import Door
from opsrail.web.health import Health
from opsrail.web.points import Asking, Points
from opsrail.web.problems import Malformed, problem_of, protocol_text, status_of
from opsrail.web.reading import KEY, bare_key

log = logging.getLogger("opsrail.web")
MOST_CALLS = 1_000
"""Calls under way at a time; more are refused with RESOURCE_EXHAUSTED. Ours."""
OVERHEAD_BYTES = 65_536
"""Room for names and lengths beside `web.body_bytes` of elements."""
KEPT_RATIO = 0.9
"""Part of a call's deadline that its decisions may use; the rest is for the record and the way back. Ours."""
CODES: Mapping[int, grpc.StatusCode] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.ABORTED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""Codes by the status that HTTP answers the same error with. Source: gRPC, Status codes and their use."""
NEEDED: Mapping[str, str] = {
    "ServerMetadata": "interface.read",
    "ModelReady": "interface.read",
    "ModelMetadata": "interface.read",
    "ModelInfer": "decisions.make",
}
"""What a call's caller must hold somewhere, as over HTTP."""
Answering = Callable[[Any, "Call"], Awaitable[Any]]


class Call:
    """One call that was admitted.

    Attributes:
        metadata: By lower-case name; of a name that stands more than once the first.
        left_s: Until the caller gives up; None: it waits as long as it takes.
    """

    def __init__(
        self, metadata: Mapping[str, str], principal: Principal, left_s: float | None
    ) -> None:
        self.metadata = metadata
        self.principal = principal
        self.left_s = left_s

    def asking(self, deadline_ms: int) -> Asking:
        """Return who asks and how.

        Args:
            deadline_ms: What the point declares.

        Raises:
            Malformed: the idempotency key is none.
        """
        budget_ms = None
        if self.left_s is not None and self.left_s * 1000 * KEPT_RATIO < deadline_ms:
            budget_ms = max(1, int(self.left_s * 1000 * KEPT_RATIO))
        key = self.metadata.get("idempotency-key")
        if key is not None and not re.fullmatch(KEY, key):
            raise Malformed("the idempotency key must be 1 to 255 visible ASCII characters")
        actor = self.principal.name.replace("http:", "grpc:", 1)
        bare = None if key is None else bare_key(key)
        return Asking(CORRELATION.get(), actor, self.principal.tenant, bare, budget_ms)


class InferenceService:
    """Answers the calls of GRPCInferenceService."""

    def __init__(self, app: App, gate: Gate, is_closing: Callable[[], bool]) -> None:
        self._app = app
        self._gate = gate
        self._is_closing = is_closing
        self._points = Points(app)
        door = Door(app, Office(app.store, app.clock), gate, is_closing)
        self._health = Health(door, dict)

    def handler(self) -> Any:
        """Return what a gRPC server calls."""
        answering: Mapping[str, Answering] = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ServerMetadata": self.server_metadata,
            "ModelReady": self.model_ready,
            "ModelMetadata": self.model_metadata,
            "ModelInfer": self.model_infer,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._guarded(name, answer),
                # Read where errors become statuses: gRPC's own word for an unreadable message is UNKNOWN.
                request_deserializer=None,
                response_serializer=message_class(f"{name}Response").SerializeToString,
            )
            for name, answer in answering.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    async def server_live(self, request: Any, call: Call) -> Any:
        """Answer at all."""
        return message_class("ServerLiveResponse")(live=True)

    async def server_ready(self, request: Any, call: Call) -> Any:
        """Answer whether decisions can be served."""
        found = await self._health.findings()
        is_ready = all(finding.level != "fail" for finding in found) and not self._is_closing()
        return message_class("ServerReadyResponse")(ready=is_ready)

    async def server_metadata(self, request: Any, call: Call) -> Any:
        """Answer with who serves."""
        return message_class("ServerMetadataResponse")(**self._points.server())

    async def model_ready(self, request: Any, call: Call) -> Any:
        """Answer whether the model that answers is loaded."""
        is_ready = await self._points.is_ready(request.name, request.version)
        return message_class("ModelReadyResponse")(ready=is_ready)

    async def model_metadata(self, request: Any, call: Call) -> Any:
        """Answer with a point's inputs and outputs."""
        told = await self._points.metadata(request.name, request.version)
        return message_class("ModelMetadataResponse")(**told)

    async def model_infer(self, request: Any, call: Call) -> Any:
        """Answer with a decision for each row, raw or typed as the request was."""
        asked, is_raw = request_from(request)
        if not call.principal.grants.may("decisions.make", request.model_name):
            raise Denied("this needs decisions.make where it lies, and you do not hold it there")
        asking = call.asking(self._points.deadline_ms(request.model_name))
        response = await self._points.infer(
            request.model_name, request.model_version, asked, asking
        )
        return message_of_response(response, is_raw=is_raw)

    def _guarded(self, name: str, answer: Answering) -> Any:
        """Return a call's road: its trace, its admission, and a status instead of an exception."""

        async def serve(content: bytes, context: Any) -> Any:
            metadata: dict[str, str] = {}
            for key, value in context.invocation_metadata() or ():
                metadata.setdefault(key, value if isinstance(value, str) else "")
            trace = next_trace(parse_traceparent(metadata.get("traceparent", "")), self._app.clock)
            token = CORRELATION.set(trace.trace_id)
            try:
                call = Call(
                    metadata, await self._admitted(name, metadata), context.time_remaining()
                )
                return await answer(_message(name, content), call)
            except Exception as error:
                if status_of(type(error)) >= 500:
                    log.error("gRPC %s failed", name, exc_info=error)
                problem, _ = problem_of(error)
                code = CODES.get(problem["status"], grpc.StatusCode.INTERNAL)
            finally:
                CORRELATION.reset(token)
            await context.abort(code, protocol_text(problem))

        return serve

    async def _admitted(self, name: str, metadata: Mapping[str, str]) -> Principal:
        """Return who asks. Health needs no key, as over HTTP.

        Raises:
            Unauthenticated: no key or a wrong one.
            Denied: who asks may not ask that anywhere.
            ReadOnly, StoreUnavailable: nothing may be written now.
        """
        if name in ("ServerLive", "ServerReady"):
            return Principal("http:open")
        headers = {"host": "localhost"}
        if "authorization" in metadata:
            headers["authorization"] = metadata["authorization"]
        principal = self._gate.admit("POST", headers)
        if principal is None:
            principal = (await self._gate.look_up("POST", headers, is_page=False)).principal
        if not principal.grants.may_somewhere(NEEDED[name]):
            raise Denied(f"this needs {NEEDED[name]}; ask an admin")
        if name == "ModelInfer" and self._app.held is not None:
            raise ReadOnly("the ledger was rolled back or rewritten, and nobody acknowledged it")
        if self._is_closing():
            raise StoreUnavailable("this server is being stopped; ask another")
        return principal


def _message(name: str, content: bytes) -> Any:
    """Return a call's request.

    Raises:
        Malformed: it is none.
    """
    try:
        return message_class(f"{name}Request").FromString(content)
    except DecodeError as error:
        raise Malformed(f"the message is no {name}Request") from error


@asynccontextmanager
async def serving(
    app: App, host: str, is_closing: Callable[[], bool], *, grace_s: float
) -> AsyncIterator[int]:
    """Serve gRPC on `web.grpc_port` while the block runs; gives the port. Ends in order: calls under way are answered.

    Args:
        grace_s: Time they have for that.

    Raises:
        ConfigInvalid: the port is taken, or can be reached from other machines and no key is set. Terminal.
    """
    web = app.config.web
    gate = Gate(host, resolved(web.api_key), app.access.directory)
    options = [
        ("grpc.max_receive_message_length", web.body_bytes + OVERHEAD_BYTES),
        ("grpc.max_metadata_size", 65_536),
        ("grpc.so_reuseport", 0),  # a port that another process holds is refused, not shared
    ]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=MOST_CALLS)
    server.add_generic_rpc_handlers((InferenceService(app, gate, is_closing).handler(),))
    name = f"[{host}]" if ":" in host else host
    try:
        port = server.add_insecure_port(f"{name}:{web.grpc_port}")
    except RuntimeError as taken:
        message = f"{name}:{web.grpc_port} cannot be listened on; stop who does, or choose another"
        raise ConfigInvalid("gRPC is not served", [Fault("web.grpc_port", message)]) from taken
    await server.start()
    log.info("gRPC is served on %s:%d", name, port)
    try:
        yield port
    finally:
        await server.stop(grace_s)
