"""The case that `bench cases` runs: three steps that add, each durable before the next."""

from pydantic import BaseModel

from opsrail import Automation, Case


class Start(BaseModel):
    """Input: one number."""

    number: int


class Sum(BaseModel):
    """Outcome: the number after three steps."""

    number: int


three_steps = Automation("three-steps", case=Start, outcome=Sum)


async def add_one(number: int) -> int:
    """Return number + 1."""
    return number + 1


@three_steps.run
async def run(case: Case, start: Start) -> Sum:
    """Add one three times."""
    first = await case.step(add_one, start.number)
    second = await case.step(add_one, first)
    third = await case.step(add_one, second)
    return Sum(number=third)
