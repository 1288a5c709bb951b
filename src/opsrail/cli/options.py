"""Options that every command has. Light: imported for `opsrail --help`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click

F = TypeVar("F", bound=Callable[..., Any])
DATA = "opsrail-data"
LONGEST_LINE = 300
"""Characters of a sentence about a command; a terminal wraps it."""


class Group(click.Group):
    """A command of commands, whose help tells what each does in a whole sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(LONGEST_LINE)) for name, one in found if one]
            )


@dataclass
class Invocation:
    """How the command was called.

    Attributes:
        data: Folder of the installation.
        settings: Settings file; None: `opsrail.toml` in the working folder if there.
        interrupted: What to say when the command is interrupted.
    """

    data: Path = Path(DATA)
    settings: Path | None = None
    is_json: bool = False
    is_debug: bool = False
    interrupted: str = ""


def common(function: F) -> F:
    """Give a command `--data`, `--config`, `--json` and `--debug`, and hand it the Invocation first."""

    @click.option(
        "--data", default=DATA, show_default=True, metavar="DIR", help="Folder of the installation."
    )
    @click.option(
        "--config", "settings", metavar="FILE", help="Settings. [default: opsrail.toml, if there]"
    )
    @click.option(
        "--json",
        "is_json",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_json,
        help="Print JSON.",
    )
    @click.option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_debug,
        help="Show tracebacks.",
    )
    @click.pass_context
    def call(ctx: click.Context, /, data: str, settings: str | None, **given: Any) -> Any:
        invocation: Invocation = ctx.obj
        invocation.data = Path(data)
        invocation.settings = None if settings is None else Path(settings)
        return function(invocation, **given)

    return functools.update_wrapper(call, function)  # type: ignore[return-value]


def examples(*lines: str) -> str:
    """Return a command's examples as `--help` shows them, unwrapped."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def operator(function: F) -> F:
    """Give a command `--by`: who acts, as the ledger will say."""
    return click.option(
        "--by", metavar="NAME", default=_user, help="Who acts. [default: your user name]"
    )(function)


def limited(count: int = 50) -> Callable[[F], F]:
    """Give a command that lists `--limit`."""
    return click.option(
        "--limit",
        default=count,
        show_default=True,
        type=click.IntRange(1, 10_000),
        help="At most so many.",
    )


def code_file(function: F) -> F:
    """Give a command `--file`: the code of views that are folded, or were never served."""
    return click.option(
        "--file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The automation's file, for views that are folded or were never served.",
    )(function)


def version_argument(function: F) -> F:
    """Give a command the model version that it is about: `NAME/NUMBER`; the two as two words will do as well."""
    return click.argument(
        "version", nargs=-1, required=True, metavar="NAME/NUMBER", callback=_joined
    )(function)


class VersionText(click.ParamType[tuple[str, int]]):
    """A model version on the command line, as `(name, number)`."""

    name = "NAME/NUMBER"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Return name and number. Fails as a wrong call when it names no version."""
        from opsrail.errors import InvalidInput
        from opsrail.values.versions import version_of

        if not isinstance(value, str):
            return cast("tuple[str, int]", value)
        try:
            return version_of(value)
        except InvalidInput as wrong:
            self.fail(str(wrong), param, ctx)


def _joined(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> tuple[str, int]:
    if len(words) > 2:
        raise click.UsageError(f"unexpected {' '.join(words[2:])!r}", ctx)
    return VersionText().convert("/".join(words), param, ctx)


def _json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.obj.is_json = ctx.obj.is_json or value


def _debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.obj.is_debug = ctx.obj.is_debug or value


def _user() -> str:
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"
