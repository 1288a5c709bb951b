"""The Open Inference Protocol v2 over HTTP at `/v2`: stock clients of Triton, KServe and MLServer ask decision points.

Source:
    Open Inference Protocol v2 (kserve/open-inference-protocol), HTTP/REST; Triton's binary tensor data and compression.
"""

from __future__ import annotations

import re
import zlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.decide.point import DecisionPoint
from opsrail.errors import Fault
from opsrail.telemetry import CORRELATION
from opsrail.values.inference import (
    LENGTH_HEADER,
    Body,
    raw_outputs,
    read_request,
    split,
    write_response,
)
from opsrail.web import protocol_answers as answers
from opsrail.web.decisions import DEADLINE
from opsrail.web.door import (
    JSON,
    Answer,
    Door,
    Operation,
    Parameter,
    actor_of,
    answer,
    id_parameter,
    permit,
    tenant_of,
)
from opsrail.web.headers import headers_of
from opsrail.web.health import Health
from opsrail.web.idempotency import idempotency_parameter
from opsrail.web.points import OUTPUTS, Asking, Points
from opsrail.web.problems import RETRY_AFTER_S, Malformed, NotJson, TooLarge
from opsrail.web.reading import bytes_of, check_json, deadline_ms, idempotency_key, query_of
from opsrail.web.signature import request_schema

RAW = "application/octet-stream"
MODEL = id_parameter("model", "[a-z][a-z0-9-]{0,62}", "Name of a decision point.")
VERSION = id_parameter("version", "[1-9][0-9]{0,8}", "Number of a model version that answers now.")
COMPRESSED = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Inference:
    """Serves `/v2`."""

    def __init__(self, door: Door, health: Health, points: Points) -> None:
        self._door = door
        self._health = health
        self._points = points
        self._kept_s = door.app.config.decide.idempotency_ttl_s

    def operations(self) -> list[Operation]:
        """Return what is served: server, models, and for each decision point its inference with and without a version."""
        live = {200: Answer("It lives.", answers.ServerLive)}
        ready = {
            200: Answer("It can serve.", answers.ServerReady),
            503: Answer("It cannot serve.", answers.ServerReady),
        }
        server = {200: Answer("Who serves.", answers.ServerMetadata)}
        points = self._door.app.definitions.points.values()
        return [
            _get("/v2", "server_metadata", "Say who serves.", self.server, server,
                permission="interface.read"),
            _get("/v2/health/live", "server_live", "Say whether the server lives.", self.live, live, is_open=True),
            _get("/v2/health/ready", "server_ready", "Say whether it can serve.", self.ready, ready, is_open=True),
            *self._model("", ()),
            *self._model("/versions/{version}", (VERSION,)),
            *(one for point in points for one in self._inferences(point)),
        ]  # fmt: skip

    def _model(self, tail: str, parameters: tuple[Parameter, ...]) -> list[Operation]:
        path, suffix = "/v2/models/{model}" + tail, "_version" if tail else ""
        shown = {200: Answer("Its inputs and outputs.", answers.ModelMetadata)}
        ready = {
            200: Answer("Its model is loaded.", answers.ModelReady),
            503: Answer("It is not: requests would fall back.", answers.ModelReady),
        }
        where: dict[str, Any] = {"parameters": (MODEL, *parameters), "errors": (404,)}
        return [
            _get(path, f"model_metadata{suffix}", "Describe a decision point as a model.", self.model, shown, **where,
                permission="interface.read"),
            _get(
                f"{path}/ready", f"model_ready{suffix}", "Say whether its model is loaded.",
                self.model_ready, ready, **where, permission="interface.read",
            ),
            Operation(
                "POST", f"{path}/infer", f"infer{suffix}", "Ask an unknown model.", self.infer, is_told=False,
                permission="decisions.make",
            ),
        ]  # fmt: skip

    def _inferences(self, point: DecisionPoint[Any]) -> list[Operation]:
        name = point.name.replace("-", "_")
        schema = request_schema(self._points.fields[point.name], list(OUTPUTS))
        parameters = (idempotency_parameter(self._kept_s), DEADLINE)
        shared: dict[str, Any] = {
            "answers": {200: Answer("One decision a row.", answers.Inference, media=(JSON, RAW))},
            "content": {JSON: schema},
            "is_protocol": True,
            "permission": "decisions.make",
        }
        path = f"/v2/models/{point.name}"
        return [
            Operation(
                "POST", f"{path}/infer", f"infer_{name}", f"Ask {point.name} for each row.", self.infer,
                parameters=parameters, errors=(409,), **shared,
            ),
            Operation(
                "POST", f"{path}/versions/{{version}}/infer", f"versioned_{name}",
                f"Ask one version at {point.name} for each row.", self.infer,
                parameters=(VERSION, *parameters), errors=(404, 409), **shared,
            ),
        ]  # fmt: skip

    async def server(self, request: Request) -> Response:
        """Answer with who serves."""
        query_of(request)
        return answer(self._points.server())

    async def live(self, request: Request) -> Response:
        """Answer at all."""
        query_of(request)
        return answer({"live": True})

    async def ready(self, request: Request) -> Response:
        """Answer 200 when decisions can be served."""
        query_of(request)
        is_ready = all(finding.level != "fail" for finding in await self._health.findings())
        return _readiness({"ready": is_ready})

    async def model(self, request: Request) -> Response:
        """Answer with a point's inputs and outputs."""
        query_of(request)
        return answer(await self._points.metadata(*_place(request)))

    async def model_ready(self, request: Request) -> Response:
        """Answer 200 when the model that answers is loaded."""
        query_of(request)
        name, version = _place(request)
        is_ready = await self._points.is_ready(name, version)
        return _readiness({"name": name, "ready": is_ready})

    async def infer(self, request: Request) -> Response:
        """Answer with a decision for each row."""
        query_of(request)
        permit(request, "decisions.make", _place(request)[0])
        asking = Asking(
            CORRELATION.get(),
            actor_of(request),
            tenant_of(request),
            idempotency_key(request),
            deadline_ms(request),
        )
        asked = read_request(await self._body(request))
        response = await self._points.infer(*_place(request), asked, asking)
        names = [tensor.name for tensor in response.outputs]
        content, size = write_response(response, raw=raw_outputs(asked, names))
        if size is None:
            return Response(content, media_type=JSON)
        return Response(content, headers={LENGTH_HEADER: str(size)}, media_type=RAW)

    async def _body(self, request: Request) -> Body:
        """Return the body, whose JSON was checked. Stock clients declare it as JSON, as bytes, or not at all."""
        headers, most_bytes = headers_of(request), self._door.body_bytes
        media = headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if media not in (JSON, RAW):
            raise NotJson(f"the body is declared as neither {JSON} nor {RAW}")
        size = headers.get(LENGTH_HEADER)
        if size is not None and not re.fullmatch(r"[0-9]{1,12}", size):
            fault = Fault("Inference-Header-Content-Length", "give a number of bytes")
            raise Malformed("a header is wrong", [fault])
        content = await bytes_of(request, most_bytes)
        content = _plain(content, headers.get("content-encoding", "identity"), most_bytes)
        if not content:
            raise Malformed("this needs a body; there was none")
        body = Body(content, None if size is None else int(size))
        check_json(split(body)[0])
        return body


