"""Frames of `opsrail top`: what people see of what a server told."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from opsrail.cli.top_frame import frame

SPENT = {"decisions": 10, "p50": 1.0, "p95": 2.0, "p99": 123.4}
WINDOW: dict[str, Any] = {
    "seconds": 10.0,
    "decisions": 200,
    "per_s": 20.0,
    "latency_ms": {
        "score": SPENT,
        "record": {**SPENT, "p50": 0.25},
        "total": {**SPENT, "p50": 2.0},
    },
    "verdicts": {"approve": 150, "review": 50},
    "degraded": {"deadline-passed": 20},
    "cache": {"hit": 100, "miss": 100},
    "hit_ratio": 0.5,
    "cost_usd": 0.02,
}
SHARES = {"75.0%", "25.0%", "10.0%", "50.0%"}
DOCUMENT: dict[str, Any] = {
    "version": "0.1.0",
    "at": "2026-11-29T12:00:00.000Z",
    "counted_s": 75.0,
    "windows": {"10s": WINDOW, "60s": WINDOW, "300s": WINDOW},
    "points": {"fraud-risk": {"10s": WINDOW}, "a-point-with-a-rather-long-name": {"10s": WINDOW}},
    "cache": {"hits": 1000, "size_bytes": 1_500_000, "hit_ratio": 0.5},
    "models": [{"model": "fraud/1", "breaker": "open", "closed_in_s": 4.2, "in_flight": 3}],
}


def shown(document: dict[str, Any], trouble: str = "", width: int = 80) -> str:
    console = Console(width=width, file=StringIO(), emoji=False, highlight=False)
    with console.capture() as capture:
        console.print(frame(document, "http://127.0.0.1:8321", trouble, width))
    return capture.get().replace("\N{NO-BREAK SPACE}", " ")


def line(text: str, start: str) -> str:
    return next(one for one in text.splitlines() if one.strip().startswith(start))


def test_rates_shares_and_cost_stand_beside_each_other_by_window() -> None:
    text = shown(DOCUMENT)

    assert line(text, "decisions/s").split() == ["decisions/s", "20.0", "20.0", "20.0"]
    assert line(text, "approve").split() == ["approve", "75.0%", "75.0%", "75.0%"]
    assert line(text, "degraded: deadline-passed").split()[2] == "10.0%"
    assert line(text, "cost USD/h").split()[2] == "7.20"


def test_stages_stand_in_the_order_of_the_road_with_the_whole_last() -> None:
    rows = shown(DOCUMENT).splitlines()
    first = next(place for place, row in enumerate(rows) if row.startswith("stage, ms"))

    assert [row.split()[:4] for row in rows[first + 1 : first + 4]] == [
        ["score", "1.000", "2.000", "123"],
        ["record", "0.250", "2.000", "123"],
        ["total", "2.000", "2.000", "123"],
    ]
    assert rows[first + 1].count("\N{BLACK SQUARE}") == 12


def test_models_tell_their_fields_with_units() -> None:
    text = shown(DOCUMENT)

    assert "breaker open" in line(text, "fraud/1")
    assert "closed in 4.2 s" in line(text, "fraud/1")
    assert "size 1.5 MB" in line(text, "cache  hits 1,000")


def test_what_a_newer_server_tells_is_shown_by_its_own_names() -> None:
    queued = {"high": 0, "normal": 1200, "low": 3}
    model = {"model": "fraud/1", "queued": queued, "shed": {}, "limit": None, "pool": "local"}
    pools = [{"pool": "cpu", "state": "quarantined", "cost_usd": 0.5}]

    text = shown({**DOCUMENT, "models": [model], "pools": pools, "mood": "calm", "none": []})

    assert "queued high 0 normal 1,200 low 3" in line(text, "fraud/1")
    assert "pool local" in line(text, "fraud/1")
    assert "shed" not in text
    assert line(text, "cpu").split(" \N{MIDDLE DOT} ")[1].strip() == "cost 0.5 USD"
    assert line(text, "mood").split() == ["mood", "calm"]


@pytest.mark.parametrize("width", [26, 30, 40, 50, 70])
def test_a_narrow_terminal_shows_fewer_figures_and_each_of_them_whole(width: int) -> None:
    rows = shown(DOCUMENT, width=width).splitlines()
    tables = rows[: rows.index(next(row for row in rows if row.startswith("cache  ")))]
    figures = re.findall(r"(?<=  )[\d.]+%?(?=  |$)", "\n".join(tables), re.MULTILINE)

    assert {"20.0", "75.0%", "1.000"} <= {*figures}
    assert {*figures} <= {"20.0", "123", "1.000", "2.000", "0.250", *SHARES, "7.20"}
    assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(tables)
    assert max(map(len, rows)) <= width


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, shown(DOCUMENT, width=width).splitlines())) <= width


def test_an_idle_server_and_one_that_is_gone_are_told() -> None:
    idle = {**WINDOW, "decisions": 0, "latency_ms": {}, "verdicts": {}, "degraded": {}}
    document = {**DOCUMENT, "windows": dict.fromkeys(("10s", "60s"), idle), "points": {}}

    text = shown(document, trouble="nothing answers")

    assert "No decision in the last 10 s." in text
    assert "old figures: nothing answers" in text


def test_a_document_with_next_to_nothing_still_gives_a_frame() -> None:
    assert "opsrail" in shown({})


def test_challengers_are_shown_with_their_lag_and_drops() -> None:
    shadow = {
        "model": "fraud/7",
        "point": "fraud-risk",
        "state": "hung",
        "queued": 640,
        "lag_s": 12.5,
        "dropped": {"full": 31},
        "disagreed_ratio": 0.041,
    }

    told = shown({**DOCUMENT, "shadows": [shadow]}, width=120).replace("\N{NO-BREAK SPACE}", " ")

    for part in ("fraud/7", "state hung", "queued 640", "lag 12.5 s", "dropped full 31", "4.1%"):
        assert part in told
