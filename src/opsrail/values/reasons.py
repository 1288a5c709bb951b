"""Why a verdict is what it is, and who was asked instead of whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

Source = Literal["rule", "band", "fallback", "policy", "autonomy"]
SOURCES: tuple[str, ...] = get_args(Source)


@dataclass(slots=True, unsafe_hash=True)
class Reason:
    """Why a verdict is what it is. Nobody changes one; why it is not frozen: see `decisions.ViewRead`.

    Attributes:
        code: Stable name for machines: a rule's name, `score-in-band`, `fallback`, or what went wrong (`deadline-passed`).
        text: One sentence for people.
        source: What spoke: a `rule` of the policy, the score's `band`, the author's `fallback`, the `policy`'s own default
            for silence and errors, or `autonomy`: whatever those say, a person decides.
    """

    code: str
    text: str
    source: Source


class FallbackStep(NamedTuple):
    """One step from who could not answer to who was asked next.

    Attributes:
        what: Who was asked next: the model version at `live`, `standby` or `retired`, the routed one in another `pool`, the
            point's `fallback`, or the `policy` itself.
        model: `name/number` of a version, with the pool where that tells it apart; None for fallback and policy.
        why: Code of why the one before could not answer, e.g. `breaker-open`.
    """

    what: str
    model: str | None
    why: str
