"""What a guarantee promises, as a change brings it and the live check reads it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from opsrail.errors import Fault, InvalidInput


class GuaranteeSpec(BaseModel):
    """What is promised. More fields may stand beside these.

    Attributes:
        outcome: Name of the outcome that is bad where its value is 1; values are held to [0, 1].
        among: Verdict of the decisions that it is about; None: all.
        limit: Most that the mean of the outcome may be.
        confidence: With which it was promised, and with which it is said to be broken.
        text: The risk in words.
        truth: False where an outcome of 0 is the bad one; True, or None, where 1 is.
        roll_back: Whether the guard takes the change back that brought it, when it breaks; else an alarm rings alone.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    outcome: Annotated[str, Field(min_length=1, max_length=63)]
    among: str | None = None
    limit: Annotated[float, Field(gt=0, lt=1)]
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = 0.95
    text: Annotated[str, Field(max_length=1_000)] = ""
    truth: bool | None = None
    roll_back: bool = False

    @property
    def label(self) -> str:
        """Return it in words."""
        among = f" among {self.among}" if self.among else ""
        return self.text or f"{self.outcome}{among} <= {self.limit:.4g}"


def guarantee_of(found: object) -> GuaranteeSpec:
    """Return the guarantee that plain values, or JSON text, describe. Raises InvalidInput with every fault."""
    try:
        if isinstance(found, str):
            return GuaranteeSpec.model_validate_json(found)
        return GuaranteeSpec.model_validate(found)
    except ValidationError as wrong:
        told = wrong.errors(include_url=False, include_input=False)
        faults = [Fault(".".join(map(str, error["loc"])), error["msg"]) for error in told]
        raise InvalidInput("the guarantee cannot be watched", faults) from wrong
