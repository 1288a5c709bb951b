"""The Open Inference Protocol's gRPC messages: their fields as a table, and requests and answers in and out of them.

The messages are made from the table when this is imported, in a pool of their own: a program that also loads another client
of the protocol, which registers the same names, keeps working. Needs the extra `opsrail[grpc]`.

Elements travel typed, in each tensor's `contents`, or raw, all tensors together beside them. Servers differ (Triton answers
raw, KServe typed, MLServer as it was asked); both are read, and an answer goes as its request came.

Source:
    Open Inference Protocol v2 (kserve/open-inference-protocol), GRPCInferenceService: names and numbers of fields.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from opsrail.errors import Fault, InvalidInput
from opsrail.values.inference import (
    InferenceRequest,
    InferenceResponse,
    Wanted,
    check_lengths,
    check_names,
)
from opsrail.values.tensors import (
    Tensor,
    checked,
    datatype_of,
    from_raw,
    shape_of,
    to_raw,
)

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"
LONGEST_ID = 255

TABLE: Mapping[str, str] = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready 1",
    "ModelReadyRequest": "string name 1, string version 2",
    "ModelReadyResponse": "bool ready 1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "string name 1, string version 2, string* extensions 3",
    "ModelMetadataRequest": "string name 1, string version 2",
    "ModelMetadataResponse.TensorMetadata": "string name 1, string datatype 2, int64* shape 3",
    "ModelMetadataResponse": "string name 1, string* versions 2, string platform 3, "
    "ModelMetadataResponse.TensorMetadata* inputs 4, ModelMetadataResponse.TensorMetadata* outputs 5",
    "InferParameter": "bool bool_param 1 one, int64 int64_param 2 one, string string_param 3 one, "
    "double double_param 4 one, uint64 uint64_param 5 one",
    "InferTensorContents": "bool* bool_contents 1, int32* int_contents 2, int64* int64_contents 3, "
    "uint32* uint_contents 4, uint64* uint64_contents 5, float* fp32_contents 6, double* fp64_contents 7, "
    "bytes* bytes_contents 8",
    "ModelInferRequest.InferInputTensor": "string name 1, string datatype 2, int64* shape 3, map parameters 4, "
    "InferTensorContents contents 5",
    "ModelInferRequest.InferRequestedOutputTensor": "string name 1, map parameters 2",
    "ModelInferRequest": "string model_name 1, string model_version 2, string id 3, map parameters 4, "
    "ModelInferRequest.InferInputTensor* inputs 5, ModelInferRequest.InferRequestedOutputTensor* outputs 6, "
    "bytes* raw_input_contents 7",
    "ModelInferResponse.InferOutputTensor": "string name 1, string datatype 2, int64* shape 3, map parameters 4, "
    "InferTensorContents contents 5",
    "ModelInferResponse": "string model_name 1, string model_version 2, string id 3, map parameters 4, "
    "ModelInferResponse.InferOutputTensor* outputs 5, bytes* raw_output_contents 6",
}
"""Fields by message: kind, name, number; `*`: repeated; `one`: of the one choice; `map`: text to InferParameter."""
RPCS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
CONTENTS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where typed elements stand. FP16 has no place there: it goes raw."""
_KINDS: Mapping[str, int] = {
    "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "uint32": 13,
}  # fmt: skip
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3


def message_class(name: str) -> Any:
    """Return the class of a message of the protocol."""
    return _CLASSES[name]


def request_from(message: Any) -> tuple[InferenceRequest, bool]:
    """Return the request that a ModelInferRequest holds, and whether its elements came raw.

    Raises:
        InvalidInput: it is none. Terminal; the first fault is named.
    """
    if not message.inputs:
        raise _wrong("inputs", "must name at least one tensor")
    if len(message.id) > LONGEST_ID:
        raise _wrong("id", f"must have at most {LONGEST_ID} characters")
    inputs = _tensors("inputs", message.inputs, message.raw_input_contents)
    names = [one.name for one in message.outputs]
    check_lengths("outputs", names)
    wanted = tuple(Wanted(name, False) for name in dict.fromkeys(names))
    parameters = {
        name: getattr(value, kind)
        for name, value in message.parameters.items()
        if (kind := value.WhichOneof("parameter_choice")) is not None
    }
    request = InferenceRequest(inputs, wanted, message.id, parameters=parameters)
    return request, bool(message.raw_input_contents)


