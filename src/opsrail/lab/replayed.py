"""What replaying a recorded decision came to: the same in every bit, or what differs, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """One thing that is not as it was.

    Attributes:
        what: `record` (changed after it was entered in the ledger, or not that of the columns beside it), `feature`,
            `request` (its model), `artifact` (missing, damaged or another one), `runtime` (does not load or
            failed), `policy` (other code), `score`, `confidence`, `unknown`, `verdict` or `reasons`.
        name: Which one, where there are several: a feature, a version; else empty.
        recorded: As the decision's record has it.
        replayed: As it is now.
        text: One sentence for people.
    """

    what: str
    name: str
    recorded: object
    replayed: object
    text: str


class Replayed(NamedTuple):
    """One decision, decided again.

    Attributes:
        score: Of the replay; None where the decision rests on none.
        score_from: `model`: the same bytes were asked again; `record`: they cannot be asked again, and what they said then
            stands; `none`: there was no score then.
        verdict: Of the replay; None: its policy is not at hand.
        features_from: By view: `history` (read again, and compared) or `record`.
        differences: Empty: the same in every bit.
        notes: What was taken from the record, and why.
    """

    decision_id: str
    point: str
    score: float | None
    score_from: str
    verdict: str | None
    features_from: Mapping[str, str]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Return whether nothing differs."""
        return not self.differences

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "decision_id": self.decision_id,
            "point": self.point,
            "is_same": self.is_same,
            "score": self.score,
            "score_from": self.score_from,
            "verdict": self.verdict,
            "features_from": dict(self.features_from),
            "differences": [one._asdict() for one in self.differences],
            "notes": list(self.notes),
        }

    def sentences(self) -> list[str]:
        """Return it in plain sentences."""
        told = [f"{one.text}" for one in self.differences]
        if self.is_same:
            parts = ["score"] if self.score_from == "model" else []
            parts += ["verdict"] if self.verdict is not None else []
            told.append(
                f"Decision {self.decision_id} is the same in every bit: {' and '.join(parts)}."
                if parts
                else f"Nothing of decision {self.decision_id} could be decided again."
            )
        return [*told, *self.notes]


def unread(decision_id: str, point: str, fault: Exception) -> Replayed:
    """Return what comes of a decision whose record cannot be read."""
    told = Difference("record", "", "entered", "changed", " ".join(f"{fault}".split()))
    return Replayed(decision_id, point, None, "none", None, {}, (told,), ())


class Summary(NamedTuple):
    """Many decisions, decided again.

    Attributes:
        replayed: How many.
        same: Of them, with nothing that differs.
        from_record: Of them, with a score that was taken from the record.
        unjudged: Of them, whose verdict was not judged again.
        differing: By what differs, how many decisions.
        examples: Some that differ, the first ones.
    """

    replayed: int
    same: int
    from_record: int
    unjudged: int
    differing: Mapping[str, int]
    examples: tuple[Replayed, ...]

    def record(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            **self._asdict(),
            "differing": dict(self.differing),
            "examples": [one.record() for one in self.examples],
        }


MOST_EXAMPLES = 20


def summary(found: Sequence[Replayed]) -> Summary:
    """Return how many are the same, and what differs in the others."""
    kinds = Counter(kind for one in found for kind in {told.what for told in one.differences})
    return Summary(
        len(found),
        sum(one.is_same for one in found),
        sum(one.score_from == "record" for one in found),
        sum(one.verdict is None for one in found),
        dict(kinds.most_common()),
        tuple(one for one in found if not one.is_same)[:MOST_EXAMPLES],
    )
