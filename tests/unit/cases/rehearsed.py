"""An automation that the tests of this folder take through its paces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import BaseModel

from opsrail import Automation, Case
from opsrail.cases.loader import Definitions


class Order(BaseModel):
    """Input."""

    amount: int = 1


class Receipt(BaseModel):
    """Outcome."""

    text: str


Function = Callable[[Case, Order], Awaitable[Receipt]]


def defined(function: Function, **actions: Callable[..., object]) -> Definitions:
    """Return definitions of one automation, `orders`, with this function and these actions."""
    orders = Automation("orders", case=Order, outcome=Receipt)
    for name, action in actions.items():
        orders.action(name=name)(action)
    orders.run(function)
    return Definitions({"orders": orders}, {}, (), (__file__, function.__code__.co_filename))
