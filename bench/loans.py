"""Loan applications that people rule on: the automation that `bench reviewers` serves."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from opsrail import Automation, Case, Queue

LEASE_S = 2
VERDICTS = ("approve", "decline")
QUEUES = {
    name: Queue(name, verdicts=VERDICTS, lease=timedelta(seconds=LEASE_S))
    for name in ("applications", "offers", "fraud")
}
applications, offers, fraud = QUEUES.values()


class Application(BaseModel):
    """One application.

    Attributes:
        queue: None: nobody has to look at it.
        due_ms: Time the desk has.
    """

    number: int
    queue: str | None
    due_ms: int
    priority: int


class Answered(BaseModel):
    verdict: str
    by: str | None


loans = Automation("loans", case=Application, outcome=Answered, key="number")


@loans.run
async def decide(case: Case, application: Application) -> Answered:
    if application.queue is None:
        return Answered(verdict="decline", by=None)
    due = timedelta(milliseconds=application.due_ms)
    queue = QUEUES[application.queue]
    ruling = await case.review(queue, due=due, priority=application.priority)
    return Answered(verdict=ruling.verdict, by=ruling.ruled_by)
