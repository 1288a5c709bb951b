"""The demo's simulated desk: rules as the claim's recorded outcome says, after the time that people take.

It is called `simulated-desk` wherever it shows. It alone looks at `FraudFound_P`; the cases never hold it, so neither model
nor policy can see it. Handling times are drawn from those of a real back office (`data/handling_seconds.csv`, work
`validate_application`), the same for a claim in every run, and pass `SPEED` times as fast.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Iterable, Mapping

from pydantic_core import from_json

from examples.claims.claim_rows import is_fraud
from examples.claims.desk_times import DeskTimes, read_desk_times
from opsrail.app import App
from opsrail.errors import AlreadyRuled, StoreUnavailable
from opsrail.values.reviews import ReviewRow

QUEUE = "claims-desk"
NAME = "simulated-desk"
SEATS = 8
SPEED = 3_600
"""An hour of work at the desk passes in a second."""
LOOK_EVERY_S = 0.05
WORK = "validate_application"


class SimulatedDesk:
    """Some seats that claim, wait and rule.

    Args:
        rows: Of the claims file, labels included; it rules on these claims only.
    """

    def __init__(self, app: App, rows: Iterable[Mapping[str, str]], *, seats: int = SEATS) -> None:
        self._app = app
        self._frauds = {int(row["PolicyNumber"]): is_fraud(row) for row in rows}
        self._times = read_desk_times(WORK)
        self._seats = seats
        self._busy: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Rule on what waits, until cancelled; reviews that a killed demo left half done are taken up again."""
        async with asyncio.TaskGroup() as seated:
            while True:
                for review in await self._next():
                    task = seated.create_task(self._work_on(review))
                    self._busy[review.id] = task
                    task.add_done_callback(functools.partial(self._rose, review.id))
                await asyncio.sleep(LOOK_EVERY_S)

    def may_rule(self, review: ReviewRow) -> bool:
        """Whether a review that waits is one for this desk: of a claim whose outcome it knows, and not held by a person."""
        is_free = review.assignee in (None, NAME) and review.queue == QUEUE
        return is_free and claim_number_of(review) in self._frauds

    async def _next(self) -> list[ReviewRow]:
        free = self._seats - len(self._busy)
        if free == 0:
            return []
        waiting = await self._app.desk.waiting(QUEUE, limit=100)
        return [row for row in waiting if row.id not in self._busy and self.may_rule(row)][:free]

    def _rose(self, review_id: str, _: asyncio.Task[None]) -> None:
        del self._busy[review_id]

    async def _work_on(self, review: ReviewRow) -> None:
        claim_number = claim_number_of(review)
        try:
            await self._app.desk.claim(review.id, NAME)
            await asyncio.sleep(handling_s(self._times, claim_number) / SPEED)
            verdict = "decline" if self._frauds[claim_number] else "approve"
            reason = (
                f"The file's recorded outcome is {'fraud' if verdict == 'decline' else 'no fraud'}."
            )
            await self._app.desk.rule(review.id, verdict, by=NAME, reason=reason)
        except (AlreadyRuled, StoreUnavailable):
            return  # a person was first, or the database is away: the next look finds what is still open


def handling_s(times: DeskTimes, claim_number: int) -> float:
    """Return the seconds of work a claim takes at the desk: a draw that only its number decides."""
    draw = hashlib.sha256(f"handling:{claim_number}".encode()).digest()
    return times.draw_s(int.from_bytes(draw[:6], "big") / 2**48)


def claim_number_of(review: ReviewRow) -> int:
    """Return the number of the claim that a review is about."""
    return int(from_json(review.subject)["input"]["PolicyNumber"])
