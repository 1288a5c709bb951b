"""A model card as people read it: Markdown, or plain text. Gaps stand where the telling would. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opsrail.clock import rfc3339
from opsrail.registry.card_book import CardView
from opsrail.registry.cards import FACTS, MISSING, SECTIONS

WIDTH = 100
TITLES: Mapping[str, str] = {name: name.replace("_", " ").capitalize() for name in SECTIONS}


def markdown(view: CardView) -> str:
    """Return a card in Markdown."""
    lines = [f"# Model card: {_inline(view.label)}", "", _summary(view), "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_inline(value)} |" for name, value in _facts(view)]
    for name, what in SECTIONS.items():
        lines += ["", f"## {TITLES[name]}", ""]
        told = view.card.get(name)
        lines += [f"**{MISSING}**: {what}."] if name in view.gaps else list(_bullets(told))
        lines += [f"- {line}" for line in _known(view, name)]
    lines += _others(view, lambda title: ["", f"## {title}", ""], "- ")
    return "\n".join(lines) + "\n"


def text(view: CardView) -> str:
    """Return a card as plain text, 100 columns wide."""
    lines = [f"Model card: {view.label}", _summary(view), ""]
    width = max(len(name) for name, _ in _facts(view))
    lines += [f"{name:<{width}}  {_inline(value)}" for name, value in _facts(view)]
    for name, what in SECTIONS.items():
        lines += ["", TITLES[name].upper()]
        told = view.card.get(name)
        shown = [f"{MISSING}: {what}"] if name in view.gaps else list(_bullets(told))
        for line in [*shown, *_known(view, name)]:
            lines += textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")
    lines += _others(view, lambda title: ["", title.upper()], "  ")
    return "\n".join(lines) + "\n"


def _summary(view: CardView) -> str:
    count = len(view.gaps)
    if not count:
        return "Everything that a card should tell is told."
    return f"{count} of {len(FACTS) + len(SECTIONS)} things that a card should tell are {MISSING}."


def _facts(view: CardView) -> list[tuple[str, str]]:
    version = view.version
    facts = [
        (
            name.replace("_", " "),
            f"{MISSING}: {what}" if name in view.gaps else str(view.card[name]),
        )
        for name, what in FACTS.items()
    ]
    wording = "as registered"
    if view.revision:
        at = rfc3339(view.at_ms)
        wording = f"revision {view.revision} by {view.by}, {at}: {view.reason}"
    return [
        *facts,
        ("artifact", version.digest),
        ("runtime", version.runtime),
        ("registered", rfc3339(version.created_at_ms)),
        ("wording", wording),
    ]


def _known(view: CardView, section: str) -> Iterator[str]:
    """Yield what the version itself tells beside a section's words."""
    if section == "metrics":
        for name, value in view.version.metrics.items():
            yield f"{name}: {value:g}"
    if section == "training_data":
        yield f"Training rows: {view.version.training_digest}"


def _others(view: CardView, head: Any, mark: str) -> list[str]:
    rest = {name: told for name, told in view.card.items() if name not in {*FACTS, *SECTIONS}}
    if not rest:
        return []
    return [*head("Also told"), *(f"{mark}{_inline(f'{n}: {_plain(v)}')}" for n, v in rest.items())]


def _bullets(told: Any, depth: int = 0) -> Iterator[str]:
    """Yield what a section tells, a line each: text as it is, lists and objects as nested points."""
    indent = "  " * depth
    if isinstance(told, str) and depth == 0:
        yield from (_inline(line) for line in told.strip().splitlines())
    elif isinstance(told, Mapping):
        for name, value in told.items():
            if isinstance(value, Mapping | list):
                yield f"{indent}- {_inline(name)}:"
                yield from _bullets(value, depth + 1)
            else:
                yield f"{indent}- {_inline(f'{name}: {_plain(value)}')}"
    elif isinstance(told, Sequence) and not isinstance(told, str):
        for value in told:
            if isinstance(value, Mapping | list):
                yield from _bullets(value, depth + 1)
            else:
                yield f"{indent}- {_inline(_plain(value))}"
    else:
        yield f"{indent}{_inline(_plain(told))}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value}"


def _inline(value: str) -> str:
    """Return text that cannot leave its line, start markup or a table's cell."""
    shown = "".join(char if char.isprintable() else " " for char in value)
    return shown.replace("|", "\\|").replace("<", "&lt;")
