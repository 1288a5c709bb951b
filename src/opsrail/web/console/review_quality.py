"""The page of how well people and the machine decide: figures over the newest rulings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.web.console.pages import Pages, page
from opsrail.web.controls import MANAGES, QUEUE
from opsrail.web.door import Door, Operation, scopes_of
from opsrail.web.lab import imported
from opsrail.web.reading import query_of

if TYPE_CHECKING:
    from opsrail.lab.quality import Quality, Week

PATH = "/console/reviews/quality"
SPANS = {"7d": 7, "30d": 30, "90d": 90, "365d": 365}
ANY_QUEUE = re.compile(f"(?:{QUEUE.pattern})?")
"""A queue, or nothing: as a form says that all are meant."""
SINCE = re.compile("|".join(SPANS))
DAY_MS = 86_400_000
WIDTH, HEIGHT, EDGE = 480.0, 120.0, 6.0


class QualityPage:
    """Serves `/console/reviews/quality`."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [page(PATH, "console_quality", self.show, MANAGES)]

    async def show(self, request: Request) -> Response:
        """Show figures of a span of time, of all queues or of one."""
        query = query_of(request, queue=ANY_QUEUE, since=SINCE)
        queue, since = query.get("queue") or None, query.get("since", "30d")
        await imported("rulings", "This page")
        from opsrail.lab.rulings import MOST_NEWEST, quality_of_newest

        app = self._door.app
        until_ms = app.clock.now_ms() + 1
        span = {"since_ms": max(0, until_ms - SPANS[since] * DAY_MS), "until_ms": until_ms}
        found, is_cut = await quality_of_newest(
            app.store, **span, queue=queue, automations=scopes_of(request, MANAGES)
        )
        return self._pages.render(
            request,
            "review_quality.html",
            title="How people rule",
            here="reviews",
            found=found,
            is_cut=is_cut,
            most=MOST_NEWEST,
            marks=marks_of(found.weeks),
            queue=queue or "",
            queues=queues_of(found, app.definitions.queues, queue),
            since=since,
            spans=tuple(SPANS),
        )


def queues_of(found: Quality, declared: Iterable[str], queue: str | None) -> list[str]:
    """Return the queues that may be chosen, by name."""
    return sorted({*found.held, *declared, *(() if queue is None else (queue,))})


def marks_of(weeks: Sequence[Week]) -> list[dict[str, Any]]:
    """Return where each week's share and its interval stand in the picture, in its own units; weeks without are left out.

    The top is 1, the bottom 0.
    """
    told = [week for week in weeks if week.machine.rate is not None]
    step = (WIDTH - 2 * EDGE) / max(1, len(told) - 1)
    return [
        {
            "x": f"{EDGE + (step * place if len(told) > 1 else (WIDTH / 2 - EDGE)):.1f}",
            "y": _height(week.machine.rate or 0.0),
            "low": _height(week.machine.low),
            "high": _height(week.machine.high),
        }
        for place, week in enumerate(told)
    ]


def _height(share: float) -> str:
    return f"{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * min(1.0, max(0.0, share)):.1f}"
