"""`opsrail new`: a folder with an automation that works, rows to run and a test that passes."""

from __future__ import annotations

import re
from pathlib import Path

import click

from opsrail.cli.options import Invocation, common, examples

NAME = re.compile(r"[a-z][a-z0-9_-]{0,49}")
FILES = {"automation.py": "automation.py.txt", "test_automation.py": "test_automation.py.txt"}


@click.command(
    epilog=examples(
        "opsrail new refunds",
        "opsrail run refunds/automation.py --input refunds/refunds.csv",
        "pytest refunds",
    )
)
@click.argument("name")
@click.option(
    "--into",
    default=".",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where the folder is made.",
)
@common
def new(invocation: Invocation, name: str, into: Path) -> None:
    """Make a folder with a working automation, rows to run and its test."""
    if not NAME.fullmatch(name):
        raise click.UsageError(
            f"{name!r} is no name: use a-z, 0-9, - and _, starting with a letter, at most 50"
        )
    folder = into / name
    if folder.exists():
        raise click.UsageError(
            f"{folder} exists already; choose another name, or another place with --into"
        )
    texts = dict(_texts(name))
    folder.mkdir(parents=True)
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    if invocation.is_json:
        from opsrail.cli.render import print_json

        print_json({"folder": str(folder), "files": sorted(texts)})
        return
    click.echo(f"Made {folder}: {', '.join(sorted(texts))}. Next:")
    click.echo(f"  opsrail run {folder}/automation.py --input {folder}/{name}.csv")
    click.echo(f"  pytest {folder}")


def _texts(name: str) -> list[tuple[str, str]]:
    home = Path(__file__).with_name("template")
    sources = {**FILES, f"{name}.csv": "rows.csv.txt"}
    return [
        (file, _named((home / source).read_text("utf-8"), name)) for file, source in sources.items()
    ]


def _named(text: str, name: str) -> str:
    return text.replace("NAME", name).replace("POINT", name.replace("_", "-"))
