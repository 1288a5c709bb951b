"""Pages of decisions: which were made, and why each is what it is."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.decide.explain import explain
from opsrail.decide.turning import Nearest
from opsrail.errors import NotExplainable, NotFound
from opsrail.lab.replaying import Replayer
from opsrail.review.reading import untold
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.web.answers import is_ulid, parsed
from opsrail.web.console import decision_view as view
from opsrail.web.console.band_picture import picture
from opsrail.web.console.decision_reading import beside, held_by, reviews_of
from opsrail.web.console.decision_search import FIELDS, found, search_of
from opsrail.web.console.listing import further
from opsrail.web.console.pages import Pages, page
from opsrail.web.console.tones import tone
from opsrail.web.door import Door, Operation, actor_of, grants_of, permit, scopes_of
from opsrail.web.reading import CURSOR, query_of

READ = "decisions.read"
ONE = "/console/decisions/{decision_id}"
TEXT = re.compile(r"[^\x00-\x1f\x7f]{0,100}")
PART = re.compile("1")
MODEL_NAME = re.compile("[a-z][a-z0-9-]{0,62}")


class DecisionPages:
    """Serves `/console/decisions`."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._app = door.app
        self._pages = pages
        app = door.app
        self._replayer = Replayer(app.store, app.registry, app.features, app.definitions.points)

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [
            page("/console/decisions", "console_decisions", self.list, READ),
            page(ONE, "console_decision", self.show, READ),
            page(f"{ONE}/nearest", "console_nearest", self.nearest, READ),
            page(f"{ONE}/replay", "console_replay", self.replay, READ),
        ]

    async def list(self, request: Request) -> Response:
        """Answer with decisions, newest first."""
        query = query_of(request, **dict.fromkeys(FIELDS, TEXT), after=CURSOR)
        search = search_of(query)
        if search.point is not None:
            permit(request, READ, search.point)
        points = scopes_of(request, READ)
        page_ = await found(self._app.store, search, points, query.get("after"))
        held = await held_by(self._app, actor_of(request))
        following = None if page_.after is None else further(request, page_.after)
        defined = self._app.definitions.points.values()
        return self._pages.render(
            request,
            "decisions.html",
            title="Decisions",
            here="decisions",
            search=search,
            query={name: query.get(name, "") for name in FIELDS},
            points=sorted(one.name for one in defined if grants_of(request).may(READ, one.name)),
            verdicts=sorted({verdict for one in defined for verdict in one.policy.verdicts}),
            rows=page_.rows,
            held=held,
            next=following,
            first="/console/decisions" if "after" in query else "",
            looked_back_to_ms=page_.looked_back_to_ms,
            tone=tone,
        )

    async def show(self, request: Request) -> Response:
        """Answer with why a decision is what it is."""
        query_of(request)
        row, decision = await self._decision(request)
        known = await beside(self._app, row, decision)
        if view.held_back(known.reviews, actor_of(request)):
            return self._pages.render(
                request, "decision_held.html", title=f"Decision {row.id}", here="decisions", row=row,
                reviews=known.reviews,
            )  # fmt: skip
        reviews = [untold(one, actor_of(request)) for one in known.reviews]
        bands = known.bands
        codes = decision.reason_codes
        return self._pages.render(
            request,
            "decision.html",
            title=f"Decision {row.id}",
            here="decisions",
            row=row,
            decision=decision,
            known=known._replace(reviews=reviews),
            picture=None if bands.bands is None else picture(bands.bands, decision.score),
            rules=() if bands.point is None else bands.point.policy.rules,
            features=view.feature_lines(decision),
            weights=view.weights(() if codes is None else codes.codes),
            stages=view.stages(decision.latency_ms),
            sentences=explain(decision),
            tone=tone,
            has_model_page=decision.model is not None and MODEL_NAME.fullmatch(decision.model.name),
        )

    async def nearest(self, request: Request) -> Response:
        """Answer with the nearest change of facts that turns a verdict; its page loads this beside itself.

        One search is worked on at a time and within `decide.explain_ms`, so this may take seconds.
        """
        is_part = "part" in query_of(request, part=PART)
        row, decision = await self._decision(request)
        if view.held_back(await reviews_of(self._app, row.id), actor_of(request)):
            raise NotFound("this is told once you have ruled on your review of it")
        explainer, point = self._app.explainer, self._app.definitions.points.get(decision.point)
        if point is None:
            text = f"decision point {decision.point!r} is not defined here"
            turned = Nearest(None, absent=(NotExplainable.code, text))
        else:
            turned = await explainer.nearest(decision, point)
        told = await explainer.contributions(decision, point)
        values: dict[str, Any] = {
            "row": row,
            "turned": turned,
            "told": told,
            "weights": view.weights(told.codes),
            "tone": tone,
        }
        if is_part:
            return self._pages.fragment("nearest_part.html", **values)
        return self._pages.render(
            request,
            "nearest.html",
            title=f"What would have turned {row.id}",
            here="decisions",
            **values,
        )

    async def replay(self, request: Request) -> Response:
        """Answer with what deciding it again came to: the same in every bit, or what differs."""
        query_of(request)
        row, _ = await self._decision(request)
        if view.held_back(await reviews_of(self._app, row.id), actor_of(request)):
            raise NotFound("this is told once you have ruled on your review of it")
        return self._pages.render(
            request,
            "replay.html",
            title=f"Decision {row.id}, decided again",
            here="decisions",
            row=row,
            told=await self._replayer.replay_row(row),
            tone=tone,
        )

    async def _decision(self, request: Request) -> tuple[DecisionRow, Decision]:
        decision_id = request.path_params["decision_id"]
        is_id = is_ulid(decision_id)
        row = await self._app.store.get(DecisionRow, decision_id) if is_id else None
        if row is None:
            raise NotFound(f"no decision {decision_id[:63]!r}")
        permit(request, READ, row.point)
        return row, Decision.from_record(parsed(row.record))
