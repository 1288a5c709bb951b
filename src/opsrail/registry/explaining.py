"""Says a plan in plain sentences: what, from what to what, who is affected, what may go wrong, who has to agree. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opsrail.values.canonical import canonical
from opsrail.values.changes import ChangeRow
from opsrail.values.guarantees import guarantee_of

MOST_MOVES = 10
IN_CODE = "what the code says"


def sentences(row: ChangeRow, plan: Mapping[str, Any], *, missing: int) -> list[str]:
    """Return what people should know of a change before they agree.

    Args:
        missing: How many must still agree.
    """
    needs = plan["needs"]
    said = [_what(row.point, row.kind, plan)]
    if guard := plan["to"].get("guard"):
        said.append(f"Its guard: {_guard(guard)}; the rest as docs/rollouts.md says.")
    said += _affected(plan["affected"])
    if (backtest := plan.get("backtest")) is not None:
        said.append(f"Back-test: {_figures(backtest)}.")
    brought = plan["to"].get("guarantee") or ()
    said += map(_promise, brought if isinstance(brought, list) else [brought] if brought else ())
    said += [f"Risk: {risk}" for risk in plan["risks"]]
    why = f"impact of the point: {needs['impact'] or 'not known, which counts as high'}"
    if needs["model_tier"] is not None:
        why += f"; risk tier of the model: {needs['model_tier']}"
    people = "1 person" if needs["approvals"] == 1 else f"{needs['approvals']} people"
    said.append(
        f"Tier {row.tier} ({why}): {people} other than {row.author} must agree; {missing} still missing."
    )
    return said


def _promise(guarantee: Mapping[str, Any]) -> str:
    read = guarantee_of(guarantee)
    return f"Promised with {read.confidence:g} confidence, and watched once applied: {read.text}."


def _what(point: str, kind: str, plan: Mapping[str, Any]) -> str:
    before, after = plan["from"], plan["to"]
    if kind == "promote":
        stands = ", ".join(f"{stage} {model}" for stage, model in before["standing"].items())
        way = ""
        if steps := after.get("steps"):
            way = " in steps: " + ", ".join(
                f"{step['share']:.0%} for {step['hold_s']:g} s" for step in steps
            )
        if "share" in after:
            way = f" with {after['share']:.1%} of the requests"
        return f"{point}: {after['model']} becomes {after['stage']}{way}; now: {stands or 'no version'}."
    code = before["code"]
    if kind == "bands":
        was, shall = _bands(before["bands"], code), _bands(after["bands"], code)
        return f"{point}: bands from {was} to {shall}."
    if kind == "deadline":
        was, shall = _ms(before["deadline_ms"], code), _ms(after["deadline_ms"], code)
        return f"{point}: deadline from {was} to {shall}."
    return f"{point}: autonomy from {_levels(before['autonomy'])} to {_levels(after['autonomy'])}."


def _guard(guard: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} off" if value is None else f"{name} {canonical(value).decode()}"
        for name, value in guard.items()
    )


def _affected(affected: Mapping[str, Any]) -> Iterator[str]:
    if not affected["looked_at"]:
        yield f"Nobody asked in the last {affected['days']} days, so nobody knows who is affected."
        return
    yield (
        f"{affected['touched']} of the last {affected['looked_at']} decisions ({affected['ratio']:.1%}) would have been "
        f"touched; {affected['decisions']} were made in {affected['days']} days."
    )
    for move in affected["moves"][:MOST_MOVES]:
        yield f"  {move['from']} -> {move['to']}: {move['count']}"
    for segment in affected["segments"]:
        where = ", ".join(f"{name} {value}" for name, value in segment["where"].items())
        yield f"  {where}: {segment['touched']} of {segment['decisions']}"


def _bands(
    bands: Sequence[Mapping[str, Any]] | None, code: Sequence[Mapping[str, Any]] | None
) -> str:
    if bands is None:
        return IN_CODE if code is None else f"{IN_CODE} ({_bands(code, None)})"
    return ", ".join(f"{band['verdict']} below {band['below']:g}" for band in bands)


def _ms(deadline_ms: int | None, code: int | None) -> str:
    if deadline_ms is not None:
        return f"{deadline_ms} ms"
    return IN_CODE if code is None else f"{IN_CODE} ({code} ms)"


def _levels(segments: Sequence[Mapping[str, Any]] | None) -> str:
    if not segments:
        return "automate"
    return ", ".join(
        one["level"]
        + (
            " where " + " and ".join(f"{name} is {value}" for name, value in one["where"].items())
            if one["where"]
            else ""
        )
        for one in segments
    )


def _figures(backtest: Mapping[str, Any]) -> str:
    plain = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in backtest.items()
        if isinstance(value, int | float | str)
    ]
    return ", ".join(plain) or "attached"
