"""The process of one job: `python -m opsrail.app.job_main`, told its order on standard input.

It opens the installation as a command does, works behind everything that decides (`jobs.child.NICE`), and writes lines to
standard output: `{"progress": [done, total, words]}`, and as the last one `{"result": ..., "file_id": ...}` or
`{"problem": ...}`. It ends as soon as its standard input is closed: whoever began it is gone then.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

from opsrail.app.building import build
from opsrail.app.wired import NOTHING, App
from opsrail.app.work import Bench, Made
from opsrail.cases.loader import Definitions, load_file
from opsrail.clock import SystemClock
from opsrail.config import Config
from opsrail.errors import OpsrailError, missing_extra
from opsrail.jobs.child import NICE
from opsrail.jobs.jobs import PROBLEM, PROGRESS, RESULT

log = logging.getLogger("opsrail.jobs")
KINDS: Mapping[str, tuple[str, str, str]] = {
    "backtest": ("opsrail.app.backtesting", "BacktestJob", "backtest_job"),
    "backfill": ("opsrail.app.backfilling", "BackfillJob", "backfill_job"),
    "training-set": ("opsrail.app.training_sets", "TrainingSetWish", "training_set_job"),
    "register": ("opsrail.app.taking_models", "RegisterJob", "register_job"),
    "import": ("opsrail.app.taking_models", "ImportJob", "import_job"),
    "import-mlflow": ("opsrail.app.taking_models", "MlflowJob", "import_mlflow_job"),
}
"""What each kind of job is asked, and what does it."""
EVERY_S = 0.25


def main() -> None:
    """Do one job."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what an author's code prints is no line of ours
    order = orjson.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(NICE)
    try:
        told = asyncio.run(_done(order, lambda line: out.write(orjson.dumps(line) + b"\n")))
    except OpsrailError as error:
        told = {PROBLEM: problem_of(error)}
    except Exception as error:
        log.exception("job %s failed", order["job"]["id"])
        detail = "Something went wrong inside opsrail; its log has it."
        told = {PROBLEM: {"code": "internal", "detail": detail, "faults": []}}
        if (missing := missing_extra(error, "This job")) is not None:
            told = {PROBLEM: problem_of(missing)}
    out.write(orjson.dumps(told) + b"\n")


async def _done(order: Mapping[str, Any], tell: Callable[[Any], object]) -> dict[str, Any]:
    job, data = order["job"], Path(order["folder"])
    module, shape, name = KINDS[job["kind"]]
    room = import_module(module)
    wish = getattr(room, shape).model_validate_json(job["wish"])
    work: Callable[[App, Any, Bench], Awaitable[Made]] = getattr(room, name)
    app = build(Config.model_validate(order["config"]), data, defined_in(order["files"]))
    with tempfile.TemporaryDirectory(prefix="opsrail-job-") as desk:
        async with app.opened():
            made = await work(app, wish, Bench(data, Path(desk), _ticks(tell)))
            file_id = None
            if made.file is not None:
                content = made.file.read_bytes()
                file_id = (await app.jobs.keep_file(content, made.media, by=job["by"])).id
    return {RESULT: dict(made.result), "file_id": file_id}


def _ticks(tell: Callable[[Any], object]) -> Callable[[float, float, str], None]:
    """Return what tells how far work is, a few times a second."""
    clock = SystemClock()
    told_s = float("-inf")

    def tick(done: float, total: float, words: str) -> None:
        nonlocal told_s
        if (now_s := clock.monotonic_s()) - told_s >= EVERY_S:
            told_s = now_s
            tell({PROGRESS: [done, total, words]})

    return tick


def defined_in(files: list[str]) -> Definitions:
    """Return what author files define together."""
    known = [load_file(Path(file)) for file in files]
    if not known:
        return NOTHING
    return Definitions(
        {name: one for each in known for name, one in each.automations.items()},
        {name: one for each in known for name, one in each.points.items()},
        tuple(view for each in known for view in each.views),
        tuple(files),
        tuple(model for each in known for model in each.models),
    )


def problem_of(error: OpsrailError) -> dict[str, Any]:
    """Return why a job failed, as plain JSON values."""
    faults = [
        {"place": fault.place, "message": fault.message} for fault in getattr(error, "faults", ())
    ]
    return {"code": error.code, "detail": str(getattr(error, "summary", error)), "faults": faults}


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
