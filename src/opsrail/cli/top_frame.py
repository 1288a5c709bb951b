"""One frame of `opsrail top`: what `GET /v1/stats` told, as text for people. Pure.

What a newer server tells beyond what is known here is shown by its own names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from opsrail.cli.progress import span
from opsrail.cli.render import shown

NOW = "10s"
WIDTH = 80
"""Of a frame that no terminal shows."""
LABELS = 12
"""Characters that the labels of rows take at least; longer ones are folded."""
GAP = 2
STAGES = ("request", "route", "features", "score", "verdict", "reasons", "record")
"""In the order of the road; `total` stands last."""
BAR = 24
KNOWN = frozenset({"version", "at", "counted_s", "windows", "points"})
ALARMING = frozenset({"open", "half_open", "quarantined", "failed", "down", "hung"})
HEAD, DIM, ALARM = "bold", "dim", "bold red"


def frame(
    document: Mapping[str, Any], url: str, trouble: str = "", width: int = WIDTH
) -> RenderableType:
    """Return a frame.

    Args:
        url: Whose figures they are.
        trouble: Why they are old; empty: they are not.
        width: Characters of a line. Where they are few, columns are left out: a figure is shown whole or not at all.
    """
    windows: Mapping[str, Any] = document.get("windows", {})
    parts: list[RenderableType] = [_title(document, url)]
    if trouble:
        parts.append(Text(f"old figures: {trouble}", style=ALARM))
    parts += [Text(), _rates(windows, width)]
    now = windows.get(NOW, {})
    if now.get("decisions"):
        parts += [Text(), _stages(now, width)]
    else:
        parts += [Text(), Text("No decision in the last 10 s.", style=DIM)]
    if len(points := document.get("points", {})) > 1:
        parts += [Text(), _points(points, width)]
    for name, told in document.items():
        if name not in KNOWN and told:
            parts += [Text(), *_told(name, told)]
    return Group(*parts)


def _title(document: Mapping[str, Any], url: str) -> Text:
    at = str(document.get("at", ""))[:19].replace("T", " ")
    age = span(document.get("counted_s", 0.0))
    return Text.assemble(
        (f"opsrail {document.get('version', '')}", HEAD), f"  {url}  {at} UTC  up {age}"
    )


def _rates(told: Mapping[str, Any], width: int) -> Table:
    """Return what the windows say beside each other, of the shortest as many as there is room for."""
    windows, lines = dict(told), _lines(told)
    while len(windows) > 1 and LABELS + sum(_widths(windows, lines)) > width:
        windows.popitem()
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style=HEAD)
    table.add_column("last", overflow="fold")
    for window in windows.values():
        table.add_column(span(window["seconds"]), justify="right", min_width=9, no_wrap=True)
    for name, cells in lines.items():
        is_alarming = name.startswith("degraded: ") and cells[0] not in (_share(0, 1), shown(None))
        table.add_row(name, *cells[: len(windows)], style=ALARM if is_alarming else None)
    return table


def _widths(windows: Mapping[str, Any], lines: Mapping[str, Sequence[str]]) -> Iterator[int]:
    for place, window in enumerate(windows.values()):
        yield GAP + max(
            9, len(span(window["seconds"])), *(len(one[place]) for one in lines.values())
        )


def _lines(windows: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return labels, and a cell for each window."""
    lines: dict[str, list[str]] = {
        "decisions/s": [f"{one['per_s']:,.1f}" for one in windows.values()]
    }
    lines["p50 / p99 ms"] = [_spread(one["latency_ms"].get("total")) for one in windows.values()]
    for what in ("verdicts", "degraded"):
        names = dict.fromkeys(name for one in reversed([*windows.values()]) for name in one[what])
        for name in names:
            lines[f"{'' if what == 'verdicts' else 'degraded: '}{name}"] = [
                _share(one[what].get(name, 0), one["decisions"]) for one in windows.values()
            ]
    if any(one["hit_ratio"] is not None for one in windows.values()):
        lines["cache hits"] = [_ratio(one["hit_ratio"]) for one in windows.values()]
    if any(one["cost_usd"] for one in windows.values()):
        lines["cost USD/h"] = [
            f"{3600 * one['cost_usd'] / one['seconds']:,.2f}" if one["seconds"] else shown(None)
            for one in windows.values()
        ]
    return lines


