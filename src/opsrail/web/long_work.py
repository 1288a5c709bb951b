"""What runs for minutes, asked for over HTTP: each POST keeps a job and answers with where it is found."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.roles import EVERYWHERE
from opsrail.app.backfilling import BackfillJob, BackfillWish
from opsrail.app.backtesting import BacktestJob, BacktestWish
from opsrail.app.taking_models import (
    ImportJob,
    ImportWish,
    MlflowJob,
    MlflowWish,
    RegisterJob,
    RegisterWish,
)
from opsrail.app.training_sets import TrainingSetWish, columns_by_view
from opsrail.errors import Conflict, NotFound
from opsrail.jobs.jobs import job_record
from opsrail.jobs.machine import ENDED
from opsrail.values.jobs import JobRow
from opsrail.values.versions import version_of
from opsrail.web.cases import PREFER
from opsrail.web.contradictions import contradictions, known_point
from opsrail.web.door import (
    Answer,
    Door,
    Operation,
    Parameter,
    actor_of,
    answer,
    id_parameter,
    permit,
)
from opsrail.web.features import BY_REF, ref_of
from opsrail.web.jobs import NEEDS, Job
from opsrail.web.models import NAME
from opsrail.web.reading import body_of, model_of, query_of, wait_s
from opsrail.web.shadows import POINT

MODEL = (id_parameter("name", NAME, "Name of a model."),)
LED_TO = {name: {"job_id": "$response.body#/id"} for name in ("job", "cancel_job", "job_file")}
LOOK_S = 0.2
"""How often a request that waits for a job looks at it. Ours."""
Ask = Callable[[Request, Any], Awaitable[tuple[str, BaseModel]]]


class LongWork:
    """Serves back-tests, backfills, training sets, and models that are sent or fetched."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._jobs = door.app.jobs

    def operations(self) -> list[Operation]:
        """Return what is served."""
        view, models = "/v1/features/{view}/{version}", "/v1/models/{name}"
        return [
            self._job("backtest", "/v1/points/{point}/backtest", "Judge a point's history again.",
                BacktestWish, self._backtest, POINT),
            self._job("backfill", f"{view}/backfill", "Read the past into a feature view.",
                BackfillWish, self._backfill, *BY_REF),
            self._job("training-set", "/v1/training-sets", "Add what was known then to rows.",
                TrainingSetWish, self._training_set),
            self._job("register", f"{models}/register", "Keep an artifact as the next version.",
                RegisterWish, self._register, *MODEL),
            self._job("import", f"{models}/import", "Make a version of a file that training left.",
                ImportWish, self._import, *MODEL),
            self._job("import-mlflow", f"{models}/import-mlflow", "Make a version of one in MLflow.",
                MlflowWish, self._import_mlflow, *MODEL),
        ]  # fmt: skip

    def _job(
        self,
        kind: str,
        path: str,
        summary: str,
        body: type[BaseModel],
        asked: Ask,
        *parameters: Parameter,
    ) -> Operation:
        async def run(request: Request) -> Response:
            query_of(request)
            permit(request, NEEDS[kind], request.path_params.get("point", EVERYWHERE))
            wish_s = wait_s(request)
            wish = model_of(body, await body_of(request, self._door.body_bytes))
            subject, whole = await asked(request, wish)
            row = await self._jobs.ask(kind, subject, whole.model_dump_json(), by=actor_of(request))
            headers = {"location": f"/v1/jobs/{row.id}"}
            if wish_s:
                row = await self._at_rest(row, wish_s)
                headers["preference-applied"] = f"wait={wish_s}"
            return answer(job_record(row), 200 if row.state in ENDED else 202, headers)

        told = ("Location", "Preference-Applied")
        return Operation(
            "POST", path, kind.replace("-", "_"), summary, run,
            {
                200: Answer("It ended in time.", Job, told, LED_TO),
                202: Answer("The job is kept.", Job, told, LED_TO),
            },
            body=body, parameters=(*parameters, PREFER), errors=(404, 409), permission=NEEDS[kind],
        )  # fmt: skip

    async def _at_rest(self, row: JobRow, limit_s: float) -> JobRow:
        """Return a job once it has ended, or as it stands after a time."""
        clock = self._door.app.clock
        until_s = clock.monotonic_s() + limit_s
        while row.state not in ENDED and clock.monotonic_s() < until_s:
            if self._door.is_closing():
                break
            await clock.sleep(LOOK_S)
            row = await self._jobs.get(row.id)
        return row

    async def _backtest(self, request: Request, wish: BacktestWish) -> tuple[str, BaseModel]:
        app, point = self._door.app, str(request.path_params["point"])
        await known_point(app, point)
        with contradictions():
            wish.check()
        if wish.model is not None:
            await app.registry.version(*version_of(wish.model))
        return point, BacktestJob(point=point, **wish.model_dump())

    async def _backfill(self, request: Request, wish: BackfillWish) -> tuple[str, BaseModel]:
        ref = ref_of(request)
        await self._door.app.features.known_view(ref)
        if wish.file is not None:
            await self._jobs.check_file(wish.file)
        return ref, BackfillJob(view=ref, **wish.model_dump())

    async def _training_set(self, request: Request, wish: TrainingSetWish) -> tuple[str, BaseModel]:
        await self._jobs.check_file(wish.rows)
        for ref in wish.views:
            await self._door.app.features.known_view(ref)
        with contradictions():
            columns_by_view(wish.views, wish.entity_columns)
        return ",".join(wish.views), wish

    async def _register(self, request: Request, wish: RegisterWish) -> tuple[str, BaseModel]:
        await self._jobs.check_file(wish.file, wish.digest)
        return _name(request), RegisterJob(**_named(request, wish))

    async def _import(self, request: Request, wish: ImportWish) -> tuple[str, BaseModel]:
        await self._jobs.check_file(wish.file, wish.digest)
        if wish.sample is not None:
            await self._jobs.check_file(wish.sample)
        return _name(request), ImportJob(**_named(request, wish))

    async def _import_mlflow(self, request: Request, wish: MlflowWish) -> tuple[str, BaseModel]:
        if not self._door.app.config.models.tracking_uri:
            raise Conflict("this server knows no MLflow server; its setting is models.tracking_uri")
        if wish.sample is not None:
            await self._jobs.check_file(wish.sample)
        return _name(request), MlflowJob(**_named(request, wish))


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if not re.fullmatch(NAME, name):
        raise NotFound(f"{name[:63]!r} is no name of a model")
    return name


def _named(request: Request, wish: BaseModel) -> dict[str, Any]:
    return {**wish.model_dump(), "name": _name(request), "by": actor_of(request)}
