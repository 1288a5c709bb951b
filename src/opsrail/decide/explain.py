"""Says in plain sentences why a decision is what it is, from its record alone."""

from __future__ import annotations

from opsrail.values.decisions import REQUEST_VIEW, Decision, ViewRead


def explain(decision: Decision) -> list[str]:
    """Return the main elements of a decision as sentences for people; the first one names the verdict.

    Example:
        ["Decision point fraud-risk says 'review'.", "The score 0.31 is below 1.01, the limit of 'review'.", ...]
    """
    return [
        f"Decision point {decision.point} says {decision.verdict!r}.",
        *(_sentence(reason.text) for reason in decision.reasons),
        _of_model(decision),
        *(_of_view(read) for read in decision.features),
        f"Policy {decision.policy_version} was in force; {decision.actor} asked.",
    ]


def _of_model(decision: Decision) -> str:
    model = decision.model
    if model is None:
        return "No model version was live, so none was asked."
    label = f"Model {model.name} version {model.number} ({model.stage})"
    if decision.score is None:
        return f"{label} gave no score ({decision.degraded_why})."
    sure = "" if decision.confidence is None else f" with confidence {decision.confidence:.2f}"
    kept = ", kept from an equal request" if decision.cache == "hit" else ""
    unknown = (
        f" It was never trained on the value of {', '.join(decision.unknown)}."
        if decision.unknown
        else ""
    )
    return f"{label} gave the score {decision.score:.4g}{sure}{kept}.{unknown}"


def _of_view(read: ViewRead) -> str:
    shown = ", ".join(f"{name} {_short(value)}" for name, value in sorted(read.values.items()))
    if read.view == REQUEST_VIEW:
        return f"The request said: {shown}."
    if read.as_of is None:
        return f"{read.name} knew no history of {read.entity!r}: {shown}."
    return f"{read.name} knew {read.as_of.fact_count} facts about {read.entity!r}: {shown}."


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
