from __future__ import annotations

import json
import tomllib
from pathlib import Path

import click
import pytest

from opsrail.cli import main as door
from opsrail.cli.doctor import EXTRAS, room
from opsrail.cli.options import Invocation
from opsrail.cli.progress import Ticker, span
from opsrail.cli.render import moment, print_table, shown

ROOT = Path(__file__).parents[3]


def commands() -> list[tuple[str, click.Command]]:
    context = click.Context(door.opsrail, obj=Invocation())
    found: list[tuple[str, click.Command]] = []
    for name in door.opsrail.list_commands(context):
        command = door.opsrail.get_command(context, name)
        assert command is not None
        found += leaves(name, command)
    return found


def leaves(name: str, command: click.Command) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return [(name, command)]
    return [leaf for sub, one in command.commands.items() for leaf in leaves(f"{name} {sub}", one)]


@pytest.mark.parametrize(
    ("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_has_json_and_data_and_teaches_by_example(
    name: str, command: click.Command
) -> None:
    options = {option for parameter in command.params for option in parameter.opts}

    assert {"--json", "--data", "--debug"} <= options
    assert f"  opsrail {name}" in (command.epilog or "")
    assert command.help


@pytest.mark.parametrize(
    ("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_option_says_what_it_does(name: str, command: click.Command) -> None:
    silent = [
        parameter.opts
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]

    assert silent == []


def groups(command: click.Command) -> list[click.Group]:
    if not isinstance(command, click.Group):
        return []
    return [command, *(each for one in command.commands.values() for each in groups(one))]


def test_the_help_of_a_group_tells_whole_sentences() -> None:
    context = click.Context(door.opsrail, obj=Invocation())
    named = [
        door.opsrail.get_command(context, name) for name in door.opsrail.list_commands(context)
    ]
    found = [group for command in named if command is not None for group in groups(command)]
    told = {group.name: group.get_help(click.Context(group)) for group in found}
    cut = [name for name, text in told.items() if "..." in text.partition("Commands:")[2]]

    assert len(found) > 10
    assert cut == []


def test_the_doctor_knows_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert set(EXTRAS) == set(project["optional-dependencies"]) - {"dev", "all"}


@pytest.mark.parametrize(("free_bytes", "level"), [(999_999_999, "warn"), (1_000_000_000, "ok")])
def test_the_doctor_warns_where_there_is_little_room(free_bytes: int, level: str) -> None:
    assert room(free_bytes, Path("data")).level == level


def test_an_unknown_command_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    status = door.main(["nothing"])

    assert status == door.USAGE
    assert "No such command 'nothing'" in capsys.readouterr().err


def test_a_wrong_call_for_a_program_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    status = door.main(["cases", "list", "--state", "lost", "--json"])

    error = json.loads(capsys.readouterr().out)["error"]
    assert (status, error["code"], error["faults"]) == (door.USAGE, "usage", [])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        (True, "yes"),
        (0.123456, "0.1235"),
        (7, "7"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ("two\nlines\x1b[31m", "two lines\N{REPLACEMENT CHARACTER}[31m"),
    ],
)
def test_a_cell_shows_a_value_on_one_line_and_no_control_characters(
    value: object, text: str
) -> None:
    assert shown(value) == text


def test_a_table_in_a_pipe_cuts_nothing_off(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300

    print_table(("name", "what"), [("a", long)], empty="none")

    assert long in capsys.readouterr().out


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name",), [], empty="Nothing waits.")

    assert capsys.readouterr().out == "Nothing waits.\n"


def test_moments_are_rfc_3339() -> None:
    assert (moment(0), moment(None)) == ("1970-01-01T00:00:00.000Z", None)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min 01 s"), (3900, "1 h 05 min")]
)
def test_a_span_is_written_for_people(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_what_is_over_at_once_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with Ticker("rows") as ticker:
        ticker.tick(1, 2)
        ticker.tick(2, 2)

    assert capsys.readouterr().err == ""
