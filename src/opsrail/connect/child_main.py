"""The process that runs one model, so that what its native code does cannot end or hold up the process that answers.

It speaks frames over its own pipes: four bytes of length, big-endian, then the body. In: what to load (JSON), the
artifact, then one request after the other: rows, as a JSON array, or what else is asked of the model, as an object. Out:
`{"ready": true}` or why not, then one answer a request: an array of scores, or an object.

It ends when its input does. While native code holds it up it could not see that, so it also keeps the end of a pipe on
which the kernel signals it when the process that started it is gone.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import resource
import signal
import sys
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, BinaryIO

import orjson

from opsrail.errors import ArtifactRefused, InvalidInput, MissingExtra, OpsrailError
from opsrail.ports import CellModel, ContributingModel, LoadedModel, ModelRuntime, warm_up

LENGTH_BYTES = 4
OUT_OF_MEMORY = 71
"""Exit status of a child that ran out of memory: what it allocated by halves is not to be trusted. Source: EX_OSERR."""

BOOT = (
    "import json,sys;sys.path[:]=json.loads(sys.argv[1]);"
    "from opsrail.connect.child_main import main;main(*map(int,sys.argv[2:]))"
)
"""What the child's interpreter runs: the parent's import path first, so that both see the same packages."""


def frame(body: bytes) -> bytes:
    """Return the body with its length before it."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def main(life: int, memory_bytes: int) -> None:
    """Load a model and score until the input ends. Blocking; owns the process.

    Args:
        life: Reading end of a pipe that closes when the process that started this one is gone.
        memory_bytes: Most address space, 0: no limit.
    """
    _die_with(life)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold people's values
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints must not land between the frames
        try:
            _serve(sys.stdin.buffer, answers)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)


def _die_with(life: int) -> None:
    """Have the kernel end this process by SIGIO, whose default is that, as soon as the other end of `life` is closed."""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(life, fcntl.F_SETFL, fcntl.fcntl(life, fcntl.F_GETFL) | os.O_ASYNC)


def _serve(requests: BinaryIO, answers: BinaryIO) -> None:
    told, artifact = _take(requests), _take(requests)
    if told is None or artifact is None:
        return
    model, answer = _load(orjson.loads(told), artifact)
    _send(answers, answer)
    while model is not None and (request := _take(requests)) is not None:
        _send(answers, _answer(model, orjson.loads(request)))


def _load(told: Mapping[str, Any], artifact: bytes) -> tuple[LoadedModel | None, object]:
    """Return the model, warm, and what to say of it."""
    module, _, name = told["factory"].partition(":")
    try:
        factory = attrgetter(name)(importlib.import_module(module))
        runtimes: Mapping[str, ModelRuntime] = factory(**told["options"])
        model = runtimes[told["runtime"]].load(artifact, told["digest"])
        warm_up(model)
    except MissingExtra as missing:
        return None, {"refused": str(missing)}
    except ArtifactRefused as refusal:
        return None, {"refused": str(refusal)}
    except MemoryError:
        raise
    except Exception as fault:
        return None, {"failed": f"{type(fault).__name__}: {fault}"}
    return model, {"ready": True}


def _answer(model: LoadedModel, request: Any) -> object:
    try:
        if isinstance(request, list):
            return [
                (score.value, score.confidence, score.unknown) for score in model.score(request)
            ]
        return {"told": _told(model, request)}
    except InvalidInput as wrong:
        faults = [(fault.place, fault.message) for fault in wrong.faults]
        return {"wrong": wrong.summary, "faults": faults}
    except OpsrailError as fault:
        return {"failed": str(fault)}
    except MemoryError:
        raise
    except Exception as fault:  # its text may hold people's values
        return {"failed": f"it raised {type(fault).__name__}"}


def _told(model: LoadedModel, request: Mapping[str, Any]) -> object:
    """Return what else is asked of the model: contributions, cells or reach; None when it has none."""
    if request["asked"] == "contributions":
        return (
            model.contributions(request["rows"]) if isinstance(model, ContributingModel) else None
        )
    if not isinstance(model, CellModel):
        return None
    if request["asked"] == "reach":
        return model.reach(request["row"], request["free"])
    is_whole, features = model.cells()
    return is_whole, {name: tuple(cells) for name, cells in features.items()}


def _send(answers: BinaryIO, answer: object) -> None:
    answers.write(frame(orjson.dumps(answer)))
    answers.flush()


def _take(requests: BinaryIO) -> bytes | None:
    head = requests.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    size = int.from_bytes(head, "big")
    body = requests.read(size)
    return body if len(body) == size else None