def message_of_request(request: InferenceRequest, model: str, version: str, *, is_raw: bool) -> Any:
    """Return a request as a ModelInferRequest."""
    message = message_class("ModelInferRequest")(
        model_name=model, model_version=version, id=request.id
    )
    _fill(message.inputs, message.raw_input_contents, request.inputs, is_raw=is_raw)
    for one in request.outputs:
        message.outputs.add(name=one.name)
    return message


def response_from(message: Any) -> InferenceResponse:
    """Return the answer that a ModelInferResponse holds. Raises InvalidInput when it is none."""
    outputs = _tensors("outputs", message.outputs, message.raw_output_contents)
    return InferenceResponse(message.model_name, message.model_version, outputs, message.id)


def message_of_response(response: InferenceResponse, *, is_raw: bool) -> Any:
    """Return an answer as a ModelInferResponse."""
    message = message_class("ModelInferResponse")(
        model_name=response.model_name, model_version=response.model_version, id=response.id
    )
    _fill(message.outputs, message.raw_output_contents, response.outputs, is_raw=is_raw)
    return message


def _tensors(place: str, parts: Sequence[Any], raws: Sequence[bytes]) -> tuple[Tensor, ...]:
    check_names(place, [part.name for part in parts])
    if raws and len(raws) != len(parts):
        raise _wrong(place, f"{len(parts)} tensors came with {len(raws)} raw contents")
    found = []
    for at, part in enumerate(parts):
        where = f"{place}.{part.name}"
        shape = shape_of(where, list(part.shape))
        datatype = datatype_of(where, part.datatype)
        if raws:
            if part.contents.ByteSize():
                raise _wrong(where, "came raw and typed; send it once")
            found.append(from_raw(part.name, datatype, shape, raws[at]))
        else:
            found.append(_typed(where, part, datatype, shape))
    return tuple(found)


def _typed(where: str, part: Any, datatype: str, shape: tuple[int, ...]) -> Tensor:
    name = CONTENTS.get(datatype)
    if name is None:
        raise _wrong(where, f"{datatype} has no typed contents; send it raw")
    data = list(getattr(part.contents, name))
    if len(data) != math.prod(shape):
        raise _wrong(
            where, f"has {len(data)} elements in {name}; its shape says {math.prod(shape)}"
        )
    tensor = Tensor(part.name, datatype, shape, data)
    is_float = datatype in ("FP32", "FP64")  # NaN and infinity are as good here as they are raw
    return tensor if is_float else checked(tensor)


def _fill(parts: Any, raws: Any, tensors: Sequence[Tensor], *, is_raw: bool) -> None:
    for tensor in tensors:
        part = parts.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if is_raw:
            raws.append(to_raw(tensor))
        elif (name := CONTENTS.get(tensor.datatype)) is None:
            raise _wrong(tensor.name, f"{tensor.datatype} has no typed contents; it goes raw")
        else:
            getattr(part.contents, name).extend(tensor.data)


def _wrong(place: str, message: str) -> InvalidInput:
    return InvalidInput("the inference request or answer is wrong", [Fault(place, message)])


def _described() -> FileDescriptorProto:
    """Return the table as protobuf has it."""
    described = FileDescriptorProto(
        name="opsrail/inference.proto", package=PACKAGE, syntax="proto3"
    )
    messages: dict[str, DescriptorProto] = {}
    for name in sorted(TABLE, key=lambda name: name.count(".")):  # outer ones before those in them
        outer, _, inner = name.rpartition(".")
        held = messages[outer].nested_type if outer else described.message_type
        messages[name] = held.add(name=inner)
        for field in filter(None, TABLE[name].split(", ")):
            _add_field(messages[name], name, *field.split())
    return described


def _add_field(message: Any, path: str, kind: str, name: str, number: str, *choice: str) -> None:
    field: FieldDescriptorProto = message.field.add(name=name, number=int(number), label=_OPTIONAL)
    if kind == "map":
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        _add_field(entry, "", "string", "key", "1")
        _add_field(entry, "", "InferParameter", "value", "2")
        kind = f"{path}.{entry.name}*"
    if kind.endswith("*"):
        field.label, kind = _REPEATED, kind[:-1]
    if kind in _KINDS:
        field.type = _KINDS[kind]
    else:
        field.type, field.type_name = _MESSAGE, f".{PACKAGE}.{kind}"
    if choice:
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0


_POOL = DescriptorPool()
_POOL.Add(_described())
_CLASSES = {
    name: GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in TABLE
}
