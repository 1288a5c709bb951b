"""Bands with a guarantee over HTTP: found in a decision point's own decisions; a change carries them further."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from opsrail.errors import Fault, InvalidInput, NotFound
from opsrail.lab.risk import GRAMMAR, Words, read_risks
from opsrail.lab.tuned import Costs
from opsrail.lab.tuning import CONFIDENCE, MOST_HORIZON, Objective, tune
from opsrail.values.outcomes import OUTCOME_NAME
from opsrail.values.versions import version_of
from opsrail.web.answers import Shape
from opsrail.web.contradictions import contradictions
from opsrail.web.door import (
    Answer,
    Door,
    Operation,
    answer,
    permit,
)
from opsrail.web.lab import imported
from opsrail.web.reading import SAYS_SOMETHING, body_of, model_of, query_of
from opsrail.web.shadows import POINT

Share = Annotated[float, Field(gt=0, le=1)]
Usd = Annotated[float, Field(ge=0, le=1e12)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=SAYS_SOMETHING)]
DAY_MS = 86_400_000
VERSION = r"[a-z][a-z0-9-]{0,62}[/@][1-9][0-9]{0,8}"
WORD = r"[A-Za-z_\u00c0-\u024f][A-Za-z0-9_\u00c0-\u024f-]{0,99}"
RISK = (
    rf" *(?:{WORD}(?: *\| *{WORD}| +or +{WORD})* +(?:is|and|among) +(?:not +)?{WORD}"
    rf"|(?:not +)?{WORD} +among +{WORD}(?: *\| *{WORD}| +or +{WORD})*)"
    r" *(?:<=|\u2264| at +most) *(?:0?\.[0-9]{1,12}|[0-9]{1,2}(?:\.[0-9]{0,12})? *%) *"
)
"""How a risk is written, as far as a pattern can say it; `lab/risk.py` reads it."""


class CostsGiven(BaseModel):
    """What errors and people cost."""

    model_config = ConfigDict(extra="forbid")
    approved_usd: Usd = 0.0
    declined_usd: Usd = 0.0
    usd_per_hour: Usd = 0.0
    review_s: Usd = 0.0


class Tune(BaseModel):
    """What must stay rare, and whose scores and labels say so."""

    model_config = ConfigDict(extra="forbid")
    risks: Annotated[
        list[Annotated[str, Field(max_length=500, json_schema_extra={"pattern": f"^{RISK}$"})]],
        Field(min_length=1, max_length=20, description="E.g. `approved is fraud <= 1%`"),
    ]
    outcome: Annotated[str, StringConstraints(pattern=f"^{OUTCOME_NAME}$")]
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = CONFIDENCE
    model: Annotated[
        str | None,
        StringConstraints(pattern=f"^{VERSION}$"),
        Field(description="Whose scores; null: who decided"),
    ] = None
    days: Annotated[float, Field(gt=0, le=36_500, description="How far back")] = 90.0
    audits: Annotated[
        dict[str, Share],
        Field(description="Verdict to the chance with which people look at it", max_length=20),
    ] = {}
    ruled: Annotated[Name | None, Field(description="Ruling that stands for the outcome")] = None
    costs: CostsGiven | None = None
    objective: Objective = "automation"
    starts: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(max_length=20)] = []
    verdicts: Annotated[
        list[Name], Field(min_length=3, max_length=3, description="The policy's names of approve, review and decline")
    ] = ["approve", "review", "decline"]  # fmt: skip
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    horizon: Annotated[
        int | None,
        Field(
            ge=1,
            le=MOST_HORIZON,
            description="Of how many decisions to come; null: in the long run",
        ),
    ] = None

    def question(self) -> dict[str, Any]:
        """Return what `tune` is to be asked, labels aside."""
        names = ("risks", "confidence", "outcome", "objective", "starts", "seed", "horizon")
        return {
            **{name: getattr(self, name) for name in names},
            "costs": None if self.costs is None else Costs(**self.costs.model_dump()),
            "verdicts": tuple(self.verdicts),
        }


class Tuned(Shape):
    """Bands with what is promised of them."""

    point: str
    is_kept: bool
    said: list[str]
    content: dict[str, Any]
    tuned: dict[str, Any]
    curve: Annotated[str, Field(description="The risk-automation curve, an SVG document")]


class Tuning:
    """Serves `/v1/points/{point}/tune`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served."""
        told = {200: Answer("What may be promised, and what may not.", Tuned)}
        return [
            Operation(
                "POST", "/v1/points/{point}/tune", "tune", "Choose bands with a guarantee.", self.tune, told,
                body=Tune, parameters=(POINT,), errors=(404, 409), permission="lab.use",
            )
        ]  # fmt: skip

    async def tune(self, request: Request) -> Response:
        """Answer with the bands that automate the most within the stated limits; nothing is altered."""
        query_of(request)
        app, point = self._door.app, request.path_params["point"]
        permit(request, "lab.use", point)
        asked = model_of(Tune, await body_of(request, self._door.body_bytes))
        if point not in app.definitions.points:
            known = ", ".join(app.definitions.points) or "none"
            raise NotFound(f"no decision point {point[:63]!r} here; there are: {known}")
        await imported("labelled", "Tuning")
        _check_risks(asked)
        with contradictions():
            return answer(await self._tuned(point, asked))

    async def _tuned(self, point: str, asked: Tune) -> dict[str, Any]:
        app = self._door.app
        from opsrail.lab.curve import draw
        from opsrail.lab.labelled import labelled

        read = await labelled(
            app.store,
            point,
            asked.outcome,
            model=None if asked.model is None else version_of(asked.model),
            audits=asked.audits,
            ruled=asked.ruled,
            since_ms=max(0, await app.store.now_ms() - round(asked.days * DAY_MS)),
        )
        found = await asyncio.to_thread(
            tune, read.scores, read.labels, ratios=read.ratios, **asked.question()
        )
        said = [read.sentence(), *found.said()]
        told = {"point": point, "is_kept": found.is_kept, "said": said, "content": found.content()}
        return {**told, "tuned": found.record(), "curve": draw(found)}


def _check_risks(asked: Tune) -> None:
    """Refuse a risk that is not written as risks are. Raises InvalidInput, with the column."""
    if all(re.fullmatch(RISK, text) for text in asked.risks):
        return
    read_risks(asked.risks, Words(asked.outcome, asked.verdicts[0], asked.verdicts[2]))
    raise InvalidInput("the risks cannot be read", [Fault("risks", GRAMMAR)])
