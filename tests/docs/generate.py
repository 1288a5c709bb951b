"""Writes the reference pages that are tables of what the code says: `python -m tests.docs.generate`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from opsrail import errors
from opsrail.config import PREFIX, ChannelConfig, Config, PoolConfig
from opsrail.registry.change import diagram
from opsrail.web.problems import status_of

BY_NAME = {"pools": PoolConfig, "channels": ChannelConfig}
DOCS = Path(__file__).parents[2] / "docs"


def settings() -> str:
    """Return docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Defaults, then `opsrail.toml` in the working folder (or `--config FILE`), then the environment.",
        "Unknown keys are refused; `opsrail config show` prints every value and where it came from. Secrets are",
        "references: `env:NAME` or `file:PATH`.",
    ]
    for trade, part in Config.model_fields.items():
        model = part.annotation
        if trade in BY_NAME:  # a table for each of them
            trade, model = f"{trade}.NAME", BY_NAME[trade]
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        lines += ["", f"## [{trade}]", f"{inspect.getdoc(model)}", ""]
        lines += [
            "| setting | default | bounds | what for | environment |",
            "|---|---|---|---|---|",
        ]
        for name, field in model.model_fields.items():
            bounds = ", ".join(filter(None, map(bound, field.metadata))) or "-"
            default = f"`{field.default!r}`"
            variable = f"`{PREFIX}{trade}__{name}`".upper().replace(".", "__")
            lines.append(f"| `{name}` | {default} | {bounds} | {field.description} | {variable} |")
    return "\n".join(lines) + "\n"


def bound(limit: object) -> str:
    """Return a limit of a setting in words."""
    signs = {"ge": ">=", "le": "<=", "min_length": "at least", "max_length": "at most"}
    return "".join(
        f"{sign} {getattr(limit, name)}{' characters' if 'length' in name else ''}"
        for name, sign in signs.items()
        if hasattr(limit, name)
    )


def error_table() -> str:
    """Return docs/errors.md."""
    lines = [
        "# Errors",
        "",
        "Every error has a code and says what happened, to which id, and what to do. Its consequence is its",
        "parent: `Terminal` (trying again cannot help), `Retryable`, `Conflict` (somebody else was first),",
        "`Denied`, `Unavailable`.",
        "",
        "| code | error | consequence | HTTP | meaning |",
        "|---|---|---|---|---|",
    ]
    for error in walk(errors.OpsrailError):
        line = [
            parent for parent in reversed(error.__mro__) if issubclass(parent, errors.OpsrailError)
        ]
        consequence = line[min(1, len(line) - 1)].__name__
        meaning = " ".join((inspect.getdoc(error) or "").split())
        lines.append(
            f"| `{error.code}` | {error.__name__} | {consequence} | {status_of(error)} | {meaning} |"
        )
    return "\n".join(lines) + "\n"


def walk(error: type[errors.OpsrailError]) -> Iterator[type[errors.OpsrailError]]:
    """Return an error class and all below it, as the tree is drawn."""
    yield error
    for child in error.__subclasses__():
        if child.__module__.startswith(("opsrail.errors", "opsrail.web")):
            yield from walk(child)


def changes() -> str:
    """Return docs/changes.md with its table of states and moves."""
    begin, end = (
        "<!-- drawn from registry/change.py: python -m tests.docs.generate -->\n",
        "<!-- end -->",
    )
    before, _, rest = (DOCS / "changes.md").read_text(encoding="utf-8").partition(begin)
    return before + begin + diagram() + end + rest.partition(end)[2]


PAGES = {"settings.md": settings, "errors.md": error_table, "changes.md": changes}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")
