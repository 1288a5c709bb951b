"""The case that `bench parked` runs: it waits for a person, unless it is told that none is needed."""

from pydantic import BaseModel

from opsrail import Automation, Case


class Asked(BaseModel):
    """Input: whether a person has to rule, and what that person is shown."""

    needs_person: bool
    note: str


class Answer(BaseModel):
    """Outcome: what was ruled."""

    verdict: str


one_review = Automation("one-review", case=Asked, outcome=Answer)


@one_review.run
async def run(case: Case, asked: Asked) -> Answer:
    """Ask a person, if one is needed."""
    if not asked.needs_person:
        return Answer(verdict="none")
    ruling = await case.review("bench-desk", show={"note": asked.note})
    return Answer(verdict=ruling.verdict)
