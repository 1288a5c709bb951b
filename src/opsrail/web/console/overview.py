"""The overview: what goes on now, as a page, and as events for who keeps it open."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.api_keys import person_behind
from opsrail.access.keys import LOCAL
from opsrail.web.console.board import Board
from opsrail.web.console.overview_view import Overview, overview_of
from opsrail.web.console.pages import Pages, page
from opsrail.web.console.streams import Figures, Streams, Watch
from opsrail.web.door import Door, Operation, actor_of, scopes_of
from opsrail.web.headers import headers_of
from opsrail.web.reading import query_of
from opsrail.web.standing import session_of, still_may

PERMISSION = "health.read"
LIVE = "/console/overview/live"
PART = "/console/overview/part"
LAST_ID_CHARACTERS = 32


class OverviewPages:
    """Serves `/console`, its live figures and its part that is fetched again."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages
        self.board = Board(door.app)
        self.streams = Streams(door.app.clock)
        self._shared: dict[frozenset[str] | None, Overview] = {}
        self._shared_number = -1

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [
            page("/console", "console_overview", self.show, PERMISSION),
            page(PART, "console_overview_part", self.part, PERMISSION),
            page(LIVE, "console_overview_live", self.live, PERMISSION),
        ]

    async def show(self, request: Request) -> Response:
        """Answer with the page."""
        query_of(request)
        seen = await self._seen(request)
        return self._pages.render(
            request,
            "overview.html",
            title="Overview",
            here="overview",
            seen=seen,
            live=LIVE,
            part=PART,
        )

    async def part(self, request: Request) -> Response:
        """Answer with what is inside the page, where rows came or went."""
        query_of(request)
        return self._pages.fragment("overview_part.html", seen=await self._seen(request))

    async def live(self, request: Request) -> Response:
        """Answer with events until the reader leaves."""
        query_of(request)

        async def figures() -> Figures:
            return (await self._seen(request)).figures()

        async def may_watch() -> bool:
            return await still_may(
                self._door, request, lambda grants: grants.may_somewhere(PERMISSION)
            )

        last_id = headers_of(request).get("last-event-id", "")[:LAST_ID_CHARACTERS]
        watch = Watch(figures, may_watch, self._door.is_closing)
        name = actor_of(request)
        holder = "" if name == LOCAL.name else await person_behind(self._door.app.store, name)
        return self.streams.begin(watch, last_id, holder, session_of(request))

    async def _seen(self, request: Request) -> Overview:
        """Return what the reader may see; those who may see the same share it until the next look."""
        found = await self.board.look()
        if found.number != self._shared_number:
            self._shared_number = found.number
            self._shared.clear()
        scopes = scopes_of(request, PERMISSION)
        if (seen := self._shared.get(scopes)) is None:
            app = self._door.app
            seen = self._shared[scopes] = overview_of(
                found,
                self.board.recent,
                app.decider.figures.windows(app.clock.monotonic_s()),
                app.decider.stats().processes,
                app.clock.now_ms(),
                scopes,
            )
        return seen