def _stages(window: Mapping[str, Any], width: int) -> Table:
    """Return how long each stage takes now, with its share of the whole."""
    spent: Mapping[str, Any] = window["latency_ms"]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=HEAD)
    table.add_column("stage, ms", overflow="fold")
    names = ("p50", "p95", "p99")[: _room(width)]
    for name in names:
        table.add_column(name, justify="right", min_width=8, no_wrap=True)
    has_room = width >= LABELS + 3 * (8 + GAP) + BAR
    if has_room:
        table.add_column("share of p50", no_wrap=True)
    whole = spent.get("total", {}).get("p50") or 1.0
    others = [name for name in spent if name not in STAGES and name != "total"]
    for stage in (*STAGES, *others, "total"):
        if stage not in spent:
            continue
        one = spent[stage]
        cells = [stage, *(_ms(one[name]) for name in names)]
        if has_room:
            squares = 0 if stage == "total" else min(BAR, round(BAR * one["p50"] / whole))
            cells.append("\N{BLACK SQUARE}" * squares)
        table.add_row(*cells, style=HEAD if stage == "total" else None)
    return table


def _room(width: int) -> int:
    """Return how many figures fit beside a label."""
    return max(1, (width - LABELS) // (8 + GAP))


def _points(points: Mapping[str, Any], width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=HEAD)
    table.add_column("point, last 10 s", overflow="fold")
    room = _room(width)
    for name in ("per s", "p50 ms", "p99 ms", "degraded", "hits")[:room]:
        table.add_column(name, justify="right", no_wrap=True)
    for name, windows in points.items():
        one = windows[NOW]
        total = one["latency_ms"].get("total")
        cells = (
            f"{one['per_s']:,.1f}",
            _ms(total["p50"]) if total else shown(None),
            _ms(total["p99"]) if total else shown(None),
            _share(sum(one["degraded"].values()), one["decisions"]),
            _ratio(one["hit_ratio"]),
        )
        table.add_row(name, *cells[:room])
    return table


def _told(name: str, told: Any) -> Iterator[RenderableType]:
    """Yield a part of the document by its own names: one entry a paragraph."""
    if isinstance(told, Mapping):
        yield _entry(name, told)
        return
    if not isinstance(told, Sequence) or isinstance(told, str):
        yield Text.assemble((name, HEAD), f"  {shown(told)}")
        return
    yield Text(name, style=HEAD)
    for one in told:
        if not isinstance(one, Mapping):
            yield Text(f"  {shown(one)}")
            continue
        label, *_ = one.values()
        rest = dict(list(one.items())[1:])
        yield _entry(f"  {shown(label)}", rest)


def _entry(label: str, fields: Mapping[str, Any]) -> Table:
    """Return names and values behind a label; they wrap under each other."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style=HEAD, no_wrap=True)
    table.add_column(overflow="fold")
    text = Text()
    for name, value in fields.items():
        if value in (None, {}, []) or (name == "closed_in_s" and not value):
            continue
        is_alarming = isinstance(value, str) and value in ALARMING
        word, told = _named(name, value)
        if text:
            text.append(" \N{MIDDLE DOT} ", style=DIM)
        text.append(f"{word} ".replace(" ", "\N{NO-BREAK SPACE}"), style=DIM)
        text.append(told.replace(" ", "\N{NO-BREAK SPACE}"), style=ALARM if is_alarming else None)
    table.add_row(label, text)
    return table


def _named(name: str, value: Any) -> tuple[str, str]:
    """Return a field's name without its unit, and its value with it."""
    word = name.replace("_", " ")
    if isinstance(value, Mapping):
        return word, " ".join(f"{key} {_plain(one)}" for key, one in value.items())
    if isinstance(value, int | float) and not isinstance(value, bool):
        for ending, unit in ((" ms", "ms"), (" usd", "USD"), (" s", "s")):
            if word.endswith(ending):
                return word.removesuffix(ending), f"{_plain(value)} {unit}"
        if word.endswith(" bytes"):
            return word.removesuffix(" bytes"), f"{value / 1e6:,.1f} MB"
        if word.endswith(" ratio"):
            return word.removesuffix(" ratio"), f"{value:.1%}"
    return word, _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return shown(value)


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def _spread(total: Mapping[str, Any] | None) -> str:
    return shown(None) if total is None else f"{_ms(total['p50'])} / {_ms(total['p99'])}"


def _share(count: int, of: int) -> str:
    return f"{count / of:.1%}" if of else shown(None)


def _ratio(ratio: float | None) -> str:
    return shown(None) if ratio is None else f"{ratio:.1%}"