def _get(
    path: str, name: str, summary: str, run: Any, shown: dict[int, Answer], **more: Any
) -> Operation:
    return Operation("GET", path, name, summary, run, shown, is_protocol=True, **more)


def _place(request: Request) -> tuple[str, str]:
    """Return the model's name and the version that a path names; no version: empty."""
    given = request.path_params
    name = given.get("model") or request.scope["path"].split("/")[3]
    return name, given.get("version", "")


def _readiness(shown: dict[str, Any]) -> Response:
    if shown["ready"]:
        return answer(shown)
    return answer(shown, 503, {"retry-after": str(RETRY_AFTER_S)})


def _plain(content: bytes, encoding: str, most_bytes: int) -> bytes:
    """Return a body unpacked; one that unpacks to more than is taken is refused as soon as it does."""
    encoding = encoding.strip().lower()
    if encoding == "identity":
        return content
    if encoding not in COMPRESSED:
        raise NotJson(f"the body is encoded; {', '.join(COMPRESSED)} and none are read")
    unpacking = zlib.decompressobj(COMPRESSED[encoding])
    try:
        plain = unpacking.decompress(content, most_bytes + 1)
    except zlib.error as wrong:
        raise Malformed(f"the body is not {encoding}") from wrong
    if len(plain) > most_bytes:
        raise TooLarge(f"the body unpacks to more than {most_bytes:,} bytes")
    if not unpacking.eof or unpacking.unused_data:
        raise Malformed(f"the body is not one whole {encoding} stream")
    return plain
