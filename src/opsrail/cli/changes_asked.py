"""What `opsrail changes plan` is asked for: its options, read into a kind and a content."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
CODE = "code"
STAGES = ("shadow", "canary", "live", "standby", "retired")


class Asked(NamedTuple):
    """A change that is asked for on the command line."""

    kind: str
    content: dict[str, Any]


def asking(function: F) -> F:
    """Give a command the options that say what shall change."""
    options = (
        click.option("--promote", metavar="NAME/NUMBER", help="Move this model version."),
        click.option("--stage", type=click.Choice(STAGES), help="Where to. [default: live]"),
        click.option("--share", type=click.FloatRange(0, 1), help="Of a canary: part of the requests, 0..1."),
        click.option("--steps", "--step", "steps", multiple=True, metavar="SHARE:HOLD,...",
                     help="On the way to live, e.g. 5%:10m,25%:1h."),
        click.option("--guard", type=FILE, help="What a version on its way is judged by: JSON, TOML or YAML."),
        click.option("--bands", metavar="VERDICT:BELOW,...", help="Other bands; `code`: those of the code."),
        click.option("--guarantee", type=FILE, help="JSON: what is promised of the bands; it is watched."),
        click.option("--deadline", metavar="SPAN", help="Another deadline, e.g. 80ms; `code`: that of the code."),
        click.option("--autonomy", metavar="LEVEL", help="observe, assist or automate; `code`: no levels any more."),
        click.option("--where", "wheres", multiple=True, metavar="FIELD=VALUE", help="Requests it holds for. Repeat it."),
        click.option("--content", type=FILE, help="JSON instead: {kind, content}."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def asked_of(given: Mapping[str, Any]) -> Asked:
    """Return what the options ask for. Raises UsageError: nothing, or several things."""
    kinds = {"promote": _promote, "bands": _bands, "deadline": _deadline, "autonomy": _autonomy}
    chosen = [name for name in (*kinds, "content") if given[name] is not None]
    if len(chosen) != 1:
        raise click.UsageError(
            "say what shall change with one of --promote, --bands, --deadline, --autonomy or --content"
        )
    kind = chosen[0]
    goes_with = {
        "promote": ("stage", "share", "steps", "guard"),
        "bands": ("guarantee",),
        "autonomy": ("wheres",),
    }
    for other, names in goes_with.items():
        if other != kind and any(given[name] for name in names):
            said = ", ".join(f"--{name.replace('wheres', 'where')}" for name in names)
            raise click.UsageError(f"{said} go with --{other}, not with --{kind}")
    if kind == "content":
        tree = json_of(given["content"])
        if not isinstance(tree, dict) or tree.keys() != {"kind", "content"}:
            raise click.UsageError("--content: the file holds no {kind, content}")
        return Asked(str(tree["kind"]), tree["content"])
    return Asked(kind, kinds[kind](given))


def json_of(path: Path) -> Any:
    """Return what a JSON file holds. Raises UsageError: it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as wrong:
        raise click.UsageError(f"{path} is not JSON: {wrong}") from wrong


def _promote(given: Mapping[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"model": given["promote"]}
    for name in ("stage", "share"):
        if given[name] is not None:
            content[name] = given[name]
    if given["steps"]:
        content["steps"] = [
            _step(text.strip()) for each in given["steps"] for text in each.split(",")
        ]
    if given["guard"] is not None:
        from opsrail.cli.rollouts import guard_tree

        content["guard"] = guard_tree(given["guard"])
    return content


def _step(text: str) -> dict[str, float]:
    from opsrail.values.spans import span_ms

    share, _, hold = text.partition(":")
    ratio = _number(share.removesuffix("%"), "--steps") / (100 if share.endswith("%") else 1)
    return {"share": ratio, "hold_s": span_ms(hold or "0s") / 1000}


def _bands(given: Mapping[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"bands": None}
    if given["bands"] != CODE:
        from opsrail.values.bands import bands_of

        content["bands"] = [band._asdict() for band in bands_of(given["bands"])]
    if given["guarantee"] is not None:
        content["guarantee"] = json_of(given["guarantee"])
    return content


def _deadline(given: Mapping[str, Any]) -> dict[str, Any]:
    from opsrail.values.spans import span_ms

    return {"deadline_ms": None if given["deadline"] == CODE else span_ms(given["deadline"])}


def _autonomy(given: Mapping[str, Any]) -> dict[str, Any]:
    if given["autonomy"] == CODE:
        return {"autonomy": None}
    return {"level": given["autonomy"], "where": _where(given["wheres"])}


def _where(wheres: Sequence[str]) -> dict[str, Any]:
    where = {}
    for each in wheres:
        name, sign, text = each.partition("=")
        if not sign or not name:
            raise click.UsageError(f"--where {each!r}: write FIELD=VALUE")
        try:
            where[name] = json.loads(text)
        except ValueError:
            where[name] = text  # a word needs no quotes
    return where


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError as wrong:
        raise click.UsageError(f"{option}: {text!r} is not a number") from wrong
