"""Whether the process lives, whether it can serve, and what there is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.errors import OpsrailError, Unavailable
from opsrail.ports import Finding, ModelHealth
from opsrail.registry.rollout import ANSWERING
from opsrail.telemetry import CORRELATION
from opsrail.web import answers
from opsrail.web.door import Answer, Door, Operation, answer, principal_of
from opsrail.web.problems import LIST, RETRY_AFTER_S, catalogue
from opsrail.web.reading import query_of

CHECK_S = 2.0


class Health:
    """Serves `/`, `/healthz`, `/readyz`, the OpenAPI description and the list of problems.

    Args:
        document: Returns the description.
    """

    def __init__(self, door: Door, document: Callable[[], dict[str, Any]]) -> None:
        self._door = door
        self._document = document

    def operations(self) -> list[Operation]:
        """Return what is served."""
        index = {200: Answer("What there is.", answers.Index)}
        lives = {200: Answer("The process lives.", answers.Alive)}
        ready = {
            200: Answer("It can serve; parts may be degraded.", answers.Readiness),
            503: Answer("It cannot serve.", answers.Readiness),
        }
        described = {200: Answer("This description.", answers.Description)}
        told = {200: Answer("Every problem that may be answered.", answers.Problems)}
        return [
            Operation("GET", "/", "index", "List what there is.", self.index, index,
                permission="interface.read"),
            Operation(
                "GET", "/healthz", "alive", "Say whether the process lives.", self.alive, lives, is_open=True
            ),
            Operation(
                "GET", "/readyz", "ready", "Say whether it can serve.", self.ready, ready, is_open=True
            ),
            Operation(
                "GET", "/v1/openapi.json", "openapi", "Describe this interface.", self.openapi, described,
                permission="interface.read",
            ),
            Operation(
                "GET", LIST, "problems", "Say what each problem means.", self.problems, told, is_open=True
            ),
        ]  # fmt: skip

    async def problems(self, request: Request) -> Response:
        """Answer with what each problem means."""
        query_of(request)
        return answer({"problems": catalogue()})

    async def index(self, request: Request) -> Response:
        """Answer with links."""
        query_of(request)
        defined = self._door.app.definitions
        return answer(
            {
                "name": "opsrail",
                "automations": {name: f"/v1/cases/{name}" for name in defined.automations},
                "decision_points": {name: f"/v1/decisions/{name}" for name in defined.points},
                "links": {
                    "cases": "/v1/cases",
                    "reviews": "/v1/reviews",
                    "actions": "/v1/actions",
                    "ledger": "/v1/ledger/checkpoint",
                    "stats": "/v1/stats",
                    "openapi": "/v1/openapi.json",
                    "problems": LIST,
                    "processes": "/v1/processes",
                    "rollouts": "/v1/rollouts",
                    "alarms": "/v1/alarms",
                    "guarantees": "/v1/guarantees",
                    "health": "/healthz",
                    "readiness": "/readyz",
                },
            }
        )

    async def alive(self, request: Request) -> Response:
        """Answer at all."""
        query_of(request)
        return answer({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Answer 200 when cases and decisions can be served, else 503; what was found is told to known callers only."""
        query_of(request)
        found = await self.findings()
        level = max(
            (finding.level for finding in found), key=("ok", "warn", "fail").index, default="ok"
        )
        status = {"ok": "ready", "warn": "degraded", "fail": "not_ready"}[level]
        is_known = principal_of(request) is not None
        findings = (
            [finding._asdict() for finding in found if finding.level != "ok"] if is_known else []
        )
        shown = {"status": status, "findings": findings}
        if level == "fail":
            return answer(shown, 503, {"retry-after": str(RETRY_AFTER_S)})
        return answer(shown)

    async def findings(self) -> list[Finding]:
        """Return what was found; nothing of level `fail`: it can serve."""
        return [
            *self._loops(), *await self._store(), *await self._models(), *self._processes(), *self._guard(),
            *self._people(),
        ]  # fmt: skip

    async def openapi(self, request: Request) -> Response:
        """Answer with the description of what is served."""
        query_of(request)
        return answer(self._document())

    def _loops(self) -> list[Finding]:
        app = self._door.app
        if app.held is not None:
            message = "rolled back or rewritten: read only until `opsrail ledger acknowledge`"
            return [Finding("ledger", "fail", message)]
        if app.broken is not None:
            return [
                Finding(
                    "loops",
                    "fail",
                    f"a loop ended for good ({type(app.broken).__name__}); restart, see the log",
                )
            ]
        if not app.is_running:
            return [Finding("loops", "fail", "this process carries no cases")]
        return []

    async def _store(self) -> list[Finding]:
        try:
            async with asyncio.timeout(CHECK_S):
                found = await self._door.app.store.check()
        except (OpsrailError, TimeoutError):
            return [Finding("store", "fail", f"the database did not answer within {CHECK_S:g} s")]
        accepted = self._door.app.accepted
        return [one._replace(level="warn") if one.name in accepted else one for one in found]

    async def _models(self) -> list[Finding]:
        found = []
        registry = self._door.app.registry
        for point in self._door.app.definitions.points:
            try:
                async with asyncio.timeout(CHECK_S):
                    await registry.route(point, CORRELATION.get())
            except (Unavailable, TimeoutError):
                message = "no model version is live; the fallback answers"
                found.append(Finding(f"models.{point}", "warn", message))
                continue
            missing: dict[str, list[str]] = {}
            for stage, route in registry.standing(point).items():
                if stage in ANSWERING and not registry.is_loaded(route.version):
                    is_loading = registry.warming.is_loading(route.version)
                    missing.setdefault("loading" if is_loading else "not loaded", []).append(
                        f"{route.version.name}/{route.version.number} ({stage})"
                    )
            if missing:
                told = "; ".join(f"{how}: {', '.join(which)}" for how, which in missing.items())
                message = f"{told}; others or the fallback answer, the log says why"
                found.append(Finding(f"models.{point}", "warn", message))
        return found

    def _guard(self) -> list[Finding]:
        """Return what keeps the guard from its work: rollouts stand where they are meanwhile."""
        return [
            Finding(f"guard.{what}", "warn", message)
            for what, message in self._door.app.guard.stats().faults.items()
        ]

    def _people(self) -> list[Finding]:
        """Return what keeps spot checks and control cases from being drawn, and notices from being sent."""
        app = self._door.app
        sending = {} if app.sender is None else app.sender.stats().faults
        found = {
            f"sampling.{name}": f"nothing is drawn for now: {told}"
            for name, told in app.sampler.stats().faults.items()
        }
        for channel, told in sending.items():
            code = told.partition(":")[0]  # the rest may name servers
            found[f"notices.{channel}"] = f"notices are not taken ({code}); see GET /v1/stats"
        return [Finding(name, "warn", told) for name, told in found.items()]

    def _processes(self) -> list[Finding]:
        """Return the models whose processes are not as they should be."""
        return [
            Finding(f"processes.{version.name}/{version.number}", "warn", _told(pool, health))
            for pool, version, health in self._door.app.registry.pools.health()
            if health.state == "quarantined" or health.children < health.wanted
        ]


def _told(pool: str, health: ModelHealth) -> str:
    if health.state == "quarantined":
        return (
            f"in quarantine in pool {pool} for {health.quarantined_for_s:.0f} s more after {health.crashes} crashes; "
            "roll back, or release it once it is mended, see docs/decisions.md"
        )
    return f"{health.children} of {health.wanted} processes are ready in pool {pool}, after {health.crashes} crashes"
