"""Each command in a block of the documentation is one that there is, with the options that it is given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from opsrail.cli.main import opsrail
from tests.docs.generate import DOCS

PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands() -> Iterator[tuple[str, str]]:
    """Yield every command with the page that it stands on; one that goes on in the next line is one."""
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                if line.removeprefix("$ ").startswith("opsrail "):
                    yield page.name, line.removeprefix("$ ")


def resolved(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words name, and what it is given."""
    command: click.Command = opsrail
    context = click.Context(command, info_name="opsrail")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no {' '.join((context.command_path, words[0]))}"
        context = click.Context(found, info_name=words[0], parent=context)
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize(("page", "line"), sorted(set(commands())))
def test_a_command_of_the_documentation_is_one(page: str, line: str) -> None:
    command, words = resolved(shlex.split(line, comments=True)[1:])
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    known |= {"--help", "-h"}
    given = [word.partition("=")[0] for word in words if word.startswith("--")]

    assert [word for word in given if word not in known] == [], f"{page}: {line}"
    assert not isinstance(command, click.Group) or set(given) & {"--help", "--version"}, line
