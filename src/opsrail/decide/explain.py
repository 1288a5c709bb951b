"""Says in plain sentences why a decision is what it is, from its record alone."""

from __future__ import annotations

from opsrail.clock import rfc3339
from opsrail.values.decisions import REQUEST_VIEW, Decision, OutsideAsOf, ValueAsOf, ViewRead
from opsrail.values.document_names import without_paths
from opsrail.values.reasons import FallbackStep


def explain(decision: Decision) -> list[str]:
    """Return the main elements of a decision as sentences for people; the first one names the verdict.

    Example:
        ["Decision point fraud-risk says 'review'.", "The score 0.31 is below 1.01, the limit of 'review'.", ...]
    """
    return [
        f"Decision point {decision.point} says {decision.verdict!r}.",
        *(_sentence(reason.text) for reason in decision.reasons),
        *(_of_step(step) for step in decision.fallback),
        _of_model(decision),
        *(_of_view(read) for read in decision.features),
        f"Policy {decision.policy_version} was in force; {decision.actor} asked.",
    ]


def _of_model(decision: Decision) -> str:
    model = decision.model
    if model is None:
        return "No model version was live, so none was asked."
    label = f"Model {model.name} version {model.number} ({model.stage})"
    if decision.score is None and not decision.degraded:
        return f"{label} was asked; what it said is not shown to those who decide."
    if decision.score is None:
        return f"{label} gave no score ({decision.degraded_why})."
    sure = "" if decision.confidence is None else f" with confidence {decision.confidence:.2f}"
    kept = _KEPT.get(decision.cache, "")
    unknown = (
        f" It was never trained on the value of {', '.join(decision.unknown)}."
        if decision.unknown
        else ""
    )
    return f"{label} gave the score {decision.score:.4g}{sure}{kept}.{unknown}"


_KEPT = {
    "hit": ", kept from an equal request",
    "shared": ", asked for by an equal request at the same time",
}


def _of_step(step: FallbackStep) -> str:
    before = _WHY.get(step.why, f"what was asked before could not answer ({step.why})")
    if step.what == "fallback":
        return f"Because {before}, the fallback of the decision point was asked."
    if step.what == "policy":
        return f"Because {before}, the policy gave the verdict by itself."
    stood = "another pool" if step.what == "pool" else f"{step.what} version"
    return f"Because {before}, {stood} {step.model} was asked."


_WHY = {
    "deadline-passed": "no score came in time",
    "features-unavailable": "another system did not give its features",
    "model-unavailable": "no model could be asked or it failed",
    "model-starting": "the model was still being started",
    "breaker-open": "the model had failed too often just before",
    "bulkhead-full": "too many requests waited for the model",
    "fallback-failed": "the fallback failed",
}


def _of_view(read: ViewRead) -> str:
    shown = ", ".join(f"{name} {_short(value)}" for name, value in sorted(read.values.items()))
    if read.view == REQUEST_VIEW:
        return f"The request said: {shown}."
    if read.as_of is None:
        return f"{read.name} knew no history of {read.entity!r}: {shown}."
    if isinstance(read.as_of, OutsideAsOf):
        return f"{read.name} had of {read.entity!r} from {_of_source(read.as_of)}: {shown}."
    if isinstance(read.as_of, ValueAsOf):
        since = f"its value of {rfc3339(read.as_of.event_at_ms)}"
        told = f"{since} was too old" if read.as_of.is_expired else f"by {since}"
        return f"{read.name} knew of {read.entity!r}, {told}: {shown}."
    return f"{read.name} knew {read.as_of.fact_count} facts about {read.entity!r}: {shown}."


def _of_source(past: OutsideAsOf) -> str:
    lacking = [name for name, status in sorted(past.statuses.items()) if status != "present"]
    without = "".join(f", {name} {past.statuses[name]}" for name in lacking)
    return f"{past.source} at {rfc3339(past.read_at_ms)}, as recorded then{without}"


def _short(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(without_paths(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
